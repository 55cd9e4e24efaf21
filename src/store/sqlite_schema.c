/* src/store/sqlite_schema.c -- the numbered migrations of the SQLite store.
 * A migration that has been released is never changed: add the next one. */
#include "store/sqlite_impl.h"

/* 1: reports, users, sessions. `seq` is the order of the queue and of the lists; `state` is enum
 * report_state; `slot` says whether the report counts against its user's limit. */
static const char migration_1[] =
    "CREATE TABLE user ("
    "  id INTEGER PRIMARY KEY,"
    "  name TEXT NOT NULL COLLATE NOCASE UNIQUE,"
    "  password_hash TEXT NOT NULL,"
    "  disabled INTEGER NOT NULL DEFAULT 0,"
    "  failures INTEGER NOT NULL DEFAULT 0,"
    "  first_failure_ms INTEGER NOT NULL DEFAULT 0,"
    "  locked_until_ms INTEGER NOT NULL DEFAULT 0,"
    "  allow TEXT NOT NULL DEFAULT '',"
    "  grants TEXT NOT NULL DEFAULT ''"
    ") STRICT;"

    /* `parameters`, which may be long, is the last column, so that reading the others skips it. */
    "CREATE TABLE report ("
    "  seq INTEGER PRIMARY KEY,"
    "  id BLOB NOT NULL UNIQUE,"
    "  user_id INTEGER NOT NULL REFERENCES user (id),"
    "  state INTEGER NOT NULL,"
    "  slot INTEGER NOT NULL,"
    "  attempt INTEGER NOT NULL DEFAULT 0,"
    "  failures INTEGER NOT NULL DEFAULT 0,"
    "  rows INTEGER NOT NULL DEFAULT 0,"
    "  bytes INTEGER NOT NULL DEFAULT 0,"
    "  submitted_ms INTEGER NOT NULL,"
    "  started_ms INTEGER NOT NULL DEFAULT 0,"
    "  finished_ms INTEGER NOT NULL DEFAULT 0,"
    "  expires_ms INTEGER,"
    "  digest BLOB,"
    "  name TEXT NOT NULL,"
    "  message TEXT,"
    "  key TEXT,"
    "  key_hash BLOB,"
    "  key_expires_ms INTEGER,"
    "  parameters TEXT NOT NULL"
    ") STRICT;"
    "CREATE INDEX report_of_user ON report (user_id);"
    "CREATE INDEX report_slot ON report (user_id, slot) WHERE slot = 1;"
    "CREATE UNIQUE INDEX report_key ON report (user_id, key) WHERE key IS NOT NULL;"
    "CREATE INDEX report_key_expiry ON report (key_expires_ms) WHERE key_expires_ms IS NOT NULL;"
    "CREATE INDEX report_expiry ON report (expires_ms) WHERE expires_ms IS NOT NULL;"
    /* queued, processing and deleting: all but the many that are finished */
    "CREATE INDEX report_work ON report (state) WHERE state NOT IN (2, 3);"

    /* How many reports are in each state, and how many are queued in each block of 512 seq, so that
     * counting them and finding a place in the queue reads a few rows, not every report. */
    "CREATE TABLE report_count (state INTEGER PRIMARY KEY, n INTEGER NOT NULL) STRICT;"
    "INSERT INTO report_count VALUES (0, 0), (1, 0), (2, 0), (3, 0), (4, 0);"
    "CREATE TABLE queue_block (block INTEGER PRIMARY KEY, n INTEGER NOT NULL) STRICT;"
    "CREATE TRIGGER report_comes AFTER INSERT ON report BEGIN"
    "  UPDATE report_count SET n = n + 1 WHERE state = NEW.state;"
    "  INSERT INTO queue_block VALUES (NEW.seq >> 9, 1) ON CONFLICT DO UPDATE SET n = n + 1;"
    "END;"
    "CREATE TRIGGER report_moves AFTER UPDATE OF state ON report BEGIN"
    "  UPDATE report_count SET n = n + (state = NEW.state) - (state = OLD.state)"
    "    WHERE state IN (OLD.state, NEW.state);"
    "END;"
    "CREATE TRIGGER report_leaves_queue AFTER UPDATE OF state ON report WHEN OLD.state = 0 BEGIN"
    "  UPDATE queue_block SET n = n - 1 WHERE block = NEW.seq >> 9;"
    "  DELETE FROM queue_block WHERE block = NEW.seq >> 9 AND n = 0;"
    "END;"
    "CREATE TRIGGER report_returns AFTER UPDATE OF state ON report WHEN NEW.state = 0 BEGIN"
    "  INSERT INTO queue_block VALUES (NEW.seq >> 9, 1) ON CONFLICT DO UPDATE SET n = n + 1;"
    "END;"
    "CREATE TRIGGER report_goes AFTER DELETE ON report BEGIN"
    "  UPDATE report_count SET n = n - 1 WHERE state = OLD.state;"
    "END;"

    /* `access` and `refresh_hash` belong to the session's latest pair of tokens. */
    "CREATE TABLE session ("
    "  id BLOB PRIMARY KEY,"
    "  user_id INTEGER NOT NULL REFERENCES user (id),"
    "  access BLOB NOT NULL,"
    "  refresh_hash BLOB NOT NULL,"
    "  expires_ms INTEGER NOT NULL"
    ") STRICT, WITHOUT ROWID;"
    "CREATE INDEX session_of_user ON session (user_id);"
    "CREATE INDEX session_expiry ON session (expires_ms);"
    /* The refresh tokens that a session has used up, to recognize one that is presented again. */
    "CREATE TABLE used_refresh ("
    "  session_id BLOB NOT NULL REFERENCES session (id) ON DELETE CASCADE,"
    "  hash BLOB NOT NULL,"
    "  PRIMARY KEY (session_id, hash)"
    ") STRICT, WITHOUT ROWID;";

