#!/usr/bin/env node
/** The program. Says what there is to run; each command's work is in a file of its own. */
import { Command, Option } from "commander";
import { runAsChild } from "./child.ts";
import { Complaint, Interrupted } from "./complaint.ts";
import { readConfig } from "./config.ts";
import { musterVersion } from "./version.ts";

function program(): Command {
  const muster = new Command("muster").description("Say what a group of like machines should be, and watch it stay so.").version(musterVersion());
  muster.exitOverride((exit) => {
    process.exit(exit.exitCode);
  });
  muster
    .command("start")
    .description("everything on this machine: PostgreSQL (unless DATABASE_URL is set), migrations, the API, workers")
    .option("--demo", "make a cluster of five small servers and show it live; its data is in $MUSTER_DATA/demo, emptied first")
    .action(async ({ demo }: { demo?: true }) => {
      if (demo === true) finish(await (await import("./demo.ts")).runDemo(settings()));
      else finish(await (await import("./start-command.ts")).runStart(settings()));
    });
  muster
    .command("api")
    .description("one API process, on the database that DATABASE_URL names")
    .action(async () => finish(await (await single()).runPart("api", settings())));
  muster
    .command("worker")
    .description("one worker, on the database that DATABASE_URL names")
    .action(async () => finish(await (await single()).runPart("worker", settings())));
  muster
    .command("migrate")
    .description("bring the database to this version, and end")
    .action(async () => finish(await (await single()).runMigrate(settings())));
  muster
    .command("doctor")
    .description("check everything, and say what is wrong and what to do about it")
    .action(async () => finish(await (await import("./doctor.ts")).runDoctor()));
  const token = muster.command("token").description("API tokens");
  token
    .command("create")
    .description("make a token straight on the database, for when all are lost; prints its secret")
    .requiredOption("--local", "work on the database itself")
    .option("--project <name>", "the project it belongs to", "default")
    .option("--name <name>", "what it is called in lists", `local-${new Date().toISOString().slice(0, 19).replaceAll(":", "")}`)
    .addOption(new Option("--role <role>", "what it may do").choices(["READER", "MEMBER", "ADMIN", "OPERATOR"]).default("OPERATOR"))
    .action(async (options: { project: string; name: string; role: string }) => finish(await (await single()).runTokenCreate(settings(), options)));
  muster
    .command("secrets")
    .description("secrets at rest")
    .command("rotate")
    .description("seal all secrets with another key, while everything runs; says when the former one may go")
    .action(async () => finish(await (await import("./secrets-command.ts")).runSecretsRotate(settings())));
  muster
    .command("watch <cluster>")
    .description("a cluster's members and events, live; MUSTER_URL and MUSTER_TOKEN say where and as whom")
    .action(async (cluster: string) => finish(await (await import("./watch-command.ts")).runWatch(settings(), cluster)));
  muster.command("part", { hidden: true }).action(() => runAsChild());
  return muster;
}

/** Loaded when asked for: the supervisor and each part hold only what they need in memory. */
function single(): Promise<typeof import("./single.ts")> {
  return import("./single.ts");
}

function settings(): ReturnType<typeof readConfig>["config"] {
  const { config, warnings } = readConfig();
  for (const warning of warnings) process.stderr.write(`muster: ${warning}\n`);
  return config;
}

/** Nothing may hold the process up that is not worth waiting for: an idle socket, a timer of a library. */
function finish(code: number): void {
  process.exit(code);
}

function fail(error: unknown): never {
  if (error instanceof Interrupted) process.exit(0);
  if (error instanceof Complaint) process.stderr.write(`muster: ${error.message}\n`);
  else
    process.stderr.write(
      `muster: This is a bug in Muster, please report it.\n${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`,
    );
  process.exit(1);
}

process.on("uncaughtException", fail);
program().parseAsync().catch(fail);
