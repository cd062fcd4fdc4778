/** What every resolver is handed: who asks, with what, until when, and the loaders that batch its reads. */
import type { CommandContext, ProcessPolicy } from "../commands/command.ts";
import type { Limits } from "../core/limits.ts";
import type { Principal } from "../core/principal.ts";
import type { DriverCatalog } from "../drivers/driver.ts";
import type { Feed } from "../live/feed.ts";
import type { Store } from "../store/transaction.ts";
import type { Vault } from "../store/vault.ts";
import { createLoaders, type Loaders } from "./loaders.ts";

/** What the API stands on; one per process. */
export interface ApiDeps {
  readonly store: Store;
  readonly feed: Feed;
  readonly drivers: DriverCatalog;
  readonly vault: Vault;
  readonly limits: Limits;
  readonly processPolicy: ProcessPolicy;
}

/** One per operation. */
export interface ApiContext {
  readonly deps: ApiDeps;
  readonly principal: Principal;
  readonly requestId: string;
  /** Aborted when the client is gone or the operation has run for too long. */
  readonly signal: AbortSignal;
  /** Batched reads; what was read once is not read again. */
  readonly loaders: Loaders;
  /** The largest page here: smaller in streams that read their object again and again. */
  readonly pageSize: number;
  /** Forgets what was read: after a mutation, and before each frame of a stream. */
  forget(): void;
  /** From here on this is a stream that reads its object anew with every frame. */
  goLive(): void;
}

export function createContext(deps: ApiDeps, principal: Principal, requestId: string, signal: AbortSignal): ApiContext {
  let loaders: Loaders | null = null;
  let pageSize = deps.limits.pageSize;
  return {
    deps,
    principal,
    requestId,
    signal,
    // Made when first asked for: most frames of a stream read nothing.
    get loaders() {
      loaders ??= createLoaders(deps, principal);
      return loaders;
    },
    get pageSize() {
      return pageSize;
    },
    forget: () => {
      loaders = null;
    },
    goLive: () => {
      pageSize = deps.limits.livePageSize;
    },
  };
}

/** What a command is run with, on behalf of this caller. */
export function commandContext({ deps, principal }: ApiContext): CommandContext {
  const { store, drivers, vault, limits, processPolicy } = deps;
  return { store, principal, drivers, vault, limits, processPolicy };
}
