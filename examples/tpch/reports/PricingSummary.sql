-- report: PricingSummary
-- description: What was shipped up to a day, by return flag and line status (TPC-H query 1).
-- source: tpch
-- parameter: ToDate date default 1998-09-02  "Shipped on this day or before"
-- column: sumPrice decimal(2) "List price" USD
-- column: sumDiscounted decimal(4) "Discounted price" USD
-- column: sumCharged decimal(6) "With tax" USD
-- column: averagePrice decimal(2) "Average list price" USD
-- column: averageDiscount decimal(4) "Average discount"

-- with
shipped AS (SELECT l.*, l_extendedprice * (1 - l_discount) AS discounted FROM lineitem AS l WHERE l_shipdate <= :ToDate)

-- results
SELECT l_returnflag                  AS "returnFlag",
       l_linestatus                  AS "lineStatus",
       sum(l_quantity)               AS "quantity",
       sum(l_extendedprice)          AS "sumPrice",
       sum(discounted)               AS "sumDiscounted",
       sum(discounted * (1 + l_tax)) AS "sumCharged",
       avg(l_extendedprice)          AS "averagePrice",
       avg(l_discount)               AS "averageDiscount",
       count(*)                      AS "lines"
FROM shipped
GROUP BY l_returnflag, l_linestatus
ORDER BY l_returnflag, l_linestatus;

-- summary
SELECT count(*) AS "lines", sum(l_extendedprice) AS "sumPrice" FROM shipped;
