/**
 * The ledger's vocabulary: every event type with its code, level, the shape of its data, and the sentence people read. Types are
 * stored as codes and rows are never rewritten: add types, never change one (a new shape gets a new `version`, and `describe` reads both).
 */
import type { JsonObject } from "./json.ts";

export const eventLevels = ["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"] as const;
export type EventLevel = (typeof eventLevels)[number];
/** Stored: frozen. Senlin's numbers, so that `>=` means "at least as grave". */
export const eventLevelCodes = { DEBUG: 10, INFO: 20, WARNING: 30, ERROR: 40, CRITICAL: 50 } as const satisfies Record<EventLevel, number>;

export const eventTypeNames = [
  "project.created",
  "project.updated",
  "project.deleted",
  "token.created",
  "token.revoked",
  "profile.created",
  "profile.revised",
  "profile.updated",
  "profile.deleted",
  "cluster.created",
  "cluster.updated",
  "cluster.resized",
  "cluster.profile.changed",
  "cluster.deletion.wanted",
  "cluster.deletion.cancelled",
  "cluster.status.changed",
  "cluster.condition.changed",
  "cluster.settled",
  "cluster.deleted",
  "node.created",
  "node.updated",
  "node.profile.changed",
  "node.status.changed",
  "node.health.changed",
  "node.signal.changed",
  "node.deleted",
  "action.created",
  "action.started",
  "action.finished",
] as const;
export type EventTypeName = (typeof eventTypeNames)[number];

interface EventTypeSpec {
  /** Stored: frozen. */
  readonly code: number;
  /** The level unless the writer says otherwise. */
  readonly level: EventLevel;
  readonly description: string;
  /** The properties of `data`: JSON Schema types by name; a `?` ends those that may be absent or null. */
  readonly data: Readonly<Record<string, "string" | "integer" | "boolean" | "object" | "string?" | "integer?" | "object?">>;
  /** The sentence. `who` is the subject's name as it was. */
  readonly describe: (data: JsonObject, who: string) => string;
}

const because = (data: JsonObject): string => (typeof data["reason"] === "string" ? `: ${data["reason"]}` : "");
const text = (data: JsonObject, key: string): string => String(data[key] ?? "?");

