-- report: R
-- source: s
-- results
SELECT 1