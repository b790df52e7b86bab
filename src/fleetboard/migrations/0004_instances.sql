-- What each application process says of itself, so that any of them can answer for all.

-- Unlogged: after a crash of the server these rows would be wrong, and heartbeats bring them back.
CREATE UNLOGGED TABLE instances (
    name            text PRIMARY KEY,
    heartbeat_at    timestamptz NOT NULL,
    connections     integer NOT NULL,
    messages_sent   bigint NOT NULL,
    requests        bigint NOT NULL,
    errors          bigint NOT NULL,
    latency_buckets bigint[] NOT NULL,
    memory_percent  double precision NOT NULL,
    cpu_percent     double precision NOT NULL,
    recent_errors   jsonb NOT NULL
);

-- Rights: the application changes rows, never the schema; readers read.
GRANT USAGE ON SCHEMA public TO fleet_app, fleet_readonly;
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO fleet_app;
REVOKE INSERT, UPDATE, DELETE ON audit_log, schema_migrations FROM fleet_app;
GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO fleet_app;
GRANT SELECT ON ALL TABLES IN SCHEMA public TO fleet_readonly;
GRANT SELECT ON ALL SEQUENCES IN SCHEMA public TO fleet_readonly;

-- The same for what later migrations create: a new table that readers can't see breaks their dumps.
ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO fleet_app;
ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT USAGE ON SEQUENCES TO fleet_app;
ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT SELECT ON TABLES TO fleet_readonly;
ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT SELECT ON SEQUENCES TO fleet_readonly;
