/** What `cluster-model.ts` is made of. */
import type { ActionKind, ActionStatus } from "../../../src/core/action.ts";
import type { NodeStatus } from "../../../src/core/node.ts";

export interface Member {
  status: NodeStatus;
  certain: boolean;
  remedyAtMs: number;
  /** A job's step is under way. */
  checking: boolean;
  /** The revision it is made from. */
  profile: number;
  /** UPDATING by being made anew. */
  replacing: boolean;
  /** When it last became something else. */
  sinceMs: number;
}

export interface Action {
  readonly id: number;
  readonly kind: ActionKind;
  readonly generation: number;
  readonly total: number;
  readonly goal: number;
  readonly counter: "created" | "deleted" | "recovered" | "checked" | "updated";
  readonly failedBase: number;
  readonly timeoutAtMs: number | null;
  spread: boolean;
  readonly replaces: boolean;
  status: ActionStatus;
  done: number;
  failed: number;
}

export interface ModelOptions {
  readonly window: number;
  readonly desired: number;
  readonly minSize: number;
}
