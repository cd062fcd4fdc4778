/** The real world behind `core/runtime.ts`: this machine's clocks, timers and randomness. */
import { randomBytes } from "node:crypto";
import { setMaxListeners } from "node:events";
import { uuidV7 } from "../core/ids.ts";
import type { Runtime } from "../core/runtime.ts";

/** Bits of a UUIDv7 behind its time. */
const randomBits = 74n;

export function realRuntime(): Runtime {
  return {
    clock: { monotonicMs: () => performance.now(), wallMs: () => Date.now() },
    timers: { wait },
    entropy: { uuid: uuidSource(), bytes: takeRandom, fraction: () => Math.random() },
  };
}

function wait(ms: number, signal?: AbortSignal): Promise<void> {
  if (signal?.aborted === true) return Promise.resolve();
  // Hundreds may wait under one signal, each for a moment: that is no leak.
  if (signal !== undefined) setMaxListeners(0, signal);
  return new Promise((resolve) => {
    const end = (): void => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", end);
      resolve();
    };
    const timer = setTimeout(end, ms);
    signal?.addEventListener("abort", end);
  });
}

/**
 * UUIDv7s that only grow: within one millisecond (or when the clock steps back) the random part is counted up by a random step, as
 * RFC 9562 §6.2 method 2 has it, so that ids stay unguessable.
 */
function uuidSource(): () => string {
  let lastMs = 0;
  let bits = 0n;
  return () => {
    const now = Date.now();
    if (now > lastMs) {
      lastMs = now;
      // The top bit stays free: room to count.
      bits = randomInteger(10) & ((1n << (randomBits - 1n)) - 1n);
    } else {
      bits += 1n + (randomInteger(4) & 0xffff_ffffn);
      if (bits >> randomBits !== 0n) {
        lastMs += 1;
        bits = randomInteger(8);
      }
    }
    return uuidV7(lastMs, bits);
  };
}

function randomInteger(bytes: number): bigint {
  return BigInt(`0x${takeRandom(bytes).toString("hex")}`);
}

/** Random bytes are drawn many at once: a call of the generator costs more than all that is done with them. Each is handed out once. */
let drawn = Buffer.alloc(0);
const drawnAtOnce = 8_192;

function takeRandom(count: number): Buffer {
  if (count > drawn.byteLength) drawn = randomBytes(Math.max(count, drawnAtOnce));
  const taken = drawn.subarray(0, count);
  drawn = drawn.subarray(count);
  return taken;
}
