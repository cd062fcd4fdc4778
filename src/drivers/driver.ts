/**
 * The contract between the engine and what touches infrastructure. One folder per profile type implements it; `main` hands the
 * implementations in as values; `test/contracts/driver.contract.ts` is what each must pass.
 *
 * Batch in, outcomes out as they come. A driver keeps no truth: whatever it is asked, it answers from what is really there.
 */
import type { InputIssue } from "../core/errors.ts";
import type { HealthStatus, HealthSubject } from "../core/health.ts";
import type { ClusterId, HostId, NodeId } from "../core/ids.ts";
import type { JsonObject } from "../core/json.ts";
import type { ErrorClass } from "../core/retry.ts";
import type { Clock, Entropy, Logger, Timers } from "../core/runtime.ts";

/**
 * keyed: the provider does one key once, so a call may be repeated and taken over at once. listed: what was made can be found by a
 * tag, later. blind: neither; never repeated without a person.
 */
export type Idempotency = "keyed" | "listed" | "blind";

export interface NodeAddress {
  readonly name: string;
  readonly host: string;
  readonly port: number | null;
}
export interface NodePlacement {
  readonly region: string | null;
  readonly zone: string | null;
  readonly host: string | null;
}

/** One node as a driver sees it. */
export interface DriverNode {
  readonly id: NodeId;
  readonly name: string;
  readonly index: number | null;
  readonly clusterId: ClusterId | null;
  readonly clusterName: string | null;
  /** Which life of the node this is. Grows only when the former one is proven absent or closed; part of the key. */
  readonly epoch: number;
  readonly physicalId: string | null;
  /** The profile's spec, defaults filled in, secrets opened. Never log it. */
  readonly spec: JsonObject;
  /** For host-bound drivers: the host whose member this is. */
  readonly hostId: HostId | null;
  readonly attempt: number;
}

/** A node that is changed where it stands: its spec is the new one already. */
export interface ChangedNode extends DriverNode {
  /** Tells this change from the others of the same life: part of the key. */
  readonly change: number;
}

export interface CallContext {
  /** The installation's id: the first part of every key. */
  readonly installation: string;
  /** The lane's epoch: refuse tokens older than the newest seen, where the provider can. */
  readonly fence: (node: DriverNode) => bigint;
  /** Aborted when the worker stops or has lost its lanes: return soon, start nothing new. */
  readonly signal: AbortSignal;
  /** Every outcome is due by then (monotonic clock, ms). */
  readonly deadlineMs: number;
}

/** The idempotency key of one effect; the same over retries and takeovers. */
export function effectKey(installation: string, node: Pick<DriverNode, "id" | "epoch">, operation: string): string {
  return `${installation}/${node.id}/${node.epoch}/${operation}`;
}

export interface DriverError {
  readonly class: ErrorClass;
  /** UPPER_SNAKE, for programs. */
  readonly code: string;
  /** For people; no secrets. */
  readonly message: string;
  /** This epoch is used up for certain and nothing of it runs: the next attempt must use the next one. */
  readonly epochClosed?: boolean;
}

/** What is there after an effect. */
export interface Made {
  readonly physicalId: string;
  readonly addresses: readonly NodeAddress[];
  readonly placement: NodePlacement | null;
  /** Look again (CHECK) after so many ms; null: only the probes of the spec do. */
  readonly checkAfterMs: number | null;
}

export type Outcome<T> =
  | { readonly nodeId: NodeId; readonly ok: true; readonly value: T }
  | { readonly nodeId: NodeId; readonly ok: false; readonly error: DriverError };

/** What reading back found. `absent` is certain; when in doubt, answer an error of class `unknown`. */
export type Inspection =
  | { readonly presence: "running"; readonly made: Made }
  /** It was there, under this epoch, and is dead: nothing of it runs any more. */
  | { readonly presence: "dead"; readonly reason: string; readonly message: string | null; readonly physicalId: string | null }
  | { readonly presence: "absent" };

/** Something a driver saw without being asked. */
export interface Observation {
  readonly nodeId: NodeId;
  readonly epoch: number;
  readonly subject: HealthSubject;
  readonly status: HealthStatus;
  /** UPPER_SNAKE; `EXITED` and `GONE` prove death. */
  readonly reason: string;
  readonly message: string | null;
  /** The observer's wall clock, ms since 1970. */
  readonly observedAtMs: number;
}

