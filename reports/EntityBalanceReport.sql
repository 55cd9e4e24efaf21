-- report: EntityBalanceReport
-- description: Balances of the investors (entities) that hold a product, account by account.
-- source: registry
-- parameter: ProductID integer required  "The product to report on"
-- parameter: FromDate date  "Only entities with a transaction in the product from this date on; without it, all"
-- parameter: ToDate date default today  "Balances as at the end of this date, at the latest price up to it"
-- parameter: IncludeClosingBalances boolean default false  "Also accounts whose balance has come to nothing"
-- timeout: 10m
-- column: totalBalance scaled(2)
-- column: accounts[].balance scaled(2)
-- column: accounts[].units scaled(2)
-- column: grandTotalBalance scaled(2)
-- column: grandTotalUnits scaled(2)
-- column: averageBalance scaled(2)

-- with
-- Units have 2 decimals and prices 4, so units × price is 10000 times the cents: rounded half up per account.
-- It runs on SQLite and PostgreSQL: there a sum of bigint is numeric, and would divide as such; here CROSS JOIN fixes the order of the tables.
quote AS MATERIALIZED (
    SELECT i.investment_id,
           coalesce((SELECT p.price FROM price AS p
                     WHERE p.investment_id = i.investment_id AND p.price_date <= :ToDate
                     ORDER BY p.price_date DESC LIMIT 1), 0) AS price
    FROM investment AS i
    WHERE i.product_id = :ProductID
),
holding AS (
    SELECT a.biz_entity_id, a.account_id, a.investment_id, a.external_account_id, a.account_number,
           CAST(sum(t.units_delta) AS bigint) AS units, max(t.transaction_date) AS last_date
    FROM account AS a
    CROSS JOIN biz_transaction AS t
    WHERE t.account_id = a.account_id AND a.product_id = :ProductID AND t.transaction_date <= :ToDate AND t.status <> 'RolledBack'
    GROUP BY a.biz_entity_id, a.account_id
    HAVING sum(t.units_delta) <> 0 OR :IncludeClosingBalances
)

-- values: ProductID
SELECT product_id, name FROM product ORDER BY name;

-- check: FromDate :FromDate is after ToDate :ToDate.
SELECT 1 WHERE :FromDate IS NULL OR :FromDate <= :ToDate;

-- results
WITH balance AS (
    SELECT h.*, (h.units * q.price + 5000) / 10000 AS balance,
           max(h.last_date) OVER (PARTITION BY h.biz_entity_id) AS entity_last_date
    FROM holding AS h
    CROSS JOIN quote AS q
    WHERE q.investment_id = h.investment_id
)
SELECT b.biz_entity_id                                       AS "entityID",
       e.external_biz_entity_id                              AS "externalBizEntityId",
       e.name                                                AS "entityName",
       sum(b.balance) OVER (PARTITION BY b.biz_entity_id)    AS "totalBalance",
       (SELECT currency FROM product WHERE product_id = :ProductID) AS "currency",
       b.entity_last_date                                    AS "lastTransactionDate",
       b.account_id                                          AS "accounts[].accountID",
       b.external_account_id                                 AS "accounts[].externalAccountId",
       b.account_number                                      AS "accounts[].accountNumber",
       b.balance                                             AS "accounts[].balance",
       b.units                                               AS "accounts[].units",
       b.last_date                                           AS "accounts[].lastTransactionDate"
FROM balance AS b
CROSS JOIN biz_entity AS e
WHERE e.biz_entity_id = b.biz_entity_id AND (:FromDate IS NULL OR b.entity_last_date >= :FromDate)
ORDER BY b.biz_entity_id, b.account_id;

-- summary
WITH entity AS (
    SELECT h.biz_entity_id, count(*) AS accounts, CAST(sum(h.units) AS bigint) AS units,
           CAST(sum((h.units * q.price + 5000) / 10000) AS bigint) AS balance
    FROM holding AS h
    CROSS JOIN quote AS q
    WHERE q.investment_id = h.investment_id
    GROUP BY h.biz_entity_id
    HAVING :FromDate IS NULL OR max(h.last_date) >= :FromDate
),
total AS (
    SELECT count(*) AS entities, CAST(sum(accounts) AS bigint) AS accounts, CAST(sum(balance) AS bigint) AS balance,
           CAST(sum(units) AS bigint) AS units
    FROM entity
)
SELECT entities              AS "totalEntities",
       coalesce(accounts, 0) AS "totalAccounts",
       coalesce(balance, 0)  AS "grandTotalBalance",
       coalesce(units, 0)    AS "grandTotalUnits",
       coalesce((2 * balance + entities) / (2 * nullif(entities, 0)), 0) AS "averageBalance"
FROM total;
