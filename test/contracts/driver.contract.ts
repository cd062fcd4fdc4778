/**
 * What every driver must do, whatever it drives. A driver's own test calls `driverContract` with a way to set it up twice (two workers
 * of one world), and where the world keeps books of its own, with a way to read them.
 */
import { Ajv2020 } from "ajv/dist/2020.js";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { NodeId } from "../../src/core/ids.ts";
import { type JsonObject, safeJson } from "../../src/core/json.ts";
import { secretPaths } from "../../src/core/secret.ts";
import type { Driver, DriverNode, Inspection, Made } from "../../src/drivers/driver.ts";
import { callContext, driverNode, errorOf, outcomesOf, runtime, stored, valueOf } from "../support/driver-node.ts";

export interface DriverWorld {
  readonly driver: Driver;
  /** The same driver as another worker has it: nothing shared but what is outside. */
  readonly other: Driver;
  /** A user's spec that works. */
  readonly spec: JsonObject;
  /** How many things of this node exist out there; null: nobody keeps books but Muster. */
  readonly existing: ((id: NodeId) => Promise<number>) | null;
  /** Makes a member die; null: members cannot. */
  readonly kill: ((node: DriverNode, made: Made) => Promise<void>) | null;
  close(): Promise<void>;
}

export interface DriverSubject {
  readonly name: string;
  open(): Promise<DriverWorld>;
  /** Wrong specs, each with the paths of all its mistakes. */
  readonly wrong: readonly { readonly spec: JsonObject; readonly paths: readonly string[] }[];
  /** A spec with this value in every secret place, and how many places that are; null: there are none. */
  readonly secret: ((canary: string) => JsonObject) | null;
}

export function driverContract(subject: DriverSubject): void {
  describe(`driver ${subject.name}`, () => {
    let world: DriverWorld;
    beforeEach(async () => {
      world = await subject.open();
    });
    afterEach(async () => {
      await world.close();
    });
    specClaims(subject, () => world);
    keyClaims(() => world);
    inspectionClaims(() => world);
    endClaims(() => world);
  });
}

function specClaims(subject: DriverSubject, world: () => DriverWorld): void {
  test("spec: defaults filled in → the same again, and valid by its schema", () => {
    const { driver, spec } = world();
    const parsed = stored(driver, spec);
    expect(stored(driver, parsed)).toEqual(parsed);
    const validate = new Ajv2020({ strict: false }).compile(driver.specSchema);
    expect(validate(spec), JSON.stringify(validate.errors)).toBe(true);
    expect(validate(parsed), JSON.stringify(validate.errors)).toBe(true);
    expect(driver.probePlan(parsed)).toEqual(driver.probePlan(spec));
    expect(driver.timeoutMs(parsed)).toBeGreaterThan(0);
  });

  test.each(subject.wrong)("spec: $spec → every mistake with its path", ({ spec, paths }) => {
    const { issues } = world().driver.parseSpec(spec);
    expect(issues.map((issue) => issue.path.join(".")).sort()).toEqual([...paths].sort());
    for (const issue of issues) expect(issue.message).not.toBe("");
  });

  test("spec: secrets → declared writeOnly, and in no complaint", () => {
    const { driver } = world();
    if (subject.secret === null) {
      expect(JSON.stringify(driver.specSchema)).not.toContain('"writeOnly":true');
      return;
    }
    const canary = "canary-2f6b1c";
    const spec = subject.secret(canary);
    expect(secretPaths(driver.specSchema, spec)).not.toEqual([]);
    const { issues } = driver.parseSpec({ ...spec, nonsense: true });
    expect(issues).not.toEqual([]);
    expect(JSON.stringify(issues)).not.toContain(canary);
  });
}

