-- report: LocalSuppliers
-- description: Revenue of customers from suppliers of their own nation (TPC-H query 5).
-- source: tpch
-- parameter: Regions list(string)                "Only these regions, such as ASIA,EUROPE"
-- parameter: FromDate date default 1994-01-01    "Ordered on this day or later"
-- parameter: ToDate date default 1994-12-31      "Ordered on this day or before, whatever the time"
-- column: nations[].revenue decimal(4)
-- column: revenue decimal(4)

-- with
revenue AS (
    SELECT r_name AS region, n_name AS nation, sum(l_extendedprice * (1 - l_discount)) AS amount
    FROM region
    JOIN nation   ON n_regionkey = r_regionkey
    JOIN customer ON c_nationkey = n_nationkey
    JOIN orders   ON o_custkey = c_custkey
    JOIN lineitem ON l_orderkey = o_orderkey
    JOIN supplier ON s_suppkey = l_suppkey AND s_nationkey = n_nationkey
    WHERE (:Regions IS NULL OR r_name IN (:Regions)) AND date(o_ordered) >= :FromDate AND date(o_ordered) <= :ToDate
    GROUP BY r_name, n_name
)

-- results
SELECT region AS "region", nation AS "nations[].name", amount AS "nations[].revenue"
FROM revenue
ORDER BY region, amount DESC, nation;

-- summary
SELECT count(*) AS "nations", sum(amount) AS "revenue" FROM revenue;
