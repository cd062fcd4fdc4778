/**
 * What members print. The kernel appends it to `log-N` (O_APPEND) with nobody in between: a member must not lose its output, or be
 * stopped by it, when a worker or the shim is killed. So the file is not moved away under the member but copied and then cut to
 * nothing ("copytruncate"), by one worker of the host. What is printed between the copy's last read and the cut, microseconds, is lost.
 */
import { ftruncateSync, readSync, writeSync } from "node:fs";
import { type FileHandle, open, rename, rm } from "node:fs/promises";
import type { NodeId } from "../../core/ids.ts";
import { safeText } from "../../core/json.ts";
import { noSecrets, parseMarks, redact, type SecretMarks } from "./redact.ts";
import { codeOf, fencedEpochs, logFile, readIfThere, type StateFolder, secretsFile } from "./state.ts";

/** More is not read for any question, bytes per file. */
const mostRead = 1_048_576;
const longestLine = 2_000;

/** The newest lines of one life, oldest first; null: it has no log. */
export async function lastLinesOf(state: StateFolder, id: NodeId, epoch: number, count: number): Promise<readonly string[] | null> {
  const path = logFile(state, id, epoch);
  const newest = await tail(path);
  if (newest === null) return null;
  const secrets = await secretsOf(state, id, epoch);
  const enough = newest.text.split("\n").length > count + 1;
  const former = newest.whole && !enough ? await tail(`${path}.1`) : null;
  const whole = former === null ? newest.whole : former.whole;
  const lines = ((former?.text ?? "") + newest.text).split("\n");
  if (lines.at(-1) === "") lines.pop();
  // Half a line could hold half a secret.
  if (!whole) lines.shift();
  return count <= 0 ? [] : lines.slice(-count).map((line) => safeText(redact(line, secrets), longestLine));
}

/** The newest lines of the node: of this life and, where they are fewer, of the one before. */
export async function readLog(
  state: StateFolder,
  node: { readonly id: NodeId; readonly epoch: number },
  count: number,
): Promise<readonly string[] | null> {
  const epochs = (await fencedEpochs(state, node.id)).filter((epoch) => epoch <= node.epoch);
  let lines: readonly string[] | null = null;
  for (const epoch of epochs.slice(-2).reverse()) {
    if (lines !== null && lines.length >= count) break;
    const older = await lastLinesOf(state, node.id, epoch, count - (lines?.length ?? 0));
    if (older !== null) lines = [...older, ...(lines ?? [])];
  }
  return lines;
}

async function secretsOf(state: StateFolder, id: NodeId, epoch: number): Promise<SecretMarks> {
  const text = await readIfThere(secretsFile(state, id, epoch));
  return text === null ? noSecrets : parseMarks(text);
}

/** The file's end, and whether that is all of it. */
async function tail(path: string): Promise<{ readonly text: string; readonly whole: boolean } | null> {
  const file = await open(path, "r").catch((error: unknown) => {
    if (codeOf(error) === "ENOENT") return null;
    throw error;
  });
  if (file === null) return null;
  try {
    const { size } = await file.stat();
    const length = Math.min(size, mostRead);
    const { buffer, bytesRead } = await file.read(Buffer.alloc(length), 0, length, size - length);
    return { text: buffer.subarray(0, bytesRead).toString("utf8"), whole: length === size };
  } finally {
    await file.close();
  }
}

/** Moves the log's content to `log-N.1` when it has grown over the limit. Only one worker of a host may do so at a time. */
export async function rotateLog(state: StateFolder, id: NodeId, epoch: number, maxBytes: number): Promise<boolean> {
  const path = logFile(state, id, epoch);
  const from = await open(path, "r+").catch((error: unknown) => {
    if (codeOf(error) === "ENOENT") return null;
    throw error;
  });
  if (from === null) return false;
  try {
    const { size } = await from.stat();
    if (size <= maxBytes) return false;
    const copy = `${path}.new`;
    const to = await open(copy, "w", 0o600);
    try {
      await moveContent(from, to, size - maxBytes);
    } finally {
      await to.close();
    }
    await rename(copy, `${path}.1`);
    return true;
  } finally {
    await from.close();
  }
}

/** Copies from an offset to the end and cuts the file to nothing. The last reads and the cut follow each other with nothing between. */
async function moveContent(from: FileHandle, to: FileHandle, start: number): Promise<void> {
  const chunk = Buffer.alloc(262_144);
  let at = start;
  for (;;) {
    const { bytesRead } = await from.read(chunk, 0, chunk.length, at);
    await to.write(chunk, 0, bytesRead);
    at += bytesRead;
    if (bytesRead < chunk.length) break;
  }
  for (let bytesRead = readSync(from.fd, chunk, 0, chunk.length, at); bytesRead > 0; bytesRead = readSync(from.fd, chunk, 0, chunk.length, at)) {
    writeSync(to.fd, chunk, 0, bytesRead);
    at += bytesRead;
  }
  ftruncateSync(from.fd, 0);
}

export async function removeLog(state: StateFolder, id: NodeId, epoch: number): Promise<void> {
  const path = logFile(state, id, epoch);
  // What tells its secrets goes last: nobody may read one without the other.
  for (const file of [path, `${path}.1`, `${path}.new`, secretsFile(state, id, epoch)]) await rm(file, { force: true });
}
