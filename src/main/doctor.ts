/** `muster doctor`: looks at everything Muster stands on, says what is wrong and what to do about it. Changes nothing. */
import { accessSync, constants, existsSync, statSync } from "node:fs";
import { createServer } from "node:net";
import { processUnavailable } from "../drivers/process/host.ts";
import { formerChecks, readInstallation } from "../store/installation.ts";
import { countPartitionsAhead, partitionsAhead } from "../store/ledger-partition.ts";
import { schemaState } from "../store/migrate.ts";
import { countWaitingMarkers, hasRoom, readOpenTransactions, readServerFacts, readWorkerFacts, type ServerFacts } from "../store/server.ts";
import type { Store } from "../store/transaction.ts";
import { createVault, keyIdOf } from "../store/vault.ts";
import { Complaint, sentenceOf, systemCode } from "./complaint.ts";
import { type Config, readConfig } from "./config.ts";
import { connectionsOf } from "./connections.ts";
import { adminTokenFile, secretKeyFile, storedSecretKeys } from "./data-folder.ts";
import { findDatabase, withStore } from "./database.ts";
import { nameOfDatabase, objectionsTo, schemaObjection } from "./database-complaint.ts";
import { checkDirect } from "./direct.ts";
import { currentOwner } from "./owner-lock.ts";
import { readState } from "./postgres-place.ts";
import { realRuntime } from "./runtime.ts";
import { checkSecretKey } from "./secret-key.ts";
import { processMode } from "./start.ts";
import { musterVersion } from "./version.ts";

type Verdict = "good" | "note" | "wrong";
interface Finding {
  readonly verdict: Verdict;
  readonly subject: string;
  readonly sentence: string;
}
type Say = (verdict: Verdict, subject: string, sentence: string) => void;

/** A worker that is silent for so long is not there, ms. */
const silentMs = 5_000;
/** Clocks that differ by more make logs hard to read; order never depends on them, ms. */
const skewMs = 2_000;
/** How long the program on our port may take to answer, ms. */
const answerMs = 2_000;
const jsonHeaders = { "content-type": "application/json" };
/** A transaction that is open for so long, ms, or while so many others began, is worth a note. */
const oldTransactionMs = 300_000;
const oldTransactionAge = 100_000;
/** What a running sequencer leaves waiting at most, for a moment. */
const waitingMarkers = 1_000;

const marks: Record<Verdict, string> = { good: "ok   ", note: "note ", wrong: "WRONG" };

/** @returns the exit code: 1 where something is wrong */
export async function runDoctor(): Promise<number> {
  process.title = "muster doctor";
  const findings: Finding[] = [];
  const say: Say = (verdict, subject, sentence) => {
    findings.push({ verdict, subject, sentence });
    process.stdout.write(`${marks[verdict]} ${subject.padEnd(12)} ${sentence.replaceAll("\n", `\n${" ".repeat(19)}`)}\n`);
  };
  checkNode(say);
  const config = checkSettings(say);
  if (config !== null) {
    const running = checkFolder(config, say);
    await checkPort(config, say);
    checkProcesses(config, say);
    await checkDatabase(config, running, say);
  }
  const wrong = findings.filter(({ verdict }) => verdict === "wrong").length;
  process.stdout.write(wrong === 0 ? "All is well.\n" : `${wrong === 1 ? "One thing is" : `${wrong} things are`} wrong.\n`);
  return wrong === 0 ? 0 : 1;
}

function checkNode(say: Say): void {
  const [major = 0, minor = 0] = process.versions.node.split(".").map(Number);
  const good = major > 20 || (major === 20 && minor >= 19);
  say(good ? "good" : "wrong", "program", `Muster ${musterVersion()} on Node.js ${process.versions.node}${good ? "" : "; it needs 20.19 or newer"}`);
}

function checkSettings(say: Say): Config | null {
  try {
    const { config, warnings, exposed } = readConfig();
    say("good", "settings", "can be read");
    for (const warning of warnings) say("note", "settings", warning);
    for (const name of exposed) {
      say(
        "note",
        "settings",
        `${name} stands in the environment, where other processes of this user can read it. ${name}_FILE names a file instead.`,
      );
    }
    return config;
  } catch (error) {
    say("wrong", "settings", sentenceOf(error));
    return null;
  }
}

