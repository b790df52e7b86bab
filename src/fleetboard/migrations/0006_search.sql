-- People are found by any part of their name, and places by a name that only one of them has.

CREATE EXTENSION IF NOT EXISTS pg_trgm;
CREATE INDEX drivers_name_trgm_idx ON drivers USING gin (name gin_trgm_ops);
ALTER TABLE geofences ADD CONSTRAINT geofences_name_key UNIQUE (name);
