/** A peer's side of the line to the bench: messages {id, command, …} in, {id, value} or {id, error} out, and facts {started} of its own. */

/** @param commands by name; each is handed the whole message */
export function answer(commands) {
  process.on("message", async ({ id, command, ...rest }) => {
    try {
      process.send({ id, value: (await commands[command](rest)) ?? null });
    } catch (error) {
      process.send({ id, error: String(error?.stack ?? error) });
    }
  });
  // Whoever started it has gone.
  process.on("disconnect", () => process.exit(0));
}

/** Says that a job has begun, as soon as it has. */
export function tellStarted(job) {
  process.send({ started: job });
}

export const never = () => new Promise(() => {});

/**
 * From putting a job in until it begins, one after the other, ms.
 * @param begin puts one in; @param heard hands over who is to be called when a job begins; @param pauseMs at most between two: not always at the same point of a poll
 */
export async function timeSingles({ rounds, pauseMs, begin, heard }) {
  const sinceSent = [];
  const sinceAccepted = [];
  for (let n = 0; n < rounds; n++) {
    const started = new Promise((resolve) => heard(() => resolve(performance.now())));
    const sentMs = performance.now();
    await begin();
    const acceptedMs = performance.now();
    const startedMs = await started;
    sinceSent.push(startedMs - sentMs);
    sinceAccepted.push(startedMs - acceptedMs);
    await new Promise((resolve) => setTimeout(resolve, Math.random() * pauseMs));
  }
  return { sinceSent, sinceAccepted };
}
