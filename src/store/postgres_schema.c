/* src/store/postgres_schema.c -- the numbered migrations of the PostgreSQL store. A migration that
 * has been released is never changed: add the next one. Nodes of the previous version go on working
 * on the new schema until they are restarted, so a migration only adds: tables, indexes, columns
 * that are NULL or have a default. The one that seals is the exception. */
#include "core/report.h"
#include "store/postgres_impl.h"

/* 1: the tables of sqlite_schema.c, and nodes. `seq` is the order of the queue and of the lists;
 * `node` the one that runs the report, kept while DELETING until it has released it; `token` marks
 * the claim. There is no foreign key to the user: a user is removed after its reports, and the lock
 * on the user's row that each submit would take for it would be the busiest of all. */
static const char migration_1[] =
    "CREATE TABLE account ("
    "  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,"
    "  name text NOT NULL,"
    "  password_hash text NOT NULL,"
    "  disabled boolean NOT NULL DEFAULT false,"
    "  failures bigint NOT NULL DEFAULT 0,"
    "  first_failure_ms bigint NOT NULL DEFAULT 0,"
    "  locked_until_ms bigint NOT NULL DEFAULT 0,"
    "  allow text NOT NULL DEFAULT '',"
    "  grants text NOT NULL DEFAULT ''"
    ");"
    "CREATE UNIQUE INDEX account_name ON account (lower(name COLLATE \"C\"));" /* POSTGRES_FOLDED */

    "CREATE TABLE report ("
    "  seq bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,"
    "  id uuid NOT NULL UNIQUE,"
    "  user_id bigint NOT NULL,"
    "  state bigint NOT NULL,"
    "  slot boolean NOT NULL,"
    "  attempt bigint NOT NULL DEFAULT 0,"
    "  failures bigint NOT NULL DEFAULT 0,"
    "  rows bigint NOT NULL DEFAULT 0,"
    "  bytes bigint NOT NULL DEFAULT 0,"
    "  submitted_ms bigint NOT NULL,"
    "  started_ms bigint NOT NULL DEFAULT 0,"
    "  finished_ms bigint NOT NULL DEFAULT 0,"
    "  expires_ms bigint,"
    "  digest bytea,"
    "  seal_key bytea,"
    "  name text NOT NULL,"
    "  message text,"
    "  key text,"
    "  key_hash bytea,"
    "  key_expires_ms bigint,"
    "  node text,"
    "  token uuid,"
    "  parameters text NOT NULL"
    /* The front of the queue changes all the time: clean it up early. */
    ") WITH (fillfactor = 85, autovacuum_vacuum_scale_factor = 0.02);"
    "CREATE INDEX report_of_user ON report (user_id, seq);"
    "CREATE INDEX report_slot ON report (user_id) WHERE slot;"
    "CREATE UNIQUE INDEX report_key ON report (user_id, key) WHERE key IS NOT NULL;"
    "CREATE INDEX report_key_expiry ON report (key_expires_ms) WHERE key_expires_ms IS "
    "NOT NULL;"
    "CREATE INDEX report_expiry ON report (expires_ms) WHERE expires_ms IS NOT NULL;"
    "CREATE INDEX report_queue ON report (seq) WHERE state = 0;"
    "CREATE INDEX report_state ON report (state) WHERE state IN (0, 1, 3, 4);"
    "CREATE INDEX report_node ON report (node) WHERE node IS NOT NULL;"

    /* Rows and bytes so far. Worthless after a crash, so not logged. */
    "CREATE UNLOGGED TABLE progress ("
    "  id uuid PRIMARY KEY,"
    "  attempt bigint NOT NULL,"
    "  rows bigint NOT NULL,"
    "  bytes bigint NOT NULL"
    ") WITH (fillfactor = 50);"

    /* `access` and `refresh_hash` belong to the session's latest pair of tokens. */
    "CREATE TABLE session ("
    "  id uuid PRIMARY KEY,"
    "  user_id bigint NOT NULL REFERENCES account (id),"
    "  access uuid NOT NULL,"
    "  refresh_hash bytea NOT NULL,"
    "  expires_ms bigint NOT NULL"
    ");"
    "CREATE INDEX session_of_user ON session (user_id);"
    "CREATE INDEX session_expiry ON session (expires_ms);"
    "CREATE TABLE used_refresh ("
    "  session_id uuid NOT NULL REFERENCES session (id) ON DELETE CASCADE,"
    "  hash bytea NOT NULL,"
    "  PRIMARY KEY (session_id, hash)"
    ");"

    /* A living node has a row, whose `alive_until` it extends. */
    "CREATE TABLE node ("
    "  id text PRIMARY KEY,"
    "  host text NOT NULL,"
    "  lease_ms bigint NOT NULL,"
    "  began_at timestamptz NOT NULL DEFAULT clock_timestamp(),"
    "  alive_until timestamptz NOT NULL"
    ");";

