/** Says what in `schema/schema.graphql` would break clients of the last release (the newest git tag), and fails when something does. */
import { execFileSync, spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { CriticalityLevel, diff } from "@graphql-inspector/core";
import { buildSchema } from "graphql";

const path = "schema/schema.graphql";

/** The newest tag that this commit descends from, or null where there is none (or no repository at all). */
function lastTag(): string | null {
  const { status, stdout } = spawnSync("git", ["describe", "--tags", "--abbrev=0"], { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] });
  return status === 0 ? stdout.trim() : null;
}

/** A file as a tag has it, or null where it has none. */
function readAt(tag: string): string | null {
  const listed = execFileSync("git", ["ls-tree", "--name-only", tag, "--", path], { encoding: "utf8" });
  return listed.trim() === "" ? null : execFileSync("git", ["show", `${tag}:${path}`], { encoding: "utf8", maxBuffer: 64 * 1024 * 1024 });
}

const tag = lastTag();
const before = tag === null ? null : readAt(tag);
if (before === null) {
  console.log(
    tag === null
      ? "No release is tagged yet: there is nothing that the schema could break."
      : `${tag} has no ${path}: there is nothing that it could break.`,
  );
} else {
  const changes = await diff(buildSchema(before), buildSchema(readFileSync(path, "utf8")));
  const breaking = changes.filter((change) => change.criticality.level === CriticalityLevel.Breaking);
  for (const change of breaking) console.error(`breaks clients of ${tag}: ${change.message}`);
  if (breaking.length > 0) process.exitCode = 1;
  else console.log(`${changes.length} changes of the schema since ${tag}, none of which breaks clients.`);
}