export const eventTypes = {
  "project.created": {
    code: 1,
    level: "INFO",
    description: "A project was made.",
    data: { name: "string" },
    describe: (d) => `Project ${text(d, "name")} was created`,
  },
  "project.updated": {
    code: 2,
    level: "INFO",
    description: "A project's name or quota changed.",
    data: { name: "string" },
    describe: (d) => `Project ${text(d, "name")} was updated`,
  },
  "project.deleted": {
    code: 3,
    level: "INFO",
    description: "A project is gone.",
    data: { name: "string" },
    describe: (d) => `Project ${text(d, "name")} was deleted`,
  },
  "token.created": {
    code: 4,
    level: "INFO",
    description: "An API token was made.",
    data: { tokenId: "string", name: "string", role: "string" },
    describe: (d) => `Token ${text(d, "name")} (${text(d, "role")}) was created`,
  },
  "token.revoked": {
    code: 5,
    level: "INFO",
    description: "An API token was revoked.",
    data: { tokenId: "string", name: "string" },
    describe: (d) => `Token ${text(d, "name")} was revoked`,
  },
  "profile.created": {
    code: 6,
    level: "INFO",
    description: "A profile was made.",
    data: { profileId: "string", name: "string", revision: "integer", type: "string" },
    describe: (d) => `Profile ${text(d, "name")} (${text(d, "type")}) was created`,
  },
  "profile.revised": {
    code: 7,
    level: "INFO",
    description: "A profile got a new revision.",
    data: { profileId: "string", name: "string", revision: "integer", type: "string" },
    describe: (d) => `Profile ${text(d, "name")} got revision ${text(d, "revision")}`,
  },
  "profile.updated": {
    code: 8,
    level: "INFO",
    description: "A profile's name or metadata changed.",
    data: { profileId: "string", name: "string" },
    describe: (d) => `Profile ${text(d, "name")} was updated`,
  },
  "profile.deleted": {
    code: 9,
    level: "INFO",
    description: "A profile revision is gone.",
    data: { profileId: "string", name: "string", revision: "integer" },
    describe: (d) => `Profile ${text(d, "name")} revision ${text(d, "revision")} was deleted`,
  },
  "cluster.created": {
    code: 10,
    level: "INFO",
    description: "A cluster was accepted; its members follow.",
    data: { profileId: "string", desiredCapacity: "integer", minSize: "integer", maxSize: "integer?", generation: "integer" },
    describe: (d, who) => `Cluster ${who} was created with ${text(d, "desiredCapacity")} members wanted`,
  },
  "cluster.updated": {
    code: 11,
    level: "INFO",
    description: "A cluster's name, metadata, bounds or time-out changed.",
    data: { name: "string", minSize: "integer", maxSize: "integer?", generation: "integer" },
    describe: (d, who) => `Cluster ${who} was updated${d["name"] === who ? "" : ` (was renamed to ${text(d, "name")})`}`,
  },
  "cluster.resized": {
    code: 12,
    level: "INFO",
    description: "A cluster's wanted size changed.",
    data: { from: "integer", to: "integer", minSize: "integer", maxSize: "integer?", generation: "integer" },
    describe: (d, who) => `Cluster ${who}: ${text(d, "from")} → ${text(d, "to")} members wanted`,
  },
  "cluster.profile.changed": {
    code: 28,
    level: "INFO",
    description: "A cluster's members are to be made from another profile; those there are follow.",
    data: { from: "string", to: "string", generation: "integer" },
    describe: (d, who) => `Cluster ${who} gets another profile: ${text(d, "from")} → ${text(d, "to")}`,
  },
  "cluster.deletion.wanted": {
    code: 13,
    level: "INFO",
    description: "A cluster is to go.",
    data: { generation: "integer" },
    describe: (_d, who) => `Cluster ${who} is being deleted`,
  },
  "cluster.deletion.cancelled": {
    code: 27,
    level: "INFO",
    description: "A cluster is to stay after all: its deletion was cancelled before its first member went.",
    data: { generation: "integer" },
    describe: (_d, who) => `Cluster ${who} stays: its deletion was cancelled`,
  },
  "cluster.status.changed": {
    code: 14,
    level: "INFO",
    description: "A cluster's status changed.",
    data: { from: "string", to: "string", reason: "string?" },
    describe: (d, who) => `Cluster ${who}: ${text(d, "from")} → ${text(d, "to")}${because(d)}`,
  },
  "cluster.condition.changed": {
    code: 15,
    level: "INFO",
    description: "A condition of a cluster changed its status.",
    data: { type: "string", status: "string", reason: "string", message: "string?" },
    describe: (d, who) => `Cluster ${who}: ${text(d, "type")} is ${text(d, "status")}${because(d)}`,
  },
  "cluster.settled": {
    code: 16,
    level: "INFO",
    description: "Nothing is left to do for a generation but healing.",
    data: { generation: "integer" },
    describe: (d, who) => `Cluster ${who} has settled at generation ${text(d, "generation")}`,
  },
  "cluster.deleted": { code: 17, level: "INFO", description: "A cluster is gone.", data: {}, describe: (_d, who) => `Cluster ${who} was deleted` },
  "node.created": {
    code: 18,
    level: "DEBUG",
    description: "A member was planned; making it follows, or has begun already (`status` CREATING; absent: PLANNED).",
    data: { index: "integer?", profileId: "string", status: "string?" },
    describe: (_d, who) => `Node ${who} was planned`,
  },
  "node.updated": {
    code: 19,
    level: "INFO",
    description: "A node's name, role, metadata or marks changed.",
    data: { name: "string", protected: "boolean", tainted: "boolean" },
    describe: (_d, who) => `Node ${who} was updated`,
  },
  "node.profile.changed": {
    code: 29,
    level: "DEBUG",
    description: "A node is made from another profile from now on.",
    data: { from: "string", to: "string" },
    describe: (d, who) => `Node ${who} gets another profile: ${text(d, "from")} → ${text(d, "to")}`,
  },
  "node.status.changed": {
    code: 20,
    level: "INFO",
    description: "A node's status changed.",
    data: { from: "string", to: "string", reason: "string?", physicalId: "string?" },
    describe: (d, who) => `Node ${who}: ${text(d, "from")} → ${text(d, "to")}${because(d)}`,
  },
  "node.health.changed": {
    code: 21,
    level: "INFO",
    description: "The verdict on a node's health changed.",
    data: { from: "string", to: "string", reason: "string", message: "string?" },
    describe: (d, who) => `Node ${who} is ${text(d, "to")}${because(d)}`,
  },
  "node.signal.changed": {
    code: 22,
    level: "DEBUG",
    description: "One of the signals behind the verdict on a node changed.",
    data: { subject: "string", from: "string", to: "string", reason: "string", message: "string?", verdict: "string" },
    describe: (d, who) => `Node ${who}: ${text(d, "subject")} is ${text(d, "to")}${because(d)}`,
  },
  "node.deleted": {
    code: 23,
    level: "INFO",
    description: "A node is gone.",
    data: { physicalId: "string?" },
    describe: (_d, who) => `Node ${who} was deleted`,
  },
  "action.created": {
    code: 24,
    level: "DEBUG",
    description: "An action was accepted.",
    data: { kind: "string", cause: "string", total: "integer" },
    describe: (d, who) => `${text(d, "kind")} of ${who} was accepted`,
  },
  "action.started": {
    code: 25,
    level: "DEBUG",
    description: "Work on an action began.",
    data: { kind: "string" },
    describe: (d, who) => `${text(d, "kind")} of ${who} began`,
  },
  "action.finished": {
    code: 26,
    level: "INFO",
    description: "An action has ended.",
    data: { kind: "string", status: "string", reason: "string?", total: "integer", done: "integer", failed: "integer", supersededBy: "string?" },
    describe: (d, who) => `${text(d, "kind")} of ${who} ${text(d, "status")}${because(d)}`,
  },
} as const satisfies Record<EventTypeName, EventTypeSpec>;

