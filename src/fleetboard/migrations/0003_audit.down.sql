DROP TRIGGER loads_audit ON loads;
DROP TRIGGER vehicles_audit ON vehicles;
DROP TRIGGER maintenance_records_touch ON maintenance_records;
DROP TRIGGER loads_touch ON loads;
DROP TRIGGER vehicles_touch ON vehicles;
DROP TRIGGER drivers_touch ON drivers;
DROP FUNCTION write_audit_log();
DROP FUNCTION touch_updated_at();
DROP TABLE audit_log;
