/** A call of a driver: what it asks, and about which nodes. */
import type { TaskKind } from "../core/node.ts";
import type { Driver } from "../drivers/driver.ts";
import type { DueTask } from "../store/task.ts";
import type { KnownProfile } from "./specs.ts";

export const verbs = ["create", "delete", "inspect", "update"] as const;
export type Verb = (typeof verbs)[number];

export interface CallTask {
  readonly task: DueTask;
  readonly profile: KnownProfile;
}

/** One call of a driver, for one or many nodes. */
export interface Call {
  readonly driver: Driver;
  readonly verb: Verb;
  readonly tasks: readonly CallTask[];
  /** It tries whether a provider answers again that did not. */
  readonly probe: boolean;
}

const verbsOfKinds = {
  CREATE: "create",
  DELETE: "delete",
  CHECK: "inspect",
  INSPECT: "inspect",
  OPERATE: null,
} as const satisfies Record<Exclude<TaskKind, "RECOVER" | "UPDATE">, Verb | null>;

/** What a task asks of the driver; null: nothing (its kind is not built yet). */
export function verbOf(task: Pick<DueTask, "kind" | "params">): Verb | null {
  if (task.kind !== "RECOVER" && task.kind !== "UPDATE") return verbsOfKinds[task.kind];
  const stage = task.params?.["stage"];
  return stage === "make" ? "create" : stage === "inPlace" ? "update" : "delete";
}

/**
 * Whether it closes a former life, after which another one is made. Of one that the provider named, that may be said again: whenever it arrives, it is that
 * one's end. Reading back would only find dead what was closed.
 */
export function closesLife(task: Pick<DueTask, "kind" | "params">): boolean {
  return (task.kind === "RECOVER" || task.kind === "UPDATE") && verbOf(task) === "delete";
}

/**
 * Whose calls fail or come out well together. A profile says which provider is asked, with whose rights and quota: a broken one stops nobody
 * else's. And where nothing can be made any more, something can still be taken away.
 */
export function providerKey(task: Pick<DueTask, "profileId">, verb: Verb): string {
  return `${task.profileId}/${verb}`;
}
