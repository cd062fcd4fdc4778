/** What can go wrong, and how: the stage throws the dice at each step of a war. */
import type { SimulatedProcess } from "./process.ts";
import type { Stage } from "./stage.ts";

/** before: what waits never reaches the server. after: it does, its answer does not come back. later: it may, while the process knows already. */
export const cutModes = ["before", "after", "later"] as const;

export async function strike(stage: Stage): Promise<void> {
  const alive = stage.processes.filter((process) => process.alive);
  if (alive.length === 0) return;
  const process = stage.dice.pick(alive);
  const kind = stage.dice.below(100);
  if (kind < 6) await endLead(stage);
  else if (kind < 30) {
    const lines = stage.lines.filter((line) => !line.lost && !line.closed && line.process.alive);
    const busy = lines.filter((line) => line.inTransaction || line.request !== null);
    if (lines.length > 0)
      await stage.cut(stage.dice.pick(busy.length > 0 && stage.dice.chance(0.7) ? busy : lines), stage.dice.pick(cutModes), "connection");
  } else if (kind < 50) await freeze(stage, process, stage.dice.pick([300, 1_200, 2_500, 6_500, 12_000]) * (0.5 + stage.dice.fraction()));
  else if (kind < 65) stall(stage, process);
  else if (kind < 80) await kill(stage, process);
  else if (kind < 88) await cutOff(stage, process, stage.dice.between(100, 6_000));
  else if (kind < 97) process.weight = stage.dice.pick([1, 1, 0.05, 10]);
  else await restartServer(stage);
}

/** The sequencer loses its session, while somebody else is in the midst of a transaction for long: its number is passed over by the one, and is late for the next. */
async function endLead(stage: Stage): Promise<void> {
  const leader = stage.lines.find((line) => line.channels.has("muster_ledger") && !line.lost && !line.closed);
  if (leader === undefined) return;
  await stage.cut(leader, stage.dice.pick(cutModes), "the sequencer's");
  const writing = stage.lines.filter((line) => line.inTransaction && !line.lost && line.process.alive);
  if (writing.length > 0) stall(stage, stage.dice.pick(writing).process);
}

function stall(stage: Stage, process: SimulatedProcess): void {
  stage.say("stall", process.name);
  process.stalledUntilMs = stage.nowMs + stage.dice.between(50, 3_000);
  stage.in(process.stalledUntilMs - stage.nowMs, () => undefined);
}

/** Nothing in it moves; what it had sent may still reach the server. */
async function freeze(stage: Stage, process: SimulatedProcess, ms: number): Promise<void> {
  stage.say("freeze", process.name, ms.toFixed(0));
  process.frozenUntilMs = stage.nowMs + ms;
  stage.in(ms, () => undefined);
  for (const line of stage.lines.filter((each) => each.process === process && each.request?.state === "waiting" && !each.lost)) {
    if (stage.dice.chance(0.5)) await stage.run(line);
  }
}

async function kill(stage: Stage, process: SimulatedProcess): Promise<void> {
  stage.say("kill", process.name);
  process.die();
  stage.processes = stage.processes.filter((each) => each !== process);
  for (const line of stage.lines.filter((each) => each.process === process)) await stage.cut(line, stage.dice.pick(cutModes), "of the dead");
  stage.onKilled(process);
}

async function cutOff(stage: Stage, process: SimulatedProcess, ms: number): Promise<void> {
  stage.say("cut off", process.name, ms.toFixed(0));
  process.unreachableUntilMs = stage.nowMs + ms;
  for (const line of stage.lines.filter((each) => each.process === process && !each.lost))
    await stage.cut(line, stage.dice.pick(cutModes), "cut off");
}

/** Every connection breaks at once; what was being committed may or may not have been. */
async function restartServer(stage: Stage): Promise<void> {
  stage.say("restart of the server", "server");
  for (const line of [...stage.lines]) await stage.cut(line, stage.dice.pick(["before", "after"]), "restart");
  await stage.server.setBirth((stage.nowMs + 86_400_000) * 1_000);
}
