-- report: Pause
-- description: Counts to a million Times over before it ends: some tenths of a second each.
-- source: data
-- parameter: Times integer default 1

-- results
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000000 * :Times)
SELECT count(*) AS "count" FROM n;
