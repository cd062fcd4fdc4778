/** Workers: the processes that own lanes. An OPERATOR sees them. */
import { encodeId } from "../core/ids.ts";
import { listWorkers, type WorkerRow } from "../store/worker.ts";
import { access } from "./access.ts";
import { builder } from "./builder.ts";
import { NodeInterface, WorkerRef } from "./object.ts";

WorkerRef.implement({
  description: "A process that carries out steps on nodes. Any number, on any number of machines, all alike.",
  interfaces: [NodeInterface],
  fields: (t) => ({
    id: t.id({ description: "Its id, new with every start.", resolve: (worker) => encodeId("worker", worker.id) }),
    host: t.exposeString("host", { description: "The machine it runs on." }),
    pid: t.exposeInt("pid", { description: "Its process id there." }),
    version: t.exposeString("version", { description: "Muster's version." }),
    startedAt: t.expose("startedAt", { type: "DateTime", description: "When it began." }),
    lastHeartbeatAt: t.expose("lastHeartbeatAt", { type: "DateTime", description: "When it last said that it lives, by the database's clock." }),
    tasksHeld: t.exposeInt("tasksHeld", { description: "Steps it has begun and not finished." }),
    draining: t.exposeBoolean("draining", { description: "It finishes what it has begun and takes nothing new." }),
  }),
});

builder.queryField("workers", (t) =>
  t.field({
    type: [WorkerRef],
    description: "OPERATOR: the workers that are registered.",
    extensions: access("OPERATOR"),
    resolve: (_root, _args, { deps }): Promise<readonly WorkerRow[]> => listWorkers(deps.store.db),
  }),
);
