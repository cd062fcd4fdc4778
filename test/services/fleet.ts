/** An installation with real members (`sleep`), as its API shows it and as this machine's processes show it. */
import { type ApiClient, connect } from "../../src/cli/client.ts";
import {
  ActionsDocument,
  ClusterDocument,
  CreateClusterDocument,
  CreateProfileDocument,
  ResizeClusterDocument,
} from "../../src/cli/graphql/generated/graphql.ts";
import { refusalIn } from "../../src/cli/refusal.ts";
import { runningIn, type TestInstallation, until } from "../support/installation.ts";

export interface Fleet {
  readonly client: ApiClient;
  /** Makes the cluster `web`. */
  make(size: number): Promise<void>;
  /** Asks until the API takes it; what was asked is done once. */
  resize(size: number): Promise<void>;
  /** Until exactly so many members are there, and known to be. */
  settled(size: number): Promise<void>;
  /** Their processes. */
  members(): number[];
  failures(): Promise<readonly unknown[]>;
}

export function openFleet(folder: string, at: TestInstallation): Fleet {
  const client = connect({ url: at.url, token: at.token });
  const members = (): number[] => runningIn(folder).flatMap(({ title, pid }) => (/^sleep 98765/.test(title) ? [pid] : []));
  const accepted = (answer: object): true => {
    const refusal = refusalIn(answer);
    if (refusal !== null) throw new Error(refusal);
    return true;
  };
  return {
    client,
    members,
    make: async (desiredCapacity) => {
      const input = { name: "web", type: "process", spec: { command: ["sleep", "98765"] } };
      accepted((await client.request(CreateProfileDocument, { input })).createProfile);
      const cluster = { name: "web", profile: { name: "web" }, desiredCapacity, minSize: 0, timeoutSeconds: 600 };
      accepted((await client.request(CreateClusterDocument, { input: cluster })).createCluster);
    },
    resize: async (size) => {
      const input = { cluster: { name: "web" }, capacity: { exactly: size }, idempotencyKey: `to ${size}` };
      // What answers may be away just now.
      const answer = await until(() => client.request(ResizeClusterDocument, { input }).catch(() => null));
      accepted(answer.resizeCluster);
    },
    settled: async (size) => {
      await until(async () => {
        try {
          const { cluster } = await client.request(ClusterDocument, { by: { name: "web" }, first: 1 });
          if (cluster?.observedGeneration !== cluster?.generation) return false;
          return cluster?.nodeCounts.active === size && cluster.nodeCounts.total === size && members().length === size;
        } catch {
          return false;
        }
      });
    },
    failures: async () => (await client.request(ActionsDocument, { last: 200, filter: { status: ["FAILED"] } })).actions.nodes,
  };
}
