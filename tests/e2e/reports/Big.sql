-- report: Big
-- description: As many rows as asked for.
-- source: data
-- parameter: Rows integer default 100000

-- results
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < :Rows)
SELECT i AS "i", 'row number ' || i AS "text" FROM n;

-- summary
SELECT :Rows AS "rows";
