-- report: CustomerOrders
-- description: The orders of one customer between two moments.
-- source: tpch
-- timezone: UTC
-- parameter: Customer integer required                      "Whose orders"
-- parameter: From timestamp default '1992-01-01 00:00'      "Such as 1995-06-01 00:00, or with an offset: 1995-06-01T00:00:00+10:00"
-- parameter: To timestamp default '1999-01-01 00:00'        "The first moment that is not included"
-- parameter: Most integer default 100 min 1 max 1000        "How many orders, the latest first"
-- column: total decimal(2) "Total" USD
-- column: spent decimal(2) "Spent" USD

-- with
chosen AS (SELECT * FROM orders WHERE o_custkey = :Customer AND o_ordered >= :From AND o_ordered < :To)

-- values: Customer
SELECT c_custkey, c_name FROM customer ORDER BY c_name;

-- results
SELECT o_orderkey AS "orderID", replace(CAST(o_ordered AS text), ' ', 'T') AS "ordered", o_totalprice AS "total"
FROM chosen
ORDER BY o_ordered DESC, o_orderkey
LIMIT :Most;

-- summary
SELECT count(*) AS "orders", sum(o_totalprice) AS "spent" FROM chosen;
