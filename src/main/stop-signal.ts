/** Being asked to end: Ctrl-C, a service manager, a closed terminal. Asked again later, it is meant in earnest. */

export interface StopSignal {
  /** Aborted by the first request. */
  readonly asked: AbortSignal;
  /** Aborted by a second one. */
  readonly hurried: AbortSignal;
}

/** One Ctrl-C reaches us twice where npm stands in between: what comes so soon after the first is the same, ms. */
const sameMs = 1_000;

export function listenForStop(): StopSignal {
  const asked = new AbortController();
  const hurried = new AbortController();
  let firstMs = 0;
  const ask = (): void => {
    if (!asked.signal.aborted) {
      firstMs = performance.now();
      asked.abort();
    } else if (performance.now() - firstMs > sameMs) hurried.abort();
  };
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, ask);
  return { asked: asked.signal, hurried: hurried.signal };
}

/** Resolves when the signal is aborted. */
export function untilAborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener("abort", () => resolve(), { once: true });
  });
}
