-- How urgent a load is: 1 now, 2 as usual, 3 whenever. The default keeps a release that knows nothing of it at work.

ALTER TABLE loads
    ADD COLUMN priority smallint NOT NULL DEFAULT 2
    CONSTRAINT loads_priority_check CHECK (priority BETWEEN 1 AND 3);
CREATE INDEX loads_priority_idx ON loads (priority, due_at);
