DROP TABLE geofences, vehicle_positions, assignments, vehicles, drivers;
