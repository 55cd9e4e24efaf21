-- report: Endless
-- description: Gives no row and never ends by itself.
-- source: data
-- parameter: Tag string required "Tells the requests apart"
-- timeout: 700ms

-- results
WITH RECURSIVE n(i) AS (SELECT CAST(1 AS bigint) UNION ALL SELECT i + 1 FROM n)
SELECT count(*) AS "count", :Tag AS "tag" FROM n;
