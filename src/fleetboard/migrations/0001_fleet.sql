-- Vehicles, the people who drive them, and who drives what.

CREATE TABLE drivers (
    id            text PRIMARY KEY CHECK (id ~ '^D-[0-9]{3,}$'),
    name          text NOT NULL,
    phone         text NOT NULL,
    licence_class text NOT NULL CHECK (licence_class IN ('B', 'C', 'CE')),
    status        text NOT NULL DEFAULT 'available' CHECK (status IN ('available', 'driving', 'off_duty')),
    hired_on      date NOT NULL,
    created_at    timestamptz NOT NULL DEFAULT now(),
    updated_at    timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX drivers_status_idx ON drivers (status);
CREATE INDEX drivers_name_idx ON drivers (name);

CREATE TABLE vehicles (
    id           text PRIMARY KEY CHECK (id ~ '^V-[0-9]{3,}$'),
    name         text NOT NULL,
    plate        text NOT NULL,
    type         text NOT NULL CHECK (type IN ('van', 'truck', 'reefer', 'flatbed')),
    status       text NOT NULL CHECK (status IN ('moving', 'idle', 'maintenance')),
    fuel_percent numeric(4, 1) NOT NULL CHECK (fuel_percent BETWEEN 0 AND 100),
    odometer_km  integer NOT NULL CHECK (odometer_km >= 0),
    -- Its place in the deterministic traffic: which of the N vehicles on the streets it is.
    slot         integer NOT NULL,
    created_at   timestamptz NOT NULL DEFAULT now(),
    updated_at   timestamptz NOT NULL DEFAULT now()
);
CREATE UNIQUE INDEX vehicles_plate_key ON vehicles (plate);
CREATE UNIQUE INDEX vehicles_slot_key ON vehicles (slot);
CREATE INDEX vehicles_status_idx ON vehicles (status);
CREATE INDEX vehicles_type_idx ON vehicles (type);

CREATE TABLE assignments (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    vehicle_id text NOT NULL REFERENCES vehicles (id) ON DELETE CASCADE,
    driver_id  text NOT NULL REFERENCES drivers (id),
    started_at timestamptz NOT NULL,
    ended_at   timestamptz,
    CHECK (ended_at IS NULL OR ended_at > started_at)
);
-- One driver a vehicle and one vehicle a driver at a time; history is unlimited.
CREATE UNIQUE INDEX assignments_open_vehicle_key ON assignments (vehicle_id) WHERE ended_at IS NULL;
CREATE UNIQUE INDEX assignments_open_driver_key ON assignments (driver_id) WHERE ended_at IS NULL;
CREATE INDEX assignments_started_at_idx ON assignments (started_at);

CREATE TABLE vehicle_positions (
    vehicle_id  text PRIMARY KEY REFERENCES vehicles (id) ON DELETE CASCADE,
    lat         double precision NOT NULL CHECK (lat BETWEEN -90 AND 90),
    lon         double precision NOT NULL CHECK (lon BETWEEN -180 AND 180),
    heading     real NOT NULL,
    speed_kmh   real NOT NULL CHECK (speed_kmh >= 0),
    recorded_at timestamptz NOT NULL
);
CREATE INDEX vehicle_positions_recorded_at_idx ON vehicle_positions (recorded_at);

CREATE TABLE geofences (
    id       text PRIMARY KEY,
    name     text NOT NULL,
    lat      double precision NOT NULL,
    lon      double precision NOT NULL,
    radius_m integer NOT NULL CHECK (radius_m > 0)
);
