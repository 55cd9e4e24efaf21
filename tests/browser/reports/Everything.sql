-- report: Everything
-- description: One parameter of every type, with limits, choices and lists.
-- source: data
-- parameter: Note string "Any text"
-- parameter: Number integer default 42 min 1 max 500
-- parameter: Price decimal default 12.50
-- parameter: Day date default today
-- parameter: At timestamp
-- parameter: Sure boolean required "Are you sure?"
-- parameter: Colour enum(Red|Green|Blue)
-- parameter: Product integer "A product"
-- parameter: Products list(integer)
-- parameter: Places list(string)

-- values: Product
SELECT product_id, name FROM product ORDER BY name;

-- values: Products
SELECT product_id, name FROM product ORDER BY name;

-- results
SELECT :Note AS "note", :Number AS "number", :Price AS "price", :Day AS "day", :At AS "at", :Sure AS "sure", :Colour AS "colour", :Product AS "product",
       1 IN (:Products) AS "products", 'x' IN (:Places) AS "places";