/* 2: results, if spool is "postgresql" (src/spool/postgres.c). They are stored uncompressed:
 * PostgreSQL would compress JSON slowly, and encrypted results in vain. The index finds the few
 * reports whose earlier attempts may have left chunks. */
static const char migration_2[] =
    "CREATE TABLE result_chunk ("
    "  report_id uuid NOT NULL REFERENCES report (id) ON DELETE CASCADE,"
    "  attempt int NOT NULL,"
    "  number int NOT NULL,"
    "  data bytea NOT NULL,"
    "  PRIMARY KEY (report_id, attempt, number)"
    ");"
    "ALTER TABLE result_chunk ALTER data SET STORAGE EXTERNAL;"
    "CREATE INDEX report_retried ON report (id) WHERE attempt > 1;";

/* 3: which nodes can run what is queued: POSTGRES_WANTED, and STORE_STRAY_LEASES. For a report or a
 * node of the previous version this is NULL: any version of the definition will do, and the node
 * can run all. */
static const char migration_3[] =
    "ALTER TABLE report ADD definition text;"
    "ALTER TABLE node ADD offer text;"
    "CREATE INDEX report_wanted ON report (" POSTGRES_WANTED ", seq) WHERE state = 0;"
    "CREATE TABLE missing (wanted text PRIMARY KEY, since timestamptz NOT NULL);";

/* 4: the results that nodes are sending. A crash may lose the last rows, but it also ends most
 * connections. */
static const char migration_4[] = "CREATE TABLE transfer ("
                                  "  id uuid PRIMARY KEY,"
                                  "  report_id uuid NOT NULL,"
                                  "  node text NOT NULL"
                                  ");"
                                  "CREATE INDEX transfer_of_report ON transfer (report_id);"
                                  "CREATE INDEX transfer_of_node ON transfer (node);";

/* 5: what the database may not see is sealed in it (doc/decisions/0013). Each report has a key,
 * wrapped by the key of erase.key with that number; each next key is wrapped by the one before, so
 * that every node gets it from here. Between this migration and the next, postgres_seal_rows()
 * seals what is there. */
static const char migration_5[] =
    "CREATE TABLE erase_key ("
    "  number bigint PRIMARY KEY,"
    "  wrapped bytea," /* NULL: the first */
    "  fingerprint bytea NOT NULL,"
    "  made timestamptz NOT NULL DEFAULT clock_timestamp(),"
    "  retired boolean NOT NULL DEFAULT false" /* it no longer opens any row */
    ");"
    /* Fingerprints of the keys that every node has in a file. */
    "CREATE TABLE key_check (name text PRIMARY KEY, fingerprint bytea NOT NULL);"
    "ALTER TABLE report"
    "  ADD COLUMN key_number bigint,"
    "  ADD COLUMN wrapped_key bytea,"
    "  ADD COLUMN result_sealed boolean NOT NULL DEFAULT false,"
    "  ADD COLUMN sealed_parameters bytea,"
    "  ADD COLUMN sealed_message bytea,"
    "  ADD COLUMN sealed_digest bytea,"
    "  ADD COLUMN key_mac bytea,"
    "  ADD COLUMN request_mac bytea;"
    "CREATE UNIQUE INDEX report_key_mac ON report (user_id, key_mac) WHERE key_mac IS NOT NULL";

/* 6: nothing can be written in clear any more, by any program. */
static const char migration_6[] =
    "ALTER TABLE report DROP COLUMN parameters, DROP COLUMN message, DROP COLUMN digest,"
    "  DROP COLUMN seal_key, DROP COLUMN key, DROP COLUMN key_hash";

