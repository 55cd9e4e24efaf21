-- report: CustomerInvoices
-- description: Every customer with the invoices they were sent: an array in each result.
-- source: chinook
-- parameter: Country string  "Only customers from this country, as the database writes it"
-- column: customerID "Customer"
-- column: total decimal(2) "Invoiced in all" USD
-- column: invoices[].total decimal(2) "Invoice total" USD
-- column: grandTotal decimal(2) "Total of all customers" USD

-- with
sent AS (
    SELECT c.CustomerId, c.FirstName || ' ' || c.LastName AS Name, c.City, c.Country,
           i.InvoiceId, i.InvoiceDate, i.Total
    FROM Customer AS c
    LEFT JOIN Invoice AS i ON i.CustomerId = c.CustomerId
    WHERE :Country IS NULL OR c.Country = :Country
)

-- check: There is no customer from :Country.
SELECT 1 FROM Customer WHERE :Country IS NULL OR Country = :Country LIMIT 1;

-- results
SELECT CustomerId                                AS "customerID",
       Name                                      AS "name",
       City                                      AS "address.city",
       Country                                   AS "address.country",
       sum(Total) OVER (PARTITION BY CustomerId) AS "total",
       InvoiceId                                 AS "invoices[].invoiceID",
       date(InvoiceDate)                         AS "invoices[].date",
       Total                                     AS "invoices[].total"
FROM sent
ORDER BY CustomerId, InvoiceDate, InvoiceId;

-- summary
SELECT count(DISTINCT CustomerId) AS "customers",
       count(InvoiceId)           AS "invoices",
       coalesce(sum(Total), 0)    AS "grandTotal"
FROM sent;