/* The schema and the queries write states as numbers. */
_Static_assert(REPORT_QUEUED == 0 && REPORT_PROCESSING == 1 && REPORT_COMPLETE == 2 &&
                   REPORT_ERROR == 3 && REPORT_DELETING == 4 && REPORT_STATE_COUNT == 5,
               "the numbers of the states are kept in every database");

/* 2: the key of an encrypted result. */
static const char migration_2[] = "ALTER TABLE report ADD COLUMN seal_key BLOB;";

/* 3: a submit writes less. The tallies (sqlite_counts.c) replace the counts and their triggers; who
 * holds slots is known in memory (sqlite_active.c); and a report enters the index of its user only
 * when it has finished. So nothing that a submit writes is ordered by its user's id, and a group of
 * submits writes few pages, whatever the number of users. */
static const char migration_3[] =
    "DROP TRIGGER report_comes;"
    "DROP TRIGGER report_moves;"
    "DROP TRIGGER report_leaves_queue;"
    "DROP TRIGGER report_returns;"
    "DROP TRIGGER report_goes;"
    "DROP TABLE report_count;"
    "DROP TABLE queue_block;"
    "DROP INDEX report_slot;"
    "DROP INDEX report_of_user;"
    "CREATE INDEX report_of_user ON report (user_id) WHERE state IN (2, 3);"
    "CREATE TABLE tally (node INTEGER PRIMARY KEY, n INTEGER NOT NULL) STRICT;"
    "INSERT INTO tally SELECT state, count(*) FROM report GROUP BY state;"
    "INSERT INTO tally SELECT (1 << 58) + (seq >> 6), count(*) FROM report"
    " WHERE state = 0 AND state NOT IN (2, 3) GROUP BY seq >> 6;"
    "INSERT INTO tally SELECT (2 << 58) + (seq >> 12), count(*) FROM report"
    " WHERE state = 0 AND state NOT IN (2, 3) GROUP BY seq >> 12;"
    "INSERT INTO tally SELECT (3 << 58) + (seq >> 18), count(*) FROM report"
    " WHERE state = 0 AND state NOT IN (2, 3) GROUP BY seq >> 18;";

/* 4: small results, which have no file (doc/decisions/0012-small-results.md). */
static const char migration_4[] =
    "ALTER TABLE report ADD COLUMN in_row INTEGER NOT NULL DEFAULT 0;"
    "CREATE TABLE small_result ("
    "  seq INTEGER PRIMARY KEY REFERENCES report (seq) ON DELETE CASCADE,"
    "  data BLOB NOT NULL"
    ") STRICT;";

/* 5: the store's identity, which marks its spool. */
static const char migration_5[] = "CREATE TABLE identity (id BLOB NOT NULL) STRICT;"
                                  "INSERT INTO identity VALUES (randomblob(16));";

/* 6: the deletion ledgers that a restore needs. */
static const char migration_6[] = "CREATE TABLE ledger ("
                                  "  id BLOB PRIMARY KEY,"
                                  "  place TEXT NOT NULL,"
                                  "  records INTEGER NOT NULL"
                                  ") STRICT;";

/* 7: which of them are lost. */
static const char migration_7[] =
    "ALTER TABLE ledger ADD COLUMN given_up_ms INTEGER NOT NULL DEFAULT 0;";

/* 8: length of what is stored after the JSON of a result. */
static const char migration_8[] =
    "ALTER TABLE report ADD COLUMN footer INTEGER NOT NULL DEFAULT 0;";

/* 9: when a pair of tokens was replaced, for the grace period after that. */
static const char migration_9[] =
    "ALTER TABLE used_refresh ADD COLUMN access BLOB;"
    "ALTER TABLE used_refresh ADD COLUMN used_ms INTEGER NOT NULL DEFAULT 0;";

