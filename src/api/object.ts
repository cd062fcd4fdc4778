/**
 * The object types of the schema by name, and the rows that stand behind them. They are declared here and given their fields in the file
 * of their noun, so that nouns can point at each other without their files doing so.
 */
import { brandWithType } from "@pothos/core";
import type { EventTypeName } from "../core/event.ts";
import type { ViewerId } from "../core/ids.ts";
import type { Principal } from "../core/principal.ts";
import type { Driver } from "../drivers/driver.ts";
import type { ActionRow } from "../store/action.ts";
import type { ClusterRow } from "../store/cluster.ts";
import type { LedgerEvent } from "../store/ledger-event.ts";
import type { NodeRow } from "../store/node.ts";
import type { ProfileRow } from "../store/profile.ts";
import type { ProjectRow } from "../store/project.ts";
import type { TokenRow } from "../store/token.ts";
import type { WorkerRow } from "../store/worker.ts";
import { builder } from "./builder.ts";
import { type Connection, connectionType, type Types } from "./connection.ts";

/** Who asks, as an object. */
export interface Viewer {
  readonly id: ViewerId;
  readonly principal: Principal;
}

/** A profile type; `driver` is null where this installation no longer has it. */
export interface ProfileTypeView {
  readonly name: string;
  readonly driver: Driver | null;
}

export interface NodeObjects {
  Viewer: Viewer;
  Project: ProjectRow;
  Token: TokenRow;
  ProfileType: ProfileTypeView;
  Profile: ProfileRow;
  Cluster: ClusterRow;
  ClusterNode: NodeRow;
  Action: ActionRow;
  Event: LedgerEvent;
  Worker: WorkerRow;
}

export const ViewerRef = builder.objectRef<Viewer>("Viewer");
export const ProjectRef = builder.objectRef<ProjectRow>("Project");
export const TokenRef = builder.objectRef<TokenRow>("Token");
export const ProfileTypeRef = builder.objectRef<ProfileTypeView>("ProfileType");
export const ProfileRef = builder.objectRef<ProfileRow>("Profile");
export const ClusterRef = builder.objectRef<ClusterRow>("Cluster");
export const ClusterNodeRef = builder.objectRef<NodeRow>("ClusterNode");
export const ActionRef = builder.objectRef<ActionRow>("Action");
export const EventRef = builder.objectRef<LedgerEvent>("Event");
export const EventTypeRef = builder.objectRef<EventTypeName>("EventType");
export const WorkerRef = builder.objectRef<WorkerRow>("Worker");

export const ProjectConnection = connectionType("Project", ProjectRef);
export const TokenConnection = connectionType("Token", TokenRef);
export const ProfileConnection = connectionType("Profile", ProfileRef);
export const ClusterConnection = connectionType("Cluster", ClusterRef);
export const ClusterNodeConnection = connectionType("ClusterNode", ClusterNodeRef);
export const ActionConnection = connectionType("Action", ActionRef);

/** A page of the ledger: beside the connection, where a stream goes on from. */
export interface EventPage extends Connection<LedgerEvent> {
  readonly resumeCursor: string;
}
export const EventConnection = connectionType<LedgerEvent, EventPage>("Event", EventRef);

export type NodeObject = NodeObjects[keyof NodeObjects];

/** Relay's `Node`. Whoever answers with one says which type it is, by `asNode`. */
export const NodeInterface = builder.interfaceRef<NodeObject>("Node").implement({
  description: "Anything with an id of its own (Relay's `Node`). A cluster's member is a `ClusterNode`.",
  fields: (t) => ({ id: t.id({ description: "A TypeID: a prefix that names the type, and a UUID.", resolve: unresolved }) }),
});

function unresolved(): never {
  throw new Error("every type that implements Node gives its own id");
}

const refs = {
  Viewer: ViewerRef,
  Project: ProjectRef,
  Token: TokenRef,
  ProfileType: ProfileTypeRef,
  Profile: ProfileRef,
  Cluster: ClusterRef,
  ClusterNode: ClusterNodeRef,
  Action: ActionRef,
  Event: EventRef,
  Worker: WorkerRef,
} as const satisfies Record<keyof NodeObjects, object>;

/** Marks a row with the type it is shown as, where a field may answer with several. */
export function asNode<Name extends keyof NodeObjects>(name: Name, row: NodeObjects[Name] | null): NodeObjects[Name] | null {
  if (row !== null) brandWithType<Types>(row, refs[name]);
  return row;
}
