/**
 * Settings: the only place that reads the environment. Every mistake is found at once and told by the variable's name; the table in
 * the README is printed from the table here (`settings`).
 */
import { readFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { resolve } from "node:path";
import { type LimitName, type Limits, limitSettings, limitsWith } from "../core/limits.ts";
import type { DriverLimits } from "../drivers/driver-limits.ts";
import { Complaint, sentenceOf } from "./complaint.ts";
import * as read from "./setting.ts";

export const logLevels = ["debug", "info", "warn", "error", "silent"] as const;
export type LogLevel = (typeof logLevels)[number];

/** `on`: every project may make profiles of the type `process`; a list: the named ones. Null: nothing was said. */
export type ProcessSetting = "off" | "on" | readonly string[] | null;

export interface Config {
  readonly host: string;
  readonly port: number;
  /** Absolute. */
  readonly data: string;
  readonly workers: number;
  /** Null: an embedded PostgreSQL. */
  readonly databaseUrl: string | null;
  /** For sessions, which must not go through a pooler. Null: `databaseUrl`. */
  readonly directUrl: string | null;
  /** The embedded PostgreSQL's; 0: any free one. */
  readonly postgresPort: number;
  readonly process: ProcessSetting;
  readonly adminToken: string | null;
  /** The first is the one to seal with, where the database agrees; the others open. */
  readonly secretKeys: readonly Uint8Array[] | null;
  /** The file that MUSTER_SECRET_KEY_FILE names, absolute. */
  readonly secretKeyFile: string | null;
  /** Null: what loopback allows by itself. */
  readonly corsOrigins: readonly string[] | null;
  /** Names by which clients may call the API, besides those of loopback and `host`. */
  readonly hosts: readonly string[];
  /** Null: on loopback only. */
  readonly graphiql: boolean | null;
  /** How long events are kept; 0: for ever. */
  readonly ledgerDays: number;
  readonly logLevel: LogLevel;
  readonly limits: Limits;
  /** By profile type; in place of the drivers' own. */
  readonly driverLimits: Readonly<Record<string, DriverLimits>>;
  /** Where the command line's client asks; null: here. */
  readonly clientUrl: string | null;
  readonly clientToken: string | null;
  /** What our own processes and the members of `process` get of the environment. */
  readonly environment: BaseEnvironment;
  /** What our own child processes get of it: that, and how Node.js behaves. Secrets travel another way (`part.ts`). */
  readonly childEnvironment: Readonly<Record<string, string>>;
}

/** Where things are found and in which language; nothing that could be a secret. */
export interface BaseEnvironment {
  readonly PATH: string;
  readonly HOME?: string;
  readonly LANG?: string;
  readonly TMPDIR?: string;
}

/** What our own child processes get besides: how Node.js behaves and finds certificates, and where `pg` finds its files. */
const inherited = [
  "LC_ALL",
  "TZ",
  "TERM",
  "NODE_OPTIONS",
  "NODE_EXTRA_CA_CERTS",
  "SSL_CERT_FILE",
  "SSL_CERT_DIR",
  "PGPASSFILE",
  "PGSSLROOTCERT",
] as const;

function childEnvironment(env: Environment): Record<string, string> {
  const kept = inherited.flatMap((name) => (env[name] === undefined ? [] : [[name, env[name]]]));
  return { ...Object.fromEntries(kept), ...baseEnvironment(env) };
}

function baseEnvironment(env: Environment): BaseEnvironment {
  const { PATH, HOME, LANG, TMPDIR } = {
    PATH: env["PATH"] ?? "/usr/local/bin:/usr/bin:/bin",
    HOME: env["HOME"],
    LANG: env["LANG"],
    TMPDIR: env["TMPDIR"],
  };
  return { PATH, ...(HOME === undefined ? {} : { HOME }), ...(LANG === undefined ? {} : { LANG }), ...(TMPDIR === undefined ? {} : { TMPDIR }) };
}

export interface Setting {
  readonly name: string;
  /** As the README shows it. */
  readonly fallback: string;
  readonly meaning: string;
  /** Also read from the file that `<name>_FILE` names: keeps it out of the environment, which others may be able to read. */
  readonly secret?: true;
}

const own = {
  MUSTER_HOST: { fallback: "`127.0.0.1`", meaning: "Address that the API listens on." },
  MUSTER_PORT: { fallback: "`4000`", meaning: "Port of the API; `0`: any free one." },
  MUSTER_DATA: { fallback: "`.muster`", meaning: "Folder of everything that Muster keeps on this machine." },
  MUSTER_WORKERS: { fallback: "cores − 1, at least 1", meaning: "Worker processes of `muster start`." },
  DATABASE_URL: {
    fallback: "embedded PostgreSQL",
    meaning: "PostgreSQL 15 or newer, as `postgres://user:password@host:port/database?sslmode=…`.",
    secret: true,
  },
  MUSTER_DIRECT_URL: {
    fallback: "`DATABASE_URL`",
    meaning: "The same database past any pooler (PgBouncer): for session locks, LISTEN and migrations.",
    secret: true,
  },
  MUSTER_POSTGRES_PORT: { fallback: "`0`", meaning: "Port of the embedded PostgreSQL on 127.0.0.1; `0`: a free one, kept from start to start." },
  MUSTER_PROCESS: {
    fallback: "`on` under `muster start` on loopback with the embedded PostgreSQL, else `off`",
    meaning:
      "Whether profiles of the type `process` may be made, which run commands on the workers' machines: `off`, `on`, or projects by name (`default,web`).",
  },
  MUSTER_ADMIN_TOKEN: {
    fallback: "made once, into `$MUSTER_DATA/admin-token`",
    meaning: "A token of the role OPERATOR, 20 to 200 characters.",
    secret: true,
  },
  MUSTER_SECRET_KEY: {
    fallback: "made once, into `$MUSTER_DATA/secret-key`",
    meaning:
      "32 bytes as hex or base64 (`openssl rand -hex 32`) that seal secrets at rest: the same for all processes of one database. Several, with commas or line breaks between them, while keys are changed: [Changing the secret key](#changing-the-secret-key).",
    secret: true,
  },
  MUSTER_CORS_ORIGINS: {
    fallback: "on loopback `http://localhost:*,http://127.0.0.1:*`, else none",
    meaning: "Origins whose pages may call the API; `*` stands for any port.",
  },
  MUSTER_HOSTS: {
    fallback: "the names of loopback, and `MUSTER_HOST`",
    meaning: "Further names that the API is called by (`muster.example.org`); others are refused.",
  },
  MUSTER_GRAPHIQL: { fallback: "`on` on loopback, else `off`", meaning: "Whether GraphiQL is served." },
  MUSTER_LEDGER_DAYS: {
    fallback: "`90`",
    meaning:
      "Days that events are kept at least, the audit log and what streams resume from; `0`: for ever. The same for all processes of one database.",
  },
  MUSTER_DRIVER_LIMITS: {
    fallback: "the drivers' own",
    meaning:
      'How much providers are asked, by profile type, as JSON: `{"sim": {"callsPerSecond": 50, "burst": 100}}`. `callsPerSecond` and `burst` hold for all workers together (`process`: for those of one machine), `batchSize` (nodes a call), `maxCallsInFlight` and `failuresToPause` (failing calls of a profile in a row, after which its provider is left alone for a while) for each worker.',
  },
  MUSTER_URL: { fallback: "`http://$MUSTER_HOST:$MUSTER_PORT`", meaning: "Where `muster watch` finds the API." },
  MUSTER_TOKEN: { fallback: "what `$MUSTER_DATA/admin-token` holds", meaning: "The token of `muster watch`.", secret: true },
  MUSTER_LOG_LEVEL: { fallback: "`info`", meaning: "`debug`, `info`, `warn`, `error` or `silent`." },
} as const satisfies Record<string, Omit<Setting, "name">>;

/** Every setting, in the order of the documentation. */
export const settings: readonly Setting[] = [
  ...Object.entries(own).map(([name, setting]) => ({ name, ...setting })),
  ...limitSettings.map(({ variable, value, unit, meaning }) => ({ name: variable, fallback: `\`${value}\``, meaning: `${meaning} (${unit})` })),
];

export interface ReadConfig {
  readonly config: Config;
  /** What is probably a slip of the pen, as sentences. */
  readonly warnings: readonly string[];
  /** Secrets that stand in the environment, where other processes of this user can read them. */
  readonly exposed: readonly string[];
}

type Environment = Readonly<Record<string, string | undefined>>;

/** @throws Complaint that names every mistake */
export function readConfig(env: Environment = process.env, cwd: string = process.cwd()): ReadConfig {
  const mistakes: string[] = [];
  const text = (name: keyof typeof own): string | null => textOf(env, name, mistakes);
  const take = <T>(name: keyof typeof own, parse: (text: string) => T | read.Wrong, fallback: T): T => {
    const given = text(name);
    if (given === null) return fallback;
    const parsed = parse(given);
    if (!(parsed instanceof read.Wrong)) return parsed;
    mistakes.push(`${name} ${parsed.sentence}`);
    return fallback;
  };
  const config: Config = {
    host: take("MUSTER_HOST", read.host, "127.0.0.1"),
    port: take("MUSTER_PORT", (given) => read.integer(given, 0, 65_535), 4000),
    data: resolve(cwd, take("MUSTER_DATA", read.path, ".muster")),
    workers: take("MUSTER_WORKERS", (given) => read.integer(given, 1, 256), Math.max(1, availableParallelism() - 1)),
    databaseUrl: take<string | null>("DATABASE_URL", read.databaseUrl, null),
    directUrl: take<string | null>("MUSTER_DIRECT_URL", read.databaseUrl, null),
    postgresPort: take("MUSTER_POSTGRES_PORT", (given) => read.integer(given, 0, 65_535), 0),
    process: take<ProcessSetting>("MUSTER_PROCESS", read.processPolicy, null),
    adminToken: take<string | null>("MUSTER_ADMIN_TOKEN", read.adminToken, null),
    secretKeys: take<readonly Uint8Array[] | null>("MUSTER_SECRET_KEY", read.secretKeys, null),
    secretKeyFile: fileOf(env, cwd, "MUSTER_SECRET_KEY"),
    corsOrigins: take<readonly string[] | null>("MUSTER_CORS_ORIGINS", read.origins, null),
    hosts: take("MUSTER_HOSTS", read.names, []),
    graphiql: take<boolean | null>("MUSTER_GRAPHIQL", read.onOff, null),
    ledgerDays: take("MUSTER_LEDGER_DAYS", (given) => read.integer(given, 0, 36_500), 90),
    logLevel: take("MUSTER_LOG_LEVEL", (given) => read.oneOf(given, logLevels), "info"),
    limits: readLimits(env, mistakes),
    driverLimits: Object.fromEntries(take<ReadonlyMap<string, DriverLimits>>("MUSTER_DRIVER_LIMITS", read.driverLimits, new Map())),
    clientUrl: take<string | null>("MUSTER_URL", read.httpUrl, null),
    clientToken: text("MUSTER_TOKEN"),
    environment: baseEnvironment(env),
    childEnvironment: childEnvironment(env),
  };
  if (config.directUrl !== null && config.databaseUrl === null)
    mistakes.push("MUSTER_DIRECT_URL is set without DATABASE_URL: it names the same database past a pooler");
  if (mistakes.length > 0) {
    const [only] = mistakes;
    throw new Complaint(
      mistakes.length === 1 && only !== undefined
        ? `${only}.`
        : `${mistakes.length} settings are wrong:\n${mistakes.map((mistake) => `  ${mistake}`).join("\n")}`,
    );
  }
  const exposed = settings.filter(({ name, secret }) => secret === true && (env[name] ?? "") !== "").map(({ name }) => name);
  return { config, warnings: warningsAbout(env), exposed };
}

function fileOf(env: Environment, cwd: string, name: keyof typeof own): string | null {
  const file = env[`${name}_FILE`]?.trim() ?? "";
  return file === "" ? null : resolve(cwd, file);
}

/** A variable's text, or that of the file which `<name>_FILE` names. Empty text counts as not set. */
function textOf(env: Environment, name: keyof typeof own, mistakes: string[]): string | null {
  const given = env[name]?.trim() ?? "";
  const file = "secret" in own[name] ? (env[`${name}_FILE`]?.trim() ?? "") : "";
  if (given !== "" && file !== "") mistakes.push(`${name} and ${name}_FILE are both set: only one can hold`);
  if (given !== "" || file === "") return given === "" ? null : given;
  try {
    const content = readFileSync(file, "utf8").trim();
    if (content === "") mistakes.push(`${name}_FILE names ${file}, which is empty`);
    return content === "" ? null : content;
  } catch (error) {
    mistakes.push(`${name}_FILE cannot be read: ${sentenceOf(error)}`);
    return null;
  }
}

function readLimits(env: Environment, mistakes: string[]): Limits {
  const overrides: Partial<Record<LimitName, number>> = {};
  for (const { name, variable, least } of limitSettings) {
    const given = env[variable]?.trim() ?? "";
    if (given === "") continue;
    const parsed = read.integer(given, least, Number.MAX_SAFE_INTEGER);
    if (parsed instanceof read.Wrong) mistakes.push(`${variable} ${parsed.sentence}`);
    else overrides[name] = parsed;
  }
  return limitsWith(overrides);
}

function warningsAbout(env: Environment): string[] {
  const known = new Set(settings.flatMap((setting) => (setting.secret ? [setting.name, `${setting.name}_FILE`] : [setting.name])));
  return Object.keys(env)
    .filter((name) => name.startsWith("MUSTER_") && !known.has(name))
    .map((name) => `${name} is not a setting of Muster's${nearest(name, known)}; it is ignored.`);
}

function nearest(name: string, known: ReadonlySet<string>): string {
  const near = [...known].map((other) => ({ other, distance: read.distance(name, other) })).sort((a, b) => a.distance - b.distance)[0];
  return near !== undefined && near.distance <= 3 ? ` (${near.other}?)` : "";
}

/** The settings as a Markdown table, for the README. */
export function settingsTable(): string {
  const rows = settings.map(({ name, fallback, meaning, secret }) => `| \`${name}\`${secret ? " ¹" : ""} | ${fallback} | ${meaning} |`);
  return ["| setting | default | meaning |", "|---|---|---|", ...rows].join("\n");
}
