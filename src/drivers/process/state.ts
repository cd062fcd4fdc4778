/**
 * The state folder: what is known of members on this host, shared by all its workers and outliving each of them.
 *
 *   <root>/<node id>/epoch-N    the fence: who runs under epoch N, or that nobody ever will (`record.ts`)
 *   <root>/<node id>/gone-N     epoch N was deleted: nothing of it is left
 *   <root>/<node id>/log-N      what it printed; log-N.1 is the part before (`log.ts`)
 *   <root>/<node id>/secrets-N  by what its secrets are recognised in that, as long as there is a log (`redact.ts`)
 *   <root>/exits/<node id>.N    its exit code, one line; one folder for all, so that one watch sees every exit
 *   <root>/ports/<port>         whose port it is (`port.ts`)
 */
import { mkdirSync } from "node:fs";
import { mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { brandId, isUuid, type NodeId } from "../../core/ids.ts";
import { closedText, type Fence, parseFence } from "./record.ts";

export interface StateFolder {
  readonly root: string;
  readonly exits: string;
  readonly ports: string;
}

/** Makes the folders where they are missing. Only their owner may enter. */
export function openState(dataDir: string): StateFolder {
  const root = join(dataDir, "process");
  const folder: StateFolder = { root, exits: join(root, "exits"), ports: join(root, "ports") };
  for (const path of [folder.root, folder.exits, folder.ports]) mkdirSync(path, { recursive: true, mode: 0o700 });
  return folder;
}

export function nodeFolder(state: StateFolder, id: NodeId): string {
  return join(state.root, id);
}

export function logFile(state: StateFolder, id: NodeId, epoch: number): string {
  return join(nodeFolder(state, id), `log-${epoch}`);
}

export function secretsFile(state: StateFolder, id: NodeId, epoch: number): string {
  return join(nodeFolder(state, id), `secrets-${epoch}`);
}

export function exitFile(state: StateFolder, id: NodeId, epoch: number): string {
  return join(state.exits, `${id}.${epoch}`);
}

/** The error's system code, or null. */
export function codeOf(error: unknown): string | null {
  return error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : null;
}

/** The file's text, or null where there is none. */
export async function readIfThere(path: string): Promise<string | null> {
  try {
    return await readFile(path, "utf8");
  } catch (error) {
    if (codeOf(error) === "ENOENT" || codeOf(error) === "ENOTDIR") return null;
    throw error;
  }
}

export async function readFence(state: StateFolder, id: NodeId, epoch: number): Promise<Fence | null> {
  const text = await readIfThere(join(nodeFolder(state, id), `epoch-${epoch}`));
  return text === null ? null : parseFence(text);
}

/** Makes the fence, so that nobody can start the epoch any more, or tells who did before. */
export async function closeFence(state: StateFolder, id: NodeId, epoch: number): Promise<Fence> {
  const path = join(nodeFolder(state, id), `epoch-${epoch}`);
  for (;;) {
    const there = await readFence(state, id, epoch);
    if (there !== null) return there;
    try {
      await mkdir(nodeFolder(state, id), { recursive: true, mode: 0o700 });
      await writeFile(path, closedText, { flag: "wx", mode: 0o600 });
      return { kind: "closed" };
    } catch (error) {
      // Somebody made it first (read who), or the collector took the empty folder away (make it again).
      if (codeOf(error) !== "EEXIST" && codeOf(error) !== "ENOENT") throw error;
    }
  }
}

/** Epochs that have a fence, oldest first. */
export async function fencedEpochs(state: StateFolder, id: NodeId): Promise<readonly number[]> {
  return epochsIn(await listIfThere(nodeFolder(state, id)));
}

export function epochsIn(files: readonly string[]): readonly number[] {
  const epochs = files.filter((file) => /^epoch-\d+$/.test(file)).map((file) => Number(file.slice("epoch-".length)));
  return epochs.sort((a, b) => a - b);
}

export async function listIfThere(path: string): Promise<readonly string[]> {
  try {
    return await readdir(path);
  } catch (error) {
    if (codeOf(error) === "ENOENT") return [];
    throw error;
  }
}

/** Nodes that have a folder. */
export async function listNodes(state: StateFolder): Promise<readonly NodeId[]> {
  return (await readdir(state.root)).filter(isUuid).map((id) => brandId("node", id));
}

export async function isGone(state: StateFolder, id: NodeId, epoch: number): Promise<boolean> {
  return (await readIfThere(join(nodeFolder(state, id), `gone-${epoch}`))) !== null;
}

/** Says that nothing of the epoch is left, and forgets how it ended. */
export async function markGone(state: StateFolder, id: NodeId, epoch: number): Promise<void> {
  await writeFile(join(nodeFolder(state, id), `gone-${epoch}`), "", { mode: 0o600 });
  await rm(exitFile(state, id, epoch), { force: true });
}

/** How the epoch's process ended: its code, `lost` where nobody saw it, or null: nobody has said so (yet). */
export async function readExit(state: StateFolder, id: NodeId, epoch: number): Promise<number | "lost" | null> {
  const text = await readIfThere(exitFile(state, id, epoch));
  if (text === null || !text.endsWith("\n")) return null;
  const code = Number(text);
  return Number.isInteger(code) && text.trim() !== "" ? code : "lost";
}

/** Says for everybody that the process is dead and nobody saw how. What the shim wrote stays. */
export async function writeLostExit(state: StateFolder, id: NodeId, epoch: number): Promise<void> {
  try {
    await writeFile(exitFile(state, id, epoch), "lost\n", { flag: "wx", mode: 0o600 });
  } catch (error) {
    if (codeOf(error) !== "EEXIST") throw error;
  }
}

/** The node and epoch that a file of the exits folder is about, or null. */
export function exitOf(file: string): { readonly id: NodeId; readonly epoch: number } | null {
  const at = file.lastIndexOf(".");
  const id = file.slice(0, at);
  const epoch = Number(file.slice(at + 1));
  return at > 0 && isUuid(id) && Number.isSafeInteger(epoch) ? { id: brandId("node", id), epoch } : null;
}
