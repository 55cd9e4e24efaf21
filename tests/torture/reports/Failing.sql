-- report: Failing
-- description: Fails at once, since nothing is called so.
-- source: data
-- parameter: Tag string required "Tells the requests apart"

-- check: Nothing is called :Tag.
SELECT 1 FROM product WHERE name = :Tag;

-- results
SELECT 1 AS "i";
