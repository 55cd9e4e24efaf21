-- report: TransactionSummary
-- description: Every transaction of a product in order of date, with totals by type; the totals cover exactly the transactions listed, rolled back ones too unless Status says otherwise.
-- source: registry
-- parameter: ProductID integer required  "The product to report on"
-- parameter: FromDate date  "Transactions from this date on"
-- parameter: ToDate date  "Transactions up to the end of this date"
-- parameter: TransactionType enum(Deposit|Redemption|Transfer|Conversion|Allotment|AdjustQuantity|SetQuantity)  "Only this type"
-- parameter: Status enum(Complete|Updated|RolledBack)  "Only this status"
-- parameter: EntityID integer  "Only this entity's accounts"
-- parameter: AccountID integer  "Only this account"
-- timeout: 10m
-- column: amount scaled(2)
-- column: quantity scaled(2)
-- column: pricePerUnit scaled(4)
-- column: totalAmount scaled(2)
-- column: totalQuantity scaled(2)
-- column: byType json

-- check: Product :ProductID does not exist.
SELECT 1 FROM product WHERE product_id = :ProductID;

-- check: Entity :EntityID does not exist.
SELECT 1 WHERE :EntityID IS NULL OR EXISTS (SELECT 1 FROM biz_entity WHERE biz_entity_id = :EntityID);

-- check: Account :AccountID does not exist.
SELECT 1 WHERE :AccountID IS NULL OR EXISTS (SELECT 1 FROM account WHERE account_id = :AccountID);

-- check: FromDate :FromDate is after ToDate :ToDate.
SELECT 1 WHERE :FromDate IS NULL OR :ToDate IS NULL OR :FromDate <= :ToDate;

-- results
-- quantity is what the transaction states: the change in units, or for SetQuantity the new holding.
-- It runs on SQLite and PostgreSQL. In SQLite CROSS JOIN fixes the order of the tables, so that the rows come in order of
-- date from the index, without a sort.
SELECT t.biz_transaction_id          AS "bizTransactionID",
       t.external_biz_transaction_id AS "externalBizTransactionId",
       t.transaction_date            AS "transactionDate",
       t.transaction_type            AS "transactionType",
       t.status                      AS "status",
       a.biz_entity_id               AS "entityID",
       e.name                        AS "entityName",
       t.account_id                  AS "accountID",
       a.external_account_id         AS "externalAccountId",
       a.account_number              AS "accountNumber",
       a.investment_id               AS "investmentID",
       i.security_code               AS "securityCode",
       t.amount                      AS "amount",
       t.quantity                    AS "quantity",
       t.price_per_unit              AS "pricePerUnit",
       t.comment                     AS "comment"
FROM biz_transaction AS t
CROSS JOIN account AS a
CROSS JOIN biz_entity AS e
CROSS JOIN investment AS i
WHERE a.account_id = t.account_id
  AND e.biz_entity_id = a.biz_entity_id
  AND i.investment_id = a.investment_id
  AND t.product_id = :ProductID
  AND t.transaction_date BETWEEN coalesce(:FromDate, '0001-01-01') AND coalesce(:ToDate, '9999-12-31')
  AND (:TransactionType IS NULL OR t.transaction_type = :TransactionType)
  AND (:Status IS NULL OR t.status = :Status)
  AND (:EntityID IS NULL OR a.biz_entity_id = :EntityID)
  AND (:AccountID IS NULL OR t.account_id = :AccountID)
ORDER BY t.transaction_date, t.biz_transaction_id;

-- summary
-- The JSON of byType is written by hand, since each database has functions of its own for that, and the amounts shall have
-- their two decimals: one object a type, appended to one another in order of name. No name holds what JSON would escape.
WITH RECURSIVE type AS (
    SELECT row_number() OVER (ORDER BY t.transaction_type) AS place, t.transaction_type AS name, count(*) AS count,
           CAST(sum(t.amount) AS bigint) AS amount, CAST(sum(t.quantity) AS bigint) AS quantity,
           min(t.transaction_date) AS first_date, max(t.transaction_date) AS last_date
    FROM biz_transaction AS t
    WHERE t.product_id = :ProductID
      AND t.transaction_date BETWEEN coalesce(:FromDate, '0001-01-01') AND coalesce(:ToDate, '9999-12-31')
      AND (:TransactionType IS NULL OR t.transaction_type = :TransactionType)
      AND (:Status IS NULL OR t.status = :Status)
      AND (:EntityID IS NULL OR t.account_id IN (SELECT account_id FROM account WHERE biz_entity_id = :EntityID))
      AND (:AccountID IS NULL OR t.account_id = :AccountID)
    GROUP BY t.transaction_type
),
object AS (
    SELECT place, '{"transactionType":"' || name || '","count":' || count
           || ',"amount":' || CASE WHEN amount < 0 THEN '-' ELSE '' END
           || (abs(amount) / 100) || '.' || substr(CAST(100 + abs(amount) % 100 AS text), 2)
           || ',"quantity":' || CASE WHEN quantity < 0 THEN '-' ELSE '' END
           || (abs(quantity) / 100) || '.' || substr(CAST(100 + abs(quantity) % 100 AS text), 2) || '}' AS json
    FROM type
),
joined AS (
    SELECT CAST(0 AS bigint) AS place, '' AS json
    UNION ALL
    SELECT o.place, j.json || CASE o.place WHEN 1 THEN '' ELSE ',' END || o.json
    FROM joined AS j JOIN object AS o ON o.place = j.place + 1
)
SELECT coalesce(sum(count), 0)    AS "totalTransactions",
       coalesce(sum(amount), 0)   AS "totalAmount",
       coalesce(sum(quantity), 0) AS "totalQuantity",
       min(first_date)                            AS "firstTransactionDate",
       max(last_date)                             AS "lastTransactionDate",
       (SELECT '[' || json || ']' FROM joined ORDER BY place DESC LIMIT 1) AS "byType"
FROM type;
