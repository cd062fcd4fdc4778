/**
 * Circuit breakers: who does not answer is not asked again and again. After so many calls in a row that failed as a whole, each about
 * another member, further ones wait for a pause that grows; then one call about one member tries, and its success lets all through.
 * (Nygard, Release It!, chapter 5.)
 */

export interface CircuitRule {
  /** Calls in a row. */
  readonly failures: number;
  readonly firstPauseMs: number;
  readonly longestPauseMs: number;
}

export interface FailedCall {
  /** About whom it was; of many, one. */
  readonly member: string;
  /** For people. */
  readonly reason: string;
  /** It was the one that tried. */
  readonly probe: boolean;
}

interface Circuit {
  /** Members about which calls failed since the last success; counted until it opens. */
  readonly members: Set<string>;
  /** Null: closed. */
  open: { sinceMs: number; retryAtMs: number; pauseMs: number; probing: boolean; reason: string } | null;
}

/** go: it is closed. probe: one call may try. wait: for so many ms, or (0) for the call that tries. */
export type Gate = { readonly kind: "go" } | { readonly kind: "probe" } | { readonly kind: "wait"; readonly ms: number };

const go: Gate = { kind: "go" };
const probe: Gate = { kind: "probe" };

/** Circuits by key. One is remembered only between its first failure and its next success, and there are never more than this. */
const circuitsKept = 10_000;

export class Circuits {
  private readonly circuits = new Map<string, Circuit>();

  gate(key: string, nowMs: number): Gate {
    const open = this.circuits.get(key)?.open;
    if (open == null) return go;
    if (open.probing) return { kind: "wait", ms: 0 };
    return open.retryAtMs <= nowMs ? probe : { kind: "wait", ms: open.retryAtMs - nowMs };
  }

  isOpen(key: string): boolean {
    return this.circuits.get(key)?.open != null;
  }

  /** Why it is open; null: it is not. */
  reason(key: string): string | null {
    return this.circuits.get(key)?.open?.reason ?? null;
  }

  /** The call that tries is on its way. */
  probing(key: string): void {
    const open = this.circuits.get(key)?.open;
    if (open != null) open.probing = true;
  }

  /** The call that tried was broken off: nothing is known, another may try. */
  brokenOff(key: string): void {
    const open = this.circuits.get(key)?.open;
    if (open != null) open.probing = false;
  }

  /** A call was answered. Returns for how long the circuit had been open, ms; null: it was not. */
  succeeded(key: string, nowMs: number): number | null {
    const open = this.circuits.get(key)?.open;
    this.circuits.delete(key);
    return open == null ? null : nowMs - open.sinceMs;
  }

  /**
   * A call failed as a whole. Returns for how long calls pause now, ms, where this call opened the circuit or was the one that tried.
   * @param fraction uniform in [0, 1), for jitter: all workers find out at the same time
   */
  failed(key: string, call: FailedCall, rule: CircuitRule, nowMs: number, fraction: number): number | null {
    const circuit = this.circuits.get(key) ?? this.remember(key);
    const { open } = circuit;
    // What was under way when it opened says nothing new.
    if (open !== null && !call.probe) return null;
    if (open === null) {
      circuit.members.add(call.member);
      if (circuit.members.size < rule.failures) return null;
    }
    const pauseMs = open === null ? rule.firstPauseMs : Math.min(rule.longestPauseMs, open.pauseMs * 2);
    const thisTimeMs = Math.round(pauseMs / 2 + (pauseMs / 2) * fraction);
    circuit.open = { sinceMs: open?.sinceMs ?? nowMs, retryAtMs: nowMs + thisTimeMs, pauseMs, probing: false, reason: call.reason };
    return thisTimeMs;
  }

  private remember(key: string): Circuit {
    const [oldest] = this.circuits.keys();
    if (this.circuits.size >= circuitsKept && oldest !== undefined) this.circuits.delete(oldest);
    const circuit: Circuit = { members: new Set(), open: null };
    this.circuits.set(key, circuit);
    return circuit;
  }
}
