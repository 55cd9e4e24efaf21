-- report: Endless
-- description: A query that never gives a row and never ends.
-- source: data

-- results
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n)
SELECT count(*) AS "count" FROM n;
