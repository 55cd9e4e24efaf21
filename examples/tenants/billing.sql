-- The invoices of two tenants, for SQLite and PostgreSQL.
CREATE TABLE invoice (
    tenant text NOT NULL,
    number integer NOT NULL,
    customer text NOT NULL,
    cents integer NOT NULL,
    PRIMARY KEY (tenant, number)
);
INSERT INTO invoice VALUES
    ('acme', 1, 'Rocket Skates Ltd', 129900),
    ('acme', 2, 'Anvil & Sons', 8050),
    ('acme', 3, 'Rocket Skates Ltd', 4999),
    ('globex', 1, 'Cypress Creek Power', 7500000),
    ('globex', 2, 'Hammock Hut', 12345);
