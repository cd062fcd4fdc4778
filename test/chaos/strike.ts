/** Carries a plan of faults out. Faults of different parts overlap; those of one part come one after the other. */
import type { Runtime } from "../../src/core/runtime.ts";
import type { Fault, FaultKind } from "./fault-plan.ts";
import type { Installation, Part } from "./installation.ts";
import type { Watcher } from "./watcher.ts";

export interface Strikes {
  /** How often each kind of fault was really done. */
  readonly done: ReadonlyMap<FaultKind, number>;
}

/** Resolves when the last fault is over and everything is there again. */
export async function strike(installation: Installation, plan: readonly Fault[], watcher: Watcher, { clock, timers }: Runtime): Promise<Strikes> {
  const done = new Map<FaultKind, number>();
  const queues = new Map<object, Promise<void>>();
  const startedMs = clock.monotonicMs();
  for (const fault of plan) {
    await timers.wait(Math.max(0, fault.atMs - (clock.monotonicMs() - startedMs)));
    const [place, work] = faultWork(installation, fault, watcher, timers);
    const queued = (queues.get(place) ?? Promise.resolve()).then(async () => {
      watcher.disturbed();
      await work();
      done.set(fault.kind, (done.get(fault.kind) ?? 0) + 1);
    });
    // Seen where all are waited for.
    queued.catch(() => undefined);
    queues.set(place, queued);
  }
  await Promise.all(queues.values());
  await installation.provider.control({ mute: 0, delayMs: 0 });
  await Promise.all([...installation.workers, ...installation.apis].map((part) => part.revive()));
  return { done };
}

function faultWork(installation: Installation, fault: Fault, watcher: Watcher, timers: Runtime["timers"]): readonly [object, () => Promise<void>] {
  const { postgres, provider } = installation;
  const part = partOf(installation, fault);
  const later = (): Promise<void> => timers.wait(fault.forMs);
  const works: Readonly<Record<FaultKind, readonly [object, () => Promise<void>]>> = {
    "worker.kill": [part, () => kill(part, later, watcher, fault.kind)],
    "api.kill": [part, () => kill(part, later, watcher, fault.kind)],
    "worker.restart": [part, () => restart(part, watcher, fault.kind)],
    "api.restart": [part, () => restart(part, watcher, fault.kind)],
    "worker.freeze": [part, () => freeze(part, later, watcher, fault.kind)],
    "api.freeze": [part, () => freeze(part, later, watcher, fault.kind)],
    "worker.cut": [part, async () => part.proxy.cut(fault.how)],
    "api.cut": [part, async () => part.proxy.cut(fault.how)],
    "worker.isolate": [part, () => isolate(part, later, watcher, fault.kind)],
    "postgres.kill": [
      postgres,
      async () => {
        await postgres.signal("SIGKILL");
        await later();
        await installation.restartPostgres();
      },
    ],
    "provider.mute": [provider, () => provider.control({ mute: fault.count })],
    "provider.delay": [
      provider,
      async () => {
        await provider.control({ delayMs: 400 * fault.count });
        await later();
        await provider.control({ delayMs: 0 });
      },
    ],
    "member.death": [provider, () => provider.control({ killSome: fault.count })],
  };
  return works[fault.kind];
}

function partOf(installation: Installation, fault: Fault): Part {
  const part = (fault.kind.startsWith("api") ? installation.apis : installation.workers)[fault.target];
  if (part === undefined) throw new Error(`there is no part ${fault.target} for ${fault.kind}`);
  return part;
}

async function kill(part: Part, later: () => Promise<void>, watcher: Watcher, kind: string): Promise<void> {
  watcher.struck(part.name(), kind);
  await part.kill();
  await later();
  await part.revive();
}

async function restart(part: Part, watcher: Watcher, kind: string): Promise<void> {
  watcher.struck(part.name(), kind);
  await part.stop();
  await part.revive();
}

async function freeze(part: Part, later: () => Promise<void>, watcher: Watcher, kind: string): Promise<void> {
  watcher.struck(part.name(), kind);
  part.freeze();
  await later();
  watcher.back(part.name());
  part.thaw();
}

async function isolate(part: Part, later: () => Promise<void>, watcher: Watcher, kind: string): Promise<void> {
  watcher.struck(part.name(), kind);
  part.proxy.freeze();
  await later();
  watcher.back(part.name());
  part.proxy.thaw();
}
