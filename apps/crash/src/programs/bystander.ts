// Says a numbered pickup now and then, hears it, and follows it, and writes all of that down. Upon SIGTERM it waits for what is
// still on its way, but not for ever, and ends.
import { openSync, writeSync } from "node:fs";
import { setTimeout as pause } from "node:timers/promises";
import { type Meta, nameOf, OrreryError } from "@orrery/contracts";
import { type Parcel, parcels } from "@orrery/contracts/parcels";
import { readEnvironment, runProcess, urlVariable } from "@orrery/process";
import { connect } from "@orrery/satellite";
import { readKey, signToken } from "@orrery/tokens";
import { z } from "zod";
import { bystander, bystanderTokenMs, drainMs, files, sayEveryMs, type Trace } from "../fuzz/cast.ts";
import { endWithParent } from "./end-with-parent.ts";

/** Beyond the wait for what is on its way. Milliseconds. */
const closeMs = 5_000;
/** Between two looks at what is on its way. Milliseconds. */
const lookMs = 20;

/** Where all that the bystander says belongs, and nothing that anybody else may say. */
const ownRoom = nameOf(bystander.vendor);

/** As `Omit`, for each of the kinds. */
type Untimed<T> = T extends Trace ? Omit<T, "atMs"> : never;

endWithParent();
await runProcess(
  "bystander",
  async () => {
    console.log("started");
    const { HUB_URL, DIRECTORY, KEY } = readEnvironment(
      z.object({
        HUB_URL: urlVariable,
        DIRECTORY: z.string(),
        /** Where the hub checks tokens: a file with the key that signs them. */
        KEY: z.string().optional(),
      }),
    );
    const key = KEY === undefined ? undefined : await readKey(KEY);
    const traces = openSync(files.traces(DIRECTORY), "ax");
    const write = (trace: Untimed<Trace>) => {
      const atMs = performance.timeOrigin + performance.now();
      writeSync(traces, `${JSON.stringify({ atMs, ...trace })}\n`);
    };
    const enter = (identity: (typeof bystander)[keyof typeof bystander]) => {
      const claims = { satellite: nameOf(identity), contract: parcels.name, lifetimeMs: bystanderTokenMs };
      return connect(parcels, {
        url: HUB_URL,
        ...(key === undefined ? identity : { token: () => signToken(key, claims) }),
        rooms: [ownRoom],
        onStatus: (status, reason) =>
          write({ what: "status", who: identity.role, status, ...(reason && { code: reason.code }) }),
        onGap: ({ reason }) => write({ what: "gap", reason }),
        onError(error) {
          throw error;
        },
      });
    };
    const vendor = enter(bystander.vendor);
    const listener = enter(bystander.listener);
    const follower = enter(bystander.follower);
    let serial = 0;
    const came = { heard: 0, followed: 0 };
    const take = (what: "heard" | "followed", { customer }: Parcel, { source, offset = 0 }: Meta) => {
      const one = Number(customer.name);
      if (source !== ownRoom || !(one <= serial)) return write({ what: "foreign", source, offset });
      write({ what, serial: one, offset });
      came[what] = one;
    };
    listener.on("pickup", (parcel, meta) => take("heard", parcel, meta));
    const following = follower.follow("pickup", { as: "bystander", rooms: [ownRoom] }, (parcel, meta) =>
      take("followed", parcel, meta),
    );
    await Promise.all([vendor.ready(), listener.ready(), following.ready()]);

    let waiting = 0;
    const say = async (mine: number) => {
      const customer = { name: String(mine), city: "Recife", state: "PE" };
      const { offset } = await vendor.emit("pickup", {
        parcelId: "watched",
        vendorId: bystander.vendor.id,
        customer,
      });
      write({ what: "acked", serial: mine, offset });
    };
    const ask = async (mine: number) => {
      await follower.followers();
      write({ what: "answered", serial: mine });
    };
    const act = async () => {
      serial += 1;
      waiting += 1;
      const mine = serial;
      write({ what: "said", serial: mine });
      try {
        await Promise.all([say(mine), ask(mine)]);
      } catch (error) {
        write({
          what: "refused",
          serial: mine,
          code: error instanceof OrreryError ? error.code : String(error),
        });
      }
    };
    const timer = setInterval(() => void act(), sayEveryMs);
    console.log("serving");

    return {
      async stop() {
        clearInterval(timer);
        const untilMs = performance.now() + drainMs;
        const isDone = () => waiting === 0 && came.heard === serial && came.followed === serial;
        while (!isDone() && performance.now() < untilMs) await pause(lookMs);
        await following.stop();
        for (const satellite of [vendor, listener, follower]) await satellite.close();
      },
    };
  },
  { stopMs: drainMs + closeMs },
);
