import { execFile } from "node:child_process";
import { mkdir, rm, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import { outDirectory, type Plan } from "../arena.ts";
import { figuresOf, type Question, type Row } from "../report.ts";
import { spreadOf } from "../statistics.ts";

const run = promisify(execFile);
const compiler = createRequire(import.meta.url).resolve("@typescript/native/package.json");

/** As `tsc --extendedDiagnostics` reports it. Seconds. */
interface Compilation {
  readonly check: number;
  readonly total: number;
}

export const types: Question = {
  name: "types",
  asks: "How long does the compiler take over a contract with many events, and over code that uses it?",

  async answer(plan: Plan): Promise<readonly Row[]> {
    const rows: Row[] = [];
    // Without events: what the compiler takes for the libraries alone.
    for (const events of plan.isQuick ? [10] : [0, 10, 50, 200]) {
      const directory = join(outDirectory, `types-${events}`);
      try {
        await generate(directory, events);
        await compile(directory, plan.signal); // files into the system's cache
        const compilations: Compilation[] = [];
        for (let round = 0; round < plan.rounds; round += 1) {
          compilations.push(await compile(directory, plan.signal));
        }
        rows.push(rowOf(events, compilations));
      } finally {
        await rm(directory, { recursive: true, force: true });
      }
    }
    return rows;
  },
};

function rowOf(events: number, compilations: readonly Compilation[]): Row {
  const { median } = spreadOf(compilations.map(({ total }) => total));
  return {
    labels: { events: String(events) },
    figures: figuresOf(compilations, { "check s": ({ check }) => check, "total s": ({ total }) => total }),
    verdicts: events === 200 ? [`200 events: ${median.toFixed(2)} s in total (goal: about 1 s)`] : [],
  };
}

async function compile(directory: string, signal: AbortSignal): Promise<Compilation> {
  const args = [join(dirname(compiler), "bin/tsc"), "-p", directory, "--extendedDiagnostics"];
  const { stdout } = await run(process.execPath, args, { signal, timeout: 60_000 });
  const seconds = (name: string) => {
    const found = new RegExp(`^${name} time:\\s+([\\d.]+)s`, "m").exec(stdout);
    if (found === null) throw new Error(`no ${name} time in:\n${stdout}`);
    return Number(found[1]);
  };
  return { check: seconds("Check"), total: seconds("Total") };
}

async function generate(directory: string, events: number): Promise<void> {
  await mkdir(directory, { recursive: true });
  const files = {
    "tsconfig.json": JSON.stringify({ extends: "../../../../tsconfig.base.json", include: ["*.ts"] }),
    "contract.ts": contractText(events),
    "use.ts": useText(events),
  };
  for (const [name, text] of Object.entries(files)) await writeFile(join(directory, name), text);
}

const numbers = (count: number) => Array.from({ length: count }, (_, number) => number);

const contractText = (events: number) => `import { defineContract } from "@orrery/contracts";
import { z } from "zod";

const Id = z.string().min(1).max(100);

export const large = defineContract({
  name: "large",
  version: "1.0.0",
  roles: ["vendor", "driver", "logger"],
  events: {
${numbers(events).map(eventText).join("\n")}
  },
});
export type Large = typeof large;
`;

const eventText = (number: number) => `    event${number}: {
      summary: "Event ${number}.",
      data: z.strictObject({
        parcelId: Id,
        vendorId: Id,
        count${number}: z.number().int(),
        kind: z.enum(["small", "large", "kind-${number}"]),
        customer: z.strictObject({ name: Id.optional(), city: Id, lines: z.array(Id) }),
      }),
      keep: "${["log", "latest", "none"][number % 3]}",
      key: "parcelId",
      rooms: { vendor: "vendorId" },
      emit: { vendor: "own" },
      hear: { driver: "all", logger: "all", vendor: "own" },
    },`;

const useText = (
  events: number,
) => `import type { ClientToServerEvents, ServerToClientEvents } from "@orrery/contracts";
import type { Server } from "socket.io";
import type { Socket } from "socket.io-client";
import type { Large } from "./contract.ts";

export type Client = Socket<ServerToClientEvents<Large>, ClientToServerEvents<Large>>;
export type Hub = Server<ClientToServerEvents<Large>, ServerToClientEvents<Large>>;

export function use(client: Client, hub: Hub): void {
${numbers(Math.min(events, 50)).map(callText).join("\n")}
}
`;

const callText = (number: number) => `  client.emit(
    "event${number}",
    { parcelId: "p", vendorId: "v", count${number}: 1, kind: "kind-${number}", customer: { city: "c", lines: [] } },
    (receipt) => receipt.ok && receipt.id.length,
  );
  client.on("event${number}", ({ count${number} }, { id }) => console.log(count${number}.toFixed(), id.length));
  hub.on("connection", (socket) => socket.on("event${number}", (data) => console.log(data.kind.length)));`;
