/** What a filter of nodes means. */
import type { HealthStatus } from "../core/health.ts";
import type { JsonObject } from "../core/json.ts";
import type { NodeStatus } from "../core/node.ts";
import type { NodeFilter } from "../store/node-list.ts";
import { builder } from "./builder.ts";
import { idsOf } from "./event-page.ts";
import { checkFilter } from "./page.ts";
import { HealthStatusEnum, NodeStatusEnum } from "./vocabulary.ts";

type Maybe<T> = T | null | undefined;
export interface ClusterNodeFilter {
  readonly ids?: Maybe<readonly string[]>;
  readonly clusters?: Maybe<readonly string[]>;
  readonly orphan?: Maybe<boolean>;
  readonly status?: Maybe<readonly NodeStatus[]>;
  readonly health?: Maybe<readonly HealthStatus[]>;
  readonly roles?: Maybe<readonly string[]>;
  readonly zones?: Maybe<readonly string[]>;
  readonly hosts?: Maybe<readonly string[]>;
  readonly metadata?: Maybe<JsonObject>;
}

export const ClusterNodeFilterInput = builder.inputType("ClusterNodeFilter", {
  description:
    "Fields are ANDed, entries of a list ORed. Absent means any; a list that is empty or longer than 1000 is refused; unknown ids match nothing.",
  fields: (t) => ({
    ids: t.idList({ description: "One of these." }),
    clusters: t.idList({ description: "A member of one of these clusters." }),
    orphan: t.boolean({ description: "true: nodes without a cluster; false: members only." }),
    status: t.field({ type: [NodeStatusEnum], description: "In one of these statuses." }),
    health: t.field({ type: [HealthStatusEnum], description: "With one of these verdicts." }),
    roles: t.stringList({ description: "With one of these roles." }),
    zones: t.stringList({ description: "Placed in one of these zones." }),
    hosts: t.stringList({ description: "Placed on one of these hosts." }),
    metadata: t.field({ type: "JSONObject", description: "Its metadata contains this." }),
  }),
});

export function nodeFilter(filter: ClusterNodeFilter | null | undefined): NodeFilter {
  checkFilter(filter, filter?.metadata);
  if (filter == null) return {};
  const { ids, clusters, ...rest } = filter;
  return {
    ...rest,
    ...(ids == null ? {} : { ids: idsOf("node", ids) }),
    ...(clusters == null ? {} : { clusters: idsOf("cluster", clusters) }),
  };
}
