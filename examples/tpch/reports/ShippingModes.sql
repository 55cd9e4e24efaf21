-- report: ShippingModes
-- description: How ways of shipping affect urgent orders: lines received late in a year, by mode (TPC-H query 12).
-- source: tpch
-- parameter: Modes list(string) default 'MAIL,SHIP'
-- parameter: Year integer default 1994

-- check: The years are 1992 to 1998, not :Year.
SELECT 1 WHERE :Year BETWEEN 1992 AND 1998;

-- results
SELECT l_shipmode                                                                       AS "mode",
       sum(CASE WHEN o_orderpriority IN ('1-URGENT', '2-HIGH') THEN 1 ELSE 0 END)     AS "urgent",
       sum(CASE WHEN o_orderpriority IN ('1-URGENT', '2-HIGH') THEN 0 ELSE 1 END)     AS "other"
FROM orders JOIN lineitem ON l_orderkey = o_orderkey
WHERE l_shipmode IN (:Modes)
  AND l_commitdate < l_receiptdate AND l_shipdate < l_commitdate
  AND CAST(substr(CAST(l_receiptdate AS text), 1, 4) AS integer) = :Year
GROUP BY l_shipmode
ORDER BY l_shipmode;
