ALTER TABLE geofences DROP CONSTRAINT geofences_name_key;
DROP INDEX drivers_name_trgm_idx;
DROP EXTENSION pg_trgm;
