-- report: Quick
-- description: The items of a product.
-- source: data
-- parameter: ProductID integer required "The product to report on"
-- parameter: Note string default none "A text that comes back"
-- column: amount scaled(2)
-- column: total scaled(2)

-- check: Product :ProductID does not exist.
SELECT 1 FROM product WHERE product_id = :ProductID;

-- results
SELECT item_id AS "itemID", owner AS "owner", cents AS "amount", day AS "day"
FROM item WHERE product_id = :ProductID ORDER BY item_id;

-- summary
SELECT count(*) AS "count", coalesce(sum(cents), 0) AS "total", :Note AS "note",
       :session_user AS "user"
FROM item WHERE product_id = :ProductID;
