-- report: R
-- source: s
-- results
SELECT 'a