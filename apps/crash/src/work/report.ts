import type { Finding } from "../finding.ts";
import { tableOf } from "../report.ts";
import { cutsOf, type Fault, handedOnOf, type WorkEvidence } from "./check.ts";

/** A run for people: what happened, then each fault with its count, 0 where the promise was kept. */
export function workReportOf(evidence: WorkEvidence, findings: readonly Finding[]): string {
  const { pickups, attempts, faults, traces } = evidence;
  const faulted = (kind: Fault["kind"], isHub: boolean) =>
    faults.filter((fault) => fault.kind === kind && (fault.name === "hub") === isHub).length;
  const ended = (outcome: string) => attempts.filter((attempt) => attempt.outcome === outcome).length;
  const met = (what: string) => traces.filter((trace) => trace.what === what).length;
  const handedOn = handedOnOf(evidence);
  const afterMs = handedOn.map((one) => one.afterMs).sort((a, b) => a - b);
  const beyondMs = handedOn.map((one) => Math.ceil(one.afterMs - one.dueMs));
  const most = (numbers: readonly number[]) => numbers.reduce((highest, one) => Math.max(highest, one), 0);
  return tableOf(
    [
      ["drivers' processes stopped", faulted("stop", false)],
      ["drivers' processes killed", faulted("kill", false)],
      ["the hub stopped", faulted("stop", true)],
      ["the hub killed", faulted("kill", true)],
      ["pickups in the log", pickups.length],
      ["claims handed over, as drivers saw it", met("claimed")],
      ["claims done", ended("done")],
      ["claims that ran out", ended("expired")],
      ["claims whose connection was gone", ended("gone")],
      ["most attempts at one pickup", most(attempts.map(({ attempt }) => attempt))],
      ["LEASE_LOST met by drivers", met("lost")],
      ["claims that a stop or kill of their driver cut", cutsOf(evidence).length],
      ["… of them handed on to one that was up", afterMs.length],
      ["… after, half of them, ms", afterMs[afterMs.length >> 1] ?? 0],
      ["… after, the longest, ms", most(afterMs)],
      ["… beyond the lease, the wait and the hub's faults, the longest, ms", most(beyondMs)],
    ],
    findings,
  );
}
