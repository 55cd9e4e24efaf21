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
-- column: byType[].amount scaled(2)
-- column: byType[].quantity scaled(2)

-- with
chosen AS (
    SELECT * FROM biz_transaction
    WHERE product_id = :ProductID
      AND transaction_date BETWEEN coalesce(:FromDate, '0001-01-01') AND coalesce(:ToDate, '9999-12-31')
      AND (:TransactionType IS NULL OR transaction_type = :TransactionType)
      AND (:Status IS NULL OR status = :Status)
      AND (:EntityID IS NULL OR account_id IN (SELECT account_id FROM account WHERE biz_entity_id = :EntityID))
      AND (:AccountID IS NULL OR account_id = :AccountID)
)

-- values: ProductID
SELECT product_id, name FROM product ORDER BY name;

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
FROM chosen AS t
CROSS JOIN account AS a
CROSS JOIN biz_entity AS e
CROSS JOIN investment AS i
WHERE a.account_id = t.account_id
  AND e.biz_entity_id = a.biz_entity_id
  AND i.investment_id = a.investment_id
ORDER BY t.transaction_date, t.biz_transaction_id;

-- summary
WITH type AS (
    SELECT transaction_type AS name, count(*) AS count, sum(amount) AS amount, sum(quantity) AS quantity,
           min(transaction_date) AS first_date, max(transaction_date) AS last_date
    FROM chosen
    GROUP BY transaction_type
),
total AS (
    SELECT coalesce(sum(count), 0) AS count, coalesce(sum(amount), 0) AS amount, coalesce(sum(quantity), 0) AS quantity,
           min(first_date) AS first_date, max(last_date) AS last_date
    FROM type
)
SELECT total.count      AS "totalTransactions",
       total.amount     AS "totalAmount",
       total.quantity   AS "totalQuantity",
       total.first_date AS "firstTransactionDate",
       total.last_date  AS "lastTransactionDate",
       type.name        AS "byType[].transactionType",
       type.count       AS "byType[].count",
       type.amount      AS "byType[].amount",
       type.quantity    AS "byType[].quantity"
FROM total LEFT JOIN type ON 1 = 1
ORDER BY type.name;
