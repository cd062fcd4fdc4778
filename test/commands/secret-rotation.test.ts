/** Keys change under processes that work: here each process is a vault of its own over one list of kept keys. */
import { sql } from "kysely";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import type { CommandContext } from "../../src/commands/command.ts";
import { createProfile, reviseProfile } from "../../src/commands/profile.ts";
import { beginRotation, type Rotation, resealAll, sealCheck } from "../../src/commands/secret-rotation.ts";
import { brandId, type ProfileId } from "../../src/core/ids.ts";
import type { JsonObject } from "../../src/core/json.ts";
import { formerChecks, readInstallation, replaceSecretCheck } from "../../src/store/installation.ts";
import { getProfilesByIds } from "../../src/store/profile.ts";
import { readProfileSpecs } from "../../src/store/profile-spec.ts";
import type { Store } from "../../src/store/transaction.ts";
import { createVault, keyIdOf, openSpec, sealSpec, type Vault } from "../../src/store/vault.ts";
import { createGate, untilLocked } from "../support/gate.ts";
import { startWorld, type World } from "../support/world.ts";
import { secretiveDriver } from "./secretive-driver.ts";
import { refusalOf, valueOf } from "./support.ts";

const key = (byte: number): Uint8Array => new Uint8Array(32).fill(byte);
const idOf = (byte: number): string => createVault([key(byte)]).keyIds()[0] ?? "";

let world: World;
let kept: Uint8Array[];
beforeAll(async () => {
  world = await startWorld({ drivers: [secretiveDriver()] });
});
afterAll(() => world.stop({ withoutHistory: true }));
beforeEach(async () => {
  await sql`delete from muster.profile`.execute(world.store.db);
  kept = [key(1)];
  await replaceSecretCheck(world.store.db, sealCheck(createVault(kept)));
});

const processVault = (): Vault => createVault([key(1)], () => kept);
const contextOf = (vault: Vault): CommandContext => ({ ...world.context("MEMBER"), vault });
const make = async (vault: Vault, name: string, password: string, idempotencyKey: string | null = null): Promise<ProfileId> =>
  valueOf(await createProfile(contextOf(vault), { name, type: "secretive", spec: { password }, idempotencyKey })).profileId;
const turnTo = async (byte: number, vault = createVault([key(1)], () => kept)): Promise<{ vault: Vault; rotation: Rotation }> => {
  const rotation = await beginRotation(world.store, vault, () => {
    kept = [key(byte), ...kept];
    return idOf(byte);
  });
  if (rotation === null) throw new Error("nothing was sealed");
  return { vault, rotation };
};
/** How many values are sealed with which key. */
const sealedBy = async (): Promise<Record<string, number>> => {
  const { rows } = await sql<{ id: string; n: number }>`
    select m[1] as id, count(*)::int as n from muster.profile, regexp_matches(spec::text, '"1\\.([0-9a-f]{16})\\.', 'g') m group by 1`.execute(
    world.store.db,
  );
  return Object.fromEntries(rows.map(({ id, n }) => [id, n]));
};
const checkNow = async (): Promise<JsonObject> => (await readInstallation(world.store.db)).secretCheck ?? {};

/** Profiles as if they had been made one by one with the first key. */
async function pretend(count: number): Promise<void> {
  const vault = createVault([key(1)]);
  const ids = Array.from({ length: count }, () => brandId("profile", world.store.runtime.entropy.uuid()));
  const specs = ids.map((id, at) =>
    JSON.stringify(at % 2 === 0 ? sealSpec(vault, id, secretiveDriver().specSchema, { password: `p${at}` }) : { note: "open" }),
  );
  await sql`
    insert into muster.profile (id, project_id, name, revision, type, spec, created_at, updated_at)
    select id, ${world.projectId}, 'pretended-' || id, 1, 'secretive', spec::jsonb, now(), now()
      from unnest(${ids}::uuid[], ${specs}::text[]) n(id, spec)`.execute(world.store.db);
}

/** Dies after so many of its transactions. */
function mortal(transactions: number): Store {
  const { db } = world.store;
  let begun = 0;
  return {
    ...world.store,
    db: new Proxy(db, {
      get: (target, name) => {
        if (name === "connection" && ++begun > transactions) throw new Error("killed");
        const value: unknown = Reflect.get(target, name, target);
        return typeof value === "function" ? value.bind(target) : value;
      },
    }),
  };
}

