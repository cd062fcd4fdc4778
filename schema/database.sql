-- What the migrations come to. Printed from a fresh database by `npm run print`; do not edit.

create schema muster;

create sequence muster.batch;

create table muster.action (
  id uuid not null,
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
  counter smallint,
  total integer not null default 0,
  goal bigint not null default 0,
  failed_base bigint not null default 0,
  done integer not null default 0,
  failed integer not null default 0,
  superseded_by uuid,
  created_at timestamp with time zone not null,
  started_at timestamp with time zone,
  finished_at timestamp with time zone,
  timeout_at timestamp with time zone,
  constraint action_pkey PRIMARY KEY (id)
) with (fillfactor=70);
CREATE INDEX action_cluster ON muster.action USING btree (cluster_id, id);
CREATE INDEX action_deadline ON muster.action USING btree (timeout_at) WHERE ((finished_at IS NULL) AND (node_id IS NOT NULL));
CREATE INDEX action_node ON muster.action USING btree (node_id, id);
CREATE INDEX action_project ON muster.action USING btree (project_id, id);
CREATE INDEX action_unfinished ON muster.action USING btree (cluster_id, id) WHERE (finished_at IS NULL);

create table muster.cluster (
  id uuid not null,
  project_id uuid not null,
  name text not null,
  profile_id uuid not null,
  desired_capacity integer not null,
  min_size integer not null,
  max_size integer,
  generation integer not null,
  deleting boolean not null default false,
  abandon boolean not null default false,
  node_name_format text not null,
  timeout_seconds integer not null,
  metadata jsonb not null default '{}'::jsonb,
  size_action_id uuid,
  existence_action_id uuid,
  created_at timestamp with time zone not null,
  updated_at timestamp with time zone not null,
  profile_action_id uuid,
  former_profile_id uuid,
  profile_changed_at timestamp with time zone,
  constraint cluster_name UNIQUE (project_id, name),
  constraint cluster_pkey PRIMARY KEY (id),
  constraint cluster_profile_id_fkey FOREIGN KEY (profile_id) REFERENCES muster.profile(id)
) with (fillfactor=70);
CREATE INDEX cluster_former_profile ON muster.cluster USING btree (former_profile_id) WHERE (former_profile_id IS NOT NULL);
CREATE INDEX cluster_profile ON muster.cluster USING btree (profile_id);
CREATE INDEX cluster_project ON muster.cluster USING btree (project_id, id);

create table muster.cluster_count (
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
  created_total bigint not null default 0,
  deleted_total bigint not null default 0,
  recovered_total bigint not null default 0,
  checked_total bigint not null default 0,
  failed_total bigint not null default 0,
  replacing integer not null default 0,
  updated_total bigint not null default 0,
  update_failed_total bigint not null default 0,
  constraint cluster_count_pkey PRIMARY KEY (cluster_id, writer)
) with (fillfactor=50, autovacuum_vacuum_scale_factor=0.02, autovacuum_vacuum_threshold=1000, autovacuum_vacuum_cost_delay=0);

create table muster.cluster_due (
  cluster_id uuid not null,
  project_id uuid not null,
  lane integer not null,
  due_at timestamp with time zone not null,
  constraint cluster_due_pkey PRIMARY KEY (cluster_id)
) with (fillfactor=50, autovacuum_vacuum_scale_factor=0.02, autovacuum_vacuum_threshold=1000, autovacuum_vacuum_cost_delay=0);
CREATE INDEX cluster_due_lane ON muster.cluster_due USING btree (lane, due_at);

create table muster.cluster_state (
  cluster_id uuid not null,
  project_id uuid not null,
  status smallint not null,
  status_reason text,
  observed_generation integer not null default 0,
  conditions jsonb not null default '[]'::jsonb,
  next_index integer not null default 1,
  brake jsonb not null default '{}'::jsonb,
  updated_at timestamp with time zone not null,
  constraint cluster_state_pkey PRIMARY KEY (cluster_id)
) with (fillfactor=50, autovacuum_vacuum_scale_factor=0.02, autovacuum_vacuum_threshold=1000, autovacuum_vacuum_cost_delay=0);
CREATE INDEX cluster_state_project ON muster.cluster_state USING btree (project_id, cluster_id);

create table muster.event (
  batch bigint not null,
  ordinal integer not null,
  version smallint not null,
  type smallint not null,
  level smallint not null,
  occurred_at timestamp with time zone not null,
  project_id uuid not null,
  cluster_id uuid,
  cluster_name text,
  node_id uuid,
  node_name text,
  action_id uuid,
  data jsonb not null,
  constraint event_pkey PRIMARY KEY (batch, ordinal)
) partition by RANGE (batch);
CREATE INDEX event_action ON muster.event USING btree (action_id, batch, ordinal) WHERE (action_id IS NOT NULL);
CREATE INDEX event_cluster ON muster.event USING btree (cluster_id, batch, ordinal) WHERE (cluster_id IS NOT NULL);
CREATE INDEX event_node ON muster.event USING btree (node_id, batch, ordinal) WHERE (node_id IS NOT NULL);
CREATE INDEX event_project ON muster.event USING btree (project_id, batch, ordinal);

