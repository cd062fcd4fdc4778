/** Statements that are on the server: waiting for them, and telling who waits for whom. */
import type { Line } from "./line.ts";

/** Statements after which a transaction holds its locks no longer. */
export const letsGo: ReadonlySet<string> = new Set(["commit", "rollback"]);

/** A real pause, for the server to get on. */
export function aMoment(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 1));
}

/** Until all that run are answered, or so long that somebody may be waiting for a lock. */
export async function answeredOrAMoment(lines: readonly Line[]): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const moment = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, 2);
  });
  await Promise.race([moment, Promise.all(lines.map((line) => (line.request?.state === "running" ? line.request.settled : null)))]);
  clearTimeout(timer);
}

/** True where everybody waits in a ring: PostgreSQL ends one of them by itself. */
export function deadlocked(lines: readonly Line[], blockers: ReadonlyMap<number, readonly number[]>): boolean {
  const waiting = new Map(lines.map((line) => [line.backend?.pid ?? 0, blockers.get(line.backend?.pid ?? 0) ?? []]));
  const inRing = (start: number): boolean => {
    const seen = new Set<number>();
    const stack = [...(waiting.get(start) ?? [])];
    for (let pid = stack.pop(); pid !== undefined; pid = stack.pop()) {
      if (pid === start) return true;
      if (seen.has(pid)) continue;
      seen.add(pid);
      stack.push(...(waiting.get(pid) ?? []));
    }
    return false;
  };
  return [...waiting.keys()].some(inRing);
}
