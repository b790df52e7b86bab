-- Which of these files have been applied, and when: what every later run asks first.

CREATE TABLE schema_migrations (
    name       text PRIMARY KEY,
    applied_at timestamptz NOT NULL DEFAULT now()
);
