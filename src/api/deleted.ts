/** The payload of a deletion after which the row is gone at once. */
import { builder } from "./builder.ts";

export interface DeletedPayload {
  readonly deletedId: string;
}

export function deletedPayload(name: string) {
  return builder.objectRef<DeletedPayload>(name).implement({
    description: "It is gone.",
    fields: (t) => ({ deletedId: t.exposeID("deletedId", { description: "The id it had." }) }),
  });
}

export function showDeleted({ deletedId }: { readonly deletedId: string }): Promise<DeletedPayload> {
  return Promise.resolve({ deletedId });
}
