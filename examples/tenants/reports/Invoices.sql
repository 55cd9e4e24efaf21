-- report: Invoices
-- description: The invoices of the caller's tenant.
-- source: billing
-- parameter: Customer string "Only those of this customer"
-- column: total scaled(2) "Total" AUD

-- values: Customer
SELECT DISTINCT customer FROM invoice WHERE tenant = :session_claim_tenant ORDER BY customer

-- check: There is no customer ':Customer'.
SELECT 1 FROM invoice
WHERE tenant = :session_claim_tenant AND (:Customer IS NULL OR customer = :Customer) LIMIT 1

-- results
SELECT number AS "number", customer AS "customer", cents AS "total"
FROM invoice
WHERE tenant = :session_claim_tenant AND (:Customer IS NULL OR customer = :Customer)
ORDER BY number

-- summary
SELECT count(*) AS "invoices", sum(cents) AS "total"
FROM invoice
WHERE tenant = :session_claim_tenant AND (:Customer IS NULL OR customer = :Customer)
