/** Rules of the house that no linter knows. Prints each breach with its file and line; fails when there is one. */
import { execFileSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { basename } from "node:path";

interface Rule {
  readonly why: string;
  /** Which files it is about. */
  readonly files: RegExp;
  readonly except?: RegExp;
  /** What the text must not match. */
  readonly line: RegExp;
}

const rules: readonly Rule[] = [
  {
    why: "a suppression hides what it should fix",
    files: /\.ts$/,
    line: /@ts-(?:ignore|expect-error|nocheck)|biome-ignore|eslint-disable|v8 ignore/,
  },
  { why: "a cast through unknown silences the compiler", files: /^(?:src|test|bench|scripts)\/.*\.ts$/, line: /\bas unknown as\b|\bas never\b/ },
  {
    why: "time, timers and randomness are values handed in (core/runtime.ts); main alone binds them",
    files: /^src\/(?!main\/|cli\/).*\.ts$/,
    // The vault's nonces must never repeat, also in a simulation.
    except: /^src\/store\/vault\.ts$/,
    line: /\bDate\.now\(|\bnew Date\(\)|\bMath\.random\(|(?<!\.)\bsetTimeout\(|\bsetInterval\(|\bperformance\.now\(|\brandomUUID\(|\brandomBytes\(/,
  },
  { why: "the environment is read in one place", files: /^src\/(?!main\/config\.ts|cli\/).*\.ts$/, line: /\bprocess\.env\b/ },
  {
    why: "every statement has a name: /* noun.verb */",
    files: /^src\/.*\.ts$/,
    line: /\bawait sql(?:<[^`]*>)?`\s*(?:select|insert|update|delete|with)\b/i,
  },
  {
    why: "only store knows SQL",
    files: /^src\/(?!store\/).*\.ts$/,
    line: /\bsql(?:<[^`]*>)?`|\.selectFrom\(|\.insertInto\(|\.updateTable\(|\.deleteFrom\(/,
  },
  { why: "no test is skipped, alone or still to be written", files: /\.test\.ts$/, line: /\b(?:test|it|describe)\.(?:skip|only|todo|skipIf)\b/ },
  { why: "a test waits for what it waits for, never for a time", files: /\.test\.ts$/, line: /\bsetTimeout\(|setTimeout\b.*timers\/promises/ },
];

const emptyNames = /^(?:utils?|helpers?|lib|common|managers?|types)\.ts$/;

const files = execFileSync("git", ["ls-files", "-co", "--exclude-standard"], { encoding: "utf8" })
  .split("\n")
  .filter((file) => file.endsWith(".ts") && existsSync(file) && !file.includes("/generated/"));
const breaches: string[] = [];
for (const file of files) {
  if (emptyNames.test(basename(file))) breaches.push(`${file}: a name that says nothing`);
  if (file === "scripts/convention.ts") continue;
  const text = readFileSync(file, "utf8");
  if (/^(?:src|scripts|bench|migrations)\//.test(file) && !/^(?:#!.*\n)?\s*\/\*\*/.test(text))
    breaches.push(`${file}:1: a file opens with what it owns`);
  const matching = rules.filter((rule) => rule.files.test(file) && rule.except?.test(file) !== true);
  for (const rule of matching) {
    for (const match of text.matchAll(new RegExp(rule.line, `g${rule.line.flags}`))) {
      const before = text.slice(0, match.index).split("\n");
      breaches.push(`${file}:${before.length}: ${rule.why}\n    ${text.split("\n")[before.length - 1]?.trim()}`);
    }
  }
}
for (const breach of breaches) console.error(breach);
if (breaches.length > 0) process.exitCode = 1;
console.log(`${files.length} files, ${breaches.length} breaches`);
