/** The live streams of the ledger: one event a frame, many a frame, and verdicts on nodes. */
import { encodeCursor } from "../core/cursor.ts";
import type { LedgerEvent } from "../store/ledger-event.ts";
import { access } from "./access.ts";
import { batchEvents, type EventBatch } from "./batch.ts";
import { builder } from "./builder.ts";
import type { ApiContext } from "./context.ts";
import { EventFilterInput, ledgerFilter, readLedgerCursor } from "./event-page.ts";
import { EventRef } from "./object.ts";
import { badInput } from "./problem.ts";
import { liveStream } from "./stream.ts";

const afterDescription = "From behind this cursor on; absent: from now on. Past retention: CURSOR_EXPIRED with `oldest`.";

async function* oneByOne(context: ApiContext, source: AsyncIterable<readonly LedgerEvent[]>): AsyncGenerator<LedgerEvent, void, undefined> {
  for await (const events of source) {
    for (const event of events) {
      context.forget();
      yield event;
    }
  }
}

async function* freshFrames<T>(context: ApiContext, source: AsyncIterable<T>): AsyncGenerator<T, void, undefined> {
  for await (const frame of source) {
    context.forget();
    yield frame;
  }
}

builder.subscriptionField("events", (t) =>
  t.field({
    type: EventRef,
    description: "Every event that matches: commit order, no gap, no repeat. Come back `after` the last cursor.",
    extensions: access("READER"),
    args: {
      filter: t.arg({ type: EventFilterInput, description: "Only what matches." }),
      after: t.arg.string({ description: afterDescription }),
    },
    subscribe: (_root, args, context) => {
      const filter = ledgerFilter(context, args.filter);
      const after = readLedgerCursor(args.after, "after");
      return liveStream(context.signal, (signal) => oneByOne(context, context.deps.feed.subscribe({ filter, after, signal })));
    },
    resolve: (event) => event,
  }),
);

const EventBatchRef = builder.objectRef<EventBatch>("EventBatch").implement({
  description: "Some events, in commit order.",
  fields: (t) => ({
    events: t.field({
      type: [EventRef],
      description: "The events; none: only the cursor has moved.",
      resolve: (batch): readonly LedgerEvent[] => batch.events,
    }),
    cursor: t.string({ description: "Come back `after` this.", resolve: (batch) => encodeCursor(batch.cursor) }),
  }),
});

/** Bounds of the arguments: a batch is held in memory, and waiting longer is polling. */
const largestBatch = 1_000;
const longestWaitMs = 10_000;

builder.subscriptionField("eventBatches", (t) =>
  t.field({
    type: EventBatchRef,
    description: "The same, many per frame. An empty batch every 30 s moves the cursor of a quiet filter.",
    extensions: access("READER"),
    args: {
      filter: t.arg({ type: EventFilterInput, description: "Only what matches." }),
      after: t.arg.string({ description: afterDescription }),
      maxSize: t.arg.int({ required: true, defaultValue: 500, description: "At most so many events in a frame: 1 to 1000." }),
      maxWaitMs: t.arg.int({
        required: true,
        defaultValue: 50,
        description: "A frame is sent so long after its first event at the latest: 0 to 10000.",
      }),
    },
    subscribe: (_root, args, context) => {
      const { maxSize, maxWaitMs } = args;
      if (maxSize < 1 || maxSize > largestBatch) throw badInput(`\`maxSize\` must be from 1 to ${largestBatch}.`);
      if (maxWaitMs < 0 || maxWaitMs > longestWaitMs) throw badInput(`\`maxWaitMs\` must be from 0 to ${longestWaitMs}.`);
      const filter = ledgerFilter(context, args.filter);
      const after = readLedgerCursor(args.after, "after");
      const { feed, store } = context.deps;
      return liveStream(context.signal, (signal) => {
        const source = feed.subscribe({ filter, after, signal });
        return freshFrames(context, batchEvents(source, { maxSize, maxWaitMs, timers: store.runtime.timers, signal }));
      });
    },
    resolve: (batch) => batch,
  }),
);
