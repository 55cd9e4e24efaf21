-- report: CustomerInvoices
-- description: Every customer with the invoices they were sent: an array in each result.
-- source: chinook
-- parameter: Country string  "Only customers from this country, as the database writes it"
-- column: total decimal(2)
-- column: invoices[].total decimal(2)
-- column: grandTotal decimal(2)

-- check: There is no customer from :Country.
SELECT 1 FROM Customer WHERE :Country IS NULL OR Country = :Country LIMIT 1;

-- results
SELECT c.CustomerId                                  AS "customerID",
       c.FirstName || ' ' || c.LastName              AS "name",
       c.City                                        AS "address.city",
       c.Country                                     AS "address.country",
       sum(i.Total) OVER (PARTITION BY c.CustomerId) AS "total",
       i.InvoiceId                                   AS "invoices[].invoiceID",
       date(i.InvoiceDate)                           AS "invoices[].date",
       i.Total                                       AS "invoices[].total"
FROM Customer AS c
LEFT JOIN Invoice AS i ON i.CustomerId = c.CustomerId
WHERE :Country IS NULL OR c.Country = :Country
ORDER BY c.CustomerId, i.InvoiceDate, i.InvoiceId;

-- summary
SELECT count(DISTINCT c.CustomerId) AS "customers",
       count(i.InvoiceId)           AS "invoices",
       coalesce(sum(i.Total), 0)    AS "grandTotal"
FROM Customer AS c
LEFT JOIN Invoice AS i ON i.CustomerId = c.CustomerId
WHERE :Country IS NULL OR c.Country = :Country;
