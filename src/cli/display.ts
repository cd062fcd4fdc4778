/** Where the picture goes: a terminal is redrawn in place, anything else gets plain lines as things happen. */
import type { WriteStream } from "node:tty";
import { type ClusterView, drawScreen, type EventView, eventLine, summary } from "./screen.ts";

export interface Display {
  cluster(view: ClusterView): void;
  event(event: EventView): void;
  /** The line that says what one might do; it stays at the bottom. */
  hint(text: string): void;
  /** Leaves what stands there, and the cursor below it. */
  close(): void;
}

/** Frames are drawn at most so often, ms. */
const frameMs = 80;
const eventsKept = 200;

export function openDisplay(output: WriteStream): Display {
  return output.isTTY ? redrawn(output) : plain(output);
}

function redrawn(output: WriteStream): Display {
  let cluster: ClusterView | null = null;
  let hint = "";
  let drawn = 0;
  let timer: NodeJS.Timeout | null = null;
  let closed = false;
  const events: EventView[] = [];
  const draw = (): void => {
    timer = null;
    const lines = drawScreen(cluster, events, hint, { columns: output.columns, rows: output.rows });
    // Up to where the last picture began, and everything below it anew.
    output.write(`${drawn > 0 ? `\u001b[${drawn}A` : ""}\r\u001b[J${lines.join("\n")}\n`);
    drawn = lines.length;
  };
  const soon = (): void => {
    if (!closed) timer ??= setTimeout(draw, frameMs);
  };
  output.on("resize", soon);
  return {
    cluster: (view) => {
      cluster = view;
      soon();
    },
    event: (event) => {
      events.push(event);
      if (events.length > eventsKept) events.shift();
      soon();
    },
    hint: (text) => {
      hint = text;
      soon();
    },
    close: () => {
      if (closed) return;
      closed = true;
      output.off("resize", soon);
      if (timer !== null) clearTimeout(timer);
      draw();
    },
  };
}

function plain(output: WriteStream): Display {
  let said = "";
  let shown = false;
  return {
    // What it looks like at the beginning; from then on the events tell.
    cluster: (view) => {
      if (!shown) output.write(`${summary(view)}\n`);
      shown = true;
    },
    event: (event) => void output.write(`${eventLine(event)}\n`),
    hint: (text) => {
      if (text !== said && text !== "") output.write(`${text}\n`);
      said = text;
    },
    close: () => undefined,
  };
}
