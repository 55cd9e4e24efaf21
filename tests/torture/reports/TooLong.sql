-- report: TooLong
-- description: Fails after some of its rows have been written.
-- source: data
-- parameter: Tag string required "Tells the requests apart"
-- parameter: Rows integer required
-- row limit: 100

-- results
WITH RECURSIVE n(i) AS (SELECT CAST(1 AS bigint) UNION ALL SELECT i + 1 FROM n WHERE i < 100 + :Rows)
SELECT i AS "i" FROM n;

-- summary
SELECT :Tag AS "tag";
