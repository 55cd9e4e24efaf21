CREATE VIRTUAL TABLE article USING fts5(title, body);
CREATE TABLE legacy ([unit price] REAL, `order` TEXT, "group" TEXT);
CREATE VIEW totals AS SELECT customer_id, count(*) FROM invoice GROUP BY customer_id;
