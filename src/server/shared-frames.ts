/**
 * Subscriptions whose frames are made once for all who asked the same. A thousand dashboards follow one cluster with one document: what an event comes to is
 * the same for each, and making it a thousand times was a third of what the last of them waited for.
 *
 * Shared is only what came of the event alone. An execution that answers at once has read nothing, so it does not matter when it ran, nor for whom, beyond
 * project and role; one that reads (`node { … }` as it is now) runs for each by itself.
 */
import {
  createSourceEventStream,
  type DocumentNode,
  type ExecutionArgs,
  type ExecutionResult,
  execute,
  GraphQLError,
  getOperationAST,
  Kind,
  visit,
} from "graphql";
import type { Principal } from "../core/principal.ts";

type Reader = Pick<Principal, "projectId" | "role">;
type Made = ExecutionResult | Promise<ExecutionResult>;

/** Frames that are kept for those who ask the same and have not come to them yet. Whoever is further behind has its own made. */
const framesKept = 64;

/** Those who asked the same. */
class Group {
  members = 0;
  private readonly frames = new Map<object, ExecutionResult>();

  /** The frame that an event comes to. */
  frame(event: unknown, make: () => Made): Made {
    if (this.members < 2 || typeof event !== "object" || event === null) return make();
    const kept = this.frames.get(event);
    if (kept !== undefined) return kept;
    const made = make();
    // Errors are told with the request's own id.
    if (made instanceof Promise || made.errors !== undefined) return made;
    this.frames.set(event, made);
    for (const oldest of this.frames.keys()) {
      if (this.frames.size <= framesKept) break;
      this.frames.delete(oldest);
    }
    return made;
  }
}

/** Who asked with one document. */
interface Asked {
  /** Variables that tell what a frame looks like, not only which events there are. */
  readonly shaping: readonly string[];
  readonly groups: Map<string, Group>;
}

export class SharedFrames {
  private readonly documents = new WeakMap<DocumentNode, Asked>();

  /** graphql's `subscribe`, for a reader. Documents are the same where they are one object: those of a cache. */
  async subscribe(args: ExecutionArgs, reader: Reader): Promise<AsyncIterableIterator<ExecutionResult> | ExecutionResult> {
    const source = await createSourceEventStream(args);
    if (!(Symbol.asyncIterator in source)) return source;
    const { group, leave } = this.join(args, reader);
    const events = source[Symbol.asyncIterator]();
    const stop = async (): Promise<IteratorResult<ExecutionResult>> => {
      leave();
      await events.return?.();
      return { done: true, value: undefined };
    };
    const stream: AsyncIterableIterator<ExecutionResult> = {
      [Symbol.asyncIterator]: () => stream,
      next: async () => {
        try {
          const { done, value } = await events.next();
          if (done !== true) return { done: false, value: await group.frame(value, () => execute({ ...args, rootValue: value })) };
        } catch (error) {
          leave();
          throw located(error, args);
        }
        leave();
        return { done: true, value: undefined };
      },
      return: stop,
      throw: stop,
    };
    return stream;
  }

  private join({ document, operationName, variableValues }: ExecutionArgs, { projectId, role }: Reader): { group: Group; leave: () => void } {
    const asked = this.documents.get(document) ?? { shaping: shapingVariables(document), groups: new Map<string, Group>() };
    this.documents.set(document, asked);
    const values = asked.shaping.map((name) => (variableValues != null && name in variableValues ? [variableValues[name]] : []));
    const key = JSON.stringify([projectId, role, operationName ?? null, values]);
    const group = asked.groups.get(key) ?? new Group();
    asked.groups.set(key, group);
    group.members += 1;
    let inside = true;
    return {
      group,
      leave: () => {
        if (!inside) return;
        inside = false;
        group.members -= 1;
        if (group.members === 0) asked.groups.delete(key);
      },
    };
  }
}

/** All but those that only say which events are wanted, and from where on: the arguments of what stands at the root. */
function shapingVariables(document: DocumentNode): readonly string[] {
  const names = new Set<string>();
  const roots = new Set(document.definitions.flatMap((node) => (node.kind === Kind.OPERATION_DEFINITION ? node.selectionSet.selections : [])));
  const rootArguments = new Set([...roots].flatMap((node) => (node.kind === Kind.FIELD ? (node.arguments ?? []) : [])));
  visit(document, {
    VariableDefinition: () => false,
    Argument: (node) => (rootArguments.has(node) ? false : undefined),
    Variable: (node) => void names.add(node.name.value),
  });
  return [...names].sort();
}

/** An error of the stream itself, as graphql's own `subscribe` would tell it. */
function located(error: unknown, { document, operationName }: ExecutionArgs): GraphQLError {
  const originalError = error instanceof Error ? error : new Error(String(error));
  return new GraphQLError(originalError.message, { originalError, nodes: getOperationAST(document, operationName) ?? null });
}
