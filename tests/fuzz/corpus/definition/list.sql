-- report: R
-- source: s
-- parameter: L list(enum(a|b c)) default 'a,b c'
-- results
SELECT 1 WHERE :L IS NULL OR x NOT /* */ IN ( :L )
