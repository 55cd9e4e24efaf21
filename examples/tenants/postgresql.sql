-- A role that sees the rows of one tenant only, whatever a definition selects.
CREATE ROLE billing_reader LOGIN;
GRANT SELECT ON invoice TO billing_reader;
ALTER TABLE invoice ENABLE ROW LEVEL SECURITY;
CREATE POLICY own_tenant ON invoice FOR SELECT TO billing_reader
    USING (tenant = nullif(current_setting('reportd.claim_tenant', true), ''));
