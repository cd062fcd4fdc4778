/** What a node printed, by way of its driver. */
import type { NodeRow } from "../store/node.ts";
import type { ApiContext } from "./context.ts";
import { badInput } from "./problem.ts";

const mostLines = 1_000;

/** null: the driver keeps no output, or there is none where this process can read it. */
export async function readNodeLog(context: ApiContext, node: NodeRow, lastLines: number): Promise<string[] | null> {
  if (lastLines < 1 || lastLines > mostLines) throw badInput(`\`lastLines\` must be from 1 to ${mostLines}.`);
  const profile = await context.loaders.profiles.load(node.profileId);
  const driver = profile === null ? undefined : context.deps.drivers.get(profile.type);
  const lines = await driver?.readLog?.({ id: node.id, epoch: node.epoch, hostId: node.hostId }, lastLines);
  return lines == null ? null : [...lines];
}
