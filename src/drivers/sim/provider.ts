/**
 * Where the effects of `sim` go. The default provider keeps no books: it computes. Tests hand in one that speaks to a process of
 * its own, which keeps books and logs every call and key, so that "made twice" can be seen.
 */
import type { NodeId } from "../../core/ids.ts";
import type { DriverError } from "../driver.ts";
import { physicalIdOf } from "./fate.ts";

/** One effect on one member, as it is asked for. */
export interface Effect {
  /** Idempotency key; the same over retries and takeovers. */
  readonly key: string;
  readonly nodeId: NodeId;
  readonly epoch: number;
  /** The lane's epoch: a provider that keeps books refuses less than the highest it has seen for the node. */
  readonly fence: bigint;
  readonly physicalId: string | null;
  /** How long it takes, ms, from the first time it is asked for. */
  readonly takesMs: number;
  /** How long the member lives once it is made, ms; null: until it is deleted. */
  readonly livesMs: number | null;
}

export type Answer =
  /** Will be done in so many ms (less, when it was begun before). */
  | { readonly kind: "done"; readonly inMs: number; readonly physicalId: string; readonly livesMs: number | null }
  | { readonly kind: "refused"; readonly error: DriverError };

export type Sight =
  | { readonly kind: "running"; readonly physicalId: string; readonly livesMs: number | null }
  | { readonly kind: "dead"; readonly physicalId: string | null; readonly reason: string }
  | { readonly kind: "absent" }
  | { readonly kind: "refused"; readonly error: DriverError };

/** Each answers with as many entries as it was asked for, in the same order. A rejection means that nobody knows. */
export interface Provider {
  create(effects: readonly Effect[], signal: AbortSignal): Promise<readonly Answer[]>;
  delete(effects: readonly Effect[], signal: AbortSignal): Promise<readonly Answer[]>;
  inspect(effects: readonly Effect[], signal: AbortSignal): Promise<readonly Sight[]>;
  update(effects: readonly Effect[], signal: AbortSignal): Promise<readonly Answer[]>;
}

const nothingToUpdate: DriverError = { class: "permanent", code: "NOT_THERE", message: "there is nothing to update", epochClosed: true };

/**
 * A provider without books: a member is there when Muster's own say so (its physical id), and when its time is not up. A member
 * that dies of age carries the moment of its birth in its physical id, because nothing else remembers it.
 * @param wallMs milliseconds since 1970: the simulated world's clock
 */
export function computingProvider(wallMs: () => number): Provider {
  const named = (effect: Effect): string => {
    const name = physicalIdOf({ id: effect.nodeId, epoch: effect.epoch });
    return effect.livesMs === null ? name : `${name}@${Math.round(wallMs() + effect.takesMs).toString(36)}`;
  };
  const ages = (effect: Effect): number | null => {
    const born = effect.physicalId?.split("@")[1];
    return born === undefined || effect.livesMs === null ? null : Number.parseInt(born, 36) + effect.livesMs - wallMs();
  };
  const left = (effect: Effect): Sight => {
    if (effect.physicalId === null) return { kind: "absent" };
    const livesMs = ages(effect);
    if (livesMs !== null && livesMs <= 0) return { kind: "dead", physicalId: effect.physicalId, reason: "LIFETIME_OVER" };
    return { kind: "running", physicalId: effect.physicalId, livesMs };
  };
  return {
    create: async (effects) =>
      effects.map((effect) => ({ kind: "done", inMs: effect.takesMs, physicalId: effect.physicalId ?? named(effect), livesMs: effect.livesMs })),
    delete: async (effects) =>
      effects.map((effect) => ({ kind: "done", inMs: effect.takesMs, physicalId: effect.physicalId ?? named(effect), livesMs: null })),
    inspect: async (effects) => effects.map(left),
    update: async (effects) =>
      effects.map((effect): Answer => {
        const sight = left(effect);
        if (sight.kind !== "running") return { kind: "refused", error: nothingToUpdate };
        return { kind: "done", inMs: effect.takesMs, physicalId: sight.physicalId, livesMs: sight.livesMs };
      }),
  };
}
