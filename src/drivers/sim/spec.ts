/** What a profile of type `sim` may say. */
import { z } from "zod";
import type { JsonObject } from "../../core/json.ts";
import type { SpecResult } from "../driver.ts";
import { parseForm, schemaOf, storableText } from "../spec-form.ts";

/** A day: longer than anybody would watch. */
const longestMs = 86_400_000;
const ms = z.int().min(0).max(longestMs);
const span = z
  .strictObject({ min: ms, max: ms })
  .refine((value) => value.min <= value.max, { message: "min must not be greater than max", path: ["min"] });
/** A number of ms, or a range from which each member draws its own. */
const duration = z.union([ms, span], {
  error: "must be a whole number of milliseconds from 0 to 86400000, or {min, max} of such numbers with min ≤ max",
});
const label = storableText(128).min(1);

const form = z.strictObject({
  createMs: duration.default(0).meta({ description: "How long making a member takes." }),
  deleteMs: duration.default(0).meta({ description: "How long taking a member away takes." }),
  updateMs: duration.default(0).meta({ description: "How long changing a member takes." }),
  failureRate: z.number().min(0).max(1).default(0).meta({ description: "The share of attempts to make a member that fail." }),
  lifetimeMs: z.union([duration, z.null()]).default(null).meta({ description: "How long a member lives; null: until it is deleted." }),
  zones: z.array(label).max(1_000).default([]).meta({ description: "Zones over which members are spread." }),
  hosts: z.int().min(0).max(1_000_000).default(0).meta({ description: "Over how many hosts members are spread; 0: none are told." }),
  batchSize: z.int().min(1).max(10_000).default(1_000).meta({ description: "How many members the provider takes in one call." }),
});

export type SimSpec = z.infer<typeof form>;
export type Duration = SimSpec["createMs"];

export const simSpecSchema: JsonObject = schemaOf(form);

export function parseSimSpec(input: JsonObject): SpecResult {
  return parseForm(form, input);
}

/** A stored spec as it was checked when it was stored. */
export function readSimSpec(spec: JsonObject): SimSpec {
  return form.parse(spec);
}

export function longest(duration: Duration): number {
  return typeof duration === "number" ? duration : duration.max;
}
