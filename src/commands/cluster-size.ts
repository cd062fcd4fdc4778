/** The size of a cluster: resized, scaled out, scaled in. Accepted while earlier wishes are still being carried out. */
import { type AskedResize, type CapacityChange, decideResize } from "../core/cluster.ts";
import { type InputIssue, invalidInput, type Result } from "../core/errors.ts";
import type { Json } from "../core/json.ts";
import { admit, type ClusterAction, type CommandContext, mutate, reviveClusterAction } from "./command.ts";
import type { CapacityInput, Optional, ResizeClusterInput, ScaleClusterInput } from "./input.ts";
import { keyOf, lockNamedCluster, notNull } from "./lookup.ts";
import { lockForQuota } from "./quota.ts";
import { resizeInTurn } from "./resize-together.ts";
import { wishSize } from "./size-wish.ts";

/** `exactly` replaces what was wished before; `by` and `byPercent` start from what is wanted at that moment and replace nothing. */
export async function resizeCluster(context: CommandContext, input: ResizeClusterInput): Promise<Result<ClusterAction>> {
  const capacity = capacityChange(input.capacity);
  const given = capacity !== null || input.minSize !== undefined || input.maxSize !== undefined;
  const issues: InputIssue[] = [
    ...notNull({ ...input }, ["minSize"]),
    ...(given ? [] : [{ path: ["capacity"], message: "must be given, or minSize, or maxSize" }]),
  ];
  const mutation = { name: "resizeCluster", needs: "MEMBER", input, issues, revive: reviveClusterAction } as const;
  const asked: AskedResize = {
    capacity,
    minStep: input.minStep ?? null,
    minSize: input.minSize ?? undefined,
    maxSize: input.maxSize,
    strict: input.strict,
  };
  const inputs: Record<string, Json> = { strict: input.strict };
  if (capacity !== null) inputs["capacity"] = { ...capacity };
  if (input.minStep != null) inputs["minStep"] = input.minStep;
  if (input.minSize != null) inputs["minSize"] = input.minSize;
  if (input.maxSize !== undefined) inputs["maxSize"] = input.maxSize;
  const relative = capacity === null || !("exactly" in capacity);
  const alone = (): Promise<Result<ClusterAction>> =>
    mutate(context, mutation, async (work) => {
      const project = await lockForQuota(work, context);
      if (!project.ok) return project;
      const locked = await lockNamedCluster(work, context, input);
      if (!locked.ok) return locked;
      const decided = decideResize(locked.value, asked);
      if (!decided.ok) return invalidInput(decided.issues);
      return wishSize(work, context, project.value, locked.value, { kind: "CLUSTER_RESIZE", inputs, next: decided.value, relative });
    });
  const key = keyOf("cluster", input.cluster);
  if (relative || key === null) return alone();
  const admitted = admit(context, mutation);
  if (!admitted.ok) return admitted;
  return resizeInTurn({ context, key, input, asked, inputs, use: admitted.value, alone });
}

export async function scaleOutCluster(context: CommandContext, input: ScaleClusterInput): Promise<Result<ClusterAction>> {
  return scale(context, "scaleOutCluster", input, 1);
}

export async function scaleInCluster(context: CommandContext, input: ScaleClusterInput): Promise<Result<ClusterAction>> {
  return scale(context, "scaleInCluster", input, -1);
}

async function scale(
  context: CommandContext,
  name: "scaleOutCluster" | "scaleInCluster",
  input: ScaleClusterInput,
  sign: 1 | -1,
): Promise<Result<ClusterAction>> {
  const count = input.count ?? 1;
  const issues = count < 1 ? [{ path: ["count"], message: "must be at least 1" }] : [];
  return mutate(context, { name, needs: "MEMBER", input, issues, revive: reviveClusterAction }, async (work) => {
    const project = await lockForQuota(work, context);
    if (!project.ok) return project;
    const locked = await lockNamedCluster(work, context, input);
    if (!locked.ok) return locked;
    const cluster = locked.value;
    const decided = decideResize(cluster, { capacity: { by: sign * count }, minStep: null, minSize: undefined, maxSize: undefined, strict: true });
    if (!decided.ok) return invalidInput(decided.issues.map((issue) => ({ ...issue, path: ["count"] })));
    const kind = sign > 0 ? "CLUSTER_SCALE_OUT" : "CLUSTER_SCALE_IN";
    return wishSize(work, context, project.value, cluster, { kind, inputs: { count }, next: decided.value, relative: true });
  });
}

function capacityChange(input: Optional<CapacityInput>): CapacityChange | null {
  if (input == null) return null;
  if (input.exactly != null) return { exactly: input.exactly };
  if (input.by != null) return { by: input.by };
  if (input.byPercent != null) return { byPercent: input.byPercent };
  return null;
}
