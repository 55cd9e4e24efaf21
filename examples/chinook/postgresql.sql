-- examples/chinook/postgresql.sql -- the tables of Chinook for PostgreSQL under the names that Chinook for SQLite gives them.
--
-- There it is InvoiceLine.UnitPrice, here invoice_line.unit_price. PostgreSQL takes names without quotes for lower case, so
-- these views are what the reports need to run unchanged. They have a schema of their own, since some names are the same.

CREATE SCHEMA chinook;

DO $$
DECLARE
    source record;
BEGIN
    FOR source IN
        SELECT table_name AS name,
               string_agg(format('%I AS %I', column_name, replace(column_name, '_', '')), ', ') AS columns
        FROM information_schema.columns
        WHERE table_schema = 'public'
        GROUP BY table_name
    LOOP
        EXECUTE format('CREATE VIEW chinook.%I AS SELECT %s FROM public.%I',
                       replace(source.name, '_', ''), source.columns, source.name);
    END LOOP;
END $$;