const byCode = new Map<number, EventTypeName>(eventTypeNames.map((name) => [eventTypes[name].code, name]));

/** The version of a row's shape that this program writes, and the newest it can read. */
export const eventVersion = 1;

export function eventTypeName(code: number): EventTypeName {
  const name = byCode.get(code);
  if (name === undefined) throw new Error(`event type: unknown code ${code}`);
  return name;
}

/** The sentence of an event. */
export function describeEvent(type: EventTypeName, data: JsonObject, subjectName: string): string {
  return eventTypes[type].describe(data, subjectName);
}

/** A level from its stored code. */
export function eventLevelName(code: number): EventLevel {
  const name = eventLevels.find((level) => eventLevelCodes[level] === code);
  if (name === undefined) throw new Error(`event level: unknown code ${code}`);
  return name;
}

/** The JSON Schema of an event type's `data`. */
export function eventDataSchema(type: EventTypeName): JsonObject {
  const properties: Record<string, JsonObject> = {};
  const required: string[] = [];
  for (const [name, kind] of Object.entries(eventTypes[type].data)) {
    const optional = kind.endsWith("?");
    const base = kind.replace("?", "");
    properties[name] = optional ? { type: [base, "null"] } : { type: base };
    if (!optional) required.push(name);
  }
  return { $schema: "https://json-schema.org/draft/2020-12/schema", type: "object", properties, required };
}

/** The codes a `types` filter means: exact names, or prefixes that end in a dot. Unknown ones match nothing. */
export function eventTypeCodes(types: readonly string[]): number[] {
  return eventTypeNames
    .filter((name) => types.some((wanted) => wanted === name || (wanted.endsWith(".") && name.startsWith(wanted))))
    .map((name) => eventTypes[name].code);
}
