import { readdirSync, readFileSync } from "node:fs";
import {
  type GraphQLNamedType,
  type GraphQLObjectType,
  isEnumType,
  isInputObjectType,
  isInterfaceType,
  isObjectType,
  isUnionType,
  parse,
  printSchema,
  validate,
} from "graphql";
import { describe, expect, test } from "vitest";
import { accessOf } from "../../src/api/access.ts";
import { buildSchema } from "../../src/api/schema.ts";

const schema = buildSchema();
const ownTypes = Object.values(schema.getTypeMap()).filter((type) => !type.name.startsWith("__"));
const builtIn = new Set(["String", "Int", "Float", "Boolean", "ID"]);

function rootOf(name: "Query" | "Mutation" | "Subscription"): GraphQLObjectType {
  const type = schema.getType(name);
  if (!isObjectType(type)) throw new Error(`no ${name}`);
  return type;
}

/** Types, fields, arguments and enum values without a sentence. */
function undescribed(type: GraphQLNamedType): string[] {
  const found = type.description == null && !builtIn.has(type.name) ? [type.name] : [];
  if (isEnumType(type)) found.push(...type.getValues().flatMap((value) => (value.description == null ? [`${type.name}.${value.name}`] : [])));
  if (isInputObjectType(type))
    found.push(...Object.values(type.getFields()).flatMap((field) => (field.description == null ? [`${type.name}.${field.name}`] : [])));
  if (!isObjectType(type) && !isInterfaceType(type)) return found;
  for (const field of Object.values(type.getFields())) {
    if (field.description == null) found.push(`${type.name}.${field.name}`);
    for (const argument of field.args) if (argument.description == null) found.push(`${type.name}.${field.name}(${argument.name})`);
  }
  return found;
}

describe("schema", () => {
  test("printed: what src/api says → schema/schema.graphql", () => {
    expect(readFileSync("schema/schema.graphql", "utf8")).toContain(printSchema(schema));
  });

  test("built twice: the same, with one lock per door", () => {
    expect(printSchema(buildSchema())).toBe(printSchema(schema));
  });

  test("every type, field, argument and value: described", () => {
    expect(ownTypes.flatMap(undescribed)).toEqual([]);
  });

  test("every root field: says who may use it", () => {
    for (const name of ["Query", "Mutation", "Subscription"] as const) {
      const open = Object.values(rootOf(name).getFields()).filter((field) => accessOf(field) === null);
      expect(open.map((field) => field.name)).toEqual([]);
    }
  });

  test("every mutation: takes XInput, answers XResult = XPayload | errors, with an idempotency key but for createToken", () => {
    for (const field of Object.values(rootOf("Mutation").getFields())) {
      const name = `${field.name.charAt(0).toUpperCase()}${field.name.slice(1)}`;
      expect(field.args.map((argument) => `${argument.name}: ${String(argument.type)}`)).toEqual([`input: ${name}Input!`]);
      expect(String(field.type)).toBe(`${name}Result!`);
      const result = schema.getType(`${name}Result`);
      if (!isUnionType(result)) throw new Error(`${name}Result is no union`);
      const [payload, ...errors] = result.getTypes();
      expect(payload?.name).toBe(`${name}Payload`);
      for (const error of errors) expect(error.getInterfaces().map((one) => one.name)).toEqual(["Error"]);
      expect(errors.map((error) => error.name)).toEqual(expect.arrayContaining(["InvalidInput", "NotFound", "Conflict", "Forbidden"]));
      const input = schema.getType(`${name}Input`);
      if (!isInputObjectType(input)) throw new Error(`${name}Input is no input`);
      expect(Object.hasOwn(input.getFields(), "idempotencyKey")).toBe(field.name !== "createToken");
    }
  });

  test("every connection: edges, nodes, pageInfo, totalCount, and the same four arguments where it is asked for", () => {
    const connections = ownTypes.filter(isObjectType).filter((type) => type.name.endsWith("Connection"));
    expect(connections.length).toBeGreaterThan(6);
    for (const type of connections) {
      const fields = Object.fromEntries(Object.values(type.getFields()).map((field) => [field.name, String(field.type)]));
      const node = type.name.replace(/Connection$/, "");
      expect(fields).toMatchObject({ edges: `[${node}Edge!]!`, nodes: `[${node}!]!`, pageInfo: "PageInfo!", totalCount: "Int" });
    }
    for (const type of ownTypes.filter(isObjectType)) {
      for (const field of Object.values(type.getFields()).filter((one) => String(one.type).endsWith("Connection!"))) {
        const given = field.args.map((argument) => `${argument.name}: ${String(argument.type)}`);
        expect(given, `${type.name}.${field.name}`).toEqual(expect.arrayContaining(["first: Int", "after: String", "last: Int", "before: String"]));
      }
    }
  });

  test("every object with an id: a Node", () => {
    const withId = ownTypes.filter(isObjectType).filter((type) => Object.hasOwn(type.getFields(), "id"));
    for (const type of withId)
      expect(
        type.getInterfaces().map((one) => one.name),
        type.name,
      ).toContain("Node");
  });

  test("operations of schema/operations: valid, with unique names", () => {
    const files = readdirSync("schema/operations").filter((file) => file.endsWith(".graphql"));
    const document = parse(files.map((file) => readFileSync(`schema/operations/${file}`, "utf8")).join("\n"));
    expect(validate(schema, document).map((error) => error.message)).toEqual([]);
  });
});
