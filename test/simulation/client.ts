/**
 * A client of the API: it wishes, loses answers, and asks again under the same idempotency key until it knows. What it was told is
 * kept: nothing of it may be lost, changed or done twice.
 */
import { cancelAction } from "../../src/commands/action.ts";
import { createCluster, deleteCluster, updateCluster } from "../../src/commands/cluster.ts";
import { checkCluster, recoverCluster } from "../../src/commands/cluster-job.ts";
import { resizeCluster, scaleInCluster, scaleOutCluster } from "../../src/commands/cluster-size.ts";
import type { CommandContext } from "../../src/commands/command.ts";
import { createClusterNode, deleteClusterNode } from "../../src/commands/node.ts";
import { checkClusterNode, recoverClusterNode } from "../../src/commands/node-job.ts";
import type { Result } from "../../src/core/errors.ts";
import { brandId, encodeId } from "../../src/core/ids.ts";
import { isAbsence, isConflict, isTimeout } from "../../src/store/failure.ts";
import type { Dice } from "./dice.ts";
import type { SimulatedProcess } from "./process.ts";
import type { Stage } from "./stage.ts";

const mostMembers = 8;

export type Wish = (context: CommandContext, idempotencyKey: string) => Promise<Result<Readonly<Record<string, string>>>>;

export interface ApiProcess {
  readonly process: SimulatedProcess;
  readonly context: CommandContext;
}

export class Client {
  /** Wishes that were accepted, as far as it was told: key → answer. */
  readonly accepted = new Map<string, Readonly<Record<string, string>>>();
  /** Keys of which nobody was told what became. */
  readonly open = new Set<string>();
  private readonly stage: Stage;
  private readonly dice: Dice;
  private readonly name: string;
  private readonly apis: () => readonly ApiProcess[];
  private wishes = 0;

  constructor(stage: Stage, name: string, apis: () => readonly ApiProcess[]) {
    this.stage = stage;
    this.name = name;
    this.dice = stage.dice.fork(name);
    this.apis = apis;
  }

  /** Wishes until it is told that it was accepted or refused; null: refused. */
  async ask(what: string, wish: Wish): Promise<Readonly<Record<string, string>> | null> {
    const key = `${this.name}-${++this.wishes}`;
    this.open.add(key);
    for (;;) {
      const answer = await this.tryOnce(what, key, wish);
      if (answer === "unknown") {
        await this.stage.wait(this.dice.between(20, 400));
        continue;
      }
      this.check(what, key, answer);
      if (this.stage.rates !== null && this.dice.chance(0.15)) {
        // The answer got lost between API and client.
        await this.stage.wait(this.dice.between(1, 100));
        continue;
      }
      this.open.delete(key);
      return answer;
    }
  }

  private check(what: string, key: string, answer: Readonly<Record<string, string>> | null): void {
    const known = this.accepted.get(key);
    if (answer !== null) this.accepted.set(key, answer);
    if (known === undefined) return;
    if (answer === null) this.stage.violate(`${what} (${key}) was accepted, and refused when it was repeated`);
    else if (JSON.stringify(answer) !== JSON.stringify(known))
      this.stage.violate(`${what} (${key}) was answered ${JSON.stringify(known)}, then ${JSON.stringify(answer)}`);
  }

  private async tryOnce(what: string, key: string, wish: Wish): Promise<Readonly<Record<string, string>> | null | "unknown"> {
    const apis = this.apis();
    const api = apis.length === 0 ? undefined : this.dice.pick(apis);
    if (api === undefined) return "unknown";
    const asked = wish(api.context, key).then(
      (result) => {
        const told = result.ok ? result.value : null;
        this.stage.trace.note(this.stage.nowMs, this.name, what, result.ok ? "accepted" : `refused ${result.refusal.kind}`);
        return told;
      },
      (error: unknown) => {
        if (!isAbsence(error) && !isTimeout(error) && !isConflict(error))
          this.stage.violate(`${what}: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`);
        this.stage.trace.note(this.stage.nowMs, this.name, what, "failed");
        return "unknown" as const;
      },
    );
    // A client does not wait for ever, and a process that is dead answers nothing.
    return Promise.race([asked, api.process.died.then(() => "unknown" as const), this.stage.wait(20_000).then(() => "unknown" as const)]);
  }
}