/* 7: the store's identity, which marks its spool. */
static const char migration_7[] = "CREATE TABLE identity (id uuid NOT NULL);"
                                  "INSERT INTO identity VALUES (gen_random_uuid())";

/* 8: the deletion ledgers that a restore needs. */
static const char migration_8[] = "CREATE TABLE ledger ("
                                  "  id uuid PRIMARY KEY,"
                                  "  place text NOT NULL,"
                                  "  records bigint NOT NULL,"
                                  "  noted timestamptz NOT NULL"
                                  ")";

/* 9: which of them are lost. */
static const char migration_9[] =
    "ALTER TABLE ledger ADD COLUMN given_up_ms bigint NOT NULL DEFAULT 0";

/* 10: where the store is, so that a copy knows that it is one. */
static const char migration_10[] = "ALTER TABLE identity ADD COLUMN home text";

/* 11: length of what is stored after the JSON of a result. */
static const char migration_11[] = "ALTER TABLE report ADD COLUMN footer bigint NOT NULL DEFAULT 0";

/* 12: when a pair of tokens was replaced, for the grace period after that. */
static const char migration_12[] = "ALTER TABLE used_refresh ADD COLUMN access uuid,"
                                   "  ADD COLUMN used_ms bigint NOT NULL DEFAULT 0";

/* 13: the addresses that each user has logged in from. */
static const char migration_13[] =
    "CREATE TABLE login_address ("
    "  user_id bigint NOT NULL REFERENCES account (id) ON DELETE CASCADE,"
    "  address text NOT NULL,"
    "  succeeded_ms bigint NOT NULL,"
    "  failures int NOT NULL DEFAULT 0,"
    "  first_failure_ms bigint NOT NULL DEFAULT 0,"
    "  locked_until_ms bigint NOT NULL DEFAULT 0,"
    "  PRIMARY KEY (user_id, address)"
    ")";

/* 14: operators; what is paused ('' is everything); when and from where each session began; API
 * keys. A limit of 0 means that of the configuration. */
static const char migration_14[] =
    "ALTER TABLE account ADD COLUMN operator boolean NOT NULL DEFAULT false,"
    "  ADD COLUMN active_limit int NOT NULL DEFAULT 0,"
    "  ADD COLUMN running_limit int NOT NULL DEFAULT 0,"
    "  ADD COLUMN removed boolean NOT NULL DEFAULT false;" /* removed with the user's last report */
    "CREATE INDEX account_removed ON account (id) WHERE removed;"
    "CREATE TABLE paused (source text PRIMARY KEY);"
    /* Claims are numbered over all users; `turn` has the number of a user's last one. */
    "CREATE SEQUENCE start_number;"
    "CREATE TABLE turn ("
    "  user_id bigint PRIMARY KEY REFERENCES account (id) ON DELETE CASCADE,"
    "  number bigint NOT NULL"
    ");"
    /* Which users wait for which definition, so that a claim finds in an index whose turn it is.
     * `turn` is the user's number, or an older one if a submit was in progress while a report of
     * the user was claimed; `first_seq` is that of the report that began the row. A row may outlive
     * the reports that wait; `version` grows with each new report, so that a row is not removed at
     * that moment. */
    "CREATE TABLE waiting ("
    "  user_id bigint NOT NULL,"
    "  wanted text COLLATE \"C\" NOT NULL,"
    "  turn bigint NOT NULL,"
    "  first_seq bigint NOT NULL,"
    "  version bigint NOT NULL DEFAULT 0,"
    "  PRIMARY KEY (user_id, wanted)"
    ") WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.02);"
    "CREATE INDEX waiting_turn ON waiting (wanted, turn, first_seq);"
    "CREATE INDEX report_turn ON report (user_id, " POSTGRES_WANTED ", seq) WHERE state = 0;"
    /* For the operators' list. Few types: so it grows at few places. */
    "CREATE INDEX report_of_type ON report (name COLLATE \"C\", state, seq) WHERE state IN (2, 3);"
    "ALTER TABLE report ADD COLUMN source text;" /* the source that it uses, while it runs */
    "INSERT INTO waiting (user_id, wanted, turn, first_seq)"
    "  SELECT user_id, " POSTGRES_WANTED ", 0, min(seq) FROM report WHERE state = 0 GROUP BY 1, 2;"
    /* Refresh tokens live for 30 days. */
    "ALTER TABLE session ADD COLUMN created_ms bigint NOT NULL DEFAULT 0,"
    "  ADD COLUMN renewed_ms bigint NOT NULL DEFAULT 0,"
    "  ADD COLUMN address text NOT NULL DEFAULT '';"
    "UPDATE session SET created_ms = expires_ms - 2592000000, renewed_ms = expires_ms - 2592000000;"
    /* API keys: see core/api_key.h. */
    "CREATE TABLE api_key ("
    "  id uuid PRIMARY KEY,"
    "  user_id bigint NOT NULL REFERENCES account (id) ON DELETE CASCADE,"
    "  name text NOT NULL,"
    "  hash bytea NOT NULL,"
    "  grants text NOT NULL,"
    "  allow text NOT NULL,"
    "  operator boolean NOT NULL,"
    "  suspended boolean NOT NULL DEFAULT false,"
    "  created_ms bigint NOT NULL,"
    "  expires_ms bigint NOT NULL,"
    "  used_ms bigint NOT NULL DEFAULT 0"
    ");"
    "CREATE UNIQUE INDEX api_key_name ON api_key (name);"
    /* Users of identity providers: who vouches for them, and as whom; the groups that their latest
     * token says, a line for each, and when (UTC seconds) that was issued. */
    "ALTER TABLE account ADD COLUMN issuer text NOT NULL DEFAULT '',"
    "  ADD COLUMN subject text NOT NULL DEFAULT '',"
    "  ADD COLUMN member_of text NOT NULL DEFAULT '',"
    "  ADD COLUMN member_s bigint NOT NULL DEFAULT 0;"
    "CREATE UNIQUE INDEX account_subject ON account (issuer, subject) WHERE issuer <> '';"
    "CREATE TABLE user_group ("
    "  name text COLLATE \"C\" PRIMARY KEY,"
    "  grants text NOT NULL,"
    "  operator boolean NOT NULL"
    ")";

