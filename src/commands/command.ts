/**
 * What every command is handed, and the way it goes: role, then one transaction that begins with the idempotency key and is rolled
 * back when the command refuses. A refusal leaves nothing behind, its key included.
 */

import { textIssues } from "../core/document.ts";
import { type InputIssue, type Refusal, type Result, refused } from "../core/errors.ts";
import type { ActionId, ClusterId, NodeId } from "../core/ids.ts";
import { brandId } from "../core/ids.ts";
import { canonicalJson, type Json, type JsonObject } from "../core/json.ts";
import type { Limits } from "../core/limits.ts";
import { mayAct, type Principal, type Role } from "../core/principal.ts";
import type { DriverCatalog } from "../drivers/driver.ts";
import { violatedUnique } from "../store/failure.ts";
import { claimKey, type KeyUse, keepPayload } from "../store/idempotency.ts";
import type { ProjectLock } from "../store/project.ts";
import { type Store, type Tx, transaction } from "../store/transaction.ts";
import { keyIdOf, type Vault } from "../store/vault.ts";
import type { Keyed } from "./input.ts";

/** Who may make profiles whose members are commands run on our own hosts: a list names projects. */
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

/** The ids a mutation answers with: what an idempotency key remembers. */
type Ids = Readonly<Record<string, string>>;

export interface Mutation<Value extends Ids> {
  /** As the schema calls it. */
  readonly name: string;
  readonly needs: Role;
  readonly input: Keyed;
  /** What is wrong with the input by itself. All of it is told together. */
  readonly issues: readonly InputIssue[];
  /** Reads the kept ids back. */
  readonly revive: (ids: Ids) => Value;
}

/** One mutation's transaction, as its work sees it. */
export interface Work {
  readonly tx: Tx;
  /** How the project is locked where something is to be counted against its quota. */
  readonly projectLock: ProjectLock;
  /** Has this called after the commit, e.g. a wake-up. */
  onCommit(call: () => void): void;
}

/**
 * Runs a mutation: checks the role, claims the key, does the work, commits.
 * @throws operational errors only; whatever a caller can act on is a refusal
 */
export async function mutate<Value extends Ids>(
  context: CommandContext,
  mutation: Mutation<Value>,
  work: (work: Work) => Promise<Result<Value>>,
): Promise<Result<Value>> {
  const admitted = admit(context, mutation);
  if (!admitted.ok) return admitted;
  const use = admitted.value;
  const attempt = async (projectLock: ProjectLock, tries: number): Promise<Result<Value>> => {
    const calls: (() => void)[] = [];
    try {
      const done = await transaction<Result<Value>>(context.store, async (tx) => {
        calls.length = 0;
        if (use !== null) {
          const claim = await claimKey(tx.db, use);
          if (claim === "reused") throw new Refused(keyReused);
          if ("payload" in claim) return { ok: true, value: mutation.revive(texts(claim.payload)) };
          // So that one mutation after the secret key was changed, nothing is noted under the former one any more.
          if (claim.secretCheck !== null) context.vault.follow(keyIdOf(claim.secretCheck));
        }
        const result = await work({ tx, projectLock, onCommit: (call) => void calls.push(call) });
        if (!result.ok) throw new Refused(result.refusal);
        if (use !== null) await keepPayload(tx.db, use, result.value);
        return result;
      });
      for (const call of calls) call();
      return done;
    } catch (error) {
      if (error instanceof Refused) return refused(error.refusal);
      // Near a limit they go one by one.
      if (error instanceof NeedsExclusiveProject && projectLock === "shared") return attempt("exclusive", tries);
      // Somebody else took a name in the meantime, or a place: seen from the start, this time, it is a conflict like any other.
      if ((error instanceof Outrun || violatedUnique(error) !== null) && tries > 1) return attempt(projectLock, tries - 1);
      throw error;
    }
  };
  return attempt("shared", 3);
}

