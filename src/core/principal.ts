/** Who asks: every request, and every loop of the engine that acts in somebody's name. */
import { codec } from "./code.ts";
import type { ProjectId, TokenId } from "./ids.ts";

/** Each role may do what those before it may. Codes are stored: frozen. */
export const roles = ["READER", "MEMBER", "ADMIN", "OPERATOR"] as const;
export type Role = (typeof roles)[number];
export const roleCodes = { READER: 1, MEMBER: 2, ADMIN: 3, OPERATOR: 4 } as const satisfies Record<Role, number>;
export const roleCodec = codec("role", roleCodes);

export interface Principal {
  readonly tokenId: TokenId;
  readonly tokenName: string;
  readonly projectId: ProjectId;
  readonly role: Role;
  /** Milliseconds since 1970; null: never. */
  readonly expiresAtMs: number | null;
}

/** READER sees its project; MEMBER changes it; ADMIN also its tokens; OPERATOR the whole installation. */
export function mayAct(role: Role, needs: Role): boolean {
  return roleCodes[role] >= roleCodes[needs];
}
