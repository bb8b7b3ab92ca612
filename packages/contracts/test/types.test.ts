// What the compiler refuses. `tsc` checks this file before the tests run: an `@ts-expect-error` above a line that
// compiles is itself an error.
import type { Server, Socket as ServerSocket } from "socket.io";
import type { Socket } from "socket.io-client";
import { z } from "zod";
import type {
  Accepted,
  ClientToServerEvents,
  DataIn,
  DataOut,
  EventName,
  Meta,
  Refused,
  RoleOf,
  ServerToClientEvents,
} from "../src/index.ts";
import { defineContract } from "../src/index.ts";
import { type Parcel, type Parcels, parcels } from "../src/parcels.ts";

type Equal<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;
const holds = <_Claim extends true>() => undefined;

type Satellite = Socket<ServerToClientEvents<Parcels>, ClientToServerEvents<Parcels>>;
type Hub = Server<ClientToServerEvents<Parcels>, ServerToClientEvents<Parcels>>;
type HubSocket = ServerSocket<ClientToServerEvents<Parcels>, ServerToClientEvents<Parcels>>;

const parcel: Parcel = { parcelId: "p-1", vendorId: "acme", customer: { city: "Recife", state: "PE" } };

/** Compiled, never run: each function is a claim about types. */
const claims = {
  "events, roles and data are inferred": () => {
    holds<Equal<EventName<Parcels>, "pickup" | "in-transit" | "delivered" | "position">>();
    holds<Equal<RoleOf<Parcels>, "vendor" | "driver" | "logger" | "board">>();
    holds<Equal<DataOut<Parcels, "pickup">, Parcel>>();
    holds<Equal<DataIn<Parcels, "delivered">["deliveredAt"], string>>();
  },
  "a client emits and hears what the contract has": (satellite: Satellite) => {
    satellite.emit("pickup", parcel);
    satellite.emit("pickup", parcel, { id: "p-1" });
    satellite.emit("pickup", parcel, (receipt) => holds<Equal<typeof receipt, Accepted<number> | Refused>>());
    satellite.emit("pickup", parcel, { id: "p-1" }, (receipt) => receipt.ok && receipt.offset.toFixed());
    void satellite.emitWithAck("pickup", parcel);
    satellite.on("delivered", (data, meta) => {
      holds<Equal<typeof data.driverId, string>>();
      holds<Equal<typeof meta, Meta>>();
    });
  },
  "a client is refused an unknown event and wrong data": (satellite: Satellite) => {
    // @ts-expect-error: no such event
    satellite.emit("pick-up", parcel);
    // @ts-expect-error: no such event
    satellite.on("vanished", () => undefined);
    // @ts-expect-error: a property is missing
    satellite.emit("pickup", { parcelId: "p-1" });
    // @ts-expect-error: a property has the wrong type
    satellite.emit("pickup", { ...parcel, vendorId: 7 });
    // @ts-expect-error: the data has no such property
    satellite.on("pickup", ({ driverId }) => driverId);
  },
  "the server's generics are the same, the other way round": (hub: Hub, socket: HubSocket) => {
    hub.on("connection", (accepted) => accepted.on("pickup", (data) => holds<Equal<typeof data, Parcel>>()));
    socket.emit("pickup", parcel, { id: "1", source: "vendor:acme", type: "pickup", time: "" });
    // @ts-expect-error: no such event
    socket.on("vanished", () => undefined);
  },
  "a contract is refused a role that it does not list, and a key or room that its data does not have": () => {
    const data = z.object({ id: z.string(), note: z.string().optional(), count: z.number() });
    const base = { summary: "", data, keep: "log" } as const;
    const make = { name: "test", version: "1.0.0", roles: ["a", "b"] } as const;
    defineContract({
      ...make,
      events: { e: { ...base, key: "id", rooms: { r: "note" }, emit: { a: "all" }, hear: {} } },
    });
    defineContract({ ...make, presence: { a: "all" }, events: {} });
    // @ts-expect-error: no such role to see who is connected
    defineContract({ ...make, presence: { pirate: "all" }, events: {} });
    // @ts-expect-error: no such way to see who is connected
    defineContract({ ...make, presence: { a: "own" }, events: {} });
    // @ts-expect-error: no such role to emit
    defineContract({ ...make, events: { e: { ...base, emit: { pirate: "all" }, hear: {} } } });
    // @ts-expect-error: no such role to hear
    defineContract({ ...make, events: { e: { ...base, emit: {}, hear: { pirate: "all" } } } });
    // @ts-expect-error: no such property as key
    defineContract({ ...make, events: { e: { ...base, key: "nope", emit: {}, hear: {} } } });
    // @ts-expect-error: a key may not be missing
    defineContract({ ...make, events: { e: { ...base, key: "note", emit: {}, hear: {} } } });
    // @ts-expect-error: no such property as room
    defineContract({ ...make, events: { e: { ...base, rooms: { r: "nope" }, emit: {}, hear: {} } } });
    // @ts-expect-error: a room is named by a string
    defineContract({ ...make, events: { e: { ...base, rooms: { r: "count" }, emit: {}, hear: {} } } });
    // @ts-expect-error: latest needs a key
    defineContract({ ...make, events: { e: { summary: "", data, keep: "latest", emit: {}, hear: {} } } });
    // @ts-expect-error: no such way to keep
    defineContract({ ...make, events: { e: { ...base, keep: "forever", emit: {}, hear: {} } } });
  },
  "only kept events have an offset": () => {
    const contract = defineContract({
      name: "test",
      version: "1.0.0",
      roles: ["a"],
      events: {
        kept: { summary: "", data: z.object({}), keep: "log", emit: {}, hear: {} },
        passing: { summary: "", data: z.object({}), keep: "none", emit: {}, hear: {} },
      },
    });
    type Events = ClientToServerEvents<typeof contract>;
    type ReceiptOf<N extends "kept" | "passing"> = Parameters<NonNullable<Parameters<Events[N]>[2]>>[0];
    holds<Equal<Extract<ReceiptOf<"kept">, { ok: true }>["offset"], number>>();
    holds<Equal<Extract<ReceiptOf<"passing">, { ok: true }>["offset"], null>>();
  },
};

it.each(Object.keys(claims))("the compiler holds: %s", (claim) => {
  expect(claims).toHaveProperty([claim]);
  expect(Object.keys(parcels.events)).toEqual(["pickup", "in-transit", "delivered", "position"]);
});