/** Whether a mutation may begin: by role, and by its input alone. What its idempotency key stands for, where it has one. */
export function admit(context: CommandContext, mutation: Omit<Mutation<Ids>, "revive">): Result<KeyUse | null> {
  if (!mayAct(context.principal.role, mutation.needs)) return forbidden(mutation.needs);
  const key = mutation.input.idempotencyKey;
  const issues = [...mutation.issues, ...(typeof key === "string" ? keyIssues(key) : [])];
  if (issues.length > 0) return refused({ kind: "InvalidInput", issues });
  return { ok: true, value: typeof key === "string" ? keyUse(context, mutation, key) : null };
}

/** Rolls the transaction back and carries the refusal past it. Never leaves this folder. */
class Refused extends Error {
  readonly refusal: Refusal;
  constructor(refusal: Refusal) {
    super(`refused: ${refusal.kind}`);
    this.refusal = refusal;
  }
}

/** Thrown where a request comes too near a quota to be counted beside others: the mutation starts again with the project to itself. */
export class NeedsExclusiveProject extends Error {
  override readonly name = "NeedsExclusiveProject";
}

/** Thrown where something is not any more as it was found, and the mutation's locks do not hold it: it starts again. */
export class Outrun extends Error {
  override readonly name = "Outrun";
}

const keyReused: Refusal = {
  kind: "Conflict",
  reason: "KEY_REUSED",
  message: "This idempotency key was used for something else.",
  path: ["idempotencyKey"],
};

export function forbidden(needs: Role): { readonly ok: false; readonly refusal: Refusal } {
  return refused({ kind: "Forbidden", needs, message: `This takes the role ${needs}.` });
}

function keyIssues(key: string): InputIssue[] {
  const path = ["idempotencyKey"];
  return key.length === 0 ? [{ path, message: "must not be empty" }] : textIssues(key, path, 255);
}

function keyUse(context: CommandContext, mutation: Pick<Mutation<Ids>, "name" | "input">, key: string): KeyUse {
  const { idempotencyKey: _, ...input } = mutation.input;
  const text = canonicalJson({ mutation: mutation.name, input: plainJson(input) });
  return {
    projectId: context.principal.projectId,
    key,
    mutation: mutation.name,
    inputHmac: Buffer.from(context.vault.hmac("idempotency", text), "hex"),
    knownHmacs: context.vault.hmacs("idempotency", text).map((hmac) => Buffer.from(hmac, "hex")),
  };
}

/** An input as JSON: dates as ISO texts, absent fields left out (null is something else than absent). */
function plainJson(value: unknown): Json {
  if (value === null || typeof value === "boolean" || typeof value === "number" || typeof value === "string") return value;
  if (value instanceof Date) return value.toISOString();
  if (Array.isArray(value)) return value.map(plainJson);
  if (typeof value !== "object") return null;
  return Object.fromEntries(
    Object.entries(value)
      .filter(([, item]) => item !== undefined)
      .map(([key, item]) => [key, plainJson(item)]),
  );
}

function texts(payload: JsonObject): Ids {
  return Object.fromEntries(Object.entries(payload).map(([key, value]) => [key, String(value)]));
}

// The shapes mutations answer with.

export type ClusterAction = { readonly clusterId: ClusterId; readonly actionId: ActionId };
export type NodeAction = { readonly nodeId: NodeId; readonly actionId: ActionId };
export type Deleted = { readonly deletedId: string };

export function reviveClusterAction(ids: Ids): ClusterAction {
  return { clusterId: brandId("cluster", ids["clusterId"] ?? ""), actionId: brandId("action", ids["actionId"] ?? "") };
}
export function reviveNodeAction(ids: Ids): NodeAction {
  return { nodeId: brandId("node", ids["nodeId"] ?? ""), actionId: brandId("action", ids["actionId"] ?? "") };
}
export function reviveDeleted(ids: Ids): Deleted {
  return { deletedId: ids["deletedId"] ?? "" };
}

/** Who asked, as an action shows it. */
export function initiatorOf(principal: Principal): string {
  return `token:${principal.tokenName}`;
}
