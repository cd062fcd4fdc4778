/** What a filter of actions means, and the actions of one cluster or node (batched over the objects of a page). */
import type { ActionCause, ActionKind, ActionStatus } from "../core/action.ts";
import type { ClusterId, NodeId } from "../core/ids.ts";
import type { ActionFilter, ActionRow } from "../store/action.ts";
import { builder } from "./builder.ts";
import { byId, type Connection, toConnection } from "./connection.ts";
import type { ApiContext } from "./context.ts";
import { idsOf } from "./event-page.ts";
import { checkFilter, type PageArgs, readPage } from "./page.ts";
import { ActionCauseEnum, ActionKindEnum, ActionStatusEnum } from "./vocabulary.ts";

type Maybe<T> = T | null | undefined;
interface ActionFilterShape {
  readonly kinds?: Maybe<readonly ActionKind[]>;
  readonly status?: Maybe<readonly ActionStatus[]>;
  readonly causes?: Maybe<readonly ActionCause[]>;
  readonly clusters?: Maybe<readonly string[]>;
  readonly nodes?: Maybe<readonly string[]>;
  readonly finished?: Maybe<boolean>;
}
interface ActionListArgs extends PageArgs {
  readonly filter?: Maybe<ActionFilterShape>;
}

export const ActionFilterInput = builder.inputType("ActionFilter", {
  description:
    "Fields are ANDed, entries of a list ORed. Absent means any; a list that is empty or longer than 1000 is refused; unknown ids match nothing.",
  fields: (t) => ({
    kinds: t.field({ type: [ActionKindEnum], description: "Of one of these kinds." }),
    status: t.field({ type: [ActionStatusEnum], description: "In one of these statuses." }),
    causes: t.field({ type: [ActionCauseEnum], description: "For one of these causes." }),
    clusters: t.idList({ description: "About one of these clusters or their members." }),
    nodes: t.idList({ description: "About one of these nodes." }),
    finished: t.boolean({ description: "true: ended ones; false: those still going." }),
  }),
});

export function actionFilter(filter: Maybe<ActionFilterShape>): ActionFilter {
  checkFilter(filter);
  if (filter == null) return {};
  const { clusters, nodes, ...rest } = filter;
  return {
    ...rest,
    ...(clusters == null ? {} : { clusters: idsOf("cluster", clusters) }),
    ...(nodes == null ? {} : { nodes: idsOf("node", nodes) }),
  };
}

export async function actionsOfCluster(context: ApiContext, id: ClusterId, args: ActionListArgs): Promise<Connection<ActionRow>> {
  const filter = actionFilter(args.filter);
  const list = readPage(args, context.pageSize, ["Cluster.actions", id, args.filter]);
  return toConnection(await context.loaders.actionsOfClusters(filter, list.page).load(id), list, byId);
}

export async function actionsOfNode(context: ApiContext, id: NodeId, args: ActionListArgs): Promise<Connection<ActionRow>> {
  const filter = actionFilter(args.filter);
  const list = readPage(args, context.pageSize, ["ClusterNode.actions", id, args.filter]);
  return toConnection(await context.loaders.actionsOfNodes(filter, list.page).load(id), list, byId);
}
