-- report: Rows
-- description: As many rows as asked for: a few, or megabytes of them.
-- source: data
-- parameter: Tag string required "Tells the requests apart"
-- parameter: Rows integer required

-- results
WITH RECURSIVE n(i) AS (SELECT CAST(1 AS bigint) WHERE :Rows > 0 UNION ALL SELECT i + 1 FROM n WHERE i < :Rows)
SELECT i AS "i", i * i AS "square" FROM n;

-- summary
SELECT :Rows AS "rows", :Tag AS "tag", :session_user AS "user";
