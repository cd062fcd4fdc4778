/** Actions: what somebody asked for, who, why, how far it is and how it ended. */
import { cancelAction } from "../commands/action.ts";
import { type ActionId, decodeId, encodeId } from "../core/ids.ts";
import { type ActionRow, listActions } from "../store/action.ts";
import { access } from "./access.ts";
import { ActionFilterInput, actionFilter } from "./action-filter.ts";
import { builder } from "./builder.ts";
import { byId, pageArgs, toConnection } from "./connection.ts";
import type { ApiContext } from "./context.ts";
import { EventFilterInput, historyOf } from "./event-page.ts";
import { defineMutation, idempotencyKeyDescription } from "./mutation.ts";
import { ActionConnection, ActionRef, ClusterNodeRef, ClusterRef, EventConnection, NodeInterface } from "./object.ts";
import { readPage } from "./page.ts";
import { liveStream } from "./stream.ts";
import { ActionCauseEnum, ActionKindEnum, ActionStatusEnum } from "./vocabulary.ts";

const ActionProgressRef = builder.objectRef<ActionRow["progress"]>("ActionProgress").implement({
  description: "How far an action is. It freezes when the action ends.",
  fields: (t) => ({
    total: t.exposeInt("total", { description: "Members it must change: fixed when it was accepted." }),
    done: t.exposeInt("done", { description: "Changes of its kind that were made since." }),
    failed: t.exposeInt("failed", { description: "Members that were given up." }),
  }),
});

ActionRef.implement({
  description: "One thing that somebody asked for: a user, a policy, a receiver, a schedule, the health monitor.",
  interfaces: [NodeInterface],
  fields: (t) => ({
    id: t.id({ description: "Its id.", resolve: (action) => encodeId("action", action.id) }),
    kind: t.expose("kind", { type: ActionKindEnum, description: "What it is about." }),
    status: t.expose("status", { type: ActionStatusEnum, description: "How far it is." }),
    statusReason: t.exposeString("statusReason", { nullable: true, description: "Why, for people." }),
    cause: t.expose("cause", { type: ActionCauseEnum, description: "Why there is one." }),
    initiator: t.exposeString("initiator", { nullable: true, description: "Which token, policy or receiver." }),
    clusterId: t.id({
      nullable: true,
      description: "The cluster, also after it is gone.",
      resolve: (a) => (a.clusterId === null ? null : encodeId("cluster", a.clusterId)),
    }),
    nodeId: t.id({
      nullable: true,
      description: "The node, also after it is gone.",
      resolve: (a) => (a.nodeId === null ? null : encodeId("node", a.nodeId)),
    }),
    subjectName: t.exposeString("subjectName", { nullable: true, description: "The name of what it is about, as it was." }),
    cluster: t.field({
      type: ClusterRef,
      nullable: true,
      description: "The cluster as it is now; null once it is gone.",
      resolve: (action, _args, { loaders }) => (action.clusterId === null ? null : loaders.clusters.load(action.clusterId)),
    }),
    node: t.field({
      type: ClusterNodeRef,
      nullable: true,
      description: "The node as it is now; null once it is gone.",
      resolve: (action, _args, { loaders }) => (action.nodeId === null ? null : loaders.nodes.load(action.nodeId)),
    }),
    inputs: t.expose("inputs", { type: "JSONObject", description: "What was asked for." }),
    outputs: t.expose("outputs", { type: "JSONObject", nullable: true, description: "`decisions`: who decided what, from which inputs." }),
    progress: t.expose("progress", { type: ActionProgressRef, description: "How many changes it must make, and has made." }),
    supersededBy: t.field({
      type: ActionRef,
      nullable: true,
      description: "The wish that took its place: the next one.",
      resolve: (action, _args, { loaders }) => (action.supersededBy === null ? null : loaders.actions.load(action.supersededBy)),
    }),
    liveAction: t.field({
      type: ActionRef,
      description: "The end of that chain in one lookup; itself, if nothing took its place.",
      resolve: async (action, _args, { loaders }) => {
        if (action.supersededBy === null) return action;
        return (await loaders.actions.load(await loaders.liveActions.load(action.id))) ?? action;
      },
    }),
    dependsOn: t.field({ type: [ActionRef], description: "The actions it waits for.", resolve: (): readonly ActionRow[] => [] }),
    events: t.field({
      type: EventConnection,
      description: "What happened in its course, oldest first; `last` shows the newest.",
      args: { ...pageArgs(t.arg), filter: t.arg({ type: EventFilterInput, description: "Only what matches." }) },
      resolve: (action, args, context) => historyOf(context, { actionId: action.id }, args),
    }),
    createdAt: t.expose("createdAt", { type: "DateTime", description: "When it was accepted." }),
    startedAt: t.expose("startedAt", { type: "DateTime", nullable: true, description: "When work on it began." }),
    finishedAt: t.expose("finishedAt", { type: "DateTime", nullable: true, description: "When it ended." }),
  }),
});