create table muster.host (
  id uuid not null,
  number integer not null generated always as identity,
  name text not null,
  incarnation text not null,
  drivers text[] not null default '{}'::text[],
  seen_at timestamp with time zone not null,
  constraint host_number_key UNIQUE (number),
  constraint host_pkey PRIMARY KEY (id)
) with (fillfactor=70);

create table muster.idempotency_key (
  project_id uuid not null,
  key text not null,
  mutation text not null,
  input_hmac bytea not null,
  payload jsonb not null,
  created_at timestamp with time zone not null,
  constraint idempotency_key_pkey PRIMARY KEY (project_id, key)
);
CREATE INDEX idempotency_key_age ON muster.idempotency_key USING btree (created_at);

create table muster.installation (
  singleton boolean not null default true,
  id uuid not null,
  created_at timestamp with time zone not null default clock_timestamp(),
  schema_floor integer not null default 1,
  secret_check jsonb,
  read_back integer,
  read_back_after uuid,
  constraint installation_pkey PRIMARY KEY (singleton),
  constraint installation_singleton_check CHECK (singleton)
);

create table muster.lane (
  id integer not null,
  host_id uuid,
  owner uuid,
  epoch bigint not null default 1,
  constraint lane_pkey PRIMARY KEY (id)
) with (fillfactor=50, autovacuum_vacuum_scale_factor=0.02, autovacuum_vacuum_threshold=1000, autovacuum_vacuum_cost_delay=0);

create table muster.ledger (
  singleton boolean not null default true,
  incarnation integer not null,
  incarnation_since timestamp with time zone not null default clock_timestamp(),
  former_incarnation integer,
  system_identifier text not null,
  timeline integer not null,
  sequencer_epoch bigint not null default 1,
  position bigint not null default 0,
  top_batch bigint not null default 0,
  max_lag bigint not null default 0,
  oldest bigint not null default 1,
  constraint ledger_pkey PRIMARY KEY (singleton),
  constraint ledger_singleton_check CHECK (singleton)
) with (fillfactor=50);

create table muster.ledger_partition (
  kind text not null,
  lower_bound bigint not null,
  upper_bound bigint not null,
  first_at timestamp with time zone,
  last_at timestamp with time zone,
  expired boolean not null default false,
  constraint ledger_partition_pkey PRIMARY KEY (kind, lower_bound),
  constraint ledger_partition_kind_check CHECK ((kind = ANY (ARRAY['event'::text, 'position'::text])))
);

create table muster.marker (
  batch bigint not null,
  events integer not null,
  constraint marker_pkey PRIMARY KEY (batch)
) with (fillfactor=50, autovacuum_vacuum_scale_factor=0.02, autovacuum_vacuum_threshold=1000, autovacuum_vacuum_cost_delay=0);

create table muster.node (
  id uuid not null,
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
  epoch integer not null default 1,
  physical_id text,
  addresses jsonb,
  placement jsonb,
  action_id uuid,
  created_at timestamp with time zone not null,
  updated_at timestamp with time zone not null,
  started_at timestamp with time zone,
  replacing boolean not null default false,
  own_profile boolean not null default false,
  constraint node_pkey PRIMARY KEY (id)
) with (fillfactor=70, autovacuum_vacuum_scale_factor=0.05, autovacuum_vacuum_cost_delay=0);
CREATE INDEX node_cluster ON muster.node USING btree (cluster_id, id);
CREATE UNIQUE INDEX node_cluster_index ON muster.node USING btree (cluster_id, index);
CREATE UNIQUE INDEX node_cluster_name ON muster.node USING btree (cluster_id, name);
CREATE INDEX node_host ON muster.node USING btree (lane) WHERE (host_id IS NOT NULL);
CREATE INDEX node_orphan ON muster.node USING btree (project_id, id) WHERE (cluster_id IS NULL);
CREATE INDEX node_outdated ON muster.node USING btree (cluster_id, profile_id) WHERE ((NOT replacing) AND (NOT own_profile));
CREATE INDEX node_own_profile ON muster.node USING btree (cluster_id) WHERE own_profile;
CREATE INDEX node_profile ON muster.node USING btree (profile_id);
CREATE INDEX node_tainted ON muster.node USING btree (cluster_id, id) WHERE tainted;

create table muster.node_crash (
  node_id uuid not null,
  crashes integer not null,
  last_at timestamp with time zone not null,
  proven boolean not null default false,
  constraint node_crash_pkey PRIMARY KEY (node_id)
) with (fillfactor=70);

create table muster.node_health (
  node_id uuid not null,
  reason text not null,
  message text,
  since timestamp with time zone not null,
  signals jsonb not null,
  constraint node_health_pkey PRIMARY KEY (node_id)
) with (fillfactor=70);

