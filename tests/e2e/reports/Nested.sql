-- report: Nested
-- description: The items of every owner.
-- source: data
-- column: items[].amount scaled(2)

-- results
SELECT owner AS "owner", product.name AS "product.name", product_id AS "product.id",
       item_id AS "items[].itemID", cents AS "items[].amount"
FROM item JOIN product USING (product_id) ORDER BY owner, product_id, item_id;
