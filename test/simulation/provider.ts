/**
 * What is out there, with books of its own: the truth against which Muster's tables are held. One provider per kind of idempotency.
 * Calls travel: what was asked may arrive after whoever asked is dead, its answer may be lost, and it may be refused.
 */
import type { NodeId } from "../../src/core/ids.ts";
import type { JsonObject } from "../../src/core/json.ts";
import type { CallContext, ChangedNode, Driver, DriverError, DriverNode, Idempotency, Inspection, Made } from "../../src/drivers/driver.ts";
import { CallFailed, outcomesAsTheyCome } from "../../src/drivers/outcome-stream.ts";
import type { Dice } from "./dice.ts";
import type { SimulatedProcess } from "./process.ts";
import type { Stage } from "./stage.ts";

interface Thing {
  readonly id: string;
  readonly type: Idempotency;
  readonly nodeId: NodeId;
  readonly clusterId: string | null;
  readonly epoch: number;
  /** From then on the provider's list shows it. */
  readonly listedAtMs: number;
  alive: boolean;
  /** What it was told to be, last. */
  spec: JsonObject;
  /** Changes it was asked for where it stands, by who does not know one key once. */
  readonly changes: Set<number>;
}

export interface ProviderMood {
  /** Of each call: refused for a reason that passes, without effect. */
  readonly refused: number;
  /** Of each call: its answer is lost. */
  readonly lost: number;
  /** Of each call: it takes long, or until its deadline is over. */
  readonly slow: number;
  /** Of each call: refused for good. */
  readonly impossible: number;
}

const callTimeoutMs = 2_000;
const listingDelayMs = 1_500;
const calm: ProviderMood = { refused: 0, lost: 0, slow: 0, impossible: 0 };

export class Provider {
  readonly things: Thing[] = [];
  /** null: peace, in which nobody dies, and nobody need be looked at. */
  mood: ProviderMood | null = calm;
  /** Calls issued that change something, and those that only look. */
  effects = 0;
  looks = 0;
  private readonly stage: Stage;
  private readonly dice: Dice;
  /** Steps of drivers that take many are begun with their plan, those of others by the queue. */
  private readonly batchSizes: Readonly<Record<Idempotency, number>>;
  private readonly closed = new Map<NodeId, number>();
  private readonly fences = new Map<string, bigint>();

  constructor(stage: Stage) {
    this.stage = stage;
    this.dice = stage.dice.fork("provider");
    const batchSize = (): number => this.dice.pick([5, 40]);
    this.batchSizes = { keyed: batchSize(), listed: batchSize(), blind: batchSize() };
  }

  living(): readonly Thing[] {
    return this.things.filter((thing) => thing.alive);
  }

  /** Somebody pulls a plug. */
  killOne(): void {
    const living = this.living();
    if (living.length === 0) return;
    const thing = this.dice.pick(living);
    thing.alive = false;
    this.stage.count("member died");
    this.stage.trace.note(this.stage.nowMs, "provider", "death", thing.id);
  }

  /** The driver as one process has it. */
  driver(type: Idempotency, process: SimulatedProcess): Driver {
    const { clock, timers } = process.runtime;
    const each =
      <T>(verb: string, effect: (node: DriverNode) => T) =>
      (nodes: readonly DriverNode[], context: CallContext) =>
        outcomesAsTheyCome(nodes, context, { clock, timers }, (node) => this.call(type, verb, process, node, context, () => effect(node)));
    return {
      type,
      version: "1",
      description: "Simulated by the simulator.",
      idempotency: type,
      ...(type === "listed" ? { listingDelayMs } : {}),
      hostBound: false,
      batchSize: this.batchSizes[type],
      maxCallsInFlight: 4,
      timeoutMs: () => callTimeoutMs,
      specSchema: { type: "object" },
      updatesInPlace: ["label"],
      operations: [],
      parseSpec: (spec) => ({ spec, issues: [] }),
      probePlan: () => null,
      create: each("create", (node) => this.create(type, node)),
      delete: each("delete", (node) => this.delete(type, node)),
      inspect: each("inspect", (node) => this.inspect(type, node)),
      update: (nodes, context) =>
        outcomesAsTheyCome(nodes, context, { clock, timers }, (node) =>
          this.call(type, "update", process, node, context, () => this.update(type, node, changeOf(nodes, node))),
        ),
    };
  }

  private call<T>(type: Idempotency, verb: string, process: SimulatedProcess, node: DriverNode, context: CallContext, effect: () => T): Promise<T> {
    const { stage, dice } = this;
    const mood = this.mood ?? calm;
    this.checkFence(process, node, context);
    if (verb === "inspect") this.looks++;
    else this.effects++;
    const who = `${type} ${verb} ${node.name}/${node.epoch}`;
    stage.trace.note(stage.nowMs, process.name, who, "called");
    const refused: DriverError["class"] | null = dice.chance(mood.refused) ? "transient" : dice.chance(mood.impossible) ? "permanent" : null;
    const lost = dice.chance(mood.lost);
    const wanted = dice.chance(mood.slow) ? dice.between(200, 2.5 * callTimeoutMs) : dice.between(1, 40);
    // Only a provider that closes keys can bear what arrives after the call's end.
    const left = Math.max(0, context.deadlineMs - process.runtime.clock.monotonicMs());
    const arrivesIn = type === "keyed" ? wanted : Math.min(wanted, left);
    return new Promise((resolve, reject) => {
      stage.in(arrivesIn, () => {
        let answer: () => void;
        try {
          if (refused !== null) throw failed(refused, "REFUSED");
          const value = effect();
          answer = () => resolve(value);
          stage.trace.note(stage.nowMs, "provider", who, lost ? "done, answer lost" : "done");
        } catch (error) {
          if (!(error instanceof CallFailed)) throw error;
          answer = () => reject(error);
          stage.trace.note(stage.nowMs, "provider", who, error.error.code);
        }
        if (!lost) stage.reach(process, dice.below(20), answer);
        else if (dice.chance(0.5)) stage.reach(process, dice.below(20), () => reject(failed("unknown", "ANSWER_LOST")));
      });
    });
  }

