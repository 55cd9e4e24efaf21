-- report: ReturnedItems
-- description: The customers whose returned parts cost most revenue in a quarter (TPC-H query 10).
-- source: tpch
-- parameter: Year integer default 1993
-- parameter: Quarter enum(1|2|3|4) default 4
-- parameter: MinBalance decimal                   "Only customers with at least this balance"
-- row limit: 1000
-- column: revenue decimal(4)
-- column: balance decimal(2)

-- results
SELECT c_custkey                                  AS "customerID",
       c_name                                     AS "name",
       n_name                                     AS "nation",
       c_acctbal                                  AS "balance",
       sum(l_extendedprice * (1 - l_discount))    AS "revenue"
FROM customer
JOIN orders   ON o_custkey = c_custkey
JOIN lineitem ON l_orderkey = o_orderkey
JOIN nation   ON n_nationkey = c_nationkey
WHERE l_returnflag = 'R'
  AND CAST(substr(CAST(o_ordered AS text), 1, 4) AS integer) = :Year
  AND (CAST(substr(CAST(o_ordered AS text), 6, 2) AS integer) + 2) / 3 = CAST(:Quarter AS integer)
  AND (:MinBalance IS NULL OR c_acctbal >= :MinBalance)
GROUP BY c_custkey, c_name, n_name, c_acctbal
ORDER BY sum(l_extendedprice * (1 - l_discount)) DESC, c_custkey
LIMIT 20;
