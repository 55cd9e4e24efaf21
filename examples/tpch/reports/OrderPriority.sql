-- report: OrderPriority
-- description: Orders of a span of days with a line that was received late, by priority (TPC-H query 4).
-- source: tpch
-- parameter: FromDate date default 1993-07-01  "Ordered on this day or later"
-- parameter: ToDate date default 1993-09-30    "Ordered on this day or before, whatever the time"

-- with
late AS (
    SELECT o_orderpriority, o_orderkey
    FROM orders
    WHERE date(o_ordered) >= :FromDate AND date(o_ordered) <= :ToDate
      AND EXISTS (SELECT 1 FROM lineitem WHERE l_orderkey = o_orderkey AND l_commitdate < l_receiptdate)
)

-- check: FromDate :FromDate is after ToDate :ToDate.
SELECT 1 WHERE :FromDate <= :ToDate;

-- results
SELECT o_orderpriority AS "priority", count(*) AS "orders" FROM late GROUP BY o_orderpriority ORDER BY o_orderpriority;

-- summary
SELECT count(*) AS "orders" FROM late;