  private checkFence(process: SimulatedProcess, node: DriverNode, context: CallContext): void {
    const fence = context.fence(node);
    const key = `${process.name}/${node.id}`;
    const former = this.fences.get(key) ?? 0n;
    if (fence <= 0n) this.stage.violate(`${process.name} calls a driver for ${node.name} without a fence`);
    if (fence < former) this.stage.violate(`${process.name}: the fence of ${node.name} went back from ${former} to ${fence}`);
    this.fences.set(key, fence);
  }

  private create(type: Idempotency, node: DriverNode): Made {
    if (type === "keyed") {
      if (node.epoch <= (this.closed.get(node.id) ?? 0)) throw failed("transient", "EPOCH_CLOSED", true);
      const known = this.things.find((thing) => thing.nodeId === node.id && thing.epoch === node.epoch);
      if (known !== undefined) {
        if (!known.alive) throw failed("transient", "DIED_EARLY", true);
        return this.made(known);
      }
    }
    const before = this.things.filter((thing) => thing.nodeId === node.id);
    const twin = before.find((thing) => thing.alive);
    if (twin !== undefined) this.stage.violate(`two things live for ${node.name}: ${twin.id} of epoch ${twin.epoch}, and one of epoch ${node.epoch}`);
    if (before.some((thing) => thing.epoch === node.epoch)) this.stage.violate(`${node.name} was made twice under epoch ${node.epoch} (${type})`);
    const listedAtMs = this.stage.nowMs + (type === "listed" ? this.dice.below(listingDelayMs) : 0);
    const thing: Thing = {
      id: `thing-${this.things.length + 1}`,
      type,
      nodeId: node.id,
      clusterId: node.clusterId,
      epoch: node.epoch,
      listedAtMs,
      alive: true,
      spec: node.spec,
      changes: new Set(),
    };
    this.things.push(thing);
    return this.made(thing);
  }

  private made(thing: Thing): Made {
    return { physicalId: thing.id, addresses: [], placement: null, checkAfterMs: this.mood === null ? null : 1_500 };
  }

  private delete(type: Idempotency, node: DriverNode): null {
    if (type === "blind" && node.physicalId === null) throw failed("unknown", "NOBODY_KNOWS");
    if (type === "keyed") this.closed.set(node.id, Math.max(node.epoch, this.closed.get(node.id) ?? 0));
    for (const thing of this.things) {
      if (thing.type !== type || thing.nodeId !== node.id || thing.epoch > node.epoch) continue;
      const seen = type === "keyed" || thing.id === node.physicalId || (type === "listed" && thing.listedAtMs <= this.stage.nowMs);
      if (seen) thing.alive = false;
    }
    return null;
  }

  private update(type: Idempotency, node: DriverNode, change: number): Made {
    const thing = this.things.find((each) => each.type === type && each.nodeId === node.id && each.epoch === node.epoch && each.alive);
    if (thing === undefined || (type === "keyed" && node.epoch <= (this.closed.get(node.id) ?? 0))) throw failed("permanent", "NOT_THERE", true);
    if (type !== "keyed" && thing.changes.has(change)) this.stage.violate(`${node.name} was changed twice by change ${change} (${type})`);
    if (!thing.changes.has(change)) thing.spec = node.spec;
    thing.changes.add(change);
    return this.made(thing);
  }

  private inspect(type: Idempotency, node: DriverNode): Inspection {
    const mine = this.things.filter((thing) => thing.type === type && thing.nodeId === node.id && thing.epoch === node.epoch);
    const seen = mine.filter(
      (thing) => type === "keyed" || thing.id === node.physicalId || (type === "listed" && thing.listedAtMs <= this.stage.nowMs),
    );
    const alive = seen.find((thing) => thing.alive);
    if (alive !== undefined) return { presence: "running", made: this.made(alive) };
    const [dead] = seen;
    if (dead !== undefined) return { presence: "dead", reason: "EXITED", message: "PROVIDER: it died", physicalId: dead.id };
    if (type === "blind") throw failed("unknown", "NOBODY_KNOWS");
    // Absent is for certain: what may still arrive under this key comes too late.
    if (type === "keyed") this.closed.set(node.id, Math.max(node.epoch, this.closed.get(node.id) ?? 0));
    return { presence: "absent" };
  }
}

function changeOf(nodes: readonly ChangedNode[], { id }: DriverNode): number {
  return nodes.find((node) => node.id === id)?.change ?? 0;
}

function failed(errorClass: DriverError["class"], code: string, epochClosed = false): CallFailed {
  return new CallFailed({ class: errorClass, code, message: `PROVIDER: ${code}`, ...(epochClosed ? { epochClosed } : {}) });
}