create table muster.notable (
  node_id uuid not null,
  project_id uuid not null,
  cluster_id uuid,
  status smallint not null,
  health smallint not null,
  rung smallint not null default 0,
  remedy_at timestamp with time zone,
  certain boolean not null default true,
  since timestamp with time zone not null,
  constraint notable_pkey PRIMARY KEY (node_id)
) with (fillfactor=70, autovacuum_vacuum_scale_factor=0.02, autovacuum_vacuum_threshold=1000, autovacuum_vacuum_cost_delay=0);
CREATE INDEX notable_cluster ON muster.notable USING btree (cluster_id, node_id);

create table muster.position (
  position bigint not null,
  batch bigint not null,
  events integer not null,
  late boolean not null,
  constraint position_pkey PRIMARY KEY ("position")
) partition by RANGE ("position");
CREATE INDEX position_batch ON muster."position" USING btree (batch);
CREATE INDEX position_late ON muster."position" USING btree (batch, "position") WHERE late;

create table muster.probe (
  node_id uuid not null,
  lane integer not null,
  interval_ms integer not null,
  phase_ms integer not null,
  constraint probe_pkey PRIMARY KEY (node_id)
);
CREATE INDEX probe_phase ON muster.probe USING btree (interval_ms, lane, phase_ms);

create table muster.profile (
  id uuid not null,
  project_id uuid not null,
  name text not null,
  revision integer not null,
  type text not null,
  spec jsonb not null,
  metadata jsonb not null default '{}'::jsonb,
  created_at timestamp with time zone not null,
  updated_at timestamp with time zone not null,
  constraint profile_name UNIQUE (project_id, name, revision),
  constraint profile_pkey PRIMARY KEY (id)
);
CREATE INDEX profile_project ON muster.profile USING btree (project_id, id);

create table muster.project (
  id uuid not null,
  name text not null,
  quota jsonb not null default '{}'::jsonb,
  created_at timestamp with time zone not null,
  updated_at timestamp with time zone not null,
  constraint project_name UNIQUE (name),
  constraint project_pkey PRIMARY KEY (id)
);

create table muster.project_use (
  project_id uuid not null,
  slot smallint not null,
  clusters bigint not null default 0,
  wanted bigint not null default 0,
  lone bigint not null default 0,
  constraint project_use_pkey PRIMARY KEY (project_id, slot)
) with (fillfactor=50, autovacuum_vacuum_scale_factor=0.02, autovacuum_vacuum_threshold=1000, autovacuum_vacuum_cost_delay=0);

create table muster.task (
  node_id uuid not null,
  project_id uuid not null,
  cluster_id uuid,
  lane integer not null,
  kind smallint not null,
  due_at timestamp with time zone not null,
  begun_by bigint not null default 0,
  attempt integer not null default 0,
  params jsonb,
  constraint task_pkey PRIMARY KEY (node_id)
) with (fillfactor=50, autovacuum_vacuum_scale_factor=0.02, autovacuum_vacuum_threshold=1000, autovacuum_vacuum_cost_delay=0);
CREATE INDEX task_cluster ON muster.task USING btree (cluster_id, kind, node_id);
CREATE INDEX task_lane ON muster.task USING btree (lane, due_at);
CREATE INDEX task_noted ON muster.task USING btree (cluster_id, kind) WHERE (params IS NOT NULL);

create table muster.token (
  id uuid not null,
  project_id uuid not null,
  name text not null,
  role smallint not null,
  hash bytea not null,
  created_at timestamp with time zone not null,
  expires_at timestamp with time zone,
  revoked_at timestamp with time zone,
  last_used_at timestamp with time zone,
  constraint token_hash UNIQUE (hash),
  constraint token_pkey PRIMARY KEY (id),
  constraint token_project_id_fkey FOREIGN KEY (project_id) REFERENCES muster.project(id)
) with (fillfactor=80);
CREATE UNIQUE INDEX token_name ON muster.token USING btree (project_id, name) WHERE (revoked_at IS NULL);
CREATE INDEX token_project ON muster.token USING btree (project_id, id);

create table muster.tombstone (
  node_id uuid not null,
  project_id uuid not null,
  profile_id uuid not null,
  host_id uuid,
  lane integer not null,
  epoch integer not null,
  physical_id text,
  created_at timestamp with time zone not null,
  constraint tombstone_pkey PRIMARY KEY (node_id)
);
CREATE INDEX tombstone_profile ON muster.tombstone USING btree (profile_id);

create table muster.worker (
  id uuid not null,
  number integer not null,
  host_id uuid not null,
  pid integer not null,
  version text not null,
  started_at timestamp with time zone not null,
  heartbeat_at timestamp with time zone not null,
  draining boolean not null default false,
  application_name text not null,
  home text,
  constraint worker_number_key UNIQUE (number),
  constraint worker_pkey PRIMARY KEY (id)
) with (fillfactor=50, autovacuum_vacuum_scale_factor=0.02, autovacuum_vacuum_threshold=1000, autovacuum_vacuum_cost_delay=0);
