import { expect, test } from "vitest";
import { Circuits } from "../../src/engine/circuit.ts";

const rule = { failures: 3, firstPauseMs: 1_000, longestPauseMs: 4_000 };
const failed = (circuits: Circuits, member: string, nowMs: number, probe = false): number | null =>
  circuits.failed("p", { member, reason: "BUSY", probe }, rule, nowMs, 1);

function opened(): Circuits {
  const circuits = new Circuits();
  for (const member of ["a", "b", "c"]) failed(circuits, member, 0);
  return circuits;
}

test("calls in a row fail, each about another member → it opens with the last of them, and says why", () => {
  const circuits = new Circuits();
  expect([failed(circuits, "a", 0), failed(circuits, "b", 0)]).toEqual([null, null]);
  expect(circuits.gate("p", 0)).toEqual({ kind: "go" });
  expect(failed(circuits, "c", 0)).toBe(1_000);
  expect(circuits.gate("p", 400)).toEqual({ kind: "wait", ms: 600 });
  expect(circuits.reason("p")).toBe("BUSY");
  expect(circuits.gate("another", 400)).toEqual({ kind: "go" });
});

test("the same sick member again and again → it stays closed", () => {
  const circuits = new Circuits();
  for (let i = 0; i < 50; i++) expect(failed(circuits, i % 2 === 0 ? "a" : "b", i)).toBeNull();
  expect(circuits.isOpen("p")).toBe(false);
});

test("a success in between → counted from the start again", () => {
  const circuits = new Circuits();
  failed(circuits, "a", 0);
  failed(circuits, "b", 0);
  expect(circuits.succeeded("p", 0)).toBeNull();
  expect(failed(circuits, "c", 0)).toBeNull();
});

test("the pause is over → one call tries; it fails → a pause twice as long, up to the longest", () => {
  const circuits = opened();
  let now = 0;
  for (const pause of [1_000, 2_000, 4_000, 4_000]) {
    expect(circuits.gate("p", now + pause - 1).kind).toBe("wait");
    now += pause;
    expect(circuits.gate("p", now)).toEqual({ kind: "probe" });
    circuits.probing("p");
    expect(circuits.gate("p", now)).toEqual({ kind: "wait", ms: 0 });
    failed(circuits, "d", now, true);
  }
});

test("what was under way when it opened fails as well → the pause is no longer for that", () => {
  const circuits = opened();
  expect(failed(circuits, "late", 500)).toBeNull();
  expect(circuits.gate("p", 1_000)).toEqual({ kind: "probe" });
});

test("the call that tries is answered → it closes; is broken off → another may try", () => {
  const circuits = opened();
  circuits.probing("p");
  circuits.brokenOff("p");
  expect(circuits.gate("p", 1_000)).toEqual({ kind: "probe" });
  circuits.probing("p");
  expect(circuits.succeeded("p", 1_250)).toBe(1_250);
  expect(circuits.gate("p", 1_250)).toEqual({ kind: "go" });
  expect(circuits.reason("p")).toBeNull();
});
