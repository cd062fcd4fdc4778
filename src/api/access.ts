/**
 * Who may use a field: declared beside it as `extensions: { access: … }`, enforced here for all of them. Root fields must say it, others
 * may. Queries and subscriptions answer FORBIDDEN; a mutation answers with the `Forbidden` member of its union and so guards itself
 * (`mutation.ts`). What belongs to another project is not forbidden: it does not exist.
 */
import type { GraphQLField, GraphQLObjectType, GraphQLSchema } from "graphql";
import { defaultFieldResolver, isObjectType } from "graphql";
import { mayAct, type Role, roles } from "../core/principal.ts";
import type { ApiContext } from "./context.ts";
import { problem } from "./problem.ts";

/** A type, not an interface: `extensions` wants an index signature. */
export type Access = { readonly access: Role };

export function access(role: Role): Access {
  return { access: role };
}

/** The role a field needs, or null where it needs none of its own. */
export function accessOf(field: Pick<GraphQLField<unknown, unknown>, "extensions">): Role | null {
  const declared = field.extensions["access"];
  return roles.find((role) => role === declared) ?? null;
}

function forbidden(needs: Role): ReturnType<typeof problem> {
  return problem("FORBIDDEN", `This needs the role ${needs}.`);
}

/** Puts the check before every field that declares a role. Throws when a root field declares none: a door without a lock. */
export function enforceAccess(schema: GraphQLSchema): void {
  const mutation = schema.getMutationType();
  const subscription = schema.getSubscriptionType();
  const roots: unknown[] = [schema.getQueryType(), mutation, subscription];
  for (const type of Object.values(schema.getTypeMap())) {
    if (!isObjectType(type) || type.name.startsWith("__")) continue;
    for (const field of Object.values<GraphQLField<unknown, ApiContext>>(type.getFields())) {
      const needs = accessOf(field);
      if (needs === null && roots.includes(type)) throw new Error(`${type.name}.${field.name} does not say who may use it`);
      if (needs === null || type === mutation) continue;
      guard(field, needs, type === subscription ? subscription : null);
    }
  }
}

function guard(field: GraphQLField<unknown, ApiContext>, needs: Role, subscription: GraphQLObjectType | null): void {
  if (subscription !== null) {
    const { subscribe } = field;
    if (subscribe === undefined) throw new Error(`Subscription.${field.name} has no source`);
    field.subscribe = (source, args, context, info) => {
      if (!mayAct(context.principal.role, needs)) throw forbidden(needs);
      return subscribe(source, args, context, info);
    };
    return;
  }
  const resolve = field.resolve ?? defaultFieldResolver;
  field.resolve = (source, args, context, info) => {
    if (!mayAct(context.principal.role, needs)) throw forbidden(needs);
    return resolve(source, args, context, info);
  };
}
