-- report: Wide
-- description: Rows of 400 kB, and one that no answer of /Report/Rows holds.
-- source: data

-- results
WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 9)
SELECT i AS "i", replace(hex(zeroblob(CASE i WHEN 5 THEN 3000000 ELSE 400000 END)), '00', 'xy') AS "text" FROM n;
