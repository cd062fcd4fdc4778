/** The tables as Kysely sees them; `migrations/` makes them, `schema/database.sql` shows them. Ids are branded, int8 is bigint. */
import type { ColumnType, Generated } from "kysely";
import type { ActionId, ClusterId, HostId, NodeId, ProfileId, ProjectId, TokenId, WorkerId } from "../core/ids.ts";
import type { Json, JsonObject } from "../core/json.ts";

type Stamp = ColumnType<Date, Date | string, Date | string>;
type NullableStamp = ColumnType<Date | null, Date | string | null | undefined, Date | string | null>;
/** Written as JSON text (pg would turn a list into a PostgreSQL array), read parsed. */
type JsonColumn<T = Json> = ColumnType<T, string, string>;
type NullableJson<T = Json> = ColumnType<T | null, string | null | undefined, string | null>;

export interface Tables {
  "muster.installation": {
    singleton: Generated<boolean>;
    id: string;
    created_at: Generated<Date>;
    schema_floor: Generated<number>;
    secret_check: NullableJson<JsonObject>;
  };
  "muster.project": {
    id: ProjectId;
    name: string;
    quota: JsonColumn<JsonObject>;
    created_at: Stamp;
    updated_at: Stamp;
  };
  "muster.token": {
    id: TokenId;
    project_id: ProjectId;
    name: string;
    role: number;
    hash: Buffer;
    created_at: Stamp;
    expires_at: NullableStamp;
    revoked_at: NullableStamp;
    last_used_at: NullableStamp;
  };
  "muster.idempotency_key": {
    project_id: ProjectId;
    key: string;
    mutation: string;
    input_hmac: Buffer;
    payload: JsonColumn<JsonObject>;
    created_at: Stamp;
  };
  "muster.profile": {
    id: ProfileId;
    project_id: ProjectId;
    name: string;
    revision: number;
    type: string;
    spec: JsonColumn<JsonObject>;
    metadata: JsonColumn<JsonObject>;
    created_at: Stamp;
    updated_at: Stamp;
  };
  "muster.cluster": {
    id: ClusterId;
    project_id: ProjectId;
    name: string;
    profile_id: ProfileId;
    desired_capacity: number;
    min_size: number;
    max_size: number | null;
    generation: number;
    deleting: Generated<boolean>;
    abandon: Generated<boolean>;
    node_name_format: string;
    timeout_seconds: number;
    metadata: JsonColumn<JsonObject>;
    size_action_id: ActionId | null;
    existence_action_id: ActionId | null;
    created_at: Stamp;
    updated_at: Stamp;
  };
  "muster.cluster_state": {
    cluster_id: ClusterId;
    project_id: ProjectId;
    status: number;
    status_reason: string | null;
    observed_generation: Generated<number>;
    conditions: JsonColumn;
    next_index: Generated<number>;
    brake: JsonColumn<JsonObject>;
    updated_at: Stamp;
  };
  "muster.cluster_due": { cluster_id: ClusterId; project_id: ProjectId; lane: number; due_at: Stamp };
  "muster.cluster_count": {
    cluster_id: ClusterId;
    writer: number;
    planned: Generated<number>;
    creating: Generated<number>;
    active: Generated<number>;
    updating: Generated<number>;
    recovering: Generated<number>;
    suspended: Generated<number>;
    warning: Generated<number>;
    error: Generated<number>;
    unknown: Generated<number>;
    deleting: Generated<number>;
    healthy: Generated<number>;
    unhealthy: Generated<number>;
    created_total: Generated<bigint>;
    deleted_total: Generated<bigint>;
    recovered_total: Generated<bigint>;
    checked_total: Generated<bigint>;
    failed_total: Generated<bigint>;
  };
  "muster.node": {
    id: NodeId;
    project_id: ProjectId;
    cluster_id: ClusterId | null;
    profile_id: ProfileId;
    lane: number;
    host_id: HostId | null;
    index: number | null;
    name: string;
    role: string | null;
    metadata: NullableJson<JsonObject>;
    protected: Generated<boolean>;
    tainted: Generated<boolean>;
    status: number;
    status_reason: string | null;
    health: number;
    epoch: Generated<number>;
    physical_id: string | null;
    addresses: NullableJson;
    placement: NullableJson<JsonObject>;
    action_id: ActionId | null;
    created_at: Stamp;
    updated_at: Stamp;
    started_at: NullableStamp;
  };
  "muster.task": {
    node_id: NodeId;
    project_id: ProjectId;
    cluster_id: ClusterId | null;
    lane: number;
    kind: number;
    due_at: Stamp;
    begun_by: Generated<bigint>;
    attempt: Generated<number>;
    params: NullableJson<JsonObject>;
  };
  "muster.notable": {
    node_id: NodeId;
    project_id: ProjectId;
    cluster_id: ClusterId | null;
    status: number;
    health: number;
    rung: Generated<number>;
    remedy_at: NullableStamp;
    since: Stamp;
  };
  "muster.probe": { node_id: NodeId; lane: number; interval_ms: number; phase_ms: number };
  "muster.node_health": { node_id: NodeId; reason: string; message: string | null; since: Stamp; signals: JsonColumn<JsonObject> };
  "muster.node_crash": { node_id: NodeId; crashes: number; last_at: Stamp };
  "muster.tombstone": {
    node_id: NodeId;
    project_id: ProjectId;
    profile_id: ProfileId;
    host_id: HostId | null;
    lane: number;
    epoch: number;
    physical_id: string | null;
    created_at: Stamp;
  };
  "muster.action": {
    id: ActionId;
    project_id: ProjectId;
    kind: number;
    status: number;
    status_reason: string | null;
    cause: number;
    initiator: string | null;
    cluster_id: ClusterId | null;
    node_id: NodeId | null;
    subject_name: string | null;
    generation: number | null;
    inputs: JsonColumn<JsonObject>;
    outputs: NullableJson<JsonObject>;
    total: Generated<number>;
    goal: Generated<bigint>;
    failed_base: Generated<bigint>;
    done: Generated<number>;
    failed: Generated<number>;
    superseded_by: ActionId | null;
    created_at: Stamp;
    started_at: NullableStamp;
    finished_at: NullableStamp;
    timeout_at: NullableStamp;
  };
  "muster.host": {
    id: HostId;
    number: Generated<number>;
    name: string;
    incarnation: string;
    drivers: string[];
    seen_at: Stamp;
  };
  "muster.worker": {
    id: WorkerId;
    number: number;
    host_id: HostId;
    pid: number;
    version: string;
    started_at: Stamp;
    heartbeat_at: Stamp;
    draining: Generated<boolean>;
    backend_pids: number[];
  };
  "muster.lane": { id: number; host_id: HostId | null; owner: WorkerId | null; epoch: Generated<bigint> };
  "muster.ledger": {
    singleton: Generated<boolean>;
    incarnation: number;
    system_identifier: string;
    timeline: number;
    sequencer_epoch: Generated<bigint>;
    position: Generated<bigint>;
    top_batch: Generated<bigint>;
    max_lag: Generated<bigint>;
    oldest: Generated<bigint>;
  };
  "muster.marker": { batch: bigint; events: number };
  "muster.position": { position: bigint; batch: bigint; events: number };
  "muster.event": {
    batch: bigint;
    ordinal: number;
    version: number;
    type: number;
    level: number;
    occurred_at: Stamp;
    project_id: ProjectId;
    cluster_id: ClusterId | null;
    cluster_name: string | null;
    node_id: NodeId | null;
    node_name: string | null;
    action_id: ActionId | null;
    data: JsonColumn<JsonObject>;
  };
  "muster.ledger_partition": {
    kind: "event" | "position";
    lower_bound: bigint;
    upper_bound: bigint;
    first_at: NullableStamp;
    last_at: NullableStamp;
  };
}
