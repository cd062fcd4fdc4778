/** Specs by zod: one schema says what is accepted, what is filled in, and what users are shown. Every problem at once, with its path. */
import { z } from "zod";
import type { InputIssue } from "../core/errors.ts";
import { type JsonObject, safeJson, safeText } from "../core/json.ts";
import { isJsonObject } from "../core/secret.ts";
import type { SpecResult } from "./driver.ts";

/** The JSON Schema that users see; `.meta({ writeOnly: true })` marks secrets. */
export function schemaOf(form: z.ZodType): JsonObject {
  const schema = safeJson(z.toJSONSchema(form, { io: "input", target: "draft-2020-12" }), { depth: 32, elements: 10_000, text: 4_000 });
  if (!isJsonObject(schema)) throw new Error("a spec's schema is an object");
  return schema;
}

/**
 * Checks a spec. The messages never repeat a value: it may be a secret.
 * @param agreement what the parts must agree on; asked also of an input whose parts are wrong by themselves
 */
export function parseForm(form: z.ZodType, input: JsonObject, agreement: (input: JsonObject) => readonly InputIssue[] = () => []): SpecResult {
  const parsed = form.safeParse(input);
  const issues = [...(parsed.error?.issues ?? []).flatMap((issue) => issuesOf(issue)), ...agreement(input)];
  if (!parsed.success) return { spec: input, issues };
  // Through its text: what is absent is left out, as it will be when it is stored.
  const spec: JsonObject = JSON.parse(JSON.stringify(parsed.data));
  return { spec, issues };
}

/** A text that can be stored and handed to a system call. */
export function storableText(maxLength: number): z.ZodString {
  return z
    .string()
    .max(maxLength)
    .refine((text) => safeText(text, maxLength) === text.slice(0, maxLength), { message: "must not hold NUL or half of a surrogate pair" });
}

function issuesOf(issue: z.core.$ZodIssue, above: readonly PropertyKey[] = []): InputIssue[] {
  const path = [...above, ...issue.path].map(String);
  if (issue.code === "unrecognized_keys") return issue.keys.map((key) => ({ path: [...path, key], message: "is not a field of this spec" }));
  if (issue.code === "invalid_key") return issue.issues.flatMap((inner) => [{ path, message: lower(inner.message) }]);
  return [{ path, message: lower(issue.message) }];
}

function lower(message: string): string {
  return message.charAt(0).toLowerCase() + message.slice(1);
}
