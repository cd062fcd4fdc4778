/** What tests of commands ask again and again. */
import { expect } from "vitest";
import { createCluster } from "../../src/commands/cluster.ts";
import type { CommandContext } from "../../src/commands/command.ts";
import type { CreateClusterInput } from "../../src/commands/input.ts";
import { createProfile } from "../../src/commands/profile.ts";
import type { Refusal, Result } from "../../src/core/errors.ts";
import { type ActionId, type ClusterId, encodeId, type ProfileId } from "../../src/core/ids.ts";
import { type ActionRow, getActionsByIds } from "../../src/store/action.ts";
import { type ClusterRow, getClustersByIds } from "../../src/store/cluster.ts";

/** What a command that must succeed answered. */
export function valueOf<T>(result: Result<T>): T {
  if (!result.ok) throw new Error(`refused: ${JSON.stringify(result.refusal)}`);
  return result.value;
}

/** What a command that must refuse said. */
export function refusalOf(result: Result<unknown>): Refusal {
  if (result.ok) throw new Error(`accepted: ${JSON.stringify(result.value)}`);
  return result.refusal;
}

/** The paths and messages of an InvalidInput. */
export function issuesOf(result: Result<unknown>): string[] {
  const refusal = refusalOf(result);
  if (refusal.kind !== "InvalidInput") throw new Error(`refused as ${JSON.stringify(refusal)}`);
  return refusal.issues.map(({ path, message }) => `${path.join(".")}: ${message}`);
}

export async function clusterNow(context: CommandContext, id: ClusterId): Promise<ClusterRow> {
  const [row] = await getClustersByIds(context.store.db, context.principal.projectId, [id]);
  if (row === undefined) throw new Error("the cluster is gone");
  return row;
}

export async function actionNow(context: CommandContext, id: ActionId): Promise<ActionRow> {
  const [row] = await getActionsByIds(context.store.db, context.principal.projectId, [id]);
  if (row === undefined) throw new Error("the action is gone");
  return row;
}

/** A profile of type `sim`. */
export async function aProfile(context: CommandContext, name: string): Promise<ProfileId> {
  return valueOf(await createProfile(context, { name, type: "sim", spec: {} })).profileId;
}

/** A cluster of a profile; what is not said has the schema's defaults. */
export async function aCluster(context: CommandContext, profileId: ProfileId, wanted: Partial<CreateClusterInput> & { readonly name: string }) {
  const input = { minSize: 0, timeoutSeconds: 3_600, profile: { id: encodeId("profile", profileId) }, ...wanted };
  return valueOf(await createCluster(context, input));
}

/** Byte for byte the same before and after: a refusal leaves nothing behind. */
export async function expectUnchanged(context: CommandContext, act: () => Promise<unknown>): Promise<void> {
  const before = await tableCounts(context);
  await act();
  expect(await tableCounts(context)).toEqual(before);
}

async function tableCounts({ store: { db } }: CommandContext): Promise<Record<string, bigint>> {
  const counts: Record<string, bigint> = {};
  for (const table of ["cluster", "profile", "node", "task", "action", "event", "token", "project", "idempotency_key"] as const) {
    const row = await db
      .selectFrom(`muster.${table}`)
      .select((e) => e.fn.countAll<bigint>().as("n"))
      .executeTakeFirstOrThrow();
    counts[table] = row.n;
  }
  return counts;
}
