/** What a filter of events means, and pages of the ledger: of everything, and of one object (batched over the objects of a page). */
import { decodeCursor, encodeCursor, type LedgerCursor } from "../core/cursor.ts";
import { type EventLevel, type EventTypeName, eventTypeCodes, eventTypeNames, eventTypes } from "../core/event.ts";
import type { ActionId, ClusterId, NodeId } from "../core/ids.ts";
import { decodeId, type IdByPrefix } from "../core/ids.ts";
import { mayAct } from "../core/principal.ts";
import type { LedgerFilter } from "../store/ledger-event.ts";
import { type Expired, type HistoryPage, type HistoryRange, readEvents } from "../store/ledger-read.ts";
import { builder } from "./builder.ts";
import type { ApiContext } from "./context.ts";
import type { Loaders } from "./loaders.ts";
import type { EventPage } from "./object.ts";
import { checkFilter, type PageArgs, readSize } from "./page.ts";
import { cursorExpired, invalidCursor } from "./problem.ts";
import { EventLevelEnum } from "./vocabulary.ts";

export interface EventFilter {
  readonly clusters?: readonly string[] | null | undefined;
  readonly nodes?: readonly string[] | null | undefined;
  readonly actions?: readonly string[] | null | undefined;
  readonly types?: readonly string[] | null | undefined;
  readonly minLevel?: EventLevel | null | undefined;
}

export const EventFilterInput = builder.inputType("EventFilter", {
  description:
    "Fields are ANDed, entries of a list ORed. Absent means any; a list that is empty or longer than 1000 is refused; unknown ids match nothing.",
  fields: (t) => ({
    clusters: t.idList({ description: "About one of these clusters or their members." }),
    nodes: t.idList({ description: "About one of these nodes." }),
    actions: t.idList({ description: "Belonging to one of these actions." }),
    types: t.stringList({ description: "One of these types: exact (`node.deleted`), or a prefix that ends in a dot (`node.`)." }),
    minLevel: t.field({ type: EventLevelEnum, description: "At least so grave." }),
  }),
});

export interface HistoryArgs extends PageArgs {
  readonly filter?: EventFilter | null | undefined;
}

/** The ids of this type among `ids`; others name nothing here, and an id that names nothing matches nothing. */
export function idsOf<P extends keyof IdByPrefix>(prefix: P, ids: readonly string[]): IdByPrefix[P][] {
  return ids.map((id) => decodeId(prefix, id)).filter((id) => id !== null);
}

const adminTypes: ReadonlySet<EventTypeName> = new Set(["token.created", "token.revoked"]);
const codesBelowAdmin: readonly number[] = eventTypeNames.filter((name) => !adminTypes.has(name)).map((name) => eventTypes[name].code);

/** The filter as the ledger knows it, within what this caller may see: its project, and tokens' events from ADMIN on. */
export function ledgerFilter({ principal }: Pick<ApiContext, "principal">, filter: EventFilter | null | undefined): LedgerFilter {
  checkFilter(filter);
  const { clusters, nodes, actions, types, minLevel } = filter ?? {};
  const asked = types == null ? null : eventTypeCodes(types);
  const allowed = mayAct(principal.role, "ADMIN") ? asked : (asked ?? codesBelowAdmin).filter((code) => codesBelowAdmin.includes(code));
  return {
    projectId: principal.projectId,
    ...(clusters == null ? {} : { clusterIds: idsOf("cluster", clusters) }),
    ...(nodes == null ? {} : { nodeIds: idsOf("node", nodes) }),
    ...(actions == null ? {} : { actionIds: idsOf("action", actions) }),
    ...(allowed === null ? {} : { typeCodes: allowed }),
    ...(minLevel == null ? {} : { minLevel }),
  };
}

export function readLedgerCursor(text: string | null | undefined, argument: string): LedgerCursor | null {
  if (text === null || text === undefined) return null;
  const cursor = decodeCursor(text);
  if (cursor === null) throw invalidCursor(argument);
  return cursor;
}

function readRange(args: HistoryArgs, most: number): HistoryRange {
  const { limit, backward } = readSize(args, most);
  const after = readLedgerCursor(args.after, "after");
  const before = readLedgerCursor(args.before, "before");
  return backward ? { last: limit, after, before } : { first: limit, after, before };
}

/** The ledger's history, of the whole project. */
export async function readHistory(context: ApiContext, args: HistoryArgs): Promise<EventPage> {
  const range = readRange(args, context.pageSize);
  return toEventPage(await readEvents(context.deps.store.db, ledgerFilter(context, args.filter), range), range);
}

export type HistorySubject = { readonly clusterId: ClusterId } | { readonly nodeId: NodeId } | { readonly actionId: ActionId };

/** The history of one object; the same question about many objects is one read. */
export async function historyOf(context: ApiContext, subject: HistorySubject, args: HistoryArgs): Promise<EventPage> {
  const range = readRange(args, context.pageSize);
  const filter = ledgerFilter(context, args.filter);
  return toEventPage(await loadHistory(context.loaders, subject, filter, range), range);
}

function loadHistory(loaders: Loaders, subject: HistorySubject, filter: LedgerFilter, range: HistoryRange): Promise<HistoryPage | Expired> {
  if ("clusterId" in subject) return loaders.eventsOf("cluster", about(filter, "clusterIds", subject.clusterId), range).load(subject.clusterId);
  if ("nodeId" in subject) return loaders.eventsOf("node", about(filter, "nodeIds", subject.nodeId), range).load(subject.nodeId);
  return loaders.eventsOf("action", about(filter, "actionIds", subject.actionId), range).load(subject.actionId);
}

/** The filter for one object's history: one that names other objects of its kind matches nothing there. */
function about(filter: LedgerFilter, field: "clusterIds" | "nodeIds" | "actionIds", id: string): LedgerFilter {
  const { [field]: named, ...rest } = filter;
  return named === undefined || named.some((known) => known === id) ? rest : { ...rest, typeCodes: [] };
}

function toEventPage(page: HistoryPage | Expired, range: HistoryRange): EventPage {
  if ("expired" in page) throw cursorExpired(encodeCursor(page.expired));
  const stoppedAt = stopOf(page, range);
  return {
    nodes: page.events,
    cursorOf: (event) => encodeCursor(event.cursor),
    hasNextPage: page.hasNext,
    hasPreviousPage: page.hasPrevious,
    ...(stoppedAt === null ? {} : { stoppedAt }),
    totalCount: null,
    resumeCursor: encodeCursor(page.resume),
  };
}

/** A page that stayed short because little matches names the place where the search for more goes on, not its last event's. */
function stopOf(page: HistoryPage, range: HistoryRange): NonNullable<EventPage["stoppedAt"]> | null {
  const size = range.first ?? range.last ?? 0;
  if (size === 0 || page.events.length === size) return null;
  if (range.last === undefined) return page.hasNext ? { cursor: encodeCursor(page.resume), backward: false } : null;
  return page.hasPrevious ? { cursor: encodeCursor(page.back), backward: true } : null;
}
