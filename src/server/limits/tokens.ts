/** A document of too many lexical tokens is refused while it is being parsed, before it costs anything. */
import { parse } from "graphql";
import type { Plugin } from "graphql-yoga";
import type { Limits } from "../../core/limits.ts";

export function useTokenLimit(limits: Pick<Limits, "documentTokens">): Plugin {
  return {
    onParse({ setParseFn }) {
      setParseFn((source, options) => parse(source, { ...options, maxTokens: limits.documentTokens }));
    },
  };
}
