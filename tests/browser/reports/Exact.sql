-- report: Exact
-- description: Numbers that no double has, and keys that are hard to find.
-- source: data
-- column: money decimal(2) "Amount" AUD
-- column: tree json

-- results
SELECT 1 AS "n", 9007199254740993 AS "big", '0.10' AS "money", '12345678901234567890.123456789' AS "text", 1 AS "v1\.0", 2 AS "a.b", NULL AS "nothing", '' AS "empty",
       '{"x":[1.10,12345678901234567890,"a"]}' AS "tree", '2024-02-29' AS "day"
UNION ALL SELECT 2, -9223372036854775808, '12345678901234567890', 'b', 3, 4, 'c', '', '[]', '2024-03-01';

-- set: more
SELECT 9007199254740993 AS "big";

-- summary
SELECT 9007199254740995 AS "total", 'A' AS "byType[].name", 0.5 AS "byType[].count" UNION ALL SELECT 9007199254740995, 'B', 1.5;
