-- report: Slow
-- description: Rows that take a moment each.
-- source: data
-- parameter: Tag string required "Tells the requests apart"
-- parameter: Rows integer required

-- results
WITH RECURSIVE n(i) AS (SELECT CAST(1 AS bigint) WHERE :Rows > 0 UNION ALL SELECT i + 1 FROM n WHERE i < :Rows)
SELECT i AS "i",
       (WITH RECURSIVE burn(j) AS (SELECT CAST(1 AS bigint) UNION ALL SELECT j + 1 FROM burn WHERE j < 4000 + i)
        SELECT max(j) FROM burn) AS "burnt"
FROM n;

-- summary
SELECT :Rows AS "rows", :Tag AS "tag", :session_user AS "user";
