/** This program's version, from its package.json: beside src/ in the sources, above dist/ once built. */
import { existsSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { z } from "zod";

const manifestShape = z.object({ name: z.literal("muster"), version: z.string() });

export function musterVersion(): string {
  return manifestShape.parse(JSON.parse(readFileSync(`${packageFolder()}/package.json`, "utf8"))).version;
}

/** The folder that holds package.json, examples/ and schema/. */
export function packageFolder(): string {
  for (const up of ["../..", "../../.."]) {
    const folder = fileURLToPath(new URL(up, import.meta.url)).replace(/\/$/, "");
    if (existsSync(`${folder}/package.json`)) return folder;
  }
  throw new Error("Muster's package.json is missing");
}
