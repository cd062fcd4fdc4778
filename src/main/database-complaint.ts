/** What is wrong with a database, as a sentence that says what to do. Passwords never appear: only server and database are named. */
import pg from "pg";
import { ConnectionLost, PoolerBetween, sqlState } from "../store/failure.ts";
import type { SchemaState } from "../store/migrate.ts";
import type { ServerFacts } from "../store/server.ts";
import { Complaint, sentenceOf, systemCode } from "./complaint.ts";

/** The oldest major version whose features the statements use. */
const oldestMajor = 15;

/** `db.example.org:5432/muster` */
export function nameOfDatabase(url: string): string {
  const { host, port, database } = new pg.Client({ connectionString: url });
  return `${host}:${port}/${database ?? ""}`;
}

const bySystemCode: Readonly<Record<string, string>> = {
  ECONNREFUSED: "nothing listens there. Is PostgreSQL running, and is the port right?",
  ENOTFOUND: "there is no host of that name.",
  EAI_AGAIN: "the host's name could not be looked up just now.",
  ETIMEDOUT: "it does not answer. Is a firewall in between?",
  EHOSTUNREACH: "there is no way to that host.",
  ENETUNREACH: "there is no way to that network.",
  ECONNRESET: "it closed the connection. Does it ask for TLS (sslmode=verify-full)?",
  DEPTH_ZERO_SELF_SIGNED_CERT: "its certificate is signed by itself: name its authority with sslmode=verify-full&sslrootcert=/path/to/ca.pem.",
  SELF_SIGNED_CERT_IN_CHAIN: "its certificate's authority is not known: name it with sslrootcert=/path/to/ca.pem.",
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: "its certificate's authority is not known: name it with sslrootcert=/path/to/ca.pem.",
  ERR_TLS_CERT_ALTNAME_INVALID: "its certificate is for another name.",
  CERT_HAS_EXPIRED: "its certificate has expired.",
};

const bySqlState: Readonly<Record<string, string>> = {
  "28P01": "the password is wrong.",
  "28000": "this role may not connect from here (pg_hba.conf), or it does not exist.",
  "3D000": "there is no such database: create it first.",
  "42501": "the role lacks a right: `grant create on database … to …`, or an own schema: `create schema muster authorization …`.",
  "53300": "all its connections are taken (max_connections).",
  "08P01": "a pooler answers there (PgBouncer?), and refuses us. Let MUSTER_DIRECT_URL name the server itself as well.",
  "57P03": "it is starting or stopping; try again in a moment.",
};

/** The complaint that an operational failure amounts to; null for what is a bug. */
export function complaintAbout(error: unknown, url: string): Complaint | null {
  if (error instanceof Complaint) return error;
  const why = reasonOf(error);
  return why === null ? null : new Complaint(`The database ${nameOfDatabase(url)} cannot be used: ${why}`, { cause: error });
}

function reasonOf(error: unknown): string | null {
  if (error instanceof PoolerBetween)
    return "a pooler stands between, where session locks and LISTEN do not pass. Let MUSTER_DIRECT_URL name the server itself.";
  if (error instanceof ConnectionLost) return reasonOf(error.cause) ?? `${sentenceOf(error.cause)}.`;
  // Node tries every address of a name, and fails with all their failures.
  if (error instanceof AggregateError) return reasonOf(error.errors[0]);
  const state = sqlState(error);
  if (state !== undefined) return bySqlState[state] ?? null;
  const code = systemCode(error);
  if (code !== null) return bySystemCode[code] ?? `${sentenceOf(error)}.`;
  return null;
}

/** What speaks against this server, apart from its schema. */
export function objectionsTo(facts: ServerFacts): string[] {
  const objections: string[] = [];
  if (facts.versionNumber < oldestMajor * 10_000) objections.push(`It is PostgreSQL ${facts.version}; Muster needs ${oldestMajor} or newer.`);
  if (facts.inRecovery) objections.push("It is a standby, where nothing can be written: name the primary.");
  if (facts.encoding !== "UTF8") objections.push(`Its encoding is ${facts.encoding}: create the database with encoding UTF8.`);
  if (!facts.schemaThere && !facts.mayCreateSchema) {
    objections.push(
      `The role ${facts.role} may not make the schema muster: \`grant create on database ${facts.database} to ${facts.role}\`, or \`create schema muster authorization ${facts.role}\`.`,
    );
  }
  if (facts.schemaThere && !facts.ownsSchema)
    objections.push(`The role ${facts.role} may make nothing in the schema muster: \`alter schema muster owner to ${facts.role}\`.`);
  return objections;
}

/** What a process that does not migrate says to a database of another age, or null where all is well. */
export function schemaObjection(state: SchemaState, url: string): string | null {
  const name = nameOfDatabase(url);
  switch (state) {
    case "current":
      return null;
    case "unmigrated":
      return `The database ${name} holds no Muster yet. Run \`muster migrate\` once (or \`muster start\`).`;
    case "behind":
      return `The database ${name} was made by an older Muster. Run \`muster migrate\` once; older processes may go on meanwhile, unless the changelog says otherwise.`;
    case "newer":
      return `The database ${name} was migrated by a newer Muster, and this one does not know its tables. Use that version.`;
  }
}
