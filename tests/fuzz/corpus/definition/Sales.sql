-- report: Sales
-- description: Tracks sold between two dates, grouped as asked for.
-- source: chinook
-- parameter: By enum(Genre|Artist|Country|MediaType) default Genre  "What to group by"
-- parameter: FromDate date required  "Invoices from this date on"
-- parameter: ToDate date default today  "Invoices up to the end of this date"
-- column: amount scaled(2) "Sold for" USD
-- column: totalAmount scaled(2) "Sold for, in all" USD

-- with
sale AS (
    SELECT CASE :By WHEN 'Genre' THEN g.Name
                    WHEN 'Artist' THEN r.Name
                    WHEN 'Country' THEN i.BillingCountry
                    ELSE m.Name END AS name,
           i.InvoiceId AS invoice, l.Quantity AS quantity,
           CAST(round(l.UnitPrice * 100) AS INTEGER) * l.Quantity AS cents
    FROM Invoice AS i
    JOIN InvoiceLine AS l ON l.InvoiceId = i.InvoiceId
    JOIN Track AS t ON t.TrackId = l.TrackId
    JOIN MediaType AS m ON m.MediaTypeId = t.MediaTypeId
    LEFT JOIN Genre AS g ON g.GenreId = t.GenreId
    LEFT JOIN Album AS a ON a.AlbumId = t.AlbumId
    LEFT JOIN Artist AS r ON r.ArtistId = a.ArtistId
    WHERE date(i.InvoiceDate) BETWEEN :FromDate AND :ToDate
)

-- check: FromDate :FromDate is after ToDate :ToDate.
SELECT 1 WHERE :FromDate <= :ToDate;

-- results
SELECT name          AS "name",
       sum(quantity) AS "tracks",
       sum(cents)    AS "amount"
FROM sale
GROUP BY name
ORDER BY sum(cents) DESC, name;

-- summary
SELECT count(DISTINCT invoice)    AS "invoices",
       coalesce(sum(quantity), 0) AS "tracks",
       coalesce(sum(cents), 0)    AS "totalAmount"
FROM sale;
