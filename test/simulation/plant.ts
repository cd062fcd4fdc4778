/** Planting a bug: a copy of the sources with one change, simulated in a process of its own. */
import { spawn } from "node:child_process";
import { cpSync, mkdtempSync, readFileSync, realpathSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Bug } from "./bugs.ts";

const root = fileURLToPath(new URL("../../", import.meta.url));

export interface Hunt {
  /** The first seed that found it; null: none did. */
  readonly seed: number | null;
  /** By what it was found. */
  readonly violation: string;
}

/** The file's text with the bug in it. @throws when the text to be replaced is not there exactly once */
export function planted({ file, find, replace }: Bug["patches"][number]): string {
  const text = readFileSync(join(root, file), "utf8");
  const parts = text.split(find);
  if (parts.length !== 2) throw new Error(`${file} has ${parts.length - 1} times: ${find}`);
  return parts.join(replace);
}

/** Simulates seeds over planted sources until one finds the bug. */
export async function hunt(bug: Bug, options: { readonly from: number; readonly seeds: number }): Promise<Hunt> {
  const folder = mkdtempSync(join(tmpdir(), `muster-${bug.name}-`));
  try {
    for (const part of ["src", "migrations", "test", "package.json", "tsconfig.json"])
      cpSync(join(root, part), join(folder, part), { recursive: true });
    symlinkSync(realpathSync(join(root, "node_modules")), join(folder, "node_modules"));
    // Two changes of one file build on each other.
    const texts = new Map<string, string>();
    for (const { file, find, replace } of bug.patches) {
      planted({ file, find, replace });
      texts.set(file, (texts.get(file) ?? readFileSync(join(root, file), "utf8")).split(find).join(replace));
    }
    for (const [file, text] of texts) writeFileSync(join(folder, file), text);
    const said = await run(folder, ["--jobs", "1", "--from", String(options.from), "--seeds", String(options.seeds)]);
    const found = /^seed (\d+) FAILED:\n\s*(.*)$/m.exec(said);
    if (found === null && !said.includes(`${options.seeds} seeds in`)) throw new Error(`${bug.name}: ${said.slice(-2_000)}`);
    return { seed: found === null ? null : Number(found[1]), violation: found?.[2] ?? "" };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function run(folder: string, args: readonly string[]): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, ["--import", "tsx", "test/simulation/main.ts", ...args], {
      cwd: folder,
      stdio: ["ignore", "pipe", "pipe"],
    });
    let said = "";
    child.stdout.on("data", (data) => (said += String(data)));
    child.stderr.on("data", (data) => (said += String(data)));
    child.once("error", reject);
    child.once("close", () => resolve(said));
  });
}
