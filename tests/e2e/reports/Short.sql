-- report: Short
-- description: More rows than it may have.
-- source: data
-- row limit: 10

-- results
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 11)
SELECT i AS "i" FROM n;
