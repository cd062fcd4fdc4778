/**
 * The one shape of all mutations: `xY(input: XYInput!): XYResult!`, where `XYResult` is `XYPayload` or an error. The role is checked here,
 * the command decides the rest; what was read before it is forgotten, so the payload shows the objects as they are afterwards.
 */
import { brandWithType, type InputObjectRef, type ObjectRef } from "@pothos/core";
import type { CommandContext } from "../commands/command.ts";
import type { Result } from "../core/errors.ts";
import { mayAct, type Role } from "../core/principal.ts";
import { access } from "./access.ts";
import { builder } from "./builder.ts";
import type { Types } from "./connection.ts";
import { type ApiContext, commandContext } from "./context.ts";
import { allErrors, type ErrorName, errorType, showRefusal } from "./errors.ts";

export interface MutationSpec<Input extends object, Value, Payload extends object, Former = null> {
  readonly description: string;
  /** The least role that may use it at all. */
  readonly needs: Role;
  /** `XYInput`. */
  readonly input: InputObjectRef<Types, Input>;
  /** `XYPayload`. */
  readonly payload: ObjectRef<Types, Payload>;
  /** Which errors can ever apply; else all. */
  readonly errors?: readonly ErrorName[];
  readonly command: (context: CommandContext, input: Input) => Promise<Result<Value>>;
  /** Reads what the command may take away so fast that it can only be shown as it was. */
  readonly remember?: (input: Input, context: ApiContext) => Promise<Former | null>;
  /** The objects that the command's answer names, as they are now. null: they are gone again. */
  readonly show: (value: Value, context: ApiContext, former: Former | null) => Promise<Payload | null>;
}

export function defineMutation<Input extends object, Value, Payload extends object, Former = null>(
  name: string,
  spec: MutationSpec<Input, Value, Payload, Former>,
): void {
  const { needs, command, remember, show } = spec;
  // Widened: the builder's conditional types cannot see through a type parameter.
  const payload: ObjectRef<Types, object> = spec.payload;
  const inputType: InputObjectRef<Types, object> = spec.input;
  const result = builder.unionType(`${name.charAt(0).toUpperCase()}${name.slice(1)}Result`, {
    description: `What \`${name}\` answers: its payload, or what is wrong. New errors may come: end with \`... on Error\`.`,
    types: [payload, ...(spec.errors ?? allErrors).map(errorType)],
  });
  builder.mutationField(name, (t) =>
    t.field({
      type: result,
      description: spec.description,
      extensions: access(needs),
      args: { input: t.arg({ type: inputType, required: true, description: "What is wanted." }) },
      resolve: async (_root, args, context): Promise<object> => {
        if (!mayAct(context.principal.role, needs)) {
          return showRefusal({ kind: "Forbidden", needs, message: `This needs the role ${needs}; yours is ${context.principal.role}.` });
        }
        const input = args.input as Input;
        const former = remember === undefined ? null : await remember(input, context);
        const outcome = await command(commandContext(context), input);
        context.forget();
        if (!outcome.ok) return showRefusal(outcome.refusal);
        const shown = await show(outcome.value, context, former);
        if (shown === null) return showRefusal({ kind: "NotFound", path: [], message: "It was done, and is gone again." });
        brandWithType<Types>(shown, payload);
        return shown;
      },
    }),
  );
}

/** The field that every input of a mutation has, but `createToken`'s. */
export const idempotencyKeyDescription =
  "Any text of your own, kept for 24 hours: the same key with the same input answers with the same action and objects instead of doing it twice.";
export const ifGenerationDescription = "Do it only if the cluster is still at this generation; else Conflict GENERATION_CHANGED.";
