-- report: Sets
-- source: shop
-- results
SELECT 1 AS "a.b"
-- set: byCountry
SELECT 2 AS "c[].d[].e";
-- set: bydate
SELECT 3