/* For each definition, the first three users with nothing running: three, since a row of `waiting`
 * may be older than the user's turn. */
#define USERS_AT_REST                                                                              \
    "SELECT f.user_id FROM unnest(may_start) AS o (wanted) CROSS JOIN LATERAL"                     \
    "  (SELECT w.user_id, q.seq FROM waiting w CROSS JOIN LATERAL"                                 \
    "    (SELECT seq FROM report WHERE state = 0 AND user_id = w.user_id"                          \
    "      AND " POSTGRES_WANTED " = w.wanted ORDER BY seq LIMIT 1) AS q"                          \
    "    WHERE w.wanted = o.wanted AND w.user_id <> ALL (running)"                                 \
    "    ORDER BY w.turn, w.first_seq LIMIT 3) AS f"                                               \
    "  GROUP BY f.user_id ORDER BY"                                                                \
    "  coalesce((SELECT number FROM turn t WHERE t.user_id = f.user_id), 0), min(f.seq)"
#define USERS_AT_WORK                                                                              \
    "SELECT user_id FROM unnest(running) AS u (user_id) WHERE user_id <> ALL (limited)"            \
    "  GROUP BY user_id ORDER BY count(*),"                                                        \
    "  coalesce((SELECT number FROM turn t WHERE t.user_id = u.user_id), 0)"
/* The oldest report that may start of the first of the users, unless another batch has locked it.
 */
#define CHOOSE_OF(users)                                                                           \
    "SELECT r.seq, r.user_id, h.source, r.xmin AS writer INTO chosen"                              \
    "  FROM unnest(ARRAY(" users ")) AS u (user_id) CROSS JOIN LATERAL"                            \
    "  (SELECT q.seq, o.source FROM waiting w"                                                     \
    "    JOIN unnest(may_start, sources_of) AS o (wanted, source) ON o.wanted = w.wanted"          \
    "    CROSS JOIN LATERAL (SELECT seq FROM report WHERE state = 0 AND user_id = w.user_id"       \
    "      AND " POSTGRES_WANTED " = w.wanted ORDER BY seq LIMIT 1) AS q"                          \
    "    WHERE w.user_id = u.user_id ORDER BY q.seq LIMIT 1) AS h CROSS JOIN LATERAL"              \
    "  (SELECT seq, user_id, xmin FROM report WHERE seq = h.seq AND state = 0"                     \
    "    FOR NO KEY UPDATE SKIP LOCKED) AS r LIMIT 1;"
