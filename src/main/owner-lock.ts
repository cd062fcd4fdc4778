/**
 * One `muster start` per data folder: a lock file with the owner's pid and start time, so that a second start can say who holds it
 * and a dead owner's file holds nobody up. An owner in another container or on another machine cannot be looked at, but its file can:
 * whoever owns one touches it every second.
 */
import { linkSync, renameSync, rmSync, statSync, utimesSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import type { Timers } from "../core/runtime.ts";
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

const touchEveryMs = 1_000;
/** An owner that cannot be looked at and has not touched its file for so long is dead, ms. */
const untouchedMs = 4_000;

/** @throws Complaint that says who holds the folder */
export async function takeOwnerLock(data: string, command: string, timers: Timers): Promise<OwnerLock> {
  const file = ownerFile(data);
  const mine = `${JSON.stringify({ ...ownIdentity(), command, since: new Date().toISOString() })}\n`;
  let afterCrash = false;
  // Each round either takes the file, removes a dead owner's, or ends with a complaint; a few crashed starters may stand in line.
  for (let round = 0; round < 20; round++) {
    if (createPrivate(file, mine)) return hold(file, mine, afterCrash);
    const text = readIfThere(file);
    if (text === null) continue;
    const owner = parseOwner(text);
    const where = owner === null ? null : await whereabouts(file, owner, timers);
    if (owner !== null && where !== null) {
      throw new Complaint(
        `${data} is in use: ${owner.command} (process ${owner.pid}${where}, since ${owner.since}) runs on it. Stop it first, or give this one a folder of its own with MUSTER_DATA.`,
      );
    }
    afterCrash = true;
    removeStale(file, text);
  }
  throw new Complaint(`${file} cannot be taken: other processes keep writing it.`);
}

function hold(file: string, mine: string, afterCrash: boolean): OwnerLock {
  const touching = setInterval(() => {
    const now = new Date();
    if (readIfThere(file) === mine) utimesSync(file, now, now);
  }, touchEveryMs);
  touching.unref();
  return {
    afterCrash,
    release: () => {
      clearInterval(touching);
      releaseIfMine(file, mine);
    },
  };
}

/** Where a living owner is, as words behind its pid; null: it lives no more. */
async function whereabouts(file: string, owner: Owner, timers: Timers): Promise<string | null> {
  const state = stateOf(owner);
  if (state !== "elsewhere") return state === "running" ? "" : null;
  const touchedAt = (): number | undefined => statSync(file, { throwIfNoEntry: false })?.mtimeMs;
  const before = touchedAt();
  await timers.wait(untouchedMs);
  return touchedAt() === before ? null : " on another machine or in another container";
}

/** Who owns the folder just now, as far as this machine can see, or null. */
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
