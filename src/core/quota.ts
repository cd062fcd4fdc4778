/** Quotas: how much one project may hold. Pure; counting what is used is the store's, under the project's lock. */
import type { InputIssue } from "./errors.ts";
import type { Json, JsonObject } from "./json.ts";

export const quotaNames = ["clusters", "nodes", "profiles", "tokens"] as const;
export type QuotaName = (typeof quotaNames)[number];

/** null: no limit. */
export type Quota = Readonly<Record<QuotaName, number | null>>;
export type QuotaUse = Readonly<Record<QuotaName, number>>;

/** What a project may hold unless an OPERATOR says otherwise. `nodes` counts what clusters want, and nodes without a cluster. */
export const defaultQuota: Quota = { clusters: 10_000, nodes: 2_000_000, profiles: 10_000, tokens: 1_000 };

/** A project's quota from what is stored: the defaults, but for what was set. */
export function quotaOf(stored: JsonObject): Quota {
  const of = (name: QuotaName): number | null => {
    const value: Json | undefined = stored[name];
    return value === null || typeof value === "number" ? value : defaultQuota[name];
  };
  return { clusters: of("clusters"), nodes: of("nodes"), profiles: of("profiles"), tokens: of("tokens") };
}

function isQuotaName(name: string): name is QuotaName {
  return Object.hasOwn(defaultQuota, name);
}

/** Whether so much more fits. Giving back always does, also above the limit. */
export function fitsQuota(limit: number | null, used: number, requested: number): boolean {
  return limit === null || requested <= 0 || used + requested <= limit;
}

/**
 * Whether a request is so small and so far from the limit that many may pass side by side: as long as fewer than 500 of them are
 * under way at once, all of them together stay below it. The others go one by one.
 */
export function fitsSideBySide(limit: number | null, used: number, requested: number): boolean {
  return limit === null || requested <= 0 || (used + requested <= limit / 2 && requested <= limit / 1_000);
}

/** What is wrong with a change of quotas. */
export function quotaIssues(
  changes: readonly { readonly quota: string; readonly limit?: number | null | undefined }[],
  path: readonly string[],
): InputIssue[] {
  const issues: InputIssue[] = [];
  const seen = new Set<string>();
  changes.forEach((change, at) => {
    const here = [...path, String(at)];
    if (!isQuotaName(change.quota)) issues.push({ path: [...here, "quota"], message: `must be one of ${quotaNames.join(", ")}` });
    else if (seen.has(change.quota)) issues.push({ path: [...here, "quota"], message: "is given twice" });
    seen.add(change.quota);
    if (typeof change.limit === "number" && change.limit < 0) issues.push({ path: [...here, "limit"], message: "must not be negative" });
  });
  return issues;
}
