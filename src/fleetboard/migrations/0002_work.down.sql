DROP TABLE maintenance_records, loads;
