-- demo/schema.sql -- the registry of the demo: who holds which units of which product, and how it came to that.
--
-- Scales. Money is whole cents. Units and quantities are hundredths of a unit. Prices are 1/10000 of a
-- dollar a unit. Distributions are 1/1000000 of a dollar a unit. Percentages are hundredths of a percent. Dates are
-- 'YYYY-MM-DD'. The bounds below keep units × price and units × rate within 64 bits, so every figure is exact.
--
-- Meaning. A product offers one or more investments (unit classes), each with one price a business day; the price of
-- a day without one is the latest before it. An account holds one investment for one entity. Its units at a date are
-- the sum of units_delta over its transactions up to that date that were not rolled back; its balance is units ×
-- price, rounded half up to the cent.
--
-- Indexes come after the data: see the end of this file.

CREATE TABLE product (
    product_id INTEGER PRIMARY KEY,
    name       TEXT NOT NULL UNIQUE,
    currency   TEXT NOT NULL CHECK (currency GLOB '[A-Z][A-Z][A-Z]')
) STRICT;

CREATE TABLE investment (
    investment_id INTEGER PRIMARY KEY,
    product_id    INTEGER NOT NULL REFERENCES product,
    security_code TEXT NOT NULL UNIQUE,
    name          TEXT NOT NULL,
    UNIQUE (investment_id, product_id)
) STRICT;

CREATE TABLE price (
    investment_id INTEGER NOT NULL REFERENCES investment,
    price_date    TEXT NOT NULL CHECK (price_date IS date(price_date)),
    price         INTEGER NOT NULL CHECK (price BETWEEN 1 AND 10000000),
    PRIMARY KEY (investment_id, price_date)
) STRICT, WITHOUT ROWID;

CREATE TABLE biz_entity (
    biz_entity_id          INTEGER PRIMARY KEY,
    external_biz_entity_id TEXT NOT NULL UNIQUE,
    name                   TEXT NOT NULL CHECK (name <> ''),
    entity_type            TEXT NOT NULL CHECK (entity_type IN ('Individual', 'Joint', 'Company', 'Trust'))
) STRICT;

CREATE TABLE account (
    account_id          INTEGER PRIMARY KEY,
    external_account_id TEXT NOT NULL UNIQUE,
    account_number      TEXT NOT NULL UNIQUE,
    biz_entity_id       INTEGER NOT NULL REFERENCES biz_entity,
    product_id          INTEGER NOT NULL,
    investment_id       INTEGER NOT NULL,
    opened_date         TEXT NOT NULL CHECK (opened_date IS date(opened_date)),
    closed_date         TEXT CHECK (closed_date IS date(closed_date) AND closed_date > opened_date),
    UNIQUE (account_id, product_id),
    FOREIGN KEY (investment_id, product_id) REFERENCES investment (investment_id, product_id)
) STRICT;

-- quantity is what the transaction states: the change in units, signed, or for SetQuantity the new holding.
-- units_delta is its effect on the holding; for all other types the two are the same. amount is the money that
-- moved, signed as the units; the two types that only correct the register move none and have no price.
-- product_id repeats the account's, so that a product's transactions can be read in order of date from one index.
CREATE TABLE biz_transaction (
    biz_transaction_id          INTEGER PRIMARY KEY,
    external_biz_transaction_id TEXT NOT NULL,
    product_id                  INTEGER NOT NULL,
    account_id                  INTEGER NOT NULL,
    transaction_date            TEXT NOT NULL CHECK (transaction_date IS date(transaction_date)),
    transaction_type            TEXT NOT NULL CHECK (transaction_type IN ('Deposit', 'Redemption', 'Transfer',
                                    'Conversion', 'Allotment', 'AdjustQuantity', 'SetQuantity')),
    status                      TEXT NOT NULL CHECK (status IN ('Complete', 'Updated', 'RolledBack')),
    quantity                    INTEGER NOT NULL CHECK (quantity BETWEEN -100000000000 AND 100000000000),
    units_delta                 INTEGER NOT NULL,
    price_per_unit              INTEGER CHECK (price_per_unit BETWEEN 1 AND 10000000),
    amount                      INTEGER NOT NULL,
    comment                     TEXT,
    CHECK (transaction_type = 'SetQuantity' OR units_delta = quantity),
    CHECK (transaction_type NOT IN ('AdjustQuantity', 'SetQuantity') = (price_per_unit IS NOT NULL)),
    CHECK (price_per_unit IS NOT NULL OR amount = 0),
    FOREIGN KEY (account_id, product_id) REFERENCES account (account_id, product_id)
) STRICT;

-- A distribution pays amount_per_unit for every unit held at the end of its record date.
CREATE TABLE distribution (
    corporate_action_id INTEGER PRIMARY KEY,
    investment_id       INTEGER NOT NULL REFERENCES investment,
    name                TEXT NOT NULL,
    record_date         TEXT NOT NULL CHECK (record_date IS date(record_date)),
    payment_date        TEXT NOT NULL CHECK (payment_date IS date(payment_date) AND payment_date > record_date),
    status              TEXT NOT NULL CHECK (status IN ('Announced', 'Paid')),
    amount_per_unit     INTEGER NOT NULL CHECK (amount_per_unit BETWEEN 1 AND 10000000),
    declared_amount     INTEGER NOT NULL CHECK (declared_amount >= 0),
    UNIQUE (investment_id, record_date)
) STRICT;

-- What a distribution consists of, for tax. The percentages of a distribution total exactly 10000.
CREATE TABLE distribution_component (
    corporate_action_id INTEGER NOT NULL REFERENCES distribution,
    position            INTEGER NOT NULL CHECK (position > 0),
    component           TEXT NOT NULL,
    percent             INTEGER NOT NULL CHECK (percent BETWEEN 1 AND 10000),
    PRIMARY KEY (corporate_action_id, position),
    UNIQUE (corporate_action_id, component)
) STRICT, WITHOUT ROWID;

-- An account's part: its units at the record date, and where the money went.
CREATE TABLE distribution_account (
    corporate_action_id INTEGER NOT NULL REFERENCES distribution,
    account_id          INTEGER NOT NULL REFERENCES account,
    units               INTEGER NOT NULL CHECK (units BETWEEN 1 AND 100000000000),
    paid_amount         INTEGER NOT NULL CHECK (paid_amount >= 0),
    withheld_amount     INTEGER NOT NULL CHECK (withheld_amount >= 0),
    reinvested_amount   INTEGER NOT NULL CHECK (reinvested_amount >= 0),
    PRIMARY KEY (corporate_action_id, account_id)
) STRICT, WITHOUT ROWID;

-- indexes

-- EntityBalanceReport: a product's accounts in order of entity …
CREATE INDEX account_by_entity ON account (product_id, biz_entity_id, account_id);
-- … and their units at a date, from the index alone.
CREATE INDEX biz_transaction_in_force ON biz_transaction (account_id, transaction_date, units_delta)
    WHERE status <> 'RolledBack';
-- TransactionSummary: a product's transactions in order of date, without a sort.
CREATE INDEX biz_transaction_by_date ON biz_transaction (product_id, transaction_date);
-- DistributionReconciliation: in order of record date.
CREATE INDEX investment_by_product ON investment (product_id);
