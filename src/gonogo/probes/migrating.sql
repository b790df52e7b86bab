-- The watch of migrating.py, for the superuser of a scratch database. Nothing of it lies in the release's schema.
CREATE SCHEMA gonogo_watch;
CREATE TABLE gonogo_watch.before (relation oid PRIMARY KEY, name text, rows bigint, filenode oid);
CREATE TABLE gonogo_watch.event (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    pid integer NOT NULL DEFAULT pg_backend_pid(),
    xid bigint NOT NULL DEFAULT pg_current_xact_id()::text::bigint & 4294967295,
    began float8 NOT NULL DEFAULT extract(epoch FROM transaction_timestamp()),
    at float8 NOT NULL DEFAULT extract(epoch FROM clock_timestamp()),
    kind text NOT NULL,
    tag text NOT NULL,
    objects text[] NOT NULL,
    reason integer,
    locks jsonb NOT NULL
);
-- Tables whose rows lie in another file than before.
CREATE VIEW gonogo_watch.moved AS
SELECT b.name FROM gonogo_watch.before b JOIN pg_class c ON c.oid = b.relation
WHERE pg_relation_filenode(c.oid) IS DISTINCT FROM b.filenode ORDER BY 1;
-- Everybody else in this database.
CREATE VIEW gonogo_watch.others AS
SELECT * FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend';
-- Their open transactions, each once without a lock or once for each lock on a table that was there before.
CREATE VIEW gonogo_watch.locks AS
SELECT o.pid, extract(epoch FROM o.xact_start)::float8 AS began, o.backend_xid::text::bigint AS xid,
       extract(epoch FROM clock_timestamp())::float8 AS now, b.name, l.mode
FROM gonogo_watch.others o
LEFT JOIN (pg_locks l JOIN gonogo_watch.before b ON b.relation = l.relation AND l.locktype = 'relation'
           AND l.granted AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database()))
  ON l.pid = o.pid
WHERE o.xact_start IS NOT NULL;
-- With its owner's rights: a migration may run as a role that must not write here.
CREATE FUNCTION gonogo_watch.note() RETURNS event_trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    touched text[] := '{}';
    why integer;
BEGIN
    IF tg_event = 'ddl_command_end' THEN
        touched := array(SELECT DISTINCT coalesce(object_identity, object_type)
                         FROM pg_event_trigger_ddl_commands() ORDER BY 1);
    ELSIF tg_event = 'sql_drop' THEN
        touched := array(SELECT object_identity FROM pg_event_trigger_dropped_objects() WHERE original);
    ELSIF tg_event = 'table_rewrite' THEN
        touched := array(SELECT name FROM gonogo_watch.before
                         WHERE relation = pg_event_trigger_table_rewrite_oid());
        why := pg_event_trigger_table_rewrite_reason();
    END IF;
    INSERT INTO gonogo_watch.event (kind, tag, objects, reason, locks)
    SELECT tg_event, tg_tag, touched, why, coalesce(jsonb_agg(jsonb_build_array(b.name, l.mode)), '[]')
    FROM pg_locks l JOIN gonogo_watch.before b ON b.relation = l.relation
    WHERE l.pid = pg_backend_pid() AND l.locktype = 'relation' AND l.granted
      AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database());
END
$$;
DO $$
DECLARE
    one record;
    many bigint;
BEGIN
    FOR one IN
        SELECT c.oid, n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE c.relkind IN ('r', 'p', 'm') AND c.relispopulated AND c.relpersistence <> 't'
          AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'gonogo_watch')
    LOOP
        EXECUTE format('SELECT count(*) FROM %I.%I', one.nspname, one.relname) INTO many;
        INSERT INTO gonogo_watch.before
        VALUES (one.oid, one.nspname || '.' || one.relname, many, pg_relation_filenode(one.oid));
    END LOOP;
END
$$;

-- Last, so that the watch does not see itself. Always: also in a session with session_replication_role = replica.
CREATE EVENT TRIGGER gonogo_watch_start ON ddl_command_start EXECUTE FUNCTION gonogo_watch.note();
CREATE EVENT TRIGGER gonogo_watch_end ON ddl_command_end EXECUTE FUNCTION gonogo_watch.note();
CREATE EVENT TRIGGER gonogo_watch_drop ON sql_drop EXECUTE FUNCTION gonogo_watch.note();
CREATE EVENT TRIGGER gonogo_watch_rewrite ON table_rewrite EXECUTE FUNCTION gonogo_watch.note();
ALTER EVENT TRIGGER gonogo_watch_start ENABLE ALWAYS;
ALTER EVENT TRIGGER gonogo_watch_end ENABLE ALWAYS;
ALTER EVENT TRIGGER gonogo_watch_drop ENABLE ALWAYS;
ALTER EVENT TRIGGER gonogo_watch_rewrite ENABLE ALWAYS;