/** Returns whether a Muster runs on the folder. */
function checkFolder({ data, adminToken }: Config, say: Say): boolean {
  if (!existsSync(data)) {
    say("note", "data folder", `${data} does not exist yet; the first start makes it`);
    return false;
  }
  try {
    accessSync(data, constants.R_OK | constants.W_OK | constants.X_OK);
    say("good", "data folder", data);
  } catch (error) {
    say("wrong", "data folder", `${data} cannot be used by this user: ${sentenceOf(error)}`);
    return false;
  }
  for (const file of [adminTokenFile(data), secretKeyFile(data)]) {
    const mode = statSync(file, { throwIfNoEntry: false })?.mode ?? 0;
    if ((mode & 0o077) !== 0) say("wrong", "data folder", `${file} can be read by other users: chmod 600 it`);
  }
  if (adminToken === null && !existsSync(adminTokenFile(data)))
    say("note", "token", "there is no admin-token file here; `muster token create --local` makes a token if all are lost");
  const owner = currentOwner(data);
  say(
    "good",
    "owner",
    owner === null ? "no `muster start` runs on this folder" : `${owner.command} (process ${owner.pid}) has run since ${owner.since}`,
  );
  return owner !== null;
}

async function checkPort({ host, port }: Config, say: Say): Promise<void> {
  const error = await listenError(host, port);
  if (error === null) say("good", "port", `${host}:${port} is free`);
  else if (systemCode(error) === "EADDRINUSE" && (await musterAnswers(host, port))) say("good", "port", `Muster's API answers on ${host}:${port}`);
  else say("wrong", "port", `the API cannot listen on ${host}:${port}: ${error.message}. Set MUSTER_HOST and MUSTER_PORT`);
}

function listenError(host: string, port: number): Promise<Error | null> {
  return new Promise((resolve) => {
    const probe = createServer();
    probe.once("error", resolve);
    probe.listen({ host, port }, () => probe.close(() => resolve(null)));
  });
}

/** Asked without a token, Muster's API says whose token it wants; no other program does. */
async function musterAnswers(host: string, port: number): Promise<boolean> {
  try {
    const url = `http://${host.includes(":") ? `[${host}]` : host}:${port}/graphql`;
    const response = await fetch(url, { method: "POST", body: "{}", headers: jsonHeaders, signal: AbortSignal.timeout(answerMs) });
    await response.body?.cancel();
    return response.headers.get("www-authenticate") === 'Bearer realm="muster"';
  } catch {
    // Another program, of another protocol, or one that says nothing.
    return false;
  }
}

function checkProcesses(config: Config, say: Say): void {
  const reason = processUnavailable(config.environment.PATH);
  if (reason !== null) {
    say("note", "processes", `members of the type process cannot run here: ${reason}`);
    return;
  }
  const mode = processMode(config);
  const why = config.process === null ? "MUSTER_PROCESS is not set" : "MUSTER_PROCESS says so";
  if (mode === "off") say("note", "processes", `members of the type process could run here, but are off (${why})`);
  else say("good", "processes", `members of the type process can run here: ${mode} (${why})`);
}

async function checkDatabase(config: Config, running: boolean, say: Say): Promise<void> {
  let url: string;
  try {
    url = findDatabase(config);
  } catch (error) {
    const embedded = readState(config.data);
    if (running) say("wrong", "database", sentenceOf(error));
    else
      say(
        "note",
        "database",
        embedded === null
          ? "the embedded PostgreSQL is made by the first start"
          : `the embedded PostgreSQL in ${embedded.folder} does not run; start Muster to have it checked`,
      );
    return;
  }
  try {
    await withStore(url, realRuntime(), (store) => checkServer(store, url, config, say));
  } catch (error) {
    say("wrong", "database", error instanceof Complaint ? error.message : `${nameOfDatabase(url)}: ${sentenceOf(error)}`);
  }
}

async function checkServer(store: Store, url: string, config: Config, say: Say): Promise<void> {
  const facts = await readServerFacts(store.db);
  const objections = objectionsTo(facts);
  for (const objection of objections) say("wrong", "database", objection);
  if (objections.length === 0)
    say("good", "database", `PostgreSQL ${facts.version} at ${nameOfDatabase(url)}, as ${facts.role}${facts.encrypted ? ", encrypted" : ""}`);
  checkDurability(facts, config, say);
  const state = await schemaState(store.db);
  const objection = schemaObjection(state, url);
  say(objection === null ? "good" : "wrong", "schema", objection ?? "is this version's");
  if (!(await hasRoom(store.db))) say("wrong", "database", "its disk is full: nothing can be changed until there is room");
  await checkTransactions(store, say);
  if (state === "current") await checkSessions(store, url, config, say);
  if (state === "current") await checkInstallation(store, config, nameOfDatabase(url), say);
}

