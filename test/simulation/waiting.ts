/** Statements that are on the server: waiting for them, telling who waits for whom, and who goes on first. */
import { setImmediate as turn } from "node:timers/promises";
import type { Line } from "./line.ts";
import type { Stage } from "./stage.ts";

/** Statements after which a transaction holds its locks no longer. */
export const letsGo: ReadonlySet<string> = new Set(["commit", "rollback"]);
/** What a server's time-out is set to, ms. */
const lockTimeoutMs = 5_000;
/** Whether its statement is on the server, unanswered. */
const isOut = ({ request }: Line): boolean => request?.state === "running" || request?.state === "blocked";

/** A real pause, for the server to get on. */
function aMoment(): Promise<void> {
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
function deadlocked(lines: readonly Line[], blockers: ReadonlyMap<number, readonly number[]>): boolean {
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

/**
 * Until every statement on the server is answered, or waits for a lock that somebody idle holds. Who waits is held, so that of those who are given
 * their locks by one COMMIT, one at a time goes on, in the order in which they came: who is first is no race.
 */
export async function settle(stage: Stage): Promise<void> {
  for (;;) {
    const out = stage.lines.filter(isOut);
    if (out.length === 0) return;
    await answeredOrAMoment(out.filter((line) => line.request?.state === "running"));
    const left = out.filter(isOut);
    if (left.length === 0) continue;
    const blockers = await stage.server.blockers(left.map((line) => line.backend?.pid ?? 0));
    await turn();
    const waiting = left.filter((line) => (blockers.get(line.backend?.pid ?? 0) ?? []).length > 0);
    for (const line of waiting) block(stage, line);
    const going = left.filter((line) => isOut(line) && !waiting.includes(line));
    if (going.some((line) => line.request?.state === "running")) continue;
    const [first] = going.sort((a, b) => (a.request?.blockedAs ?? 0) - (b.request?.blockedAs ?? 0));
    if (first?.request != null) {
      first.request.state = "running";
      first.backend?.go();
      continue;
    }
    if (deadlocked(waiting, blockers))
      stage.violate(`a deadlock: ${waiting.map((line) => `${line.process.name} at ${line.request?.name}`).join(", ")}`);
    if (waiting.length === left.length) return;
  }
}

function block(stage: Stage, line: Line): void {
  const { request } = line;
  if (request === null || request.state !== "running") return;
  line.backend?.hold();
  request.state = "blocked";
  const as = stage.nextOrder();
  request.blockedAs = as;
  stage.in(lockTimeoutMs, async () => {
    if (request.state !== "blocked" || request.blockedAs !== as || line.backend === null) return;
    await stage.server.cancel(line.backend);
    await untilAnswered(line);
    stage.trace.note(stage.nowMs, line.process.name, `${line.number} ${request.name}`, "lock timeout");
    await settle(stage);
  });
}

export async function untilAnswered(line: Line): Promise<void> {
  while (line.request?.state === "running" || line.request?.state === "blocked") await aMoment();
}
