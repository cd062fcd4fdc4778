import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, describe, expect, test } from "vitest";
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

describe("the owner lock", () => {
  test("held by a process that runs → a complaint that names it", () => {
    const data = folder();
    takeOwnerLock(data, "muster start --demo");
    expect(() => takeOwnerLock(data, "muster start")).toThrow(Complaint);
    expect(() => takeOwnerLock(data, "muster start")).toThrow(`muster start --demo (process ${process.pid}`);
    expect(currentOwner(data)?.pid).toBe(process.pid);
  });

  test("let go → free for the next", () => {
    const data = folder();
    takeOwnerLock(data, "first").release();
    expect(existsSync(ownerFile(data))).toBe(false);
    expect(takeOwnerLock(data, "second").afterCrash).toBe(false);
  });

  test("its owner was killed → taken over, and says so", async () => {
    const data = folder();
    const child = spawn("sleep", ["600"], { stdio: "ignore" });
    children.push(child);
    const identity = { ...ownIdentity(), pid: child.pid ?? 0, startedAt: startTimeOf(child.pid ?? 0) };
    writeFileSync(ownerFile(data), JSON.stringify({ ...identity, command: "muster start", since: "now" }));
    expect(() => takeOwnerLock(data, "muster start")).toThrow(`process ${child.pid}`);
    child.kill("SIGKILL");
    await once(child, "exit");
    expect(takeOwnerLock(data, "muster start").afterCrash).toBe(true);
    expect(readFileSync(ownerFile(data), "utf8")).toContain(`"pid":${process.pid},`);
  });

  test("its owner's pid was used again → is not taken for the owner", () => {
    const data = folder();
    writeFileSync(ownerFile(data), JSON.stringify({ ...ownIdentity(), startedAt: "1", command: "muster start", since: "now" }));
    expect(takeOwnerLock(data, "muster start").afterCrash).toBe(true);
  });

  test("its file holds junk → taken over", () => {
    const data = folder();
    writeFileSync(ownerFile(data), "{");
    expect(takeOwnerLock(data, "muster start").afterCrash).toBe(true);
  });
});