describe("a pass", () => {
  test("450 profiles → five windows; killed after two, run again → the rest, and nothing is left", async () => {
    await pretend(450);
    const { vault, rotation } = await turnTo(2);
    await expect(resealAll(mortal(2), vault, rotation)).rejects.toThrow("killed");
    expect(await sealedBy()).toEqual({ [idOf(1)]: 125, [idOf(2)]: 100 });
    expect(formerChecks(await checkNow()).map(keyIdOf)).toEqual([idOf(1)]);
    expect(await resealAll(world.store, vault, rotation)).toMatchObject({ values: 125, profiles: 125, left: [], overtaken: false });
    expect(await sealedBy()).toEqual({ [idOf(2)]: 225 });
    expect(formerChecks(await checkNow())).toEqual([]);
    // The limit is on rows read: a pass of five windows fits five transactions, one of four does not.
    const again = await turnTo(3, vault);
    await expect(resealAll(mortal(4), vault, again.rotation)).rejects.toThrow("killed");
    expect(await resealAll(mortal(5), vault, again.rotation)).toMatchObject({ values: 25, overtaken: false });
  });

  test("two at once, while profiles are made by those who know only the former key → all is sealed with the new one", async () => {
    await pretend(300);
    const makers = [processVault(), processVault()];
    const making = makers.map(async (vault, who) => {
      for (let i = 0; i < 20; i++) await make(vault, `made-${who}-${i}`, "x");
    });
    const [one, two] = await Promise.all([turnTo(2), turnTo(2)]);
    const passes = await Promise.all([resealAll(world.store, one.vault, one.rotation), resealAll(world.store, two.vault, two.rotation)]);
    await Promise.all(making);
    expect(passes.map(({ left, overtaken }) => ({ left, overtaken }))).toEqual([
      { left: [], overtaken: false },
      { left: [], overtaken: false },
    ]);
    expect(await sealedBy()).toEqual({ [idOf(2)]: 190 });
  });

  test("another key takes its place under way → it says so, and seals nothing more with its own; the next pass finds all", async () => {
    await pretend(150);
    const first = await turnTo(2);
    await expect(resealAll(mortal(1), first.vault, first.rotation)).rejects.toThrow("killed");
    const second = await turnTo(3, first.vault);
    expect(second.rotation.formerIds).toEqual([idOf(1), idOf(2)]);
    expect(await resealAll(world.store, first.vault, first.rotation)).toMatchObject({ values: 0, overtaken: true });
    expect(await resealAll(world.store, second.vault, second.rotation)).toMatchObject({ values: 75, left: [], overtaken: false });
    expect(await sealedBy()).toEqual({ [idOf(3)]: 75 });
  });

  test("a value that no key opens → is named and left, and the former key is not forgotten", async () => {
    await make(processVault(), "good", "x");
    const bad = await make(processVault(), "bad", "x");
    await sql`update muster.profile set spec = replace(spec::text, ${idOf(1)}, '00000000000000ff')::jsonb where id = ${bad}`.execute(world.store.db);
    const { vault, rotation } = await turnTo(2);
    expect(await resealAll(world.store, vault, rotation)).toMatchObject({ values: 1, left: [{ profileId: bad, values: 1 }] });
    expect(formerChecks(await checkNow()).map(keyIdOf)).toEqual([idOf(1)]);
  });
});

describe("beside a rotation", () => {
  test("a create that has sealed and not committed → the new key waits for it, and the pass finds it", async () => {
    const { db } = world.store;
    const sealed = createGate();
    const holding = db.transaction().execute(async (tx) => {
      await sql`select secret_check from muster.installation for share`.execute(tx);
      await sealed.pass();
    });
    await sealed.reached;
    let turned = false;
    const turning = turnTo(2).then((done) => {
      turned = true;
      return done;
    });
    try {
      await untilLocked(world, "installation.lock_key");
      expect(turned).toBe(false);
    } finally {
      sealed.open();
    }
    await Promise.all([holding, turning]);
  });

  test("a process that has the new key nowhere → its create fails, and nothing is sealed with the former one", async () => {
    await turnTo(2);
    await expect(make(createVault([key(1)]), "late", "x")).rejects.toThrow(/sealed with the key/);
    expect(await sealedBy()).toEqual({});
  });

  test("a call repeated under its idempotency key after the rotation → the same answer, from any process; another input → refused", async () => {
    const old = processVault();
    const id = await make(old, "once", "x", "k-1");
    const { vault, rotation } = await turnTo(2);
    await resealAll(world.store, vault, rotation);
    expect(await make(processVault(), "once", "x", "k-1")).toBe(id);
    expect(await make(createVault(kept), "once", "x", "k-1")).toBe(id);
    expect(
      refusalOf(await createProfile(contextOf(old), { name: "once", type: "secretive", spec: { password: "y" }, idempotencyKey: "k-1" })),
    ).toMatchObject({
      reason: "KEY_REUSED",
    });
    // After one mutation a process notes under the new key alone: the former one may go.
    await make(old, "second", "x", "k-2");
    const third = await make(old, "third", "x", "k-3");
    expect(await make(createVault([key(2)]), "third", "x", "k-3")).toBe(third);
  });

  test("masks read before it → keep the secret in a revision after it; others do not", async () => {
    const read = async (id: ProfileId): Promise<JsonObject> => (await getProfilesByIds(world.store.db, world.projectId, [id]))[0]?.spec ?? {};
    const id = await make(processVault(), "masked", "the secret");
    const before = await read(id);
    const { vault, rotation } = await turnTo(2);
    await resealAll(world.store, vault, rotation);
    expect((await read(id))["password"]).not.toEqual(before["password"]);
    const revised = valueOf(await reviseProfile(contextOf(vault), { profile: { name: "masked" }, spec: before })).profileId;
    const [row] = await readProfileSpecs(world.store.db, [revised]);
    expect(openSpec(createVault([key(2)]), revised, row?.spec ?? {})["password"]).toBe("the secret");
    expect(refusalOf(await reviseProfile(contextOf(vault), { profile: { name: "masked" }, spec: before })).kind).toBe("InvalidInput");
  });
});
