-- report: Forever
-- description: Runs until it is deleted.
-- source: data
-- parameter: Tag string required "Tells the requests apart"

-- results
WITH RECURSIVE n(i) AS (SELECT CAST(1 AS bigint) UNION ALL SELECT i + 1 FROM n)
SELECT count(*) AS "count", :Tag AS "tag" FROM n;
