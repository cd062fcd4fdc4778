/** Starts the server of a run whose tests failed again, so that its databases can be looked into; Ctrl-C stops it and removes the folder. */
import { rmSync } from "node:fs";
import { join } from "node:path";
import { reopenPostgres } from "./postgres.ts";

const [, , folder] = process.argv;
if (folder === undefined) throw new Error("which folder?");
rmSync(join(folder, "keep"), { force: true });
const server = await reopenPostgres(folder);
console.log(server.url("postgres"));
process.stdin.resume();
