-- What the fleet carries, and what it costs to keep it on the road.

CREATE TABLE loads (
    id          text PRIMARY KEY CHECK (id ~ '^L-[0-9]{4,}$'),
    reference   text NOT NULL,
    vehicle_id  text REFERENCES vehicles (id) ON DELETE SET NULL,
    cargo       text NOT NULL,
    weight_kg   integer NOT NULL CHECK (weight_kg > 0),
    origin      text NOT NULL,
    destination text NOT NULL,
    status      text NOT NULL CHECK (status IN ('planned', 'in_transit', 'delivered')),
    due_at      timestamptz NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT now(),
    updated_at  timestamptz NOT NULL DEFAULT now(),
    CHECK (status = 'planned' OR vehicle_id IS NOT NULL)
);
CREATE UNIQUE INDEX loads_reference_key ON loads (reference);
CREATE UNIQUE INDEX loads_in_transit_key ON loads (vehicle_id) WHERE status = 'in_transit';
CREATE INDEX loads_status_idx ON loads (status);
CREATE INDEX loads_due_at_idx ON loads (due_at);

CREATE TABLE maintenance_records (
    id          text PRIMARY KEY CHECK (id ~ '^M-[0-9]{4,}$'),
    vehicle_id  text NOT NULL REFERENCES vehicles (id) ON DELETE CASCADE,
    kind        text NOT NULL CHECK (kind IN ('service', 'inspection', 'tyres', 'brakes', 'repair')),
    status      text NOT NULL CHECK (status IN ('planned', 'open', 'done')),
    odometer_km integer NOT NULL CHECK (odometer_km >= 0),
    cost_cents  integer CHECK (cost_cents >= 0),
    opened_on   date NOT NULL,
    closed_on   date,
    note        text NOT NULL DEFAULT '',
    created_at  timestamptz NOT NULL DEFAULT now(),
    updated_at  timestamptz NOT NULL DEFAULT now(),
    CHECK ((status = 'done') = (closed_on IS NOT NULL))
);
CREATE INDEX maintenance_records_vehicle_id_idx ON maintenance_records (vehicle_id);
CREATE INDEX maintenance_records_status_idx ON maintenance_records (status);
