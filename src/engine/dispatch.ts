/** Which of the due tasks are carried out next, and in which calls: pure. The executor reads what is due, begins what is chosen here, and calls. */
import type { TaskKind } from "../core/node.ts";
import type { Driver } from "../drivers/driver.ts";
import type { DueTask } from "../store/task.ts";
import type { KnownProfile } from "./specs.ts";

/** The share of a driver's calls that creates may take up. */
const createShare = 0.75;

/** One call of a driver, for one or many nodes. */
export interface Call {
  readonly driver: Driver;
  readonly verb: Verb;
  readonly tasks: readonly { readonly task: DueTask; readonly profile: KnownProfile }[];
}
export type Verb = "create" | "delete" | "inspect";

/** What a task asks of the driver; null: nothing (its kind is not built yet). */
export function verbOf(task: Pick<DueTask, "kind" | "params">): Verb | null {
  const verbs = { CREATE: "create", DELETE: "delete", CHECK: "inspect", INSPECT: "inspect", UPDATE: null, OPERATE: null } as const satisfies Record<
    Exclude<TaskKind, "RECOVER">,
    Verb | null
  >;
  if (task.kind !== "RECOVER") return verbs[task.kind];
  return task.params?.["stage"] === "make" ? "create" : "delete";
}

/** Groups due tasks into calls, within each driver's limits. */
export function chooseCalls(due: readonly DueTask[], profiles: ReadonlyMap<string, KnownProfile>, running: ReadonlyMap<Driver, number>): Call[] {
  const groups = new Map<string, { driver: Driver; verb: Verb; tasks: { task: DueTask; profile: KnownProfile }[] }>();
  for (const task of due) {
    const profile = profiles.get(task.profileId);
    const verb = verbOf(task);
    if (profile === undefined || verb === null) continue;
    const key = `${profile.driver.type}/${verb}/${task.kind}`;
    const group = groups.get(key) ?? { driver: profile.driver, verb, tasks: [] };
    group.tasks.push({ task, profile });
    groups.set(key, group);
  }
  const calls: Call[] = [];
  const taken = new Map(running);
  for (const { driver, verb, tasks } of groups.values()) {
    const most = verb === "create" ? Math.ceil(driver.maxCallsInFlight * createShare) : driver.maxCallsInFlight;
    for (let i = 0; i < tasks.length && (taken.get(driver) ?? 0) < most; i += driver.batchSize) {
      calls.push({ driver, verb, tasks: tasks.slice(i, i + driver.batchSize) });
      taken.set(driver, (taken.get(driver) ?? 0) + 1);
    }
  }
  return calls;
}
