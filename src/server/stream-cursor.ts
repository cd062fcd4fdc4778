/**
 * How an SSE stream carries its cursor without the client asking for it: the subscription's document is given one more field,
 * `cursor` of whatever the root field answers with, which becomes the frame's `id:` and is taken out of the data again. And how it
 * resumes: `Last-Event-ID` becomes the root field's argument `after`, in the place of the client's own, which is older.
 */
import {
  type ArgumentNode,
  type DocumentNode,
  type FieldNode,
  type FragmentDefinitionNode,
  type GraphQLSchema,
  getNamedType,
  isObjectType,
  Kind,
  type NameNode,
  type OperationDefinitionNode,
  type SelectionSetNode,
} from "graphql";

/** No client can ask for this name: GraphQL reserves what begins with two underscores. */
const cursorKey = "__musterCursor";
const variableName = "__musterLastEventId";

export interface CursorStream {
  readonly document: DocumentNode;
  /** Takes the cursor out of a frame's data; null where the frame has none. */
  readonly takeCursor: (data: unknown) => string | null;
  /** Variables to add so that the stream resumes after this cursor. */
  readonly resume: (lastEventId: string) => Readonly<Record<string, string>>;
}

/** null where the stream has no cursor. */
export function withCursor(
  schema: GraphQLSchema,
  document: DocumentNode,
  operation: OperationDefinitionNode,
  resuming: boolean,
): CursorStream | null {
  const fragments = new Map<string, FragmentDefinitionNode>();
  for (const definition of document.definitions) {
    if (definition.kind === Kind.FRAGMENT_DEFINITION) fragments.set(definition.name.value, definition);
  }
  const root = rootField(operation.selectionSet, fragments);
  const definition = root === null ? undefined : schema.getSubscriptionType()?.getFields()[root.name.value];
  const type = definition === undefined ? undefined : getNamedType(definition.type);
  if (root === null || definition === undefined || !isObjectType(type) || type.getFields()["cursor"] === undefined) return null;
  const resumes = resuming && definition.args.some((argument) => argument.name === "after");
  const responseKey = root.alias?.value ?? root.name.value;
  const cursorField: FieldNode = { kind: Kind.FIELD, alias: name(cursorKey), name: name("cursor") };
  const field: FieldNode = {
    ...root,
    arguments: resumes ? [...(root.arguments ?? []).filter((argument) => argument.name.value !== "after"), afterVariable()] : (root.arguments ?? []),
    selectionSet: { kind: Kind.SELECTION_SET, selections: [...(root.selectionSet?.selections ?? []), cursorField] },
  };
  const rewritten: OperationDefinitionNode = {
    ...operation,
    variableDefinitions: resumes ? [...(operation.variableDefinitions ?? []), variableDefinition()] : (operation.variableDefinitions ?? []),
    selectionSet: { kind: Kind.SELECTION_SET, selections: [field] },
  };
  return {
    document: { ...document, definitions: document.definitions.map((node) => (node === operation ? rewritten : node)) },
    takeCursor: (data) => takeCursor(data, responseKey),
    resume: (lastEventId) => (resumes ? { [variableName]: lastEventId } : {}),
  };
}

/** The one field at the root of a subscription (validation makes sure of that), wherever fragments hide it. */
function rootField(set: SelectionSetNode, fragments: ReadonlyMap<string, FragmentDefinitionNode>): FieldNode | null {
  const fields: FieldNode[] = [];
  const visit = (current: SelectionSetNode): void => {
    for (const selection of current.selections) {
      if (selection.kind === Kind.FIELD) fields.push(selection);
      else if (selection.kind === Kind.INLINE_FRAGMENT) visit(selection.selectionSet);
      else {
        const fragment = fragments.get(selection.name.value);
        if (fragment !== undefined) visit(fragment.selectionSet);
      }
    }
  };
  visit(set);
  const [first] = fields;
  if (first === undefined) return null;
  const selections = fields.flatMap((field) => field.selectionSet?.selections ?? []);
  return { ...first, selectionSet: { kind: Kind.SELECTION_SET, selections } };
}

function takeCursor(data: unknown, responseKey: string): string | null {
  if (typeof data !== "object" || data === null) return null;
  const value: unknown = Reflect.get(data, responseKey);
  if (typeof value !== "object" || value === null) return null;
  const cursor: unknown = Reflect.get(value, cursorKey);
  Reflect.deleteProperty(value, cursorKey);
  return typeof cursor === "string" ? cursor : null;
}

function name(value: string): NameNode {
  return { kind: Kind.NAME, value };
}

function afterVariable(): ArgumentNode {
  return { kind: Kind.ARGUMENT, name: name("after"), value: { kind: Kind.VARIABLE, name: name(variableName) } };
}

function variableDefinition(): NonNullable<OperationDefinitionNode["variableDefinitions"]>[number] {
  return {
    kind: Kind.VARIABLE_DEFINITION,
    variable: { kind: Kind.VARIABLE, name: name(variableName) },
    type: { kind: Kind.NAMED_TYPE, name: name("String") },
  };
}
