/** Finding programs as `execvp` does. */
import { accessSync, constants, statSync } from "node:fs";
import { isAbsolute, join, resolve } from "node:path";

/** Where the few programs of the shim stand on any system, whatever PATH says. */
export const standardPath = "/usr/bin:/bin:/usr/sbin:/sbin";

/** A program of the system, or null. */
export function findTool(name: string, path: string): string | null {
  return findProgram(name, `${path}:${standardPath}`, "/");
}

/** The file that running `name` in `cwd` with this PATH would start, or null. */
export function findProgram(name: string, path: string, cwd: string): string | null {
  if (name.includes("/")) {
    const file = isAbsolute(name) ? name : resolve(cwd, name);
    return isExecutable(file) ? file : null;
  }
  for (const folder of path.split(":")) {
    const file = join(isAbsolute(folder) ? folder : resolve(cwd, folder), name);
    if (isExecutable(file)) return file;
  }
  return null;
}

function isExecutable(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return statSync(file).isFile();
  } catch {
    return false;
  }
}

export function isFolder(path: string): boolean {
  try {
    return statSync(path).isDirectory();
  } catch {
    return false;
  }
}
