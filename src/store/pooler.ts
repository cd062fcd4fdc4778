/**
 * A pooled connection behind a pooler in transaction mode (PgBouncer). It refuses the limits that a connection is begun with, or, told to ignore them,
 * forgets them; and what is set for a session would go to whoever gets the server's connection next. So the limits are set in each transaction, with
 * its BEGIN, and a statement outside of one gets its own. That is two round trips more for those, and nothing in the pooler's settings to forget.
 */
type Run = (text: string, parameters: readonly unknown[]) => Promise<unknown>;

/** @param limits settings of the server's, by name, ms */
export function limitTransactions(run: Run, limits: Readonly<Record<string, number>>): Run {
  const setLimits = Object.entries(limits).map(([name, ms]) => `set local ${name} = ${ms}`);
  let inside = false;
  /** One message: a round trip like any other. */
  const begin = (text: string): Promise<unknown> => run([text, ...setLimits].join("; "), []);
  return async (text, parameters) => {
    if (/^(?:begin|start transaction)\b/i.test(text)) {
      inside = true;
      return begin(text);
    }
    if (inside) {
      inside = !/^(?:commit|rollback)$/i.test(text);
      return run(text, parameters);
    }
    await begin("begin isolation level read committed");
    try {
      const result = await run(text, parameters);
      await run("commit", []);
      return result;
    } catch (error) {
      // A broken connection has rolled back by itself; the first error is the one that tells something.
      await run("rollback", []).catch(() => undefined);
      throw error;
    }
  };
}
