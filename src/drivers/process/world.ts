/** What the parts of the `process` driver share: handed in once, by `index.ts`. */
import { resolve } from "node:path";
import type { DriverDeps, DriverNode } from "../driver.ts";
import type { ProcessTable } from "./liveness.ts";
import type { ProcessSpec } from "./spec.ts";
import type { StateFolder } from "./state.ts";
import { fill, literalPart, templateValues } from "./template.ts";

/** The only variables of our own environment that a member gets. */
export interface BaseEnvironment {
  readonly PATH: string;
  readonly HOME?: string | undefined;
  readonly LANG?: string | undefined;
  readonly TMPDIR?: string | undefined;
}

export interface FolderWatch {
  close(): void;
}

/** Tells of every file that is written in a folder. Throws, or tells `onError`, where the system has no more of these to give. */
export type WatchFolder = (path: string, onFile: (file: string) => void, onError: (error: Error) => void) => FolderWatch;

export interface ProcessWorld extends DriverDeps {
  readonly state: StateFolder;
  readonly incarnation: string;
  readonly table: ProcessTable;
  readonly watchFolder: WatchFolder;
  readonly hostName: string | null;
  readonly environment: BaseEnvironment;
  /** Where members run whose spec does not say. */
  readonly cwd: string;
  readonly tools: { readonly sh: string; readonly env: string; readonly setsid: string };
  /** A member that ends within so many ms of its start was not made. */
  readonly settleMs: number;
  readonly sweepMs: number;
  readonly maxLogBytes: number;
}

/** A spec with its placeholders filled in, for one life of one node. */
export interface Rendered {
  readonly command: readonly string[];
  readonly environment: Readonly<Record<string, string>>;
  readonly cwd: string;
  /** Values that must not be repeated in messages. */
  readonly secrets: readonly string[];
}

export function render(world: ProcessWorld, node: DriverNode, spec: ProcessSpec, ports: ReadonlyMap<string, number>): Rendered {
  const values = templateValues(node, ports);
  const environment: Record<string, string> = {};
  const { PATH, HOME, LANG, TMPDIR } = world.environment;
  for (const [name, value] of Object.entries({ PATH, HOME, LANG, TMPDIR })) if (value !== undefined) environment[name] = value;
  for (const [name, value] of [...Object.entries(spec.publicEnv), ...Object.entries(spec.env)]) environment[name] = fill(value, values);
  return {
    command: spec.command.map((word) => fill(word, values)),
    environment,
    cwd: spec.cwd === null ? world.cwd : resolve(world.cwd, fill(spec.cwd, values)),
    // A value that is nothing but a port or a name is no secret, and would blot out what people need to read.
    secrets: Object.values(spec.env)
      .filter((value) => literalPart(value).trim() !== "")
      .map((value) => fill(value, values)),
  };
}

export function renderCommand(node: DriverNode, command: readonly string[], ports: ReadonlyMap<string, number>): readonly string[] {
  const values = templateValues(node, ports);
  return command.map((word) => fill(word, values));
}
