/** A driver in the test's hand: every call waits until the test answers it. It keeps books of what was asked, under which epoch and fence. */
import type { NodeId } from "../../src/core/ids.ts";
import type { JsonObject } from "../../src/core/json.ts";
import type { CallContext, Driver, DriverError, DriverNode, Inspection, Made, NodeAddress, Outcome, ProbePlan } from "../../src/drivers/driver.ts";

export type HandVerb = "create" | "delete" | "inspect" | "update";

export interface HandCall {
  readonly verb: HandVerb;
  readonly nodeId: NodeId;
  readonly epoch: number;
  readonly physicalId: string | null;
  readonly fence: bigint;
  readonly attempt: number;
  readonly spec: JsonObject;
  /** Of an update: which one. */
  readonly change: number | null;
  /** Set once the worker has let go of it. */
  aborted: boolean;
}

type Answer = "well" | DriverError;

export interface Hand {
  readonly driver: Driver;
  readonly calls: readonly HandCall[];
  /** Members that command probes were run for; each answers well. */
  readonly probed: readonly DriverNode[];
  of(verb: HandVerb): readonly HandCall[];
  /** From now on calls of this kind are answered at once; those that wait, now. */
  open(verb: HandVerb, answer?: Answer): void;
  /** From now on calls of this kind wait. */
  close(verb: HandVerb): void;
}

export interface HandOptions {
  readonly probe?: ProbePlan;
  readonly addresses?: readonly NodeAddress[];
  /** Else keyed. */
  readonly idempotency?: Driver["idempotency"];
  /** Else calls of 100 nodes, 8 at a time. */
  readonly limits?: Partial<Pick<Driver, "batchSize" | "maxCallsInFlight" | "callsPerSecond" | "burst" | "failuresToPause">>;
  /** Paths that it changes in place; else members are replaced. */
  readonly updatesInPlace?: readonly string[];
}

export function handDriver(options: HandOptions = {}): Hand {
  const calls: HandCall[] = [];
  const probed: DriverNode[] = [];
  const answers = new Map<HandVerb, Answer>();
  let waiting: { readonly verb: HandVerb; readonly resolve: () => void }[] = [];

  /** The answer to one call; null: the worker let go of it first. */
  const answerTo = (verb: HandVerb, signal: AbortSignal): Promise<Answer | null> => {
    const known = answers.get(verb);
    if (known !== undefined) return Promise.resolve(known);
    return new Promise((resolve) => {
      waiting.push({ verb, resolve: () => resolve(answers.get(verb) ?? "well") });
      signal.addEventListener("abort", () => resolve(null), { once: true });
      if (signal.aborted) resolve(null);
    });
  };

  async function* carryOut<T>(
    verb: HandVerb,
    nodes: readonly DriverNode[],
    context: CallContext,
    value: (node: DriverNode) => T,
  ): AsyncGenerator<Outcome<T>> {
    const asked = nodes.map((node): HandCall => {
      const { id: nodeId, epoch, physicalId, attempt, spec } = node;
      const change = "change" in node && typeof node.change === "number" ? node.change : null;
      return { verb, nodeId, epoch, physicalId, fence: context.fence(node), attempt, spec, change, aborted: false };
    });
    calls.push(...asked);
    const answer = await answerTo(verb, context.signal);
    for (const [i, node] of nodes.entries()) {
      const call = asked[i];
      if (answer === null && call !== undefined) call.aborted = true;
      if (answer === null) yield { nodeId: node.id, ok: false, error: { class: "unknown", code: "ABORTED", message: "let go of" } };
      else if (answer === "well") yield { nodeId: node.id, ok: true, value: value(node) };
      else yield { nodeId: node.id, ok: false, error: answer };
    }
  }

  const made = (node: DriverNode): Made => ({
    physicalId: `hand-${node.id}-${node.epoch}`,
    addresses: options.addresses ?? [],
    placement: null,
    checkAfterMs: null,
  });
  const driver: Driver = {
    type: "hand",
    version: "1",
    description: "Members that a test makes by hand.",
    idempotency: options.idempotency ?? "keyed",
    hostBound: false,
    batchSize: 100,
    maxCallsInFlight: 8,
    ...options.limits,
    timeoutMs: () => 60_000,
    specSchema: { type: "object" },
    updatesInPlace: options.updatesInPlace ?? [],
    operations: [],
    parseSpec: (spec) => ({ spec, issues: [] }),
    probePlan: () => options.probe ?? null,
    runProbe: (node) => {
      probed.push(node);
      return Promise.resolve({ ok: true, message: "well" });
    },
    create: (nodes, context) => carryOut("create", nodes, context, made),
    delete: (nodes, context) => carryOut("delete", nodes, context, () => null),
    inspect: (nodes, context) => carryOut("inspect", nodes, context, (node): Inspection => ({ presence: "running", made: made(node) })),
    update: (nodes, context) => carryOut("update", nodes, context, made),
  };
  return {
    driver,
    calls,
    probed,
    of: (verb) => calls.filter((call) => call.verb === verb),
    open: (verb, answer = "well") => {
      answers.set(verb, answer);
      const now = waiting.filter((each) => each.verb === verb);
      waiting = waiting.filter((each) => each.verb !== verb);
      for (const { resolve } of now) resolve();
    },
    close: (verb) => {
      answers.delete(verb);
    },
  };
}
