-- report: InvoiceLines
-- description: Every line of every invoice, with what was bought.
-- source: chinook
-- column: unitPrice decimal(2) "Price of one" USD
-- column: totalAmount decimal(2) "Sold for, in all" USD

-- results
SELECT l.InvoiceLineId     AS "invoiceLineID",
       l.InvoiceId         AS "invoiceID",
       date(i.InvoiceDate) AS "invoiceDate",
       l.TrackId           AS "trackID",
       t.Name              AS "track",
       t.Composer          AS "composer",
       l.UnitPrice         AS "unitPrice",
       l.Quantity          AS "quantity"
FROM InvoiceLine AS l
JOIN Invoice AS i ON i.InvoiceId = l.InvoiceId
JOIN Track AS t ON t.TrackId = l.TrackId
ORDER BY l.InvoiceLineId;

-- summary
SELECT count(*)                  AS "lines",
       sum(UnitPrice * Quantity) AS "totalAmount"
FROM InvoiceLine;
