ALTER DEFAULT PRIVILEGES IN SCHEMA public REVOKE ALL ON TABLES FROM fleet_app, fleet_readonly;
ALTER DEFAULT PRIVILEGES IN SCHEMA public REVOKE ALL ON SEQUENCES FROM fleet_app, fleet_readonly;
REVOKE ALL ON ALL SEQUENCES IN SCHEMA public FROM fleet_app, fleet_readonly;
REVOKE ALL ON ALL TABLES IN SCHEMA public FROM fleet_app, fleet_readonly;
REVOKE USAGE ON SCHEMA public FROM fleet_app, fleet_readonly;
DROP TABLE instances;
