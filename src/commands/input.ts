/**
 * The inputs of all commands: exactly the shapes of the GraphQL inputs. Absent and null are told apart where it matters: in an
 * update, absent leaves as it is and null clears, where that has a meaning. Instances of DateTime are Dates.
 */
import type { JsonObject } from "../core/json.ts";
import type { Role } from "../core/principal.ts";

/** A nullable field that may also be left out. */
export type Optional<T> = T | null | undefined;

/** GraphQL's @oneOf: exactly one is given, which the schema has checked. */
export interface ObjectBy {
  readonly id?: Optional<string>;
  readonly name?: Optional<string>;
}
export interface NodeBy {
  readonly id?: Optional<string>;
  readonly name?: Optional<{ readonly cluster: ObjectBy; readonly name: string }>;
  readonly index?: Optional<{ readonly cluster: ObjectBy; readonly index: number }>;
}
export interface CapacityInput {
  readonly exactly?: Optional<number>;
  readonly by?: Optional<number>;
  readonly byPercent?: Optional<number>;
}

export interface Keyed {
  readonly idempotencyKey?: Optional<string>;
}
export interface Guarded extends Keyed {
  readonly ifGeneration?: Optional<number>;
}

export interface CreateProfileInput extends Keyed {
  readonly name: string;
  readonly type: string;
  readonly spec: JsonObject;
  readonly metadata?: Optional<JsonObject>;
}
export interface ReviseProfileInput extends Keyed {
  readonly profile: ObjectBy;
  readonly spec: JsonObject;
  readonly metadata?: Optional<JsonObject>;
}
export interface UpdateProfileInput extends Keyed {
  readonly profile: ObjectBy;
  readonly name?: Optional<string>;
  readonly metadata?: Optional<JsonObject>;
}
export interface DeleteProfileInput extends Keyed {
  readonly profile: ObjectBy;
}

export interface CreateClusterInput extends Keyed {
  readonly name: string;
  readonly profile: ObjectBy;
  readonly desiredCapacity?: Optional<number>;
  readonly minSize: number;
  readonly maxSize?: Optional<number>;
  readonly metadata?: Optional<JsonObject>;
  readonly nodeNameFormat?: Optional<string>;
  readonly timeoutSeconds: number;
}
export interface UpdateClusterInput extends Guarded {
  readonly cluster: ObjectBy;
  readonly name?: Optional<string>;
  readonly profile?: Optional<ObjectBy>;
  readonly metadata?: Optional<JsonObject>;
  readonly minSize?: Optional<number>;
  readonly maxSize?: Optional<number>;
  readonly timeoutSeconds?: Optional<number>;
}
export interface ResizeClusterInput extends Guarded {
  readonly cluster: ObjectBy;
  readonly capacity?: Optional<CapacityInput>;
  readonly minStep?: Optional<number>;
  readonly minSize?: Optional<number>;
  readonly maxSize?: Optional<number>;
  readonly strict: boolean;
}
/** Of scaleOutCluster and scaleInCluster. */
export interface ScaleClusterInput extends Guarded {
  readonly cluster: ObjectBy;
  readonly count?: Optional<number>;
}
export interface CheckClusterInput extends Keyed {
  readonly cluster: ObjectBy;
}
export interface RecoverClusterInput extends Keyed {
  readonly cluster: ObjectBy;
  readonly operation?: Optional<string>;
  readonly params?: Optional<JsonObject>;
}
export interface DeleteClusterInput extends Guarded {
  readonly cluster: ObjectBy;
  readonly abandon: boolean;
}

export interface CreateClusterNodeInput extends Keyed {
  readonly cluster?: Optional<ObjectBy>;
  readonly profile?: Optional<ObjectBy>;
  readonly name?: Optional<string>;
  readonly role?: Optional<string>;
  readonly metadata?: Optional<JsonObject>;
}
export interface UpdateClusterNodeInput extends Keyed {
  readonly node: NodeBy;
  readonly name?: Optional<string>;
  readonly role?: Optional<string>;
  readonly metadata?: Optional<JsonObject>;
  readonly protected?: Optional<boolean>;
  readonly tainted?: Optional<boolean>;
}
export interface CheckClusterNodeInput extends Keyed {
  readonly node: NodeBy;
}
export interface RecoverClusterNodeInput extends Keyed {
  readonly node: NodeBy;
  readonly operation?: Optional<string>;
  readonly params?: Optional<JsonObject>;
}
export interface DeleteClusterNodeInput extends Keyed {
  readonly node: NodeBy;
  readonly reduceDesiredCapacity: boolean;
  readonly abandon: boolean;
}

export interface CancelActionInput extends Keyed {
  readonly id: string;
}

export interface CreateTokenInput {
  readonly name: string;
  readonly project?: Optional<ObjectBy>;
  readonly role: Role;
  readonly expiresAt?: Optional<Date>;
}
export interface RevokeTokenInput extends Keyed {
  readonly token: ObjectBy;
}

export interface CreateProjectInput extends Keyed {
  readonly name: string;
}
export interface UpdateProjectInput extends Keyed {
  readonly project: ObjectBy;
  readonly name?: Optional<string>;
  readonly quota?: Optional<readonly { readonly quota: string; readonly limit?: Optional<number> }[]>;
}
export interface DeleteProjectInput extends Keyed {
  readonly project: ObjectBy;
}
