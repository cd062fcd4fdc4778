/** Profiles as drivers need them: type and spec, secrets still sealed. Revisions are immutable, so a bounded cache needs no doubt. */
import type { ProfileId } from "../core/ids.ts";
import type { JsonObject } from "../core/json.ts";
import type { Driver, DriverCatalog, ProbePlan } from "../drivers/driver.ts";
import type { Database } from "../store/database.ts";
import { readProfileSpecs } from "../store/profile-spec.ts";
import { openSpec, type Vault } from "../store/vault.ts";

export interface KnownProfile {
  readonly driver: Driver;
  readonly sealed: JsonObject;
  readonly probe: ProbePlan | null;
  /** Longest that a call about a member may take, ms. */
  readonly timeoutMs: number;
  /** The spec with its secrets opened: for the length of one driver call, never kept. */
  open(): JsonObject;
}

export interface SpecCache {
  /** Profiles by id; those whose type this worker does not know, or that are gone, are missing. */
  get(db: Database, ids: readonly ProfileId[]): Promise<ReadonlyMap<ProfileId, KnownProfile>>;
}

/** Profiles kept at most. */
const capacity = 1_000;

export function createSpecCache(deps: { readonly drivers: DriverCatalog; readonly vault: Vault }): SpecCache {
  const known = new Map<ProfileId, KnownProfile>();
  return {
    get: async (db, ids) => {
      const missing = [...new Set(ids)].filter((id) => !known.has(id));
      for (const row of missing.length === 0 ? [] : await readProfileSpecs(db, missing)) {
        const driver = deps.drivers.get(row.type);
        if (driver === undefined) continue;
        if (known.size >= capacity) known.clear();
        known.set(row.id, {
          driver,
          sealed: row.spec,
          probe: driver.probePlan(row.spec),
          timeoutMs: driver.timeoutMs(row.spec),
          open: () => openSpec(deps.vault, row.id, row.spec),
        });
      }
      const found = new Map<ProfileId, KnownProfile>();
      for (const id of ids) {
        const profile = known.get(id);
        if (profile !== undefined) found.set(id, profile);
      }
      return found;
    },
  };
}
