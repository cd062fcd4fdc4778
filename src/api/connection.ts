/** Relay connections: one shape for all lists, and the types that show it. Edges are made only when a query asks for them. */
import type { ArgBuilder, ObjectRef } from "@pothos/core";
import type { Keyset, Page } from "../store/page.ts";
import { type BuilderTypes, builder } from "./builder.ts";
import { type PageList, writeCursor } from "./page.ts";

export type Types = PothosSchemaTypes.ExtendDefaultTypes<BuilderTypes>;

export interface Connection<Node> {
  readonly nodes: readonly Node[];
  readonly cursorOf: (node: Node) => string;
  readonly hasNextPage: boolean;
  readonly hasPreviousPage: boolean;
  /** Where the walk stopped when that is not the last (or first) node. */
  readonly stoppedAt?: { readonly cursor: string; readonly backward: boolean };
  /** null: it would have to be counted. */
  readonly totalCount: number | null | (() => Promise<number | null>);
}

export interface Edge<Node> {
  readonly cursor: string;
  readonly node: Node;
}

/** A page of the store as a connection. `key` is the row's place in the list's order. */
export function toConnection<Row>(
  page: Page<Row>,
  list: PageList,
  key: (row: NoInfer<Row>) => Keyset,
  totalCount: number | null | (() => Promise<number | null>) = null,
): Connection<Row> {
  return {
    nodes: page.rows,
    cursorOf: (row) => writeCursor(list.name, key(row)),
    hasNextPage: page.hasNext,
    hasPreviousPage: page.hasPrevious,
    ...(page.stoppedAt === undefined ? {} : { stoppedAt: { cursor: writeCursor(list.name, page.stoppedAt), backward: list.page.backward } }),
    totalCount,
  };
}

/** The place of a row in a list by id. */
export function byId(row: { readonly id: string }): Keyset {
  return { id: row.id };
}

function edgesOf<Node>(connection: Connection<Node>): Edge<Node>[] {
  return connection.nodes.map((node) => ({ cursor: connection.cursorOf(node), node }));
}

interface PageInfo {
  readonly hasNextPage: boolean;
  readonly hasPreviousPage: boolean;
  readonly startCursor: string | null;
  readonly endCursor: string | null;
}

const PageInfoRef = builder.objectRef<PageInfo>("PageInfo").implement({
  description: "Where a page stands in its list.",
  fields: (t) => ({
    hasNextPage: t.exposeBoolean("hasNextPage", { description: "There is more behind `endCursor`." }),
    hasPreviousPage: t.exposeBoolean("hasPreviousPage", { description: "There is more before `startCursor`." }),
    startCursor: t.exposeString("startCursor", { nullable: true, description: "The first edge's cursor: `before` it comes the page before." }),
    endCursor: t.exposeString("endCursor", { nullable: true, description: "The last edge's cursor: `after` it comes the next page." }),
  }),
});

function pageInfoOf<Node>(connection: Connection<Node>): PageInfo {
  const first = connection.nodes[0];
  const last = connection.nodes.at(-1);
  const { stoppedAt } = connection;
  return {
    hasNextPage: connection.hasNextPage,
    hasPreviousPage: connection.hasPreviousPage,
    startCursor: stoppedAt?.backward === true ? stoppedAt.cursor : first === undefined ? null : connection.cursorOf(first),
    endCursor: stoppedAt?.backward === false ? stoppedAt.cursor : last === undefined ? null : connection.cursorOf(last),
  };
}

/** The arguments of every connection. */
export function pageArgs(t: ArgBuilder<Types>) {
  return {
    first: t.int({ description: "At most so many, from the front: 0 to 1000, default 50. Not together with `last`." }),
    after: t.string({ description: "Only what comes behind this cursor." }),
    last: t.int({ description: "At most so many, from the back: 0 to 1000." }),
    before: t.string({ description: "Only what comes before this cursor." }),
  };
}

function edgeType<Node extends object>(name: string, node: ObjectRef<Types, object>) {
  return builder.objectRef<Edge<Node>>(`${name}Edge`).implement({
    description: `One ${name} in a list.`,
    fields: (t) => ({
      cursor: t.exposeString("cursor", { description: "The place of this edge in its list, for `after` and `before`." }),
      node: t.field({ type: node, description: `The ${name} itself.`, resolve: (edge) => edge.node }),
    }),
  });
}

/** `XEdge` and `XConnection`. */
export function connectionType<Node extends object, Shape extends Connection<Node> = Connection<Node>>(name: string, ref: ObjectRef<Types, Node>) {
  // Widened: the builder's conditional types cannot see through a type parameter.
  const node: ObjectRef<Types, object> = ref;
  const edge = edgeType<Node>(name, node);
  return builder.objectRef<Shape>(`${name}Connection`).implement({
    description: `A page of a list of ${name}s.`,
    fields: (t) => ({
      edges: t.field({ type: [edge], description: "The page, with a cursor for each.", resolve: edgesOf }),
      nodes: t.field({ type: [node], description: "The page, plain.", resolve: (page): readonly object[] => page.nodes }),
      pageInfo: t.field({ type: PageInfoRef, description: "Where this page stands.", resolve: pageInfoOf }),
      totalCount: t.int({
        nullable: true,
        description: "How many there are in the whole list; null where they would have to be counted.",
        resolve: (page) => (typeof page.totalCount === "function" ? page.totalCount() : page.totalCount),
      }),
    }),
  });
}
