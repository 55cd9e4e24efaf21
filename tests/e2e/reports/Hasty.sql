-- report: Hasty
-- description: A query that takes longer than it may.
-- source: data
-- timeout: 200ms

-- results
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n)
SELECT count(*) AS "count" FROM n;
