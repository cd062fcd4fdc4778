/**
 * Looks after the state folder: notices deaths that no shim wrote down, keeps logs small, and takes away what nobody needs any more.
 * Every worker looks for deaths; the rest is done by one worker per host, the one that is named in the file `caretaker`.
 */
import { readdir, readFile, rename, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { NodeId } from "../../core/ids.ts";
import { isRunning, killRemains, ownRecord } from "./liveness.ts";
import { rotateLog } from "./log.ts";
import { listClaims, releasePorts } from "./port.ts";
import { type MemberRecord, parseFence } from "./record.ts";
import {
  codeOf,
  epochsIn,
  exitOf,
  fencedEpochs,
  isGone,
  listIfThere,
  listNodes,
  nodeFolder,
  readExit,
  readFence,
  readIfThere,
  type StateFolder,
  writeLostExit,
} from "./state.ts";
import type { ProcessWorld } from "./world.ts";

/**
 * A closed epoch's fence may go when no start that began before can still be under way. Starts carry their deadline with them and stop
 * by themselves after it; deadlines are minutes, this is an hour.
 */
const keepClosedMs = 3_600_000;
/** Ports claimed by a start that was killed before it made its fence are given back after this long. */
const keepClaimMs = 3_600_000;
/** What is closed is looked for once in so many sweeps. */
const sweepsPerCollection = 30;

interface Known {
  /** Of the folder: unchanged means that no epoch was added or closed. */
  readonly changedMs: number;
  readonly newest: { readonly epoch: number; readonly record: MemberRecord } | null;
  /** In how many sweeps it was found dead, with nobody having said so. */
  missing: number;
}

export interface Caretaker {
  sweep(): Promise<void>;
}

export function createCaretaker(world: ProcessWorld): Caretaker {
  const known = new Map<NodeId, Known>();
  let sweeps = 0;
  let wasNamed = false;
  return {
    sweep: async () => {
      const ids = await listNodes(world.state);
      const present = new Set(ids);
      for (const id of known.keys()) if (!present.has(id)) known.delete(id);
      for (const id of ids) {
        const now = await look(world, known.get(id), id);
        if (now === null) known.delete(id);
        else known.set(id, now);
      }
      await noteDeaths(world, known);
      const named = await isNamed(world);
      // Who has just been named waits for a turn: two that wrote at the same moment have both read by then.
      if (named && wasNamed) {
        for (const [id, { newest }] of known) if (newest !== null) await rotateLog(world.state, id, newest.epoch, world.maxLogBytes);
        if (sweeps++ % sweepsPerCollection === 0) await collect(world);
      }
      wasNamed = named;
    },
  };
}

async function look(world: ProcessWorld, before: Known | undefined, id: NodeId): Promise<Known | null> {
  const changedMs = await changedMsOf(nodeFolder(world.state, id));
  if (changedMs === null) return null;
  if (before?.changedMs === changedMs) return before;
  const epoch = (await fencedEpochs(world.state, id)).at(-1);
  if (epoch === undefined || (await isGone(world.state, id, epoch))) return { changedMs, newest: null, missing: 0 };
  const fence = await readFence(world.state, id, epoch);
  return { changedMs, newest: fence?.kind === "member" ? { epoch, record: fence } : null, missing: 0 };
}

async function changedMsOf(path: string): Promise<number | null> {
  try {
    return (await stat(path)).mtimeMs;
  } catch (error) {
    if (codeOf(error) === "ENOENT") return null;
    throw error;
  }
}

/** Found dead twice and nobody has written a code: its shim was killed with it, or the machine was started anew. */
async function noteDeaths(world: ProcessWorld, known: ReadonlyMap<NodeId, Known>): Promise<void> {
  for (const [id, member] of known) {
    if (member.newest === null || isRunning(member.newest.record, world.incarnation)) continue;
    const { epoch, record } = member.newest;
    if ((await readExit(world.state, id, epoch)) !== null) continue;
    if (member.missing++ === 0) continue;
    await killRemains(record, world.incarnation, world.table);
    if (!(await isGone(world.state, id, epoch))) await writeLostExit(world.state, id, epoch);
  }
}

/** Whether the file names this worker; where it names nobody who lives, this worker puts itself in. */
async function isNamed(world: ProcessWorld): Promise<boolean> {
  const path = join(world.state.root, "caretaker");
  const text = await readIfThere(path);
  const holder = text === null ? null : parseFence(text);
  if (holder?.kind === "member" && isRunning(holder, world.incarnation)) return holder.pid === process.pid;
  const draft = `${path}.${Buffer.from(world.entropy.bytes(6)).toString("hex")}`;
  await writeFile(draft, ownRecord(world.incarnation), { mode: 0o600 });
  await rename(draft, path);
  return (await readFile(path, "utf8")) === ownRecord(world.incarnation);
}

/** Takes away folders of deleted nodes, fences of former epochs, and ports and exits whose owners are no more. */
async function collect(world: ProcessWorld): Promise<void> {
  const { state } = world;
  const old = world.clock.wallMs() - keepClosedMs;
  for (const id of await listNodes(state)) {
    const folder = nodeFolder(state, id);
    const files = await listIfThere(folder);
    const epochs = epochsIn(files);
    const over = await Promise.all(epochs.map((epoch) => isOver(state, id, epoch, old)));
    if (epochs.length > 0 && over.every(Boolean)) {
      await rm(folder, { recursive: true, force: true });
      continue;
    }
    for (const [at, epoch] of epochs.entries()) {
      if (at >= epochs.length - 2 || over[at] !== true) continue;
      for (const file of files) if (file.endsWith(`-${epoch}`) || file.endsWith(`-${epoch}.1`)) await rm(join(folder, file), { force: true });
    }
  }
  await collectClaims(world);
  for (const file of await readdir(state.exits)) {
    const life = exitOf(file);
    if (life === null || (await readFence(state, life.id, life.epoch)) === null) await rm(join(state.exits, file), { force: true });
  }
}

/** Deleted, or closed before it began, and that long ago. */
async function isOver(state: StateFolder, id: NodeId, epoch: number, oldMs: number): Promise<boolean> {
  const fence = await readFence(state, id, epoch);
  if (fence?.kind === "member" && !(await isGone(state, id, epoch))) return false;
  const changedMs = await changedMsOf(join(nodeFolder(state, id), fence?.kind === "member" ? `gone-${epoch}` : `epoch-${epoch}`));
  return changedMs !== null && changedMs < oldMs;
}

async function collectClaims(world: ProcessWorld): Promise<void> {
  const old = world.clock.wallMs() - keepClaimMs;
  for (const { port, owner } of await listClaims(world.state)) {
    const madeMs = await changedMsOf(join(world.state.ports, String(port)));
    if (madeMs === null || madeMs > old) continue;
    const life = owner === null ? null : exitOf(owner);
    const fence = life === null ? null : await readFence(world.state, life.id, life.epoch);
    const used =
      fence?.kind === "member" && [...fence.ports.values()].includes(port) && life !== null && !(await isGone(world.state, life.id, life.epoch));
    if (!used) await releasePorts(world.state, [port]);
  }
}
