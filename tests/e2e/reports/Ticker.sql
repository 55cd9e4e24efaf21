-- report: Ticker
-- description: Rows without end, about a thousand a second.
-- source: data

-- results
WITH RECURSIVE tick(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM tick)
SELECT i AS "i",
       (WITH RECURSIVE burn(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM burn WHERE n < 5000 + i % 2)
        SELECT max(n) FROM burn) AS "burnt"
FROM tick;
