-- report: With
-- source: shop
-- parameter: Least integer
-- with
RECURSIVE a AS (SELECT 1 AS n), -- first
b AS (SELECT :Least AS n)
-- check: None.
SELECT 1;
-- results
WITH /* own */
RECURSIVE c AS (SELECT 2 AS n) SELECT a.n AS "n" FROM a, b, c;
-- summary
SELECT count(*) AS "n" FROM a
