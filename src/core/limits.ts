/**
 * Every number that bounds what one caller may ask for, in one place. Each is a setting: `main` reads an override
 * from the variable that `limitSettings` names. Commands, loaders, feed and transports are handed these as a value.
 */

export interface Limits {
  /** Bytes of one HTTP request body, and of one WebSocket message. */
  readonly bodyBytes: number;
  /** Lexical tokens of one document: parsing is linear in them, and nobody writes more by hand or by codegen. */
  readonly documentTokens: number;
  /** Levels of selection, fragments followed. Relay connections take three levels for one step. */
  readonly depth: number;
  /** Times one field may stand in one selection set under different aliases. */
  readonly fieldAliases: number;
  /** Fields at the root of one mutation: each is a transaction. */
  readonly rootMutations: number;
  /** Objects one operation may ask for, page sizes multiplied. Counted before anything runs. */
  readonly cost: number;
  /** Objects of a page of any connection. */
  readonly pageSize: number;
  /** Objects of a page nested in a live `cluster` or `action` stream: it is read again with every change. */
  readonly livePageSize: number;
  /** Ids that `nodes(ids)` takes. */
  readonly nodeIds: number;
  /** Bytes of a profile's spec as JSON. */
  readonly specBytes: number;
  /** Bytes of an object's metadata as JSON. */
  readonly metadataBytes: number;
  /** Milliseconds for one execution over HTTP; then it is aborted. Slower than any read that is meant to be asked. */
  readonly executionMs: number;
  /** Subscriptions of one WebSocket at a time. */
  readonly socketSubscriptions: number;
  /** WebSockets and SSE streams that one token may have open at a time. */
  readonly tokenSockets: number;
  /** Events that wait for one slow stream before it is ended with SLOW_CONSUMER. */
  readonly streamEvents: number;
  /** Bytes that wait for one slow stream before it is ended with SLOW_CONSUMER. */
  readonly streamBytes: number;
  /** Requests per second of one token, over HTTP and as operations on its WebSockets. */
  readonly tokenRequestsPerSecond: number;
  /** Failed logins per minute of one address (IPv6: of one /64); beyond them it is answered 429 without a look at the token. */
  readonly failedLoginsPerMinute: number;
}

export type LimitName = keyof Limits;

interface LimitSpec {
  readonly value: number;
  /** An override below this would lock everybody out, or means something else. */
  readonly least: number;
  readonly unit: "bytes" | "tokens" | "levels" | "fields" | "objects" | "ms" | "streams" | "events" | "requests/s" | "attempts/min";
  /** One sentence for the settings' table in the README. */
  readonly meaning: string;
}

const specs = {
  bodyBytes: { value: 1_048_576, least: 1_024, unit: "bytes", meaning: "One request body or WebSocket message." },
  documentTokens: { value: 10_000, least: 100, unit: "tokens", meaning: "One GraphQL document." },
  // GraphiQL's and codegen's introspection queries are 13 to 16 deep.
  depth: { value: 20, least: 5, unit: "levels", meaning: "Nesting of selections, fragments followed." },
  fieldAliases: { value: 50, least: 1, unit: "fields", meaning: "The same field under different aliases in one selection." },
  rootMutations: { value: 20, least: 1, unit: "fields", meaning: "Mutations in one operation." },
  cost: { value: 20_000, least: 100, unit: "objects", meaning: "Objects that one operation may ask for, page sizes multiplied." },
  pageSize: { value: 1_000, least: 50, unit: "objects", meaning: "One page of a connection." },
  livePageSize: { value: 100, least: 1, unit: "objects", meaning: "A page nested in a live `cluster` or `action` stream." },
  nodeIds: { value: 1_000, least: 1, unit: "objects", meaning: "Ids given to `nodes`." },
  specBytes: { value: 65_536, least: 1_024, unit: "bytes", meaning: "A profile's spec as JSON." },
  metadataBytes: { value: 16_384, least: 256, unit: "bytes", meaning: "An object's metadata as JSON." },
  executionMs: { value: 10_000, least: 100, unit: "ms", meaning: "One execution over HTTP, which is then aborted." },
  socketSubscriptions: { value: 100, least: 1, unit: "streams", meaning: "Subscriptions on one WebSocket." },
  tokenSockets: { value: 1_000, least: 1, unit: "streams", meaning: "WebSockets and SSE streams of one token." },
  streamEvents: { value: 1_000, least: 10, unit: "events", meaning: "Events that wait for one slow stream." },
  streamBytes: { value: 1_048_576, least: 16_384, unit: "bytes", meaning: "Bytes that wait for one slow stream." },
  tokenRequestsPerSecond: { value: 200, least: 1, unit: "requests/s", meaning: "Requests of one token." },
  failedLoginsPerMinute: { value: 30, least: 1, unit: "attempts/min", meaning: "Failed logins of one address (IPv6: of one /64)." },
} as const satisfies Record<LimitName, LimitSpec>;

export interface LimitSetting extends LimitSpec {
  readonly name: LimitName;
  /** `MUSTER_LIMIT_BODY_BYTES` for `bodyBytes`. */
  readonly variable: string;
}

function variableOf(name: string): string {
  return `MUSTER_LIMIT_${name.replaceAll(/[A-Z]/g, (letter) => `_${letter}`).toUpperCase()}`;
}

function isLimitName(name: string): name is LimitName {
  return Object.hasOwn(specs, name);
}

/** One line per limit, in the order of the documentation: what to read, its default, its lower bound, its unit and meaning. */
export const limitSettings: readonly LimitSetting[] = Object.keys(specs)
  .filter(isLimitName)
  .map((name) => ({ name, variable: variableOf(name), ...specs[name] }));

/** The defaults with some of them replaced. Whoever calls has checked them against `least`. */
export function limitsWith(overrides: Partial<Limits>): Limits {
  const value = (name: LimitName): number => overrides[name] ?? specs[name].value;
  return {
    bodyBytes: value("bodyBytes"),
    documentTokens: value("documentTokens"),
    depth: value("depth"),
    fieldAliases: value("fieldAliases"),
    rootMutations: value("rootMutations"),
    cost: value("cost"),
    pageSize: value("pageSize"),
    livePageSize: value("livePageSize"),
    nodeIds: value("nodeIds"),
    specBytes: value("specBytes"),
    metadataBytes: value("metadataBytes"),
    executionMs: value("executionMs"),
    socketSubscriptions: value("socketSubscriptions"),
    tokenSockets: value("tokenSockets"),
    streamEvents: value("streamEvents"),
    streamBytes: value("streamBytes"),
    tokenRequestsPerSecond: value("tokenRequestsPerSecond"),
    failedLoginsPerMinute: value("failedLoginsPerMinute"),
  };
}

export const defaultLimits: Limits = limitsWith({});
