/* src/store/probe_schema.c -- the tables. */
const char migration_1[] = "CREATE TABLE report (id INTEGER, data BLOB);"
                           "ALTER TABLE report ADD COLUMN extra TEXT;";
