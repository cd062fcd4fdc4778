/** `muster watch`: a cluster of any Muster, live in the terminal. A client of the API like any other. */
import { ApiError, connect } from "../cli/client.ts";
import { openDisplay } from "../cli/display.ts";
import { ClusterDocument, FeedCursorDocument } from "../cli/graphql/generated/graphql.ts";
import { watchCluster } from "../cli/watch.ts";
import { Complaint, sentenceOf } from "./complaint.ts";
import type { Config } from "./config.ts";
import { adminTokenFile } from "./data-folder.ts";
import { readIfThere } from "./private-file.ts";
import { realRuntime } from "./runtime.ts";
import { listenForStop } from "./stop-signal.ts";

/** Runs until Ctrl-C, or until the cluster is gone. @throws Complaint also where the token is refused meanwhile */
export async function runWatch(config: Config, cluster: string): Promise<number> {
  process.title = "muster watch";
  const stop = listenForStop();
  const url = config.clientUrl ?? `http://${config.host.includes(":") ? `[${config.host}]` : config.host}:${config.port}`;
  const token = config.clientToken ?? readIfThere(adminTokenFile(config.data))?.trim();
  if (token === undefined) throw new Complaint(`A token is needed: set MUSTER_TOKEN, or MUSTER_DATA to a folder that holds admin-token.`);
  const client = connect({ url, token });
  try {
    const { feedCursor: after } = await client.request(FeedCursorDocument, {});
    const found = await client.request(ClusterDocument, { by: { name: cluster }, first: 1, lastEvents: 1 });
    if (found.cluster === null) throw new Complaint(`There is no cluster ${cluster}.`);
    const display = openDisplay(process.stdout);
    const calm = "Ctrl-C ends the watching, and nothing else.";
    display.hint(calm);
    const onAway = (reason: string | null): void =>
      display.hint(reason === null ? calm : `${url} is away (${reason}); it is asked again until it answers. ${calm}`);
    const { timers } = realRuntime();
    try {
      await watchCluster({ client, display, cluster, after, timers, signal: stop.asked, onCluster: () => undefined, onAway });
    } finally {
      display.close();
    }
    return 0;
  } catch (error) {
    // fetch says of a server that is away that it failed, and why only in the cause.
    if (error instanceof TypeError)
      throw new Complaint(`Nothing answers at ${url}: ${sentenceOf(error.cause ?? error)}. Is Muster running? MUSTER_URL says where.`);
    if (error instanceof ApiError) throw new Complaint(`${url} answered: ${error.message}`);
    throw error;
  } finally {
    await client.close();
  }
}