export interface Fleet {
  readonly id: string;
  readonly clusterId: string;
  readonly type: string;
  /** Of its type; the first is the one it is made with. */
  readonly profiles: readonly string[];
  gone: boolean;
}

/** A cluster, small enough that all of it happens within seconds. */
export function newCluster(name: string, profileId: string, size: number): Wish {
  return (c, idempotencyKey) =>
    createCluster(c, {
      name,
      profile: { id: profileId },
      desiredCapacity: size,
      minSize: 0,
      maxSize: mostMembers,
      timeoutSeconds: 3_600,
      idempotencyKey,
    });
}

export function cancellation(actionId: string): Wish {
  return (c, idempotencyKey) => cancelAction(c, { id: encodeId("action", brandId("action", actionId)), idempotencyKey });
}

/** One wish, drawn. */
export async function drawWish(stage: Stage, dice: Dice, fleet: Fleet): Promise<{ readonly what: string; readonly wish: Wish }> {
  const cluster = { id: fleet.id };
  const members = await stage.look<{ id: string }>("select id from muster.node where cluster_id = $1 order by id", [fleet.clusterId]);
  const actions = await stage.look<{ id: string }>("select id from muster.action where finished_at is null order by id", []);
  const node = { id: encodeId("node", brandId("node", members.length > 0 ? dice.pick(members).id : "00000000-0000-7000-8000-000000000000")) };
  const action = actions.length > 0 ? dice.pick(actions).id : "00000000-0000-7000-8000-000000000000";
  const count = dice.between(1, 3);
  const size = dice.below(7);
  const flag = dice.chance(0.5);
  const draw = dice.below(28);
  if (draw < 5)
    return {
      what: `resize exactly ${size}`,
      wish: (c, idempotencyKey) => resizeCluster(c, { cluster, capacity: { exactly: size }, strict: false, idempotencyKey }),
    };
  if (draw < 8)
    return {
      what: `resize by ${count}`,
      wish: (c, idempotencyKey) => resizeCluster(c, { cluster, capacity: { by: flag ? count : -count }, strict: false, idempotencyKey }),
    };
  if (draw < 10) return { what: `scale out ${count}`, wish: (c, idempotencyKey) => scaleOutCluster(c, { cluster, count, idempotencyKey }) };
  if (draw < 12) return { what: `scale in ${count}`, wish: (c, idempotencyKey) => scaleInCluster(c, { cluster, count, idempotencyKey }) };
  if (draw < 14) return { what: "check", wish: (c, idempotencyKey) => checkCluster(c, { cluster, idempotencyKey }) };
  if (draw < 15) return { what: "recover", wish: (c, idempotencyKey) => recoverCluster(c, { cluster, idempotencyKey }) };
  if (draw < 16) return { what: "check node", wish: (c, idempotencyKey) => checkClusterNode(c, { node, idempotencyKey }) };
  if (draw < 18)
    return { what: "recover node", wish: (c, idempotencyKey) => recoverClusterNode(c, { node, operation: flag ? "REPLACE" : null, idempotencyKey }) };
  if (draw < 20)
    return {
      what: "delete node",
      wish: (c, idempotencyKey) => deleteClusterNode(c, { node, reduceDesiredCapacity: flag, abandon: false, idempotencyKey }),
    };
  if (draw < 21) return { what: "create node", wish: (c, idempotencyKey) => createClusterNode(c, { cluster, idempotencyKey }) };
  if (draw < 23) return { what: "cancel", wish: cancellation(action) };
  if (draw < 25) {
    const profile = { id: dice.pick(fleet.profiles) };
    return { what: "change the profile", wish: (c, idempotencyKey) => updateCluster(c, { cluster, profile, idempotencyKey }) };
  }
  if (draw < 26) return { what: "create another node", wish: (c, idempotencyKey) => createClusterNode(c, { cluster, idempotencyKey }) };
  return { what: "delete", wish: (c, idempotencyKey) => deleteCluster(c, { cluster, abandon: fleet.type === "blind", idempotencyKey }) };
}
