-- report: RevenueForecast
-- description: What small discounts on small quantities cost in a span of days (TPC-H query 6).
-- source: tpch
-- parameter: FromDate date default 1994-01-01      "Ordered on this day or later"
-- parameter: ToDate date default 1994-12-31        "Ordered on this day or before, whatever the time"
-- parameter: MinDiscount decimal default 0.05      "As a fraction of the price"
-- parameter: MaxDiscount decimal default 0.07
-- parameter: BelowQuantity integer default 24
-- column: revenue decimal(4)

-- with
given AS (
    SELECT substr(CAST(o_ordered AS text), 1, 7) AS month, l_extendedprice * l_discount AS revenue
    FROM lineitem JOIN orders ON o_orderkey = l_orderkey
    WHERE date(o_ordered) >= :FromDate AND date(o_ordered) <= :ToDate
      AND l_discount BETWEEN :MinDiscount AND :MaxDiscount
      AND l_quantity < :BelowQuantity
)

-- results
SELECT month AS "month", count(*) AS "lines", sum(revenue) AS "revenue" FROM given GROUP BY month ORDER BY month;

-- summary
SELECT count(*) AS "lines", sum(revenue) AS "revenue" FROM given;