builder.queryField("action", (t) =>
  t.field({
    type: ActionRef,
    nullable: true,
    description: "One action.",
    extensions: access("READER"),
    args: { id: t.arg.id({ required: true, description: "Its id." }) },
    resolve: (_root, args, { loaders }) => {
      const id = decodeId("action", args.id);
      return id === null ? null : loaders.actions.load(id);
    },
  }),
);

builder.queryField("actions", (t) =>
  t.field({
    type: ActionConnection,
    description: "The project's actions, oldest first; `last` shows the newest.",
    extensions: access("READER"),
    args: { ...pageArgs(t.arg), filter: t.arg({ type: ActionFilterInput, description: "Only what matches." }) },
    resolve: async (_root, args, { deps, principal, pageSize }) => {
      const filter = actionFilter(args.filter);
      const list = readPage(args, pageSize, ["actions", args.filter]);
      return toConnection(await listActions(deps.store.db, principal.projectId, filter, list.page), list, byId);
    },
  }),
);

/** The action whenever it, or the cluster whose changes are its progress, has changed; equal frames are left out. */
async function* followAction(context: ApiContext, id: ActionId | null, signal: AbortSignal): AsyncGenerator<ActionRow | null, void, undefined> {
  const first = id === null ? null : await context.loaders.actions.load(id);
  if (id === null || first === null) return yield null;
  const { clusterId } = first;
  let shown = "";
  for await (const _ of context.deps.feed.changes({ actionId: id, ...(clusterId === null ? {} : { clusterId }), signal })) {
    context.forget();
    const action = await context.loaders.actions.load(id);
    const now = JSON.stringify(action);
    if (now !== shown) yield action;
    shown = now;
    if (action === null || action.finishedAt !== null) return;
  }
}

builder.subscriptionField("action", (t) =>
  t.field({
    type: ActionRef,
    nullable: true,
    description: "The action as it is: at once and after every change; completes when it has finished. null: there is none.",
    extensions: access("READER"),
    args: { id: t.arg.id({ required: true, description: "Its id." }) },
    subscribe: (_root, args, context) => {
      const actionId = decodeId("action", args.id);
      context.goLive();
      return liveStream(context.signal, (signal) => followAction(context, actionId, signal));
    },
    resolve: (action) => action,
  }),
);

interface CancelActionPayload {
  readonly action: ActionRow;
}

defineMutation("cancelAction", {
  description:
    "Withdraws the wish: steps not begun are dropped, begun ones finish, and what is there by then becomes what is wanted. A deletion can be cancelled only before its first member goes.",
  needs: "MEMBER",
  input: builder.inputType("CancelActionInput", {
    description: "Which wish is withdrawn.",
    fields: (t) => ({
      id: t.id({ required: true, description: "The action's id." }),
      idempotencyKey: t.string({ description: idempotencyKeyDescription }),
    }),
  }),
  payload: builder.objectRef<CancelActionPayload>("CancelActionPayload").implement({
    description: "The action as it now is.",
    fields: (t) => ({ action: t.expose("action", { type: ActionRef, description: "The action as it now is." }) }),
  }),
  command: cancelAction,
  show: async ({ actionId }, { loaders }): Promise<CancelActionPayload | null> => {
    const action = await loaders.actions.load(actionId);
    return action === null ? null : { action };
  },
});