function keyClaims(world: () => DriverWorld): void {
  const node = (given: Partial<DriverNode> = {}): DriverNode => driverNode(stored(world().driver, world().spec), given);
  const expectExisting = async (id: NodeId, count: number): Promise<void> => {
    const { existing } = world();
    if (existing !== null) expect(await existing(id)).toBe(count);
  };

  test("create: a batch → one outcome each, all different", async () => {
    const nodes = Array.from({ length: 5 }, () => node());
    const outcomes = await outcomesOf(world().driver.create(nodes, callContext()));
    expect([...outcomes.keys()].sort()).toEqual(nodes.map(({ id }) => id).sort());
    const ids = [...outcomes.values()].map((outcome) => (outcome.ok ? outcome.value.physicalId : JSON.stringify(outcome.error)));
    expect(new Set(ids).size).toBe(5);
  });

  test("create: called again, by another worker as well → the same member", async () => {
    const member = node();
    const made = await valueOf(world().driver.create([member], callContext()));
    expect(await valueOf(world().driver.create([member], callContext()))).toEqual(made);
    expect(await valueOf(world().other.create([{ ...member, attempt: 2 }], callContext({ fence: 2n })))).toEqual(made);
    await expectExisting(member.id, 1);
  });

  test("create: taken over while it is under way → one member", async () => {
    const member = node();
    const [first, second] = await Promise.all([
      outcomesOf(world().driver.create([member], callContext())),
      outcomesOf(world().other.create([member], callContext({ fence: 2n }))),
    ]);
    const values = [...first.values(), ...second.values()].flatMap((outcome) => (outcome.ok ? [outcome.value.physicalId] : []));
    expect(new Set(values).size).toBe(1);
    await expectExisting(member.id, 1);
  });

  test("create: its answer is lost → the next call finds the member", async () => {
    const member = node();
    const lost = world().driver.create([member], callContext())[Symbol.asyncIterator]();
    await lost.next();
    await lost.return?.();
    const made = await valueOf(world().other.create([member], callContext({ fence: 2n })));
    expect(made.physicalId).not.toBe("");
    await expectExisting(member.id, 1);
  });

  test("create: delayed past a deletion → makes nothing, and says that the epoch is over", async () => {
    const member = node();
    await valueOf(world().other.delete([member], callContext({ fence: 1n })));
    if (world().existing === null) return;
    expect(await errorOf(world().driver.create([member], callContext()))).toMatchObject({ class: "transient", epochClosed: true });
    await expectExisting(member.id, 0);
    await valueOf(world().driver.create([{ ...member, epoch: 2 }], callContext()));
    await expectExisting(member.id, 1);
  });

  test("delete: twice, and of what never was → nothing is left, no error", async () => {
    const member = node();
    const made = await valueOf(world().driver.create([member], callContext()));
    const there = { ...member, physicalId: made.physicalId };
    expect(await valueOf(world().driver.delete([there], callContext()))).toBeNull();
    expect(await valueOf(world().other.delete([there], callContext({ fence: 2n })))).toBeNull();
    await expectExisting(member.id, 0);
    expect(await valueOf(world().driver.delete([node()], callContext()))).toBeNull();
  });

  test("delete: of a former life → the present one stays", async () => {
    const member = node();
    await valueOf(world().driver.create([member], callContext()));
    await valueOf(world().driver.delete([member], callContext()));
    const next = { ...member, epoch: 2 };
    const made = await valueOf(world().driver.create([next], callContext()));
    await valueOf(world().driver.delete([member], callContext()));
    await expectExisting(member.id, 1);
    expect(await valueOf(world().driver.inspect([{ ...next, physicalId: made.physicalId }], callContext()))).toMatchObject({ presence: "running" });
  });
}

function inspectionClaims(world: () => DriverWorld): void {
  const node = (): DriverNode => driverNode(stored(world().driver, world().spec));
  const inspect = (member: DriverNode): Promise<Inspection> => valueOf(world().other.inspect([member], callContext({ fence: 2n })));

  test("inspect: made → running, told as it was made", async () => {
    const member = node();
    const made = await valueOf(world().driver.create([member], callContext()));
    expect(await inspect({ ...member, physicalId: made.physicalId })).toEqual({ presence: "running", made });
  });

  test("inspect: never made → absent, and stays so; the next epoch can be made", async () => {
    const member = node();
    expect(await inspect(member)).toEqual({ presence: "absent" });
    if (world().existing !== null) {
      expect(await errorOf(world().driver.create([member], callContext({ fence: 2n })))).toMatchObject({ epochClosed: true });
    }
    const made = await valueOf(world().driver.create([{ ...member, epoch: 2 }], callContext({ fence: 2n })));
    expect(made.physicalId).not.toBe("");
  });

  test("inspect: deleted → absent", async () => {
    const member = node();
    const made = await valueOf(world().driver.create([member], callContext()));
    await valueOf(world().driver.delete([{ ...member, physicalId: made.physicalId }], callContext()));
    // After a deletion Muster's own books hold no physical id either.
    expect(await inspect(member)).toEqual({ presence: "absent" });
  });

  test("inspect: died → dead, with a reason", async () => {
    const { kill, driver } = world();
    if (kill === null) return;
    const member = node();
    const made = await valueOf(driver.create([member], callContext()));
    await kill(member, made);
    const dead = await inspect({ ...member, physicalId: made.physicalId });
    expect(dead).toMatchObject({ presence: "dead", physicalId: made.physicalId });
    expect(await errorOf(driver.create([member], callContext({ fence: 2n })))).toMatchObject({ epochClosed: true });
    expect(await valueOf(driver.delete([member], callContext({ fence: 2n })))).toBeNull();
  });
}

function endClaims(world: () => DriverWorld): void {
  const nodes = (): DriverNode[] => Array.from({ length: 3 }, () => driverNode(stored(world().driver, world().spec)));

  test("signal: aborted before the call → every outcome unknown, nothing begun", async () => {
    const wanted = nodes();
    const signal = AbortSignal.abort();
    const outcomes = await outcomesOf(world().driver.create(wanted, callContext({ signal })));
    expect(outcomes.size).toBe(3);
    for (const outcome of outcomes.values()) expect(outcome).toMatchObject({ ok: false, error: { class: "unknown" } });
    for (const { id } of wanted) expect((await world().existing?.(id)) ?? 0).toBe(0);
  });

  test("deadline: passed before the call → every outcome unknown, nothing begun", async () => {
    const wanted = nodes();
    const outcomes = await outcomesOf(world().driver.create(wanted, callContext({ withinMs: -1 })));
    expect([...outcomes.values()].every((outcome) => !outcome.ok && outcome.error.code === "DEADLINE")).toBe(true);
    for (const { id } of wanted) expect((await world().existing?.(id)) ?? 0).toBe(0);
  });

  test("answers: whatever they hold → can be stored as they are", async () => {
    const { driver } = world();
    const [member] = nodes();
    if (member === undefined) throw new Error("there are three");
    const made = await valueOf(driver.create([member], callContext()));
    const inspection = await valueOf(driver.inspect([{ ...member, physicalId: made.physicalId }], callContext()));
    for (const value of [made, inspection]) expect(safeJson(value)).toEqual(value);
    expect(runtime.clock.monotonicMs()).toBeGreaterThan(0);
  });
}
