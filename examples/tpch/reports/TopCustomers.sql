-- report: TopCustomers
-- description: The customers of some market segments that spent most, with their orders and the lines of these.
-- source: tpch
-- parameter: Segments list(string)      "Only these market segments"
-- parameter: Top integer default 10     "How many customers"
-- column: spent decimal(2)
-- column: orders[].total decimal(2)
-- column: orders[].lines[].price decimal(2)
-- column: orders[].lines[].discountPercent decimal(0)

-- with
spent AS (
    SELECT c_custkey, c_name, c_mktsegment, sum(o_totalprice) AS total
    FROM customer JOIN orders ON o_custkey = c_custkey
    WHERE :Segments IS NULL OR c_mktsegment IN (:Segments)
    GROUP BY c_custkey, c_name, c_mktsegment
),
best AS (SELECT * FROM spent ORDER BY total DESC, c_custkey LIMIT :Top)

-- check: Top must be 1 or more.
SELECT 1 WHERE :Top >= 1;

-- results
SELECT c_name                                    AS "name",
       c_mktsegment                              AS "segment",
       total                                     AS "spent",
       o_orderkey                                AS "orders[].orderID",
       replace(CAST(o_ordered AS text), ' ', 'T') AS "orders[].ordered",
       o_totalprice                              AS "orders[].total",
       l_linenumber                              AS "orders[].lines[].no",
       p_name                                    AS "orders[].lines[].part",
       l_quantity                                AS "orders[].lines[].quantity",
       l_extendedprice                           AS "orders[].lines[].price",
       l_discount * 100                          AS "orders[].lines[].discountPercent"
FROM best
JOIN orders   ON o_custkey = c_custkey
JOIN lineitem ON l_orderkey = o_orderkey
JOIN part     ON p_partkey = l_partkey
ORDER BY total DESC, c_custkey, o_ordered, o_orderkey, l_linenumber;

-- set: bySegment
SELECT c_mktsegment AS "segment", count(*) AS "customers", sum(total) AS "spent"
FROM spent GROUP BY c_mktsegment ORDER BY c_mktsegment;

-- summary
SELECT count(*) AS "customers", sum(total) AS "spent" FROM best;
