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
-- CROSS JOIN fixes the order of the tables, so that the rows come in order of date from the index, without a sort.
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
FROM biz_transaction AS t INDEXED BY biz_transaction_by_date
CROSS JOIN account AS a ON a.account_id = t.account_id
CROSS JOIN biz_entity AS e ON e.biz_entity_id = a.biz_entity_id
CROSS JOIN investment AS i ON i.investment_id = a.investment_id
WHERE t.product_id = :ProductID
  AND t.transaction_date BETWEEN coalesce(:FromDate, '0001-01-01') AND coalesce(:ToDate, '9999-12-31')
  AND (:TransactionType IS NULL OR t.transaction_type = :TransactionType)
  AND (:Status IS NULL OR t.status = :Status)
  AND (:EntityID IS NULL OR a.biz_entity_id = :EntityID)
  AND (:AccountID IS NULL OR t.account_id = :AccountID)
ORDER BY t.transaction_date, t.biz_transaction_id;

-- summary
-- The amounts in byType are written with their two decimals here, since a json column is passed through as it is.
WITH type AS (
    SELECT t.transaction_type AS name, count(*) AS count, sum(t.amount) AS amount, sum(t.quantity) AS quantity,
           min(t.transaction_date) AS first_date, max(t.transaction_date) AS last_date
    FROM biz_transaction AS t INDEXED BY biz_transaction_by_date
    WHERE t.product_id = :ProductID
      AND t.transaction_date BETWEEN coalesce(:FromDate, '0001-01-01') AND coalesce(:ToDate, '9999-12-31')
      AND (:TransactionType IS NULL OR t.transaction_type = :TransactionType)
      AND (:Status IS NULL OR t.status = :Status)
      AND (:EntityID IS NULL OR t.account_id IN (SELECT account_id FROM account WHERE biz_entity_id = :EntityID))
      AND (:AccountID IS NULL OR t.account_id = :AccountID)
    GROUP BY t.transaction_type
)
SELECT coalesce(sum(count), 0)    AS "totalTransactions",
       coalesce(sum(amount), 0)   AS "totalAmount",
       coalesce(sum(quantity), 0) AS "totalQuantity",
       min(first_date)            AS "firstTransactionDate",
       max(last_date)             AS "lastTransactionDate",
       json_group_array(json_object(
           'transactionType', name,
           'count', count,
           'amount', json(format('%s%d.%02d', iif(amount < 0, '-', ''), abs(amount) / 100, abs(amount) % 100)),
           'quantity', json(format('%s%d.%02d', iif(quantity < 0, '-', ''), abs(quantity) / 100, abs(quantity) % 100))
       ))                         AS "byType"
FROM type;
