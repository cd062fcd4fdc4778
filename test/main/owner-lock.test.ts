import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, readFileSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, describe, expect, test } from "vitest";
import type { Timers } from "../../src/core/runtime.ts";
import { Complaint } from "../../src/main/complaint.ts";
import { currentOwner, ownerFile, takeOwnerLock } from "../../src/main/owner-lock.ts";
import { ownIdentity, startTimeOf } from "../../src/main/process-identity.ts";

const children: ChildProcess[] = [];
afterEach(() => {
  for (const child of children.splice(0)) child.kill("SIGKILL");
});

function folder(): string {
  return mkdtempSync(join(tmpdir(), "muster-lock-"));
}

/** Time flies; what happens meanwhile is the test's to say. */
const timers = (meanwhile: () => void = () => undefined): Timers => ({ wait: async () => meanwhile() });

describe("the owner lock", () => {
  test("held by a process that runs → a complaint that names it", async () => {
    const data = folder();
    const lock = await takeOwnerLock(data, "muster start --demo", timers());
    await expect(takeOwnerLock(data, "muster start", timers())).rejects.toThrow(Complaint);
    await expect(takeOwnerLock(data, "muster start", timers())).rejects.toThrow(`muster start --demo (process ${process.pid}`);
    expect(currentOwner(data)?.pid).toBe(process.pid);
    lock.release();
  });

  test("let go → free for the next", async () => {
    const data = folder();
    (await takeOwnerLock(data, "first", timers())).release();
    expect(existsSync(ownerFile(data))).toBe(false);
    const next = await takeOwnerLock(data, "second", timers());
    expect(next.afterCrash).toBe(false);
    next.release();
  });

  test("its owner was killed → taken over, and says so", async () => {
    const data = folder();
    const child = spawn("sleep", ["600"], { stdio: "ignore" });
    children.push(child);
    const identity = { ...ownIdentity(), pid: child.pid ?? 0, startedAt: startTimeOf(child.pid ?? 0) };
    writeFileSync(ownerFile(data), JSON.stringify({ ...identity, command: "muster start", since: "now" }));
    await expect(takeOwnerLock(data, "muster start", timers())).rejects.toThrow(`process ${child.pid}`);
    child.kill("SIGKILL");
    await once(child, "exit");
    expect((await takeOwnerLock(data, "muster start", timers())).afterCrash).toBe(true);
    expect(readFileSync(ownerFile(data), "utf8")).toContain(`"pid":${process.pid},`);
  });

  test("its owner's pid was used again → is not taken for the owner", async () => {
    const data = folder();
    writeFileSync(ownerFile(data), JSON.stringify({ ...ownIdentity(), startedAt: "1", command: "muster start", since: "now" }));
    expect((await takeOwnerLock(data, "muster start", timers())).afterCrash).toBe(true);
  });

  test("its owner is in another container, or was in another boot → in use while the file is touched, else taken over", async () => {
    const data = folder();
    const elsewhere = JSON.stringify({ ...ownIdentity(), world: "another", command: "muster start", since: "now" });
    writeFileSync(ownerFile(data), elsewhere);
    const touched = timers(() => utimesSync(ownerFile(data), 1, 1));
    await expect(takeOwnerLock(data, "muster start", touched)).rejects.toThrow("on another machine or in another container");
    expect((await takeOwnerLock(data, "muster start", timers())).afterCrash).toBe(true);
  });

  test("its file holds junk → taken over", async () => {
    const data = folder();
    writeFileSync(ownerFile(data), "{");
    expect((await takeOwnerLock(data, "muster start", timers())).afterCrash).toBe(true);
  });
});