/** How a member's workload is probed; from its spec, by the driver. */
export interface ProbePlan {
  readonly check:
    | { readonly kind: "http"; readonly port: string; readonly path: string }
    | { readonly kind: "tcp"; readonly port: string }
    | { readonly kind: "command"; readonly command: readonly string[] };
  readonly intervalMs: number;
  readonly timeoutMs: number;
  /** So many failures in a row make it UNHEALTHY. */
  readonly failureThreshold: number;
  /** So many successes in a row make it HEALTHY again. */
  readonly successThreshold: number;
  /** Failures within so many ms of the start prove nothing. */
  readonly startPeriodMs: number;
}

export interface SpecResult {
  /** With defaults; what is stored and handed to the driver. */
  readonly spec: JsonObject;
  readonly issues: readonly InputIssue[];
}

export interface Driver {
  readonly type: string;
  readonly version: string;
  readonly description: string;
  readonly idempotency: Idempotency;
  /** listed: how long after a call's end what it made may be missing in the provider's list, ms. Nothing is read back before. */
  readonly listingDelayMs?: number;
  /** Its tasks belong to lanes of the host the member stands on. */
  readonly hostBound: boolean;
  /** Nodes per call, and calls in flight per worker. */
  readonly batchSize: number;
  readonly maxCallsInFlight: number;
  /** Calls begun per second, by all workers together (host-bound: by those of one host), and at once after a rest (else as many). Absent: as many as may be in flight. */
  readonly callsPerSecond?: number;
  readonly burst?: number;
  /** After so many calls of a profile in a row that fail, none of them permanently and each about another member, its provider is left alone for a while; else 10. */
  readonly failuresToPause?: number;
  /** Longest a create, delete, inspect or update of one batch may take before its outcome counts as lost, ms. */
  readonly timeoutMs: (spec: JsonObject) => number;

  /** JSON Schema (2020-12); `writeOnly: true` marks secrets. */
  readonly specSchema: JsonObject;
  /** Dotted paths of the spec that change without replacing the node, where there is an `update`. */
  readonly updatesInPlace: readonly string[];
  readonly operations: readonly string[];

  /** Checks a user's spec and fills in defaults: every problem at once, paths relative to the spec. Pure. */
  parseSpec(input: JsonObject): SpecResult;
  /** The probe a spec asks for, or null. Pure. */
  probePlan(spec: JsonObject): ProbePlan | null;

  create(nodes: readonly DriverNode[], context: CallContext): AsyncIterable<Outcome<Made>>;
  /** Succeeds when nothing of this epoch (or an older one) is left, also when there never was anything. Closes the epoch. */
  delete(nodes: readonly DriverNode[], context: CallContext): AsyncIterable<Outcome<null>>;
  inspect(nodes: readonly DriverNode[], context: CallContext): AsyncIterable<Outcome<Inspection>>;
  /**
   * Has what is there follow its spec, of which only paths of `updatesInPlace` have changed. Absent: members are replaced instead. Repeated under
   * the same key by keyed drivers only.
   */
  update?(nodes: readonly ChangedNode[], context: CallContext): AsyncIterable<Outcome<Made>>;

  /** Observations about members of `host` as they come, until the signal is aborted. */
  watch?(context: { readonly hostId: HostId; readonly signal: AbortSignal }): AsyncIterable<readonly Observation[]>;
  /** Runs a command probe of the member: resolves to its success and what it printed. */
  runProbe?(node: DriverNode, command: readonly string[], timeoutMs: number): Promise<{ readonly ok: boolean; readonly message: string }>;
  /** The newest lines of the member's output, oldest first; null: there is none. */
  readLog?(
    node: { readonly id: NodeId; readonly epoch: number; readonly hostId: HostId | null },
    lastLines: number,
  ): Promise<readonly string[] | null>;
  /** Lets go of files and handles; members live on. */
  close?(): Promise<void>;
}

/** What `main` builds drivers with. */
export interface DriverDeps {
  readonly clock: Clock;
  readonly timers: Timers;
  readonly entropy: Entropy;
  readonly logger: Logger;
}

/** The profile types of this installation, by name. */
export type DriverCatalog = ReadonlyMap<string, Driver>;