/* 10: the addresses that each user has logged in from. */
static const char migration_10[] =
    "CREATE TABLE login_address ("
    "  user_id INTEGER NOT NULL REFERENCES user (id) ON DELETE CASCADE,"
    "  address TEXT NOT NULL,"
    "  succeeded_ms INTEGER NOT NULL,"
    "  failures INTEGER NOT NULL DEFAULT 0,"
    "  first_failure_ms INTEGER NOT NULL DEFAULT 0,"
    "  locked_until_ms INTEGER NOT NULL DEFAULT 0,"
    "  PRIMARY KEY (user_id, address)"
    ") STRICT, WITHOUT ROWID;";

/* 11: operators; whose turn it is (fair_queue.h), and what is paused ('' is everything); when and
 * from where each session began; API keys. A limit of 0 means that of the configuration. `turn` is
 * the number of the user's last start, counted over all users; it is not a time, since it outlives
 * the report. */
static const char migration_11[] =
    "ALTER TABLE user ADD COLUMN operator INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE user ADD COLUMN active_limit INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE user ADD COLUMN running_limit INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE user ADD COLUMN turn INTEGER NOT NULL DEFAULT 0;"
    /* Users that are removed with their last report; the highest id of those, which is never
     * reused. */
    "ALTER TABLE user ADD COLUMN removed INTEGER NOT NULL DEFAULT 0;"
    "CREATE INDEX user_removed ON user (id) WHERE removed = 1;"
    "ALTER TABLE identity ADD COLUMN last_user INTEGER NOT NULL DEFAULT 0;"
    "CREATE TABLE paused (source TEXT PRIMARY KEY) STRICT, WITHOUT ROWID;"
    /* Users whose reports or limit another process has changed, until the process that has the
     * store has seen it. */
    "CREATE TABLE changed_user (user_id INTEGER PRIMARY KEY) STRICT;"
    /* For the operators' list. Few types: so it grows at few places. */
    "CREATE INDEX report_of_type ON report (name, state) WHERE state IN (2, 3);"
    /* What runs is next to the front of the queue: a claim writes one page of it. */
    "DROP INDEX report_work;"
    "CREATE INDEX report_work ON report (state DESC) WHERE state NOT IN (2, 3);"
    /* Places in the queue, which is now kept in memory. */
    "DELETE FROM tally WHERE node >= 5;"
    /* Refresh tokens live for 30 days. */
    "ALTER TABLE session ADD COLUMN created_ms INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE session ADD COLUMN renewed_ms INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE session ADD COLUMN address TEXT NOT NULL DEFAULT '';"
    "UPDATE session SET created_ms = expires_ms - 2592000000, renewed_ms = expires_ms - "
    "2592000000;"
    /* API keys: see core/api_key.h. */
    "CREATE TABLE api_key ("
    "  id BLOB PRIMARY KEY,"
    "  user_id INTEGER NOT NULL REFERENCES user (id) ON DELETE CASCADE,"
    "  name TEXT NOT NULL,"
    "  hash BLOB NOT NULL,"
    "  grants TEXT NOT NULL,"
    "  allow TEXT NOT NULL,"
    "  operator INTEGER NOT NULL,"
    "  suspended INTEGER NOT NULL DEFAULT 0,"
    "  created_ms INTEGER NOT NULL,"
    "  expires_ms INTEGER NOT NULL,"
    "  used_ms INTEGER NOT NULL DEFAULT 0"
    ") STRICT, WITHOUT ROWID;"
    "CREATE UNIQUE INDEX api_key_name ON api_key (name);"
    /* Users of identity providers: who vouches for them, and as whom; the groups that their latest
     * token says, a line for each, and when (UTC seconds) that was issued. */
    "ALTER TABLE user ADD COLUMN issuer TEXT NOT NULL DEFAULT '';"
    "ALTER TABLE user ADD COLUMN subject TEXT NOT NULL DEFAULT '';"
    "ALTER TABLE user ADD COLUMN member_of TEXT NOT NULL DEFAULT '';"
    "ALTER TABLE user ADD COLUMN member_s INTEGER NOT NULL DEFAULT -1;"
    "CREATE UNIQUE INDEX user_subject ON user (issuer, subject) WHERE issuer <> '';"
    "CREATE TABLE user_group ("
    "  name TEXT PRIMARY KEY,"
    "  grants TEXT NOT NULL,"
    "  operator INTEGER NOT NULL"
    ") STRICT, WITHOUT ROWID;";

const char *const sqlite_migrations[] = {migration_1, migration_2,  migration_3, migration_4,
                                         migration_5, migration_6,  migration_7, migration_8,
                                         migration_9, migration_10, migration_11};
const int sqlite_migration_count = sizeof(sqlite_migrations) / sizeof(sqlite_migrations[0]);
