-- report: R
-- source: s
-- timezone: Europe/Berlin
-- parameter: A integer default 5 min 1 max 9 "d"
-- parameter: B string matching "[a-z]{2,4}""x" "e"
-- parameter: C timestamp default '2024-03-31 03:30' min 2000-01-01T00:00Z
-- parameter: D date default last-month-end
-- results
SELECT :A, :B, :C, :D
