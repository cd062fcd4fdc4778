/** How the text of a setting is read. Each answers the value, or `Wrong` with the rest of a sentence that begins with the setting's name. */
import pg from "pg";
import { type DriverLimits, parseDriverLimits } from "../drivers/driver-limits.ts";
import { checkTokenSecret } from "../store/token.ts";
import { sentenceOf } from "./complaint.ts";

export class Wrong {
  readonly sentence: string;
  constructor(sentence: string) {
    this.sentence = sentence;
  }
}

/** What was given, short enough for a sentence. Never used for secrets. */
function shown(text: string): string {
  return JSON.stringify(text.length > 60 ? `${text.slice(0, 57)}…` : text);
}

export function integer(text: string, least: number, most: number): number | Wrong {
  const value = /^[+-]?\d{1,16}$/.test(text) ? Number(text) : Number.NaN;
  if (value >= least && value <= most) return value;
  const range = most === Number.MAX_SAFE_INTEGER ? `of at least ${least}` : `from ${least} to ${most}`;
  return new Wrong(`must be a whole number ${range}, not ${shown(text)}`);
}

export function host(text: string): string | Wrong {
  const bare = text.startsWith("[") && text.endsWith("]") ? text.slice(1, -1) : text;
  return /^[A-Za-z0-9.:_%-]+$/.test(bare) ? bare : new Wrong(`must be an address or a host's name, not ${shown(text)}`);
}

export function path(text: string): string | Wrong {
  return text.includes("\0") ? new Wrong("must be a path") : text;
}

/** Checked the way `pg` will read it. The text is not repeated: it may hold a password. */
export function databaseUrl(text: string): string | Wrong {
  const wrong = "must be a connection string such as postgres://user:password@host:5432/database";
  if (!/^postgres(?:ql)?:\/\//.test(text)) return new Wrong(wrong);
  try {
    const { host: server } = new pg.Client({ connectionString: text });
    return server === "" ? new Wrong(wrong) : text;
  } catch (error) {
    return new Wrong(`${wrong} (${sentenceOf(error).replaceAll(text, "…")})`);
  }
}

export function httpUrl(text: string): string | Wrong {
  return /^https?:\/\/[^\s/?#]+\/?$/.test(text) && URL.canParse(text)
    ? text.replace(/\/$/, "")
    : new Wrong(`must be an address such as http://127.0.0.1:4000, not ${shown(text)}`);
}

const projectName = /^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$/;

export function processPolicy(text: string): "off" | "on" | readonly string[] | Wrong {
  if (text === "off" || text === "on") return text;
  const projects = list(text);
  const bad = projects.filter((name) => !projectName.test(name));
  if (projects.length === 0 || bad.length > 0) return new Wrong(`must be off, on, or projects' names with commas between them, not ${shown(text)}`);
  return projects;
}

export function adminToken(text: string): string | Wrong {
  if (text.startsWith("muster_") && !checkTokenSecret(text))
    return new Wrong("begins with muster_ but its checksum is wrong: it was mistyped or cut off");
  if (/^[\x21-\x7e]{20,200}$/.test(text)) return text;
  return new Wrong("must have 20 to 200 visible characters without spaces");
}

/** One or several, with commas or white space between them. */
export function secretKeys(text: string): readonly Uint8Array[] | Wrong {
  const keys = text.split(/[\s,]+/).flatMap((one) => (one === "" ? [] : [secretKey(one)]));
  const wrong = keys.find((key) => key instanceof Wrong);
  if (wrong !== undefined) return new Wrong(keys.length === 1 ? wrong.sentence : `holds ${keys.length} keys, and each ${wrong.sentence}`);
  return keys.length === 0 ? new Wrong("holds no key") : keys.flatMap((key) => (key instanceof Wrong ? [] : [key]));
}

function secretKey(text: string): Uint8Array | Wrong {
  const bytes = /^[0-9a-fA-F]{64}$/.test(text) ? Buffer.from(text, "hex") : /^[A-Za-z0-9+/_-]{43}=?$/.test(text) ? Buffer.from(text, "base64") : null;
  return bytes?.byteLength === 32 ? new Uint8Array(bytes) : new Wrong("must be 32 bytes as hex or base64, such as `openssl rand -hex 32` prints");
}

export function origins(text: string): readonly string[] | Wrong {
  const entries = list(text);
  const bad = entries.filter((entry) => !/^https?:\/\/(?:\[[0-9A-Fa-f:]+\]|[A-Za-z0-9.-]+)(?::(?:\d{1,5}|\*))?$/.test(entry));
  if (bad.length === 0) return entries;
  return new Wrong(`must be origins such as https://console.example.org with commas between them; these are not: ${bad.map(shown).join(", ")}`);
}

export function names(text: string): readonly string[] | Wrong {
  const entries = list(text);
  const bad = entries.filter((entry) => !/^(?:\[[0-9A-Fa-f:]+\]|[A-Za-z0-9.-]+)$/.test(entry));
  return bad.length === 0
    ? entries
    : new Wrong(`must be hosts' names without ports, with commas between them; these are not: ${bad.map(shown).join(", ")}`);
}

export function driverLimits(text: string): ReadonlyMap<string, DriverLimits> | Wrong {
  let input: unknown;
  try {
    input = JSON.parse(text);
  } catch (error) {
    return new Wrong(`must be JSON such as {"sim": {"callsPerSecond": 50}} (${sentenceOf(error)})`);
  }
  const issues: string[] = [];
  const limits = parseDriverLimits(input, issues);
  return issues.length === 0 ? limits : new Wrong(`says what cannot be: ${issues.join("; ")}`);
}

export function onOff(text: string): boolean | Wrong {
  const value = oneOf(text, ["on", "off"] as const);
  return value instanceof Wrong ? value : value === "on";
}

export function oneOf<const T extends string>(text: string, values: readonly T[]): T | Wrong {
  return values.find((value) => value === text) ?? new Wrong(`must be one of ${values.join(", ")}, not ${shown(text)}`);
}

function list(text: string): string[] {
  return text
    .split(",")
    .map((entry) => entry.trim())
    .filter((entry) => entry !== "");
}

/** Levenshtein's distance: how many letters one would have to change. */
export function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      next.push(Math.min((row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1, (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1)));
    }
    row = next;
  }
  return row[b.length] ?? 0;
}
