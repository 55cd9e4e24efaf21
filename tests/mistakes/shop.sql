CREATE TABLE customer (customer_id integer PRIMARY KEY, name text NOT NULL, country text, email text);
CREATE TABLE orders (order_id integer PRIMARY KEY, customer_id integer NOT NULL, ordered_at timestamp NOT NULL,
                     status text NOT NULL, cents integer NOT NULL, weight double precision);
CREATE TABLE line (order_id integer NOT NULL, line_no integer NOT NULL, sku text NOT NULL, quantity integer NOT NULL,
                   price numeric(10, 2) NOT NULL, PRIMARY KEY (order_id, line_no));
CREATE TABLE salary (name text, cents integer);
INSERT INTO customer VALUES (1, 'Ann', 'AU', NULL), (2, 'Bob', 'NZ', 'bob@shop.example');
INSERT INTO orders VALUES (7, 1, '2024-01-12 10:00:00', 'open', 3050, 1.5);
INSERT INTO line VALUES (7, 1, 'A-1', 2, 10.00), (7, 2, 'B-2', 1, 10.50);
