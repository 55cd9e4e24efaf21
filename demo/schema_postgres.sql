-- demo/schema_postgres.sql -- the registry of the demo for PostgreSQL: what demo/schema.sql is for SQLite, which explains it.
-- tools/registry-to-postgres runs this, with the data in between.

CREATE TABLE product (
    product_id bigint PRIMARY KEY,
    name       text NOT NULL UNIQUE,
    currency   text NOT NULL CHECK (currency ~ '^[A-Z]{3}$')
);

CREATE TABLE investment (
    investment_id bigint PRIMARY KEY,
    product_id    bigint NOT NULL REFERENCES product,
    security_code text NOT NULL UNIQUE,
    name          text NOT NULL,
    UNIQUE (investment_id, product_id)
);

CREATE TABLE price (
    investment_id bigint NOT NULL REFERENCES investment,
    price_date    date NOT NULL,
    price         bigint NOT NULL CHECK (price BETWEEN 1 AND 10000000),
    PRIMARY KEY (investment_id, price_date)
);

CREATE TABLE biz_entity (
    biz_entity_id          bigint PRIMARY KEY,
    external_biz_entity_id text NOT NULL UNIQUE,
    name                   text NOT NULL CHECK (name <> ''),
    entity_type            text NOT NULL CHECK (entity_type IN ('Individual', 'Joint', 'Company', 'Trust'))
);

CREATE TABLE account (
    account_id          bigint PRIMARY KEY,
    external_account_id text NOT NULL UNIQUE,
    account_number      text NOT NULL UNIQUE,
    biz_entity_id       bigint NOT NULL REFERENCES biz_entity,
    product_id          bigint NOT NULL,
    investment_id       bigint NOT NULL,
    opened_date         date NOT NULL,
    closed_date         date CHECK (closed_date > opened_date),
    UNIQUE (account_id, product_id),
    FOREIGN KEY (investment_id, product_id) REFERENCES investment (investment_id, product_id)
);

CREATE TABLE biz_transaction (
    biz_transaction_id          bigint PRIMARY KEY,
    external_biz_transaction_id text NOT NULL,
    product_id                  bigint NOT NULL,
    account_id                  bigint NOT NULL,
    transaction_date            date NOT NULL,
    transaction_type            text NOT NULL CHECK (transaction_type IN ('Deposit', 'Redemption', 'Transfer',
                                    'Conversion', 'Allotment', 'AdjustQuantity', 'SetQuantity')),
    status                      text NOT NULL CHECK (status IN ('Complete', 'Updated', 'RolledBack')),
    quantity                    bigint NOT NULL CHECK (quantity BETWEEN -100000000000 AND 100000000000),
    units_delta                 bigint NOT NULL,
    price_per_unit              bigint CHECK (price_per_unit BETWEEN 1 AND 10000000),
    amount                      bigint NOT NULL,
    comment                     text,
    CHECK (transaction_type = 'SetQuantity' OR units_delta = quantity),
    CHECK ((transaction_type NOT IN ('AdjustQuantity', 'SetQuantity')) = (price_per_unit IS NOT NULL)),
    CHECK (price_per_unit IS NOT NULL OR amount = 0),
    FOREIGN KEY (account_id, product_id) REFERENCES account (account_id, product_id)
);

CREATE TABLE distribution (
    corporate_action_id bigint PRIMARY KEY,
    investment_id       bigint NOT NULL REFERENCES investment,
    name                text NOT NULL,
    record_date         date NOT NULL,
    payment_date        date NOT NULL CHECK (payment_date > record_date),
    status              text NOT NULL CHECK (status IN ('Announced', 'Paid')),
    amount_per_unit     bigint NOT NULL CHECK (amount_per_unit BETWEEN 1 AND 10000000),
    declared_amount     bigint NOT NULL CHECK (declared_amount >= 0),
    UNIQUE (investment_id, record_date)
);

CREATE TABLE distribution_component (
    corporate_action_id bigint NOT NULL REFERENCES distribution,
    position            bigint NOT NULL CHECK (position > 0),
    component           text NOT NULL,
    percent             bigint NOT NULL CHECK (percent BETWEEN 1 AND 10000),
    PRIMARY KEY (corporate_action_id, position),
    UNIQUE (corporate_action_id, component)
);

CREATE TABLE distribution_account (
    corporate_action_id bigint NOT NULL REFERENCES distribution,
    account_id          bigint NOT NULL REFERENCES account,
    units               bigint NOT NULL CHECK (units BETWEEN 1 AND 100000000000),
    paid_amount         bigint NOT NULL CHECK (paid_amount >= 0),
    withheld_amount     bigint NOT NULL CHECK (withheld_amount >= 0),
    reinvested_amount   bigint NOT NULL CHECK (reinvested_amount >= 0),
    PRIMARY KEY (corporate_action_id, account_id)
);

-- data

-- As in demo/schema.sql: each serves one of the reports.
CREATE INDEX account_by_entity ON account (product_id, biz_entity_id, account_id);
CREATE INDEX biz_transaction_in_force ON biz_transaction (account_id, transaction_date) INCLUDE (units_delta)
    WHERE status <> 'RolledBack';
CREATE INDEX biz_transaction_by_date ON biz_transaction (product_id, transaction_date, biz_transaction_id);
CREATE INDEX investment_by_product ON investment (product_id);

ANALYZE;
