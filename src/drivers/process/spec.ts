/** What a profile of type `process` may say. */
import { z } from "zod";
import type { JsonObject } from "../../core/json.ts";
import type { ProbePlan, SpecResult } from "../driver.ts";
import { parseForm, schemaOf, storableText } from "../spec-form.ts";
import { agreementIssues } from "./spec-agreement.ts";

const stopSignals = ["SIGTERM", "SIGINT", "SIGQUIT", "SIGHUP", "SIGUSR1", "SIGUSR2", "SIGKILL"] as const;
/** Ten minutes: whoever needs longer to stop is not stopping. */
const longestGraceMs = 600_000;
const longestProbeMs = 3_600_000;
/** Names that a shell keeps for itself: they could not be handed on as they are. */
const shellNames: ReadonlySet<string> = new Set(["_", "PPID", "UID", "EUID", "SHELLOPTS", "BASHOPTS", "BASH_VERSINFO", "IFS", "OPTIND"]);

const text = storableText(32_768);
const variableName = z
  .string()
  .max(256)
  .regex(/^[A-Za-z_][A-Za-z0-9_]*$/, { message: "is not the name of an environment variable: letters, digits and _, no digit first" })
  .refine((name) => !shellNames.has(name), { message: "is a name that the shell keeps for itself" });
const environment = z.record(variableName, text);
const portName = z
  .string()
  .regex(/^[A-Za-z0-9][A-Za-z0-9_-]{0,31}$/, { message: "must be 1 to 32 letters, digits, _ or -, a letter or digit first" });
const command = z
  .array(text)
  .min(1)
  .max(1_000)
  .refine((words) => words[0] !== "", { message: "must begin with the program to run", path: ["0"] });

const health = z
  .strictObject({
    http: z
      .strictObject({
        port: portName,
        path: z
          .string()
          .max(2_000)
          .regex(/^\/[\x21-\x7e]*$/, { message: "must begin with / and hold no white space" })
          .default("/"),
      })
      .optional(),
    tcp: z.strictObject({ port: portName }).optional(),
    command: command.optional(),
    intervalMs: z.int().min(100).max(longestProbeMs).default(1_000),
    timeoutMs: z.int().min(10).max(60_000).default(1_000),
    failureThreshold: z.int().min(1).max(1_000).default(3),
    successThreshold: z.int().min(1).max(1_000).default(1),
    startPeriodMs: z.int().min(0).max(longestProbeMs).default(10_000),
  })
  .refine((value) => [value.http, value.tcp, value.command].filter((check) => check !== undefined).length === 1, {
    message: "needs exactly one of http, tcp and command",
  });

const stop = z.strictObject({
  signal: z.enum(stopSignals).default("SIGTERM").meta({ description: "What asks the member, its whole process group, to stop." }),
  graceMs: z.int().min(0).max(longestGraceMs).default(5_000).meta({ description: "How long it may take before it is killed." }),
});

const form = z.strictObject({
  command: command.meta({
    description:
      "The program and its arguments; no shell is between. May hold {{ports.<name>}}, {{node.name}}, {{node.index}}, {{node.id}}, {{cluster.name}}.",
  }),
  env: environment
    .default({})
    .meta({ writeOnly: true, description: "Its environment beside PATH, HOME, LANG and TMPDIR. Kept secret. May hold placeholders." }),
  publicEnv: environment.default({}).meta({ description: "The same, but readable." }),
  cwd: text
    .min(1)
    .nullable()
    .default(null)
    .meta({ description: "Where it runs; relative ones begin where Muster was started, which is also the default." }),
  ports: z.array(portName).max(32).default([]).meta({ description: "Names of ports on 127.0.0.1 that are handed out to each member." }),
  health: health.nullable().default(null).meta({ description: "How to ask whether it works; null: it works while it runs." }),
  stop: stop.default({ signal: "SIGTERM", graceMs: 5_000 }),
});

export type ProcessSpec = z.infer<typeof form>;

export const processSpecSchema: JsonObject = schemaOf(form);

export function parseProcessSpec(input: JsonObject): SpecResult {
  return parseForm(form, input, agreementIssues);
}

/** A stored spec with its secrets opened. */
export function readProcessSpec(spec: JsonObject): ProcessSpec {
  return form.parse(spec);
}

/** How long a stop may take; also of a spec whose secrets are sealed. */
export function graceMsOf(spec: JsonObject): number {
  return stop.parse(spec["stop"] ?? {}).graceMs;
}

/** The probe, also of a spec whose secrets are sealed. */
export function processProbePlan(spec: JsonObject): ProbePlan | null {
  const wanted = health.nullable().parse(spec["health"] ?? null);
  if (wanted === null) return null;
  const { http, tcp, command: words, ...times } = wanted;
  if (http !== undefined) return { check: { kind: "http", ...http }, ...times };
  if (tcp !== undefined) return { check: { kind: "tcp", ...tcp }, ...times };
  return { check: { kind: "command", command: words ?? [] }, ...times };
}
