-- report: DistributionReconciliation
-- description: Every distribution of a product: what was declared, what the units at the record date come to, what was paid, and the difference.
-- source: registry
-- parameter: ProductID integer required  "The product to report on"
-- parameter: InvestmentID integer  "Only this investment of the product"
-- parameter: FromDate date  "Record dates from this date on"
-- parameter: ToDate date  "Record dates up to this date"
-- timeout: 10m
-- column: distributionAmountPerUnit scaled(6)
-- column: unitsAtRecordDate scaled(2)
-- column: calculatedAmount scaled(2)
-- column: declaredAmount scaled(2)
-- column: paidAmount scaled(2)
-- column: withheldAmount scaled(2)
-- column: reinvestedAmount scaled(2)
-- column: variance scaled(2)
-- column: components[].percent scaled(2)
-- column: components[].amount scaled(2)
-- column: totalCalculated scaled(2)
-- column: totalDeclared scaled(2)
-- column: totalPaid scaled(2)
-- column: totalWithheld scaled(2)
-- column: totalReinvested scaled(2)
-- column: totalVariance scaled(2)

-- with
-- Units have 2 decimals and the amount per unit 6, so their product is 1000000 times the cents: rounded half up per
-- account, since that is what each account is owed. A component's amount is its share of the calculated amount; the
-- shares are differences of rounded running totals, so they add up to it to the cent. The CASTs are for PostgreSQL, where a
-- sum of bigint is numeric, and would divide as such.
total AS (
    SELECT d.corporate_action_id, d.name, d.investment_id, i.security_code, d.record_date, d.payment_date,
           d.status, d.amount_per_unit, d.declared_amount,
           CAST(coalesce(sum(a.units), 0) AS bigint) AS units,
           CAST(coalesce(sum((a.units * d.amount_per_unit + 500000) / 1000000), 0) AS bigint) AS calculated,
           CAST(coalesce(sum(a.paid_amount), 0) AS bigint) AS paid,
           CAST(coalesce(sum(a.withheld_amount), 0) AS bigint) AS withheld,
           CAST(coalesce(sum(a.reinvested_amount), 0) AS bigint) AS reinvested
    FROM investment AS i
    JOIN distribution AS d ON d.investment_id = i.investment_id
    LEFT JOIN distribution_account AS a ON a.corporate_action_id = d.corporate_action_id
    WHERE i.product_id = :ProductID
      AND (:InvestmentID IS NULL OR i.investment_id = :InvestmentID)
      AND d.record_date BETWEEN coalesce(:FromDate, '0001-01-01') AND coalesce(:ToDate, '9999-12-31')
    GROUP BY d.corporate_action_id, i.investment_id
)

-- values: ProductID
SELECT product_id, name FROM product ORDER BY name;

-- check: Product :ProductID has no investment :InvestmentID.
SELECT 1 WHERE :InvestmentID IS NULL
    OR EXISTS (SELECT 1 FROM investment WHERE investment_id = :InvestmentID AND product_id = :ProductID);

-- check: FromDate :FromDate is after ToDate :ToDate.
SELECT 1 WHERE :FromDate IS NULL OR :ToDate IS NULL OR :FromDate <= :ToDate;

-- results
WITH running AS (
    SELECT corporate_action_id, position, component, percent,
           CAST(sum(percent) OVER (PARTITION BY corporate_action_id ORDER BY position) AS bigint) AS upto
    FROM distribution_component
)
SELECT t.corporate_action_id           AS "corporateActionID",
       t.name                          AS "name",
       t.investment_id                 AS "investmentID",
       t.security_code                 AS "securityCode",
       t.record_date                   AS "recordDate",
       t.payment_date                  AS "paymentDate",
       t.status                        AS "status",
       t.amount_per_unit               AS "distributionAmountPerUnit",
       t.units                         AS "unitsAtRecordDate",
       t.calculated                    AS "calculatedAmount",
       t.declared_amount               AS "declaredAmount",
       t.paid                          AS "paidAmount",
       t.withheld                      AS "withheldAmount",
       t.reinvested                    AS "reinvestedAmount",
       t.declared_amount - t.calculated AS "variance",
       c.component                     AS "components[].component",
       c.percent                       AS "components[].percent",
       (t.calculated * c.upto + 5000) / 10000
           - (t.calculated * (c.upto - c.percent) + 5000) / 10000 AS "components[].amount"
FROM total AS t
LEFT JOIN running AS c ON c.corporate_action_id = t.corporate_action_id
ORDER BY t.record_date, t.corporate_action_id, c.position;

-- summary
SELECT count(*)                                AS "totalDistributions",
       coalesce(sum(calculated), 0)            AS "totalCalculated",
       coalesce(sum(declared_amount), 0)              AS "totalDeclared",
       coalesce(sum(paid), 0)                  AS "totalPaid",
       coalesce(sum(withheld), 0)              AS "totalWithheld",
       coalesce(sum(reinvested), 0)            AS "totalReinvested",
       coalesce(sum(declared_amount - calculated), 0) AS "totalVariance",
       count(*) FILTER (WHERE declared_amount <> calculated) AS "unreconciled"
FROM total;
