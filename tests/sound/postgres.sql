CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy');
CREATE TYPE address AS (street text, city text);
CREATE TABLE event (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, happened timestamptz NOT NULL, during tstzrange, tags text[], matrix integer[][], data jsonb, feeling mood, home address, amount money, host inet, uid uuid, payload bytea, gap interval);
CREATE SCHEMA sales;
CREATE TABLE sales.quote (id integer PRIMARY KEY, "customerName" text, total numeric);
CREATE VIEW open_quote AS SELECT id, total AS "a.b" FROM sales.quote;
CREATE FUNCTION twice(integer) RETURNS integer LANGUAGE sql IMMUTABLE AS 'SELECT $1 * 2';
CREATE FUNCTION pairs(n integer) RETURNS TABLE (x integer, y integer) LANGUAGE sql STABLE AS 'SELECT i, i * i FROM generate_series(1, n) AS i';
CREATE FUNCTION named(a integer, b integer DEFAULT NULL) RETURNS integer LANGUAGE sql IMMUTABLE AS 'SELECT a';
