-- report: R
-- source: s
-- column: a b decimal(2)
-- column: c[].d json
-- row limit: 1
-- size limit: 1K
-- timeout: 5m
-- results
SELECT 1;;