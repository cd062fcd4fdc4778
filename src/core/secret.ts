/** Which values of a spec are secret: those whose JSON Schema says `writeOnly`. Pure; sealing them is `store/vault.ts`. */
import type { Json, JsonObject } from "./json.ts";

export function isJsonObject(value: Json | undefined): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/**
 * The paths of the secrets that `value` holds. Follows what a schema may be put together from: properties, items, combinations,
 * local references. Where alternatives disagree a value is secret: better one masked too many.
 */
export function secretPaths(schema: JsonObject, value: Json): string[][] {
  const found = new Map<string, string[]>();
  const walk = (at: Json | undefined, here: Json, path: string[], followed: readonly string[]): void => {
    if (!isJsonObject(at)) return;
    if (at["writeOnly"] === true) {
      if (path.length > 0) found.set(JSON.stringify(path), path);
      return;
    }
    const reference = at["$ref"];
    if (typeof reference === "string" && !followed.includes(reference)) walk(resolve(schema, reference), here, path, [...followed, reference]);
    for (const keyword of ["allOf", "anyOf", "oneOf"]) {
      const options = at[keyword];
      if (Array.isArray(options)) for (const option of options as readonly Json[]) walk(option, here, path, followed);
    }
    for (const keyword of ["if", "then", "else"]) walk(at[keyword], here, path, followed);
    if (Array.isArray(here)) {
      const prefix = at["prefixItems"];
      (here as readonly Json[]).forEach((item, index) => {
        const own = Array.isArray(prefix) ? (prefix as readonly Json[])[index] : undefined;
        walk(own ?? at["items"], item, [...path, String(index)], []);
      });
    } else if (isJsonObject(here)) {
      for (const [key, item] of Object.entries(here)) {
        for (const member of memberSchemas(at, key)) walk(member, item, [...path, key], []);
      }
    }
  };
  walk(schema, value, [], []);
  const paths = [...found.values()];
  // A secret inside a secret (two alternatives, at two depths) is covered by the outer one.
  return paths.filter((path) => !paths.some((other) => other.length < path.length && other.every((key, index) => key === path[index])));
}

function memberSchemas(schema: JsonObject, key: string): (Json | undefined)[] {
  const properties = schema["properties"];
  const schemas: (Json | undefined)[] = [];
  if (isJsonObject(properties) && Object.hasOwn(properties, key)) schemas.push(properties[key]);
  const patterns = schema["patternProperties"];
  if (isJsonObject(patterns)) {
    for (const [pattern, member] of Object.entries(patterns)) if (new RegExp(pattern, "u").test(key)) schemas.push(member);
  }
  if (schemas.length === 0) schemas.push(schema["additionalProperties"]);
  return schemas;
}

function resolve(root: JsonObject, reference: string): Json | undefined {
  if (!reference.startsWith("#/")) return undefined;
  let at: Json | undefined = root;
  for (const step of reference.slice(2).split("/")) {
    const key = step.replaceAll("~1", "/").replaceAll("~0", "~");
    at = isJsonObject(at) ? at[key] : undefined;
  }
  return at;
}

/** Keys by which sealed and masked values are recognised: nobody else may use them in a spec. */
export const maskKey = "$secret";
export const sealKey = "$sealed";

/** The mask that a value is, or null. */
export function maskIn(value: Json | undefined): string | null {
  if (!isJsonObject(value)) return null;
  const mask = value[maskKey];
  return typeof mask === "string" && Object.keys(value).length === 1 ? mask : null;
}
