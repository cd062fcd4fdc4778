/** Counts and times operations, whatever they came over. */
import { type ExecutionArgs, type GraphQLSchema, getOperationAST, Kind, type OperationDefinitionNode } from "graphql";
import type { Plugin } from "graphql-yoga";
import type { Clock } from "../core/runtime.ts";
import type { ServerContext } from "./exchange.ts";
import type { Metrics } from "./metrics.ts";

export function useOperationMetrics(metrics: Metrics, clock: Pick<Clock, "monotonicMs">): Plugin<ServerContext, ServerContext> {
  return {
    onExecute({ args }) {
      const { transport } = args.contextValue.exchange;
      const labels = labelsOf(args);
      const beganMs = clock.monotonicMs();
      return {
        onExecuteDone({ result }) {
          const failed = !(Symbol.asyncIterator in result) && result.errors !== undefined && result.errors.length > 0;
          metrics.operations.inc({ ...labels, outcome: failed ? "errors" : "ok", transport });
          metrics.operationSeconds.observe({ type: labels.type }, (clock.monotonicMs() - beganMs) / 1_000);
        },
      };
    },
    onSubscribe({ args }) {
      const { transport } = args.contextValue.exchange;
      const labels = labelsOf(args);
      return {
        onSubscribeResult({ result }) {
          metrics.operations.inc({ ...labels, outcome: Symbol.asyncIterator in result ? "stream" : "errors", transport });
        },
      };
    },
  };
}

function labelsOf(args: Pick<ExecutionArgs, "schema" | "document" | "operationName">): { readonly type: string; readonly field: string } {
  const operation = getOperationAST(args.document, args.operationName ?? undefined);
  return operation === null || operation === undefined
    ? { type: "unknown", field: "unknown" }
    : { type: operation.operation, field: fieldLabel(args.schema, operation) };
}

/** The schema's own name of the first field, so that nobody can invent one. */
function fieldLabel(schema: GraphQLSchema, operation: OperationDefinitionNode): string {
  const first = operation.selectionSet.selections[0];
  if (first?.kind !== Kind.FIELD) return "fragment";
  const known = schema.getRootType(operation.operation)?.getFields()[first.name.value];
  return known?.name ?? "introspection";
}
