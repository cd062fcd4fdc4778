/** Refuses an operation that asks for too many objects before anything of it runs, and says on every answer what it cost. */
import { type DocumentNode, type ExecutionResult, type GraphQLSchema, getOperationAST } from "graphql";
import type { Plugin } from "graphql-yoga";
import { problem } from "../../api/problem.ts";
import type { Limits } from "../../core/limits.ts";
import { actualCost, type CostPlan, compileCost, requestedCost } from "./cost.ts";

type CostLimits = Pick<Limits, "cost" | "pageSize">;

interface Asked {
  readonly schema: GraphQLSchema;
  readonly document: DocumentNode;
  readonly operationName?: string | null | undefined;
  readonly variableValues?: unknown;
}

/** Compiled trees, kept as long as their document is. */
class CostPlans {
  private readonly byDocument = new WeakMap<DocumentNode, Map<string, CostPlan>>();

  of({ schema, document, operationName }: Asked): CostPlan | null {
    const operation = getOperationAST(document, operationName ?? undefined);
    if (operation === null || operation === undefined) return null;
    const plans = this.byDocument.get(document) ?? new Map<string, CostPlan>();
    this.byDocument.set(document, plans);
    const key = operationName ?? "";
    const plan = plans.get(key) ?? compileCost(schema, document, operation);
    plans.set(key, plan);
    return plan;
  }
}

export function useCostLimit(limits: CostLimits): Plugin {
  const plans = new CostPlans();
  const judge = (args: Asked): { readonly plan: CostPlan; readonly requested: number; readonly refused: ExecutionResult | null } | null => {
    const plan = plans.of(args);
    if (plan === null) return null;
    const requested = requestedCost(plan, isRecord(args.variableValues) ? args.variableValues : {}, limits.pageSize);
    if (requested <= limits.cost) return { plan, requested, refused: null };
    const message = `This asks for ${requested} objects; at most ${limits.cost} are answered at once. Ask for smaller pages.`;
    const refused = {
      errors: [problem("COST_EXCEEDED", message, { cost: requested, limit: limits.cost })],
      extensions: { cost: { requested, actual: 0, limit: limits.cost } },
    };
    return { plan, requested, refused };
  };
  return {
    onExecute({ args, setResultAndStopExecution }) {
      const judged = judge(args);
      if (judged === null) return undefined;
      const { plan, requested, refused } = judged;
      if (refused !== null) {
        setResultAndStopExecution(refused);
        return undefined;
      }
      return {
        onExecuteDone({ result, setResult }) {
          if (Symbol.asyncIterator in result) return;
          setResult({
            ...result,
            extensions: { ...result.extensions, cost: { requested, actual: actualCost(plan, result.data), limit: limits.cost } },
          });
        },
      };
    },
    onSubscribe({ args, setResultAndStopExecution }) {
      const refused = judge(args)?.refused ?? null;
      if (refused !== null) setResultAndStopExecution(refused);
    },
  };
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null;
}