#define CHOOSE_AT_REST CHOOSE_OF(USERS_AT_REST)
#define CHOOSE_AT_WORK CHOOSE_OF(USERS_AT_WORK)

/* 15: what starts next (decision 0020), for PG_CLAIM. A function runs only those statements that a
 * claim needs, and each of them sees what was committed before it. */
static const char migration_15[] =
    /* The last batch that each writing connection has committed, or, once that was given up, the
     * negative of it: see WRITER_FENCE. */
    "CREATE TABLE IF NOT EXISTS writer ("
    "  id uuid PRIMARY KEY,"
    "  batch bigint NOT NULL,"
    "  seen timestamptz NOT NULL DEFAULT clock_timestamp()"
    ") WITH (fillfactor = 50);"
    "CREATE OR REPLACE FUNCTION claim(of_node text, of_token uuid, now_ms bigint, offer text,"
    "  sources text, limits text, running_limit bigint) RETURNS SETOF report LANGUAGE plpgsql"
    "  AS $claim$"
    "#variable_conflict use_column\n"
    "DECLARE"
    "  may_start text[] := string_to_array(offer, E'\\n');"
    "  sources_of text[] := string_to_array(sources, E'\\n');"
    "  running bigint[];" /* the user of each */
    "  closed text[];"    /* sources */
    "  mine bigint[];" /* claimed by an earlier try, whose answer was lost, or inserted by SUBMIT */
    "  limited bigint[];"
    "  chosen record;"
    "  turn_number bigint;"
    "  locked text[];"
    "  removed bigint;"
    "BEGIN"
    "  SELECT coalesce(array_agg(user_id), '{}'), ARRAY(SELECT source FROM paused),"
    "    array_agg(seq) FILTER (WHERE node = of_node AND token = of_token AND state = 1)"
    "    INTO running, closed, mine FROM report WHERE node IS NOT NULL;"
    "  IF mine IS NOT NULL THEN"
    "    SELECT seq, user_id, xmin AS writer INTO chosen FROM report WHERE seq = ANY (mine)"
    "      ORDER BY seq DESC LIMIT 1;"
    "    IF chosen.writer IS DISTINCT FROM pg_current_xact_id_if_assigned()::xid THEN"
    "      PERFORM set_config('reportd.claimed', 'x', true);"
    "      RETURN QUERY SELECT * FROM report WHERE seq = chosen.seq;"
    "      RETURN;"
    /* What has come since the SUBMIT may have to start first: the batch is repeated without it. */
    "    ELSIF cardinality(mine) > 1 OR closed <> '{}'"
    "      OR EXISTS (SELECT FROM report WHERE state = 0)"
    "      OR EXISTS (SELECT FROM account a WHERE a.id = chosen.user_id"
    "        AND coalesce(nullif(a.running_limit, 0), nullif(claim.running_limit, 0)) > 0) THEN"
    "      RAISE 'another report may start first' USING ERRCODE = 'serialization_failure';"
    "    END IF;"
    "  END IF;"
    "  IF mine IS NULL THEN"
    "    IF limits <> '' THEN"
    "      closed := closed || ARRAY(SELECT l.source FROM (SELECT split_part(x, ' ', 1)::bigint"
    "        AS most, substr(x, strpos(x, ' ') + 1) AS source"
    "        FROM unnest(string_to_array(limits, E'\\n')) AS x WHERE x <> '') AS l"
    "        WHERE (SELECT count(*) FROM report r WHERE r.node IS NOT NULL"
    "          AND r.source = l.source) >= l.most);"
    "    END IF;"
    "    IF closed && ARRAY['', '@' || of_node] THEN"
    "      RETURN;"
    "    END IF;"
    "    IF offer IS NULL THEN"
    "      may_start := ARRAY(SELECT DISTINCT wanted FROM waiting);"
    "    ELSIF closed <> '{}' THEN"
    "      SELECT array_agg(o.wanted), array_agg(o.source) INTO may_start, sources_of"
    "        FROM unnest(may_start, sources_of) AS o (wanted, source)"
    "        WHERE o.source IS NULL OR o.source <> ALL (closed);"
    "    END IF;"
    "    " CHOOSE_AT_REST "    IF NOT FOUND THEN"
    "      limited := ARRAY(SELECT r.user_id FROM (SELECT user_id, count(*) AS n"
    "        FROM unnest(running) AS u (user_id) GROUP BY user_id) AS r"
    "        LEFT JOIN account a ON a.id = r.user_id"
    "        WHERE r.n >= coalesce(nullif(a.running_limit, 0), nullif(claim.running_limit, 0)));"
    "      " CHOOSE_AT_WORK "    END IF;"
    /* What other batches have locked at the moment, and what nodes of the previous version have
     * queued. */
    "    IF NOT FOUND THEN"
    "      SELECT h.seq, h.user_id, o.source, h.xmin AS writer INTO chosen"
    "        FROM unnest(may_start, sources_of) AS o (wanted, source) CROSS JOIN LATERAL"
    "        (SELECT seq, user_id, xmin FROM report WHERE state = 0"
    "          AND " POSTGRES_WANTED " = o.wanted AND user_id <> ALL (limited)"
    "          ORDER BY seq LIMIT 1 FOR NO KEY UPDATE SKIP LOCKED) AS h"
    "        WHERE o.wanted IS NOT NULL ORDER BY h.seq LIMIT 1;"
    "    END IF;"
    "    IF NOT FOUND THEN"
    "      RETURN;"
    "    END IF;"
    "  END IF;"
    "  turn_number := nextval('start_number');"
    "  INSERT INTO turn VALUES (chosen.user_id, turn_number)"
    "    ON CONFLICT (user_id) DO UPDATE SET number = excluded.number;"
    "  IF mine IS NOT NULL THEN"
    "    RETURN QUERY SELECT * FROM report WHERE seq = chosen.seq;"
    "    RETURN;"
    "  END IF;"
    "  RETURN QUERY UPDATE report r SET state = 1, node = of_node, token = of_token,"
    "    started_ms = now_ms, source = coalesce(chosen.source, r.source), attempt = r.attempt + 1"
    "    WHERE r.seq = chosen.seq RETURNING r.*;"
    /* If this transaction submitted it, a crash loses both or none, so HASTE may do its work. */
    "  IF chosen.writer IS DISTINCT FROM pg_current_xact_id()::xid THEN"
    "    PERFORM set_config('reportd.claimed', 'x', true);"
    "  END IF;"
    /* Once a row is locked, a submit that enters it again waits, or is seen. */
    "  locked := ARRAY(SELECT wanted FROM waiting WHERE user_id = chosen.user_id"
    "    FOR UPDATE SKIP LOCKED);"
    "  DELETE FROM waiting w WHERE w.user_id = chosen.user_id AND w.wanted = ANY (locked)"
    "    AND NOT EXISTS (SELECT FROM report q WHERE q.state = 0 AND q.user_id = w.user_id"
    "      AND coalesce(q.definition, q.name) COLLATE \"C\" = w.wanted);"
    "  GET DIAGNOSTICS removed = ROW_COUNT;"
    "  IF removed < cardinality(locked) THEN"
    "    UPDATE waiting w SET turn = turn_number"
    "      WHERE w.user_id = chosen.user_id AND w.wanted = ANY (locked);"
    "  END IF;"
    "END $claim$;";

/* The schema and the statements write states as numbers. */
_Static_assert(REPORT_QUEUED == 0 && REPORT_PROCESSING == 1 && REPORT_COMPLETE == 2 &&
                   REPORT_ERROR == 3 && REPORT_DELETING == 4 && REPORT_STATE_COUNT == 5,
               "the numbers of the states are kept in every database");

const char *const postgres_migrations[] = {migration_1,  migration_2,  migration_3,  migration_4,
                                           migration_5,  migration_6,  migration_7,  migration_8,
                                           migration_9,  migration_10, migration_11, migration_12,
                                           migration_13, migration_14, migration_15};
const int postgres_sealing_migration = 5;
const int postgres_migration_count = sizeof(postgres_migrations) / sizeof(postgres_migrations[0]);