function checkDurability(facts: ServerFacts, config: Config, say: Say): void {
  if (facts.fsync !== "on") say("wrong", "database", "fsync is off: a crash can lose what was promised. Turn it on");
  if (facts.synchronousCommit === "off") say("wrong", "database", "synchronous_commit is off: a crash can lose what was promised. Turn it on");
  if (facts.superuser && config.databaseUrl !== null) say("note", "database", `${facts.role} is a superuser; Muster needs none`);
  const skew = Math.abs(Date.now() - facts.nowMs);
  say(
    skew > skewMs ? "note" : "good",
    "clocks",
    `this machine's and PostgreSQL's differ by ${Math.round(skew)} ms${skew > skewMs ? ": let both follow the same time server" : ""}`,
  );
  const free = facts.maxConnections - facts.connections;
  const wanted = connectionsOf(config.workers);
  if (free < wanted)
    say(
      "note",
      "database",
      `${free} of ${facts.maxConnections} connections are free; an API process and ${config.workers} workers may take ${wanted}`,
    );
}

/** @param url past any pooler, as the store is */
async function checkSessions(store: Store, url: string, { databaseUrl }: Config, say: Say): Promise<void> {
  if (databaseUrl === null || databaseUrl === url) {
    await checkDirect(url, store.db, (await readInstallation(store.db)).id);
    return say("good", "sessions", "reach the server itself");
  }
  const { id } = await withStore(databaseUrl, store.runtime, ({ db }) => readInstallation(db), { pooler: true });
  await checkDirect(url, store.db, id);
  say("good", "sessions", `reach the server itself, past the pooler at ${nameOfDatabase(databaseUrl)}`);
}

async function checkInstallation(store: Store, config: Config, database: string, say: Say): Promise<void> {
  await checkKeys(store, config, database, say);
  const workers = await readWorkerFacts(store.db);
  for (const worker of workers) {
    const silent = worker.silentMs > silentMs;
    const what = `process ${worker.pid} on ${worker.host}, ${worker.lanes} lanes${worker.draining ? ", draining" : ""}`;
    say(
      silent ? "wrong" : "good",
      "worker",
      silent ? `${what}: silent for ${Math.round(worker.silentMs / 1000)} s. Is it frozen, or cut off from the database?` : what,
    );
  }
  if (workers.length === 0) say("note", "worker", "there is none: what is wanted is noted down, and nothing is done about it");
  const waiting = await countWaitingMarkers(store.db);
  const stuck = waiting > waitingMarkers || (waiting > 0 && workers.length === 0);
  say(
    stuck ? "wrong" : "good",
    "ledger",
    stuck ? `${waiting} transactions wait for a position: no worker or API process follows the ledger` : "is followed",
  );
  const ahead = await countPartitionsAhead(store.db);
  if (ahead < partitionsAhead)
    say(
      ahead === 0 ? "wrong" : "note",
      "ledger",
      `${ahead} of ${partitionsAhead} partitions are ahead: once the present one is full nothing can be written without. Workers and API processes make them; do they say why not?`,
    );
}

/** Never wrong: everything goes on. But tables grow meanwhile. */
async function checkTransactions(store: Store, say: Say): Promise<void> {
  const old = (await readOpenTransactions(store.db)).filter(({ ms, age }) => (ms ?? 0) > oldTransactionMs || age > oldTransactionAge);
  for (const { ms, age, whose } of old) {
    const since = ms === null ? "" : `for ${Math.round(ms / 60_000)} minutes, `;
    say(
      "note",
      "database",
      `a transaction is open ${since}while ${age} others began (${whose}): until it ends, vacuum removes nothing that it might see`,
    );
  }
}

async function checkKeys(store: Store, config: Config, database: string, say: Say): Promise<void> {
  const { secretCheck } = await readInstallation(store.db);
  try {
    const keys = config.secretKeys ?? storedSecretKeys(config.data);
    if (keys === null) {
      if (secretCheck === null) say("note", "secret key", "is made by the first start");
      else say("wrong", "secret key", "is not here: bring the file secret-key, or set MUSTER_SECRET_KEY");
      return;
    }
    const vault = createVault(keys);
    if (secretCheck !== null) {
      await checkSecretKey(store.db, vault, database);
      const former = formerChecks(secretCheck).length;
      if (former > 0)
        say("note", "secret key", "was changed, and values may still be sealed with a former one: `muster secrets rotate` goes on with it");
      else if (vault.keyIds()[0] !== keyIdOf(secretCheck))
        say("note", "secret key", "is not the first of those here: `muster secrets rotate` seals everything with that one");
    }
    const others = vault.keyIds().length - 1;
    say(
      "good",
      "secret key",
      `opens this database's secrets${others === 0 ? "" : `; ${others === 1 ? "one more is" : `${others} more are`} known here`}`,
    );
  } catch (error) {
    say("wrong", "secret key", sentenceOf(error));
  }
}
