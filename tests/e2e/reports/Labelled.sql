-- report: Labelled
-- source: data
-- column: accounts[].balance decimal(2) "Closing balance" AUD
-- column: accounts[].units scaled(2)
-- column: day "The ""day"""
-- column: more json
-- results
SELECT 7 AS "day", '[1.50]' AS "more", 2 AS "accounts[].balance", 3 AS "accounts[].units"
