/** The last look at what HTTP answers with: every error masked, and the status that a request without data deserves. */
import type { ExecutionResult } from "graphql";
import type { Plugin } from "graphql-yoga";
import type { ServerContext } from "./exchange.ts";
import { withStatus } from "./http-status.ts";
import type { Masker } from "./masking.ts";

export function useMaskedResults(masker: Masker): Plugin<ServerContext, ServerContext> {
  return {
    onResultProcess({ result, setResult, serverContext }) {
      if (Array.isArray(result) || Symbol.asyncIterator in result) return;
      const single: ExecutionResult = result;
      if (single.errors === undefined || single.errors.length === 0) return;
      const errors = masker.maskAll(single.errors, { id: serverContext.exchange.id });
      setResult({ ...single, errors: "data" in single ? errors : errors.map(withStatus) });
    },
  };
}
