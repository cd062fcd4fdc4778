/**
 * What every command is handed, and the way it goes: role, then one transaction that begins with the idempotency key, ends with
 * the ledger's marker, and is rolled back when the command refuses. A refusal leaves nothing behind, its key included.
 */
import { sql } from "kysely";
import { accepted, type InputIssue, invalidInput, type Refusal, type Result, refused } from "../core/errors.ts";
import { canonicalJson, type Json, type JsonObject } from "../core/json.ts";
import type { Limits } from "../core/limits.ts";
import { mayAct, type Principal, type Role } from "../core/principal.ts";
import type { ProjectRules } from "../core/quota.ts";
import type { DriverCatalog } from "../drivers/driver.ts";
import { claimKey, keepPayload } from "../store/idempotency.ts";
import { lockProject } from "../store/project.ts";
import { type Store, type Tx, transaction } from "../store/transaction.ts";
import type { Vault } from "../store/vault.ts";
import type { Optional } from "./input.ts";

/** Who may make profiles whose members are commands run on our own hosts (DESIGN.md §8): a list names projects. */
export interface ProcessPolicy {
  readonly mode: "off" | "on" | readonly string[];
}

export interface CommandContext {
  readonly store: Store;
  readonly principal: Principal;
  readonly drivers: DriverCatalog;
  readonly vault: Vault;
  readonly limits: Limits;
  readonly processPolicy: ProcessPolicy;
}
