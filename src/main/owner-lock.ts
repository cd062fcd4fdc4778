/**
 * One `muster start` per data folder: a lock file with the owner's pid and start time, so that a second start can say who holds it
 * and a dead owner's file holds nobody up. Whose file stands wins; the embedded PostgreSQL's session lock (`owner-session.ts`) backs this
 * up where a pid cannot be looked at.
 */
import { linkSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import { Complaint, systemCode } from "./complaint.ts";
import { createPrivate, readIfThere } from "./private-file.ts";
import { ownIdentity, type ProcessIdentity, stateOf } from "./process-identity.ts";

const ownerShape = z.object({ pid: z.number(), startedAt: z.string(), world: z.string(), command: z.string(), since: z.string() });
type Owner = z.infer<typeof ownerShape>;

export interface OwnerLock {
  /** The owner before us died without letting go. */
  readonly afterCrash: boolean;
  release(): void;
}

export function ownerFile(data: string): string {
  return join(data, "owner");
}

/** @throws Complaint that says who holds the folder */
export function takeOwnerLock(data: string, command: string): OwnerLock {
  const file = ownerFile(data);
  const mine = `${JSON.stringify({ ...ownIdentity(), command, since: new Date().toISOString() })}\n`;
  let afterCrash = false;
  // Each round either takes the file, removes a dead owner's, or ends with a complaint; a few crashed starters may stand in line.
  for (let round = 0; round < 20; round++) {
    if (createPrivate(file, mine)) return { afterCrash, release: () => releaseIfMine(file, mine) };
    const text = readIfThere(file);
    if (text === null) continue;
    const owner = parseOwner(text);
    if (owner !== null && stateOf(owner) === "running") {
      throw new Complaint(
        `${data} is in use: ${owner.command} (process ${owner.pid}, since ${owner.since}) runs on it. Stop it first, or give this one a folder of its own with MUSTER_DATA.`,
      );
    }
    afterCrash = true;
    removeStale(file, text);
  }
  throw new Complaint(`${file} cannot be taken: other processes keep writing it.`);
}

/** Who owns the folder just now, or null. */
export function currentOwner(data: string): (ProcessIdentity & { readonly command: string; readonly since: string }) | null {
  const text = readIfThere(ownerFile(data));
  const owner = text === null ? null : parseOwner(text);
  return owner !== null && stateOf(owner) === "running" ? owner : null;
}

function parseOwner(text: string): Owner | null {
  try {
    return ownerShape.parse(JSON.parse(text));
  } catch {
    // Written whole or not at all: what does not read as an owner is not one of ours.
    return null;
  }
}

/** Moves the file away and looks at what was moved: if another start put its own there in the meantime, it gets it back. */
function removeStale(file: string, stale: string): void {
  const aside = `${file}.stale.${process.pid}`;
  try {
    renameSync(file, aside);
    if (readIfThere(aside) !== stale) linkSync(aside, file);
  } catch (error) {
    if (systemCode(error) !== "ENOENT" && systemCode(error) !== "EEXIST") throw error;
  } finally {
    rmSync(aside, { force: true });
  }
}

function releaseIfMine(file: string, mine: string): void {
  if (readIfThere(file) === mine) rmSync(file, { force: true });
}
