/**
 * Where the parts of a `process` spec must agree with each other. Asked of any input, also of one whose parts are wrong by themselves, so
 * that users see all their mistakes at once; what is not of its shape is passed over here. Pure.
 */
import type { InputIssue } from "../../core/errors.ts";
import type { Json, JsonObject } from "../../core/json.ts";
import { isJsonObject } from "../../core/secret.ts";
import { hasUnknownPlaceholder, knownPlaceholders } from "./template.ts";

type Placed = readonly [path: readonly string[], text: string];

export function agreementIssues(input: JsonObject): InputIssue[] {
  const ports = textsIn(input["ports"], ["ports"]);
  const names = ports.map(([, name]) => name);
  return [
    ...ports.filter(([, name], index) => names.indexOf(name) < index).map(([path]) => ({ path, message: "is there twice" })),
    ...probeIssues(input["health"], names),
    ...environmentIssues(input),
    ...placeholderIssues(input, names),
  ];
}

function probeIssues(health: Json | undefined, ports: readonly string[]): InputIssue[] {
  if (!isJsonObject(health)) return [];
  return ["http", "tcp"].flatMap((kind) => {
    const check = health[kind];
    const port = isJsonObject(check) ? check["port"] : undefined;
    return typeof port === "string" && !ports.includes(port) ? [{ path: ["health", kind, "port"], message: "is not one of ports" }] : [];
  });
}

function environmentIssues(input: JsonObject): InputIssue[] {
  const { env, publicEnv } = input;
  if (!isJsonObject(env) || !isJsonObject(publicEnv)) return [];
  return Object.keys(publicEnv)
    .filter((name) => Object.hasOwn(env, name))
    .map((name) => ({ path: ["publicEnv", name], message: "is in env as well" }));
}

/** The message tells what is known, never what was found: that may be a secret. */
function placeholderIssues(input: JsonObject, ports: readonly string[]): InputIssue[] {
  const { health, cwd } = input;
  const texts: readonly Placed[] = [
    ...textsIn(input["command"], ["command"]),
    ...textsIn(input["env"], ["env"]),
    ...textsIn(input["publicEnv"], ["publicEnv"]),
    ...(isJsonObject(health) ? textsIn(health["command"], ["health", "command"]) : []),
    ...(typeof cwd === "string" ? [[["cwd"], cwd] as const] : []),
  ];
  const known = knownPlaceholders(ports)
    .map((name) => `{{${name}}}`)
    .join(", ");
  return texts
    .filter(([, text]) => hasUnknownPlaceholder(text, ports))
    .map(([path]) => ({ path, message: `holds an unknown placeholder; known are ${known}` }));
}

/** The texts of a list or an object, with their paths. */
function textsIn(value: Json | undefined, path: readonly string[]): Placed[] {
  if (typeof value !== "object" || value === null) return [];
  return Object.entries(value).flatMap(([key, item]: [string, Json]): Placed[] => (typeof item === "string" ? [[[...path, key], item]] : []));
}
