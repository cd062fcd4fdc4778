/**
 * The first token of an installation, and tokens made straight on the database: without a principal, because whoever may do this
 * holds the database itself. Any number of processes may ask at once; one makes it.
 */
import { brandId, encodeId, type ProjectId } from "../core/ids.ts";
import type { Role } from "../core/principal.ts";
import { findFirstProject, findTokenByHash, isOperatorThere, listTokensNamed, lockFirstToken } from "../store/first-token.ts";
import { findProjectByName } from "../store/project.ts";
import { hashTokenSecret, insertToken, revokeTokenRow } from "../store/token.ts";
import { type Store, type Tx, transaction } from "../store/transaction.ts";

/** The name of the token that the settings name. */
const configuredName = "admin";
const firstName = "first";

/** Makes sure that the token the settings name works; an earlier one of the settings' stops working. */
export async function ensureConfiguredToken(store: Store, secret: string): Promise<"made" | "there" | "revoked"> {
  return transaction(store, async (tx) => {
    await lockFirstToken(tx.db);
    const projectId = await findFirstProject(tx.db);
    const known = await findTokenByHash(tx.db, hashTokenSecret(secret));
    if (known !== null) return known;
    await revokeNamed(tx, projectId, configuredName);
    await addToken(store, tx, { projectId, name: configuredName, role: "OPERATOR", secret });
    return "made";
  });
}

/**
 * Where no token of the role OPERATOR lives, makes one. `keep` stores the secret for people before the transaction commits: a
 * token that nobody knows would lock everybody out.
 */
export async function ensureFirstToken(store: Store, secret: string, keep: () => void): Promise<"made" | "there"> {
  return transaction(store, async (tx) => {
    await lockFirstToken(tx.db);
    const projectId = await findFirstProject(tx.db);
    if (await isOperatorThere(tx.db)) return "there";
    keep();
    await revokeNamed(tx, projectId, firstName);
    await addToken(store, tx, { projectId, name: firstName, role: "OPERATOR", secret });
    return "made";
  });
}

/** Makes a token on the database itself. False: there is no such project. */
export async function createLocalToken(
  store: Store,
  token: { readonly project: string; readonly name: string; readonly role: Role; readonly secret: string },
): Promise<boolean> {
  return transaction(store, async (tx) => {
    const project = await findProjectByName(tx.db, token.project);
    if (project === null) return false;
    await addToken(store, tx, { ...token, projectId: project.id });
    return true;
  });
}

async function revokeNamed(tx: Tx, projectId: ProjectId, name: string): Promise<void> {
  for (const id of await listTokensNamed(tx.db, projectId, name)) {
    await revokeTokenRow(tx.db, id, await tx.now());
    tx.events.push({ type: "token.revoked", projectId, data: { tokenId: encodeId("token", id), name } });
  }
}

async function addToken(
  store: Store,
  tx: Tx,
  token: { readonly projectId: ProjectId; readonly name: string; readonly role: Role; readonly secret: string },
): Promise<void> {
  const { projectId, name, role, secret } = token;
  const id = brandId("token", store.runtime.entropy.uuid());
  await insertToken(tx.db, { id, projectId, name, role, hash: hashTokenSecret(secret), expiresAt: null, now: await tx.now() });
  tx.events.push({ type: "token.created", projectId, data: { tokenId: encodeId("token", id), name, role } });
}
