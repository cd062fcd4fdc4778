/**
 * The first schema. Frozen once released; imports nothing from src/.
 *
 * Hot tables (node, task, cluster_count, cluster_state) carry no index on what changes with each step and leave room in their
 * pages (fillfactor), so that updates stay HOT. Nodes, tasks, events and actions have no foreign key to cluster: an insert would
 * wait for the cluster's row lock. Status columns hold the frozen codes of src/core.
 */
import { type Kysely, sql } from "kysely";

const statements = [
  // ── The installation ─────────────────────────────────────────────────────────────────────────────────────────────────────
  `create table muster.installation (
     singleton boolean primary key default true check (singleton),
     id uuid not null,
     created_at timestamptz not null default clock_timestamp(),
     -- A worker that knows no schema as new as this stops at its next step.
     schema_floor integer not null default 1,
     -- The id of the key that seals secrets, and a value sealed with it: a wrong key is found at the start, not at the first use.
     secret_check jsonb,
     -- The ledger's incarnation for which every node has been read back, and how far that has come for the present one.
     read_back integer,
     read_back_after uuid
   )`,
  `create table muster.project (
     id uuid primary key,
     name text not null,
     quota jsonb not null default '{}',
     created_at timestamptz not null,
     updated_at timestamptz not null,
     constraint project_name unique (name)
   )`,
  `create table muster.token (
     id uuid primary key,
     project_id uuid not null references muster.project,
     name text not null,
     role smallint not null,
     -- SHA-256 of the whole secret: 190 random bits need no slow hash.
     hash bytea not null,
     created_at timestamptz not null,
     expires_at timestamptz,
     revoked_at timestamptz,
     last_used_at timestamptz,
     constraint token_hash unique (hash)
   ) with (fillfactor = 80)`,
  `create unique index token_name on muster.token (project_id, name) where revoked_at is null`,
  `create index token_project on muster.token (project_id, id)`,
  // Written first in a mutation's transaction, so a second call with the same key waits for it.
  `create table muster.idempotency_key (
     project_id uuid not null,
     key text not null,
     mutation text not null,
     input_hmac bytea not null,
     payload jsonb not null,
     created_at timestamptz not null,
     primary key (project_id, key)
   )`,
  `create index idempotency_key_age on muster.idempotency_key (created_at)`,

  // ── Wanted ───────────────────────────────────────────────────────────────────────────────────────────────────────────────
  `create table muster.profile (
     id uuid primary key,
     project_id uuid not null,
     name text not null,
     revision integer not null,
     type text not null,
     -- writeOnly values are sealed in place.
     spec jsonb not null,
     metadata jsonb not null default '{}',
     created_at timestamptz not null,
     updated_at timestamptz not null,
     constraint profile_name unique (project_id, name, revision)
   )`,
  `create index profile_project on muster.profile (project_id, id)`,
  `create table muster.cluster (
     id uuid primary key,
     project_id uuid not null,
     name text not null,
     profile_id uuid not null references muster.profile,
     desired_capacity integer not null,
     min_size integer not null,
     max_size integer,
     generation integer not null,
     deleting boolean not null default false,
     abandon boolean not null default false,
     node_name_format text not null,
     timeout_seconds integer not null,
     metadata jsonb not null default '{}',
     -- The live action of each facet that exists so far.
     size_action_id uuid,
     existence_action_id uuid,
     created_at timestamptz not null,
     updated_at timestamptz not null,
     constraint cluster_name unique (project_id, name)
   ) with (fillfactor = 70)`,
  `create index cluster_project on muster.cluster (project_id, id)`,
  `create index cluster_profile on muster.cluster (profile_id)`,
  // What the planner knows and decides about a cluster; mutations never wait for it.
  `create table muster.cluster_state (
     cluster_id uuid primary key,
     project_id uuid not null,
     status smallint not null,
     status_reason text,
     observed_generation integer not null default 0,
     conditions jsonb not null default '[]',
     next_index integer not null default 1,
     -- The brake: when remedies began in the present window, and how many.
     brake jsonb not null default '{}',
     updated_at timestamptz not null
   ) with (fillfactor = 50)`,
  `create index cluster_state_project on muster.cluster_state (project_id, cluster_id)`,
  // When to plan a cluster (next). One row per cluster; due_at = infinity at rest. A planner moves it into the future before it
  // reads, so whatever becomes due meanwhile is seen again.
  `create table muster.cluster_due (
     cluster_id uuid primary key,
     project_id uuid not null,
     lane integer not null,
     due_at timestamptz not null
   ) with (fillfactor = 50)`,
  `create index cluster_due_lane on muster.cluster_due (lane, due_at)`,
  // Member counts and running totals: one row per cluster and writer, written as increments, last before the ledger's marker.
  `create table muster.cluster_count (
     cluster_id uuid not null,
     writer smallint not null,
     planned integer not null default 0,
     creating integer not null default 0,
     active integer not null default 0,
     updating integer not null default 0,
     recovering integer not null default 0,
     suspended integer not null default 0,
     warning integer not null default 0,
     error integer not null default 0,
     unknown integer not null default 0,
     deleting integer not null default 0,
     healthy integer not null default 0,
     unhealthy integer not null default 0,
     -- Ever: how many members were made, taken away, recovered, checked, set aside (creation given up).
     created_total bigint not null default 0,
     deleted_total bigint not null default 0,
     recovered_total bigint not null default 0,
     checked_total bigint not null default 0,
     failed_total bigint not null default 0,
     primary key (cluster_id, writer)
   ) with (fillfactor = 50)`,

  // ── Nodes ────────────────────────────────────────────────────────────────────────────────────────────────────────────────
  `create table muster.node (
     id uuid primary key,
     project_id uuid not null,
     cluster_id uuid,
     profile_id uuid not null,
     lane integer not null,
     host_id uuid,
     index integer,
     name text not null,
     role text,
     metadata jsonb,
     protected boolean not null default false,
     tainted boolean not null default false,
     status smallint not null,
     status_reason text,
     health smallint not null,
     -- Which life this is; part of every effect's key.
     epoch integer not null default 1,
     physical_id text,
     addresses jsonb,
     placement jsonb,
     -- The action that is being carried out on this one node, if any.
     action_id uuid,
     created_at timestamptz not null,
     updated_at timestamptz not null,
     -- When the present life began to run: the start-up grace counts from here.
     started_at timestamptz
   ) with (fillfactor = 70)`,
  `create unique index node_cluster_name on muster.node (cluster_id, name)`,
  `create unique index node_cluster_index on muster.node (cluster_id, index)`,
  `create index node_cluster on muster.node (cluster_id, id)`,
  `create index node_orphan on muster.node (project_id, id) where cluster_id is null`,
  `create index node_host on muster.node (lane) where host_id is not null`,
  `create index node_tainted on muster.node (cluster_id, id) where tainted`,
  `create index node_profile on muster.node (profile_id)`,
  // What is to be done on a node, and when. No row: nothing is. begun_by is the lane epoch that began it (0: nobody has); while it
  // is set, due_at is the deadline at which the outcome counts as lost.
  `create table muster.task (
     node_id uuid primary key,
     project_id uuid not null,
     cluster_id uuid,
     lane integer not null,
     kind smallint not null,
     due_at timestamptz not null,
     begun_by bigint not null default 0,
     attempt integer not null default 0,
     params jsonb
   ) with (fillfactor = 50)`,
  `create index task_lane on muster.task (lane, due_at)`,
  `create index task_cluster on muster.task (cluster_id, kind, node_id)`,
  // Members that are not plainly ACTIVE and HEALTHY (nor PLANNED, CREATING, DELETING: those have tasks). Answers filters for the
  // unusual, and is where the planner looks for whom to heal.
  `create table muster.notable (
     node_id uuid primary key,
     project_id uuid not null,
     cluster_id uuid,
     status smallint not null,
     health smallint not null,
     -- The ladder: how many remedies were tried in a row, and when the next may be; null: none wanted.
     rung smallint not null default 0,
     remedy_at timestamptz,
     -- False where only a probe says so: many of these at once make the detector suspect, not the members.
     certain boolean not null default true,
     since timestamptz not null
   ) with (fillfactor = 70)`,
  `create index notable_cluster on muster.notable (cluster_id, node_id)`,
  // How a member that can be probed is probed. The time of a probe is its phase in the interval: no row is written to schedule it.
  `create table muster.probe (
     node_id uuid primary key,
     lane integer not null,
     interval_ms integer not null,
     phase_ms integer not null
   )`,
  `create index probe_phase on muster.probe (interval_ms, lane, phase_ms)`,
  // The signals behind a verdict, where there is more to say than that the driver made it.
  `create table muster.node_health (
     node_id uuid primary key,
     reason text not null,
     message text,
     since timestamptz not null,
     signals jsonb not null
   ) with (fillfactor = 70)`,
  // How often a member died lately: the crash loop's memory, kept while the node lives.
  `create table muster.node_crash (
     node_id uuid primary key,
     crashes integer not null,
     last_at timestamptz not null
   ) with (fillfactor = 70)`,
  // Members that were forgotten: what comes back under this id is removed.
  `create table muster.tombstone (
     node_id uuid primary key,
     project_id uuid not null,
     profile_id uuid not null,
     host_id uuid,
     lane integer not null,
     epoch integer not null,
     physical_id text,
     created_at timestamptz not null
   )`,

  `create index tombstone_profile on muster.tombstone (profile_id)`,

  // ── Actions ──────────────────────────────────────────────────────────────────────────────────────────────────────────────
  `create table muster.action (
     id uuid primary key,
     project_id uuid not null,
     kind smallint not null,
     status smallint not null,
     status_reason text,
     cause smallint not null,
     initiator text,
     cluster_id uuid,
     node_id uuid,
     subject_name text,
     generation integer,
     inputs jsonb not null,
     outputs jsonb,
     -- The goal, fixed when it is accepted: total members, reached when the cluster's running total (1 created, 2 deleted,
     -- 3 recovered, 4 checked; null: none is counted) reaches goal.
     counter smallint,
     total integer not null default 0,
     goal bigint not null default 0,
     failed_base bigint not null default 0,
     -- Frozen when it ends.
     done integer not null default 0,
     failed integer not null default 0,
     superseded_by uuid,
     created_at timestamptz not null,
     started_at timestamptz,
     finished_at timestamptz,
     timeout_at timestamptz
   ) with (fillfactor = 70)`,
  `create index action_project on muster.action (project_id, id)`,
  `create index action_cluster on muster.action (cluster_id, id)`,
  `create index action_node on muster.action (node_id, id)`,
  `create index action_unfinished on muster.action (cluster_id, id) where finished_at is null`,

  // ── Workers ──────────────────────────────────────────────────────────────────────────────────────────────────────────────
  `create table muster.host (
     id uuid primary key,
     number integer generated always as identity unique,
     name text not null,
     -- Boot id and pid namespace: another value means that nothing of the former one can be running.
     incarnation text not null,
     -- Profile types that workers there carry out.
     drivers text[] not null default '{}',
     seen_at timestamptz not null
   ) with (fillfactor = 70)`,
  `create table muster.worker (
     id uuid primary key,
     -- Its counts' writer number and the key of its session lock.
     number integer not null unique,
     host_id uuid not null,
     pid integer not null,
     version text not null,
     started_at timestamptz not null,
     heartbeat_at timestamptz not null,
     draining boolean not null default false,
     -- All its connections carry this name: they are ended when the worker is judged dead.
     application_name text not null
   ) with (fillfactor = 50)`,
  // A lane's owner and epoch; the epoch is the fencing token. Lanes below 256 are shared, the others belong to a host.
  `create table muster.lane (
     id integer primary key,
     host_id uuid,
     owner uuid,
     epoch bigint not null default 1
   ) with (fillfactor = 50)`,
  `insert into muster.lane (id) select generate_series(0, 255)`,

  // ── The ledger ───────────────────────────────────────────────────────────────────────────────────────────────────────────
  `create table muster.ledger (
     singleton boolean primary key default true check (singleton),
     -- One line of history. Bound to a server: another system identifier or timeline means that what came before may be lost.
     incarnation integer not null,
     incarnation_since timestamptz not null default clock_timestamp(),
     -- null: the first one of this installation.
     former_incarnation integer,
     system_identifier text not null,
     timeline integer not null,
     -- The epoch of the sequencer: who took over made the former one's writes impossible.
     sequencer_epoch bigint not null default 1,
     -- The newest position given, the highest batch number among them, and how far behind that highest number a batch ever came.
     position bigint not null default 0,
     top_batch bigint not null default 0,
     max_lag bigint not null default 0,
     -- Positions below this were dropped.
     oldest bigint not null default 1
   ) with (fillfactor = 50)`,
  `create sequence muster.batch`,
  // One row per transaction that wrote events, put there by its last statement; the sequencer turns it into a position.
  `create table muster.marker (
     batch bigint primary key,
     events integer not null
   ) with (fillfactor = 50)`,
  `create table muster.position (
     position bigint not null,
     batch bigint not null,
     events integer not null,
     -- A batch with a higher number got its position before: the only ones whose order by batch is not that by position.
     late boolean not null,
     primary key (position)
   ) partition by range (position)`,
  `create index position_batch on muster.position (batch)`,
  `create index position_late on muster.position (batch, position) where late`,
  `create table muster.event (
     batch bigint not null,
     ordinal integer not null,
     version smallint not null,
     type smallint not null,
     level smallint not null,
     occurred_at timestamptz not null,
     project_id uuid not null,
     cluster_id uuid,
     cluster_name text,
     node_id uuid,
     node_name text,
     action_id uuid,
     data jsonb not null,
     primary key (batch, ordinal)
   ) partition by range (batch)`,
  `create index event_project on muster.event (project_id, batch, ordinal)`,
  `create index event_cluster on muster.event (cluster_id, batch, ordinal) where cluster_id is not null`,
  `create index event_node on muster.event (node_id, batch, ordinal) where node_id is not null`,
  `create index event_action on muster.event (action_id, batch, ordinal) where action_id is not null`,
  // The partitions of event (by batch) and position (by position): their spans, and when they were filled.
  `create table muster.ledger_partition (
     kind text not null check (kind in ('event', 'position')),
     lower_bound bigint not null,
     upper_bound bigint not null,
     first_at timestamptz,
     last_at timestamptz,
     -- No cursor leads there any more; it is being detached and dropped.
     expired boolean not null default false,
     primary key (kind, lower_bound)
   )`,

  // Tables with much churn are vacuumed before it shows.
  ...["cluster_due", "cluster_state", "cluster_count", "task", "notable", "marker", "worker", "lane"].map(
    (table) =>
      `alter table muster.${table} set (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_cost_delay = 0)`,
  ),
  `alter table muster.node set (autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_cost_delay = 0)`,
];

export async function up(db: Kysely<never>): Promise<void> {
  for (const statement of statements) await sql.raw(statement).execute(db);
}
