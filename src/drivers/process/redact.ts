/**
 * Secrets that a member prints (an environment dumped by a crash, say) must not travel on in messages and logs. Whoever reads the
 * output has often not started the member and does not know its secrets, so they are recognised by salted hashes that lie beside
 * the log: a rolling hash finds candidates in one pass per length, SHA-256 makes sure. The file is as private as the member's own
 * /proc/<pid>/environ, and gone with it. Pure but for hashing.
 */
import { createHash } from "node:crypto";

/** Shorter ones are not secrets, and would blot out half of every line. */
const shortest = 6;
const mask = "[secret]";
const base = 16_777_619;

interface SecretMark {
  readonly length: number;
  readonly rolling: number;
  readonly sha256: string;
}

export interface SecretMarks {
  readonly salt: string;
  readonly marks: readonly SecretMark[];
}

export const noSecrets: SecretMarks = { salt: "", marks: [] };

/** What to keep of secrets in order to know them again. Secrets of several lines are known by each of their lines. */
export function marksOf(secrets: Iterable<string>, salt: string): SecretMarks {
  const pieces = new Set([...secrets].flatMap((secret) => secret.split(/\r?\n/)).filter((piece) => piece.length >= shortest));
  const marks = [...pieces].map((piece) => ({ length: piece.length, rolling: rollingOf(piece, 0, piece.length), sha256: sha256(salt, piece) }));
  return { salt, marks };
}

export function parseMarks(text: string): SecretMarks {
  const value: unknown = JSON.parse(text);
  if (typeof value !== "object" || value === null || !("salt" in value) || !("marks" in value)) return noSecrets;
  const { salt, marks } = value;
  if (typeof salt !== "string" || !Array.isArray(marks)) return noSecrets;
  return { salt, marks: marks.filter(isMark) };
}

function isMark(value: unknown): value is SecretMark {
  if (typeof value !== "object" || value === null || !("length" in value) || !("rolling" in value) || !("sha256" in value)) return false;
  return typeof value.length === "number" && value.length >= shortest && typeof value.rolling === "number" && typeof value.sha256 === "string";
}

/** The line with every secret in it masked. */
export function redact(line: string, secrets: SecretMarks): string {
  const found: { readonly from: number; readonly to: number }[] = [];
  for (const length of new Set(secrets.marks.map((mark) => mark.length))) {
    const marks = secrets.marks.filter((mark) => mark.length === length);
    for (const from of candidates(line, length, new Set(marks.map((mark) => mark.rolling)))) {
      const hash = sha256(secrets.salt, line.slice(from, from + length));
      if (marks.some((mark) => mark.sha256 === hash)) found.push({ from, to: from + length });
    }
  }
  if (found.length === 0) return line;
  found.sort((a, b) => a.from - b.from);
  let text = "";
  let at = 0;
  for (const { from, to } of found) {
    if (from >= at) text += line.slice(at, from) + mask;
    at = Math.max(at, to);
  }
  return text + line.slice(at);
}

/** Where in the line a piece of this length has one of the rolling hashes (Rabin and Karp's way). */
function candidates(line: string, length: number, wanted: ReadonlySet<number>): number[] {
  if (line.length < length) return [];
  let highest = 1;
  for (let i = 1; i < length; i++) highest = Math.imul(highest, base);
  const found: number[] = [];
  let hash = rollingOf(line, 0, length);
  for (let from = 0; ; from++) {
    if (wanted.has(hash)) found.push(from);
    if (from + length >= line.length) return found;
    hash = (Math.imul(hash - Math.imul(line.charCodeAt(from), highest), base) + line.charCodeAt(from + length)) | 0;
  }
}

function rollingOf(text: string, from: number, length: number): number {
  let hash = 0;
  for (let i = from; i < from + length; i++) hash = (Math.imul(hash, base) + text.charCodeAt(i)) | 0;
  return hash;
}

function sha256(salt: string, text: string): string {
  return createHash("sha256").update(salt).update(text).digest("base64url");
}
