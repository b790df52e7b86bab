DROP INDEX loads_priority_idx;
ALTER TABLE loads DROP COLUMN priority;
