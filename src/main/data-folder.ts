/** The folder of everything that Muster keeps on this machine ($MUSTER_DATA): made, checked, and the small secrets in it. */
import { randomBytes, randomUUID } from "node:crypto";
import { accessSync, chmodSync, constants, mkdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { brandId, type HostId, isUuid } from "../core/ids.ts";
import { Complaint, sentenceOf, systemCode } from "./complaint.ts";
import { createPrivate, readIfThere, writePrivate } from "./private-file.ts";
import { secretKeys as readSecretKeys, Wrong } from "./setting.ts";

/** Makes the folder, where it is missing, and makes sure that we may write there. @throws Complaint */
export function openDataFolder(data: string): void {
  try {
    const made = mkdirSync(data, { recursive: true, mode: 0o700 });
    // Root's PostgreSQL runs as another user, who must get through; what is secret inside has rights of its own.
    if (made !== undefined && process.getuid?.() === 0) chmodSync(data, 0o711);
    if (!statSync(data).isDirectory()) throw new Complaint(`MUSTER_DATA is ${data}, which is not a folder.`);
    accessSync(data, constants.R_OK | constants.W_OK | constants.X_OK);
  } catch (error) {
    if (error instanceof Complaint) throw error;
    const code = systemCode(error);
    if (code === "EEXIST" || code === "ENOTDIR") throw new Complaint(`MUSTER_DATA is ${data}, which cannot be a folder: a file stands in its way.`);
    if (code === "EACCES" || code === "EPERM") throw new Complaint(`MUSTER_DATA is ${data}, and this user may not write there.`);
    if (code === "EROFS") throw new Complaint(`MUSTER_DATA is ${data}, on a file system that is mounted read-only.`);
    throw new Complaint(`MUSTER_DATA is ${data}, which cannot be used: ${sentenceOf(error)}.`);
  }
}

/** The id of this host: which machine's processes are whose. Made once per data folder. */
export function hostIdOf(data: string): HostId {
  const id = oncePerFolder(join(data, "host-id"), () => randomUUID());
  if (!isUuid(id))
    throw new Complaint(
      `${join(data, "host-id")} does not hold an id any more. Restore it, or remove it: the members on this host then count as another host's.`,
    );
  return brandId("host", id);
}

/** The same text for the same folder, by whatever path, also when it was moved; another one for a copy. */
export function folderIdentity(data: string): string {
  const { dev, ino } = statSync(data);
  return `${dev}:${ino}`;
}

export function secretKeyFile(data: string): string {
  return join(data, "secret-key");
}

/** The keys in the folder, or null where there are none. @throws Complaint for damaged ones */
export function storedSecretKeys(data: string): readonly Uint8Array[] | null {
  return keysIn(secretKeyFile(data));
}

/** The keys in a file, or null where there is no such file. @throws Complaint for damaged ones */
export function keysIn(file: string): readonly Uint8Array[] | null {
  const text = readIfThere(file);
  if (text === null) return null;
  const keys = readSecretKeys(text.trim());
  if (keys instanceof Wrong) throw new Complaint(`${file} ${keys.sentence}. Restore it: what was sealed with it cannot be opened otherwise.`);
  return keys;
}

/** Makes the key where there is none. Call it only where no secret can have been sealed with another one yet. */
export function makeSecretKey(data: string): readonly Uint8Array[] {
  oncePerFolder(secretKeyFile(data), () => randomBytes(32).toString("hex"));
  const keys = storedSecretKeys(data);
  if (keys === null) throw new Complaint(`${secretKeyFile(data)} vanished while it was made.`);
  return keys;
}

/** Puts a fresh key in front of those in the folder; it is there for good when this returns. Not for two at once. @throws Complaint */
export function addSecretKey(data: string): void {
  const file = secretKeyFile(data);
  const owner = statSync(file).uid;
  // Replaced by another user, it could not be read any more by those who need it.
  if (owner !== process.getuid?.()) throw new Complaint(`${file} belongs to another user (${owner}): run this as that user.`);
  const former = storedSecretKeys(data) ?? [];
  writePrivate(file, [randomBytes(32), ...former].map((key) => `${Buffer.from(key).toString("hex")}\n`).join(""));
}

export function adminTokenFile(data: string): string {
  return join(data, "admin-token");
}

function oncePerFolder(file: string, make: () => string): string {
  const there = readIfThere(file);
  if (there !== null) return there.trim();
  createPrivate(file, `${make()}\n`);
  return (readIfThere(file) ?? "").trim();
}
