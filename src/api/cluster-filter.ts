/** What a filter and an order of clusters mean. */
import type { ClusterStatus } from "../core/cluster.ts";
import { decodeId } from "../core/ids.ts";
import type { JsonObject } from "../core/json.ts";
import type { ClusterFilter, ClusterOrderField } from "../store/cluster.ts";
import { builder } from "./builder.ts";
import { type ObjectBy, ObjectByInput } from "./by.ts";
import { idsOf } from "./event-page.ts";
import { checkFilter, type KeyKind } from "./page.ts";
import { ClusterOrderFieldEnum, ClusterStatusEnum, OrderDirectionEnum } from "./vocabulary.ts";

type Maybe<T> = T | null | undefined;
interface ClusterFilterShape {
  readonly ids?: Maybe<readonly string[]>;
  readonly nameContains?: Maybe<string>;
  readonly status?: Maybe<readonly ClusterStatus[]>;
  readonly profile?: Maybe<ObjectBy>;
  readonly converged?: Maybe<boolean>;
  readonly metadata?: Maybe<JsonObject>;
  readonly updatedSince?: Maybe<Date>;
}

export const ClusterFilterInput = builder.inputType("ClusterFilter", {
  description:
    "Fields are ANDed, entries of a list ORed. Absent means any; a list that is empty or longer than 1000 is refused; unknown ids match nothing.",
  fields: (t) => ({
    ids: t.idList({ description: "One of these." }),
    nameContains: t.string({ description: "This text is in the name; case does not matter." }),
    status: t.field({ type: [ClusterStatusEnum], description: "In one of these statuses." }),
    profile: t.field({ type: ObjectByInput, description: "Made from this profile revision; by name: from the newest." }),
    converged: t.boolean({ description: "true: everything wanted is so; false: work is left." }),
    metadata: t.field({ type: "JSONObject", description: "Its metadata contains this." }),
    updatedSince: t.field({ type: "DateTime", description: "Changed at this moment or later." }),
  }),
});

export const ClusterOrderInput = builder.inputType("ClusterOrder", {
  description: "The order of a list of clusters; the id breaks ties.",
  fields: (t) => ({
    field: t.field({ type: ClusterOrderFieldEnum, required: true, description: "What it is ordered by." }),
    direction: t.field({ type: OrderDirectionEnum, required: true, defaultValue: "ASC", description: "Which end comes first." }),
  }),
});

export function clusterFilter(filter: Maybe<ClusterFilterShape>): ClusterFilter {
  checkFilter(filter, filter?.metadata);
  if (filter == null) return {};
  const { ids, profile, ...rest } = filter;
  return { ...rest, ...(ids == null ? {} : { ids: idsOf("cluster", ids) }), ...profileOf(profile) };
}

/** A profile that is pointed at by something that is no profile's id matches no cluster. */
function profileOf(by: Maybe<ObjectBy>): Pick<ClusterFilter, "profile" | "ids"> {
  if (by == null) return {};
  if (by.name != null) return { profile: { name: by.name } };
  const id = by.id == null ? null : decodeId("profile", by.id);
  return id === null ? { ids: [] } : { profile: { id } };
}

/** What a cursor of this order holds beside the id. */
export function orderKind(field: ClusterOrderField): KeyKind {
  const kinds = { CREATED_AT: "id", NAME: "text", STATUS: "number", UPDATED_AT: "time" } as const satisfies Record<ClusterOrderField, KeyKind>;
  return kinds[field];
}
