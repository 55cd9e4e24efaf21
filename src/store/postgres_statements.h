/* src/store/postgres_statements.h -- every SQL statement of the PostgreSQL backend's verbs.
 * Queued is state 0, processing 1, complete 2, error 3, deleting 4 (see postgres_schema.c).
 *
 * A transaction runs in READ COMMITTED, where each statement sees what was committed before it
 * began. So a decision that depends on what others have written is preceded by a lock, in a
 * separate statement. A statement that may take other batches' locks in another order skips locked
 * rows. */
#pragma once

#include "store/postgres_admin_sql.h"

/* Read by postgres_read_report(), from POSTGRES_REPORTS or anything with the same aliases. */
#define POSTGRES_REPORT_COLUMNS                                                                    \
    "r.id, r.user_id, r.name, r.sealed_message, r.state, r.attempt, r.failures,"                   \
    " coalesce(p.rows, r.rows), coalesce(p.bytes, r.bytes), r.submitted_ms, r.started_ms,"         \
    " r.finished_ms, r.expires_ms, r.sealed_digest, r.key_number, r.wrapped_key,"                  \
    " r.footer"
enum { POSTGRES_REPORT_COLUMN_COUNT = 17 };
#define POSTGRES_REPORTS                                                                           \
    "report r LEFT JOIN progress p ON p.id = r.id AND p.attempt = r.attempt AND r.state = 1"

/* The address of a login ($1 the user, $2 now), if the user has logged in from it. */
#define POSTGRES_KNOWN(address, known_ms)                                                          \
    "SELECT locked_until_ms FROM login_address WHERE user_id = $1 AND address = " address          \
    " AND succeeded_ms > $2 - " known_ms

/* For an account or an address: $2 now, $3 the window, $4 how many failures lock it for $5. While
 * it is locked, nothing is counted; after a lock or a window has ended, counting starts again. */
#define POSTGRES_AFRESH "(locked_until_ms <> 0 OR first_failure_ms + $3 <= $2)"
#define POSTGRES_FAILURES "CASE WHEN " POSTGRES_AFRESH " THEN 1 ELSE failures + 1 END"
#define POSTGRES_COUNT_FAILURE                                                                     \
    " SET failures = " POSTGRES_FAILURES ","                                                       \
    " first_failure_ms = CASE WHEN " POSTGRES_AFRESH " THEN $2 ELSE first_failure_ms END,"         \
    " locked_until_ms = CASE WHEN (" POSTGRES_FAILURES ") >= $4 THEN $2 + $5 ELSE 0 END"

/* Its identity provider says that the user of an `account` is in the group. */
#define POSTGRES_IS_MEMBER(account, group)                                                         \
    "(" account ".issuer <> '' AND " group " = ANY (string_to_array(" account                      \
    ".member_of, E'\\n')))"

/* Read by read_user(). */
#define POSTGRES_USER_COLUMNS                                                                      \
    "a.id, a.name, a.disabled, a.failures, a.first_failure_ms, a.locked_until_ms, a.allow,"        \
    " a.grants, a.operator OR a.issuer <> '' AND EXISTS (SELECT FROM user_group g"                 \
    " WHERE g.operator AND " POSTGRES_IS_MEMBER(                                                   \
        "a", "g.name") "), a.active_limit, a.running_limit, a.removed,"                            \
                       " nullif(a.issuer, ''), a.subject, a.member_of,"                            \
                       " CASE WHEN a.issuer <> '' THEN (SELECT string_agg(g.grants, E'\\n')"       \
                       " FROM user_group g WHERE " POSTGRES_IS_MEMBER("a", "g.name") ") END"
enum { POSTGRES_USER_COLUMN_COUNT = 16 };

/* An access token of session `s`: its latest one, or one that was replaced after the time. */
#define POSTGRES_ACCESS_HOLDS(access, time)                                                        \
    "(s.access = " access " OR EXISTS (SELECT FROM used_refresh old"                               \
    " WHERE old.session_id = s.id AND old.access = " access " AND old.used_ms > " time "))"

/* Is none given, or one that holds, whose user may do anything at all? As SESSION. */
#define POSTGRES_ACCESS_IS(session, access, time)                                                  \
    "(" session " IS NULL OR EXISTS (SELECT FROM session s JOIN account a ON a.id = s.user_id"     \
    " WHERE s.id = " session " AND " POSTGRES_ACCESS_HOLDS(access, time) " AND NOT a.disabled))"

/* Held by SUBMIT, and by what takes a right from the user: the next submit sees that. */
#define POSTGRES_LOCK_USER(id) "pg_advisory_xact_lock(1380996164, (" id " % 2147483647)::int)"

/* user_may_run() for an `account`. */
#define POSTGRES_GRANTS(of, name) "string_to_array(" of ".grants, E'\\n') && ARRAY['*', " name "]"
#define POSTGRES_MAY_RUN(account, name)                                                            \
    "(NOT " account ".disabled AND (" POSTGRES_GRANTS(                                             \
        account,                                                                                   \
        name) " OR " account                                                                       \
              ".issuer <> '' AND EXISTS (SELECT FROM user_group g WHERE " POSTGRES_IS_MEMBER(      \
                  account, "g.name") " AND " POSTGRES_GRANTS("g", name) ")))"

/* End the active reports, of accounts `a` where `which`, that their user may not run: $2 now, $3
 * and $4 when they expire. What this transaction has submitted runs nowhere yet. */
#define POSTGRES_REVOKE(which)                                                                     \
    "UPDATE report SET state = 3, slot = false, finished_ms = $2,"                                 \
    " expires_ms = $2 + coalesce(($4::json ->> name)::bigint, $3), sealed_message = '',"           \
    " token = NULL, node = CASE WHEN xmin IS DISTINCT FROM"                                        \
    "   pg_current_xact_id_if_assigned()::xid THEN node END"                                       \
    " WHERE seq = ANY (ARRAY(SELECT r.seq FROM report r"                                           \
    "   JOIN account a ON a.id = r.user_id WHERE " which                                           \
    "   AND r.slot AND r.state IN (0, 1) AND NOT " POSTGRES_MAY_RUN(                               \
        "a", "r.name") "   ORDER BY r.id FOR UPDATE OF r)) RETURNING id, user_id, " POSTGRES_OWNER

/* The name of the report's user, where there is only one `user_id`. */
#define POSTGRES_OWNER "(SELECT a.name FROM account a WHERE a.id = user_id)"

/* Only the case of ASCII letters is ignored, as in SQLite. */
#define POSTGRES_FOLDED(name) "lower(" name " COLLATE \"C\")"

/* What a node has to offer to run a report: "NAME VERSION", "NAME" if any version will do, or "",
 * which every node offers, if no node offered the others. The queue is indexed by it. */
#define POSTGRES_WANTED "(coalesce(definition, name) COLLATE \"C\")"
/* What a node has not released: its query may still run, although it is deleted or was ended. */
#define POSTGRES_RUNNING "node IS NOT NULL"

/* Enter the queued reports of `moved` (user_id, wanted, seq) into `waiting`: see that table. */
#define POSTGRES_WAITS                                                                             \
    "INSERT INTO waiting (user_id, wanted, turn, first_seq)"                                       \
    " SELECT DISTINCT ON (m.user_id, m.wanted) m.user_id, m.wanted,"                               \
    " coalesce((SELECT number FROM turn t WHERE t.user_id = m.user_id), 0), m.seq"                 \
    " FROM moved m ORDER BY m.user_id, m.wanted, m.seq"                                            \
    " ON CONFLICT (user_id, wanted) DO UPDATE SET version = waiting.version + 1"
#define POSTGRES_MOVED "RETURNING id, user_id, seq, " POSTGRES_WANTED " AS wanted"

/* The position of `r`, from at most 10000 queued reports and waiting users; those beyond are
 * assumed to be similar. With R reports running, a user's next report is of round R + 1, the one
 * after it of R + 2. A report of an earlier round comes earlier; within a round, users follow each
 * other by turn. */
#define POSTGRES_POSITION                                                                          \
    "(WITH running AS (SELECT user_id, count(*) AS n FROM report WHERE " POSTGRES_RUNNING          \
    "   GROUP BY user_id),"                                                                        \
    " mine AS (SELECT coalesce((SELECT n FROM running WHERE user_id = r.user_id), 0)"              \
    "   + (SELECT count(*) FROM report q WHERE q.state = 0 AND q.user_id = r.user_id"              \
    "     AND q.seq <= r.seq) AS round,"                                                           \
    "   coalesce((SELECT number FROM turn t WHERE t.user_id = r.user_id), 0) AS turn),"            \
    " queued AS (SELECT user_id, count(*) AS n FROM (SELECT user_id FROM report WHERE state = 0"   \
    "   ORDER BY user_id LIMIT 10000) AS few GROUP BY user_id),"                                   \
    " rounds AS (SELECT sum(q.n) AS n,"                                                            \
    "   sum(least(q.n, greatest(0, m.round - 1 - coalesce(b.n, 0)))) AS before,"                   \
    "   count(*) FILTER (WHERE coalesce(b.n, 0) < m.round"                                         \
    "     AND q.n + coalesce(b.n, 0) >= m.round) AS alike"                                         \
    "   FROM mine m CROSS JOIN queued q LEFT JOIN running b ON b.user_id = q.user_id),"            \
    " turns AS (SELECT count(*) FILTER (WHERE w.turn < m.turn"                                     \
    "   OR w.turn = m.turn AND w.first_seq < r.seq) / greatest(count(*), 1.0) AS earlier"          \
    "   FROM mine m CROSS JOIN (SELECT turn, first_seq FROM waiting LIMIT 10000) AS w)"            \
    " SELECT 1 + floor((before + earlier * greatest(alike - 1, 0)) * CASE WHEN n < 10000 THEN 1"   \
    "   ELSE greatest(1, (SELECT reltuples FROM pg_class WHERE oid = 'report_turn'::regclass)"     \
    "   / n) END)::bigint FROM rounds, turns)"

/* $1 the report, $2 its user, $3 whether its parameters are wanted, $4, $5 and $6 the session. */
#define POSTGRES_FIND(position, result)                                                            \
    "SELECT " POSTGRES_REPORT_COLUMNS ", CASE WHEN $3 THEN r.sealed_parameters END, " position     \
    ", r.result_sealed, CASE $2 WHEN 0 THEN " POSTGRES_OWNER " END, " result                       \
    " FROM " POSTGRES_REPORTS " WHERE r.id = $1 AND (r.user_id = $2 OR $2 = 0)"                    \
    " AND r.state <> 4 AND " POSTGRES_ACCESS_IS("$4", "$5", "$6")

#define POSTGRES_STRAY_LEASES "6" /* STORE_STRAY_LEASES */
#define POSTGRES_SWEEP_MAX "1000" /* STORE_SWEEP_MAX */

#define POSTGRES_CLOCK "(1000 * extract(epoch FROM clock_timestamp()))::bigint"

/* Identifies the database and its PostgreSQL: a base backup has the same, and so has a standby. */
#define POSTGRES_HERE                                                                              \
    "(SELECT system_identifier || '/' || oid FROM pg_control_system(), pg_database"                \
    " WHERE datname = current_database())"

/* A report whose node no longer exists. */
#define POSTGRES_NODE_DIED                                                                         \
    "r.node IS NOT NULL AND NOT EXISTS (SELECT FROM node n WHERE n.id = r.node)"

/* What is left of a report that is marked. Its `rows` contain its earlier state, for a repeated try
 * that finds it marked by a try whose answer was lost; its `finished_ms` is when it was marked, by
 * the clock of the database. */
#define POSTGRES_TOMBSTONED                                                                        \
    "state = 4, slot = r.slot AND old.state IN (1, 4), expires_ms = NULL,"                         \
    " finished_ms = " POSTGRES_CLOCK ","                                                           \
    " rows = CASE old.state WHEN 4 THEN r.rows ELSE old.state END,"                                \
    " key_mac = NULL, request_mac = NULL, key_expires_ms = NULL, key_number = NULL,"               \
    " wrapped_key = NULL, sealed_parameters = NULL, sealed_message = NULL, sealed_digest = NULL"

/* Name, types of the parameters (b boolean, g uuid, G uuid[], i bigint, t text, x bytea), text. */
#define POSTGRES_STATEMENTS(X)                                                                     \
    /* ---- transactions ---- */                                                                   \
    X(ALIVE, "", "SELECT")                                                                         \
    X(BEGIN, "", "BEGIN")                                                                          \
    /* Before a COMMIT that need not be waited for, unless a CLAIM needs that. */                  \
    X(HASTE, "",                                                                                   \
      "SELECT set_config('synchronous_commit', 'off', true)"                                       \
      " WHERE coalesce(current_setting('reportd.claimed', true), '') = ''")                        \
    X(COMMIT, "", "COMMIT")                                                                        \
    X(ROLLBACK, "", "ROLLBACK")                                                                    \
    X(NOTIFY, "t", "SELECT pg_notify('reportd', $1)")                                              \
    X(CLOCK, "", "SELECT " POSTGRES_CLOCK ", " POSTGRES_HERE)                                      \
    /* Off except for what lists or counts: a plan for a table that is nearly empty would read all \
     * of it, with what was deleted since the last vacuum. */                                      \
    X(SCANS, "t", "SELECT set_config('enable_seqscan', $1, false)")                                \
    /* For the connection that writes; planning a claim takes longer than claiming. */             \
    X(BY_INDEX, "",                                                                                \
      "SELECT set_config(name, 'off', false) FROM unnest(ARRAY['enable_bitmapscan',"               \
      " 'enable_hashjoin', 'enable_mergejoin']) AS name UNION ALL"                                 \
      " SELECT set_config('plan_cache_mode', 'force_generic_plan', false)")                        \
    /* ---- keys of erase.key ---- */                                                              \
    X(KEYS, "i",                                                                                   \
      "SELECT number, wrapped, fingerprint, retired FROM erase_key"                                \
      " WHERE number >= $1 OR NOT retired ORDER BY number")                                        \
    /* First in a batch that seals: the maker of the next key waits for the batch, and a batch     \
     * that waits for the maker then sees the new key. */                                          \
    X(KEYS_HOLD, "", "SELECT pg_advisory_xact_lock_shared(1380996164, -2)")                        \
    /* Then, and first in other batches that are numbered: fails if the connection $2 was given up \
     * (WRITER_FENCE), if its last batch was more than $4 ms ago, for its process may have ended   \
     * since, or if the key $1 is no longer the newest. The messages are for the server's log. */  \
    X(WRITER_BATCH, "igii",                                                                        \
      "WITH noted AS (UPDATE writer SET batch = $3, seen = clock_timestamp()"                      \
      "   WHERE id = $2 AND batch > 0 AND batch < $3 AND seen <= clock_timestamp()"                \
      "     AND seen > clock_timestamp() - $4 * interval '1 millisecond' RETURNING 1)"             \
      " SELECT CASE WHEN NOT EXISTS (SELECT FROM noted)"                                           \
      "   THEN current_setting('reportd.this_batch_was_given_up')"                                 \
      "   WHEN $1 <> (SELECT max(number) FROM erase_key)"                                          \
      "   THEN current_setting('reportd.there_is_a_newer_erase_key_so_try_again') END")            \
    X(WRITER_ADD, "g", "INSERT INTO writer (id, batch) VALUES ($1, 1)")                            \
    /* Lets no batch in that has not begun; what is in the middle of one is left to itself. */     \
    X(WRITER_DROP, "g",                                                                            \
      "DELETE FROM writer WHERE id IN (SELECT id FROM writer WHERE id = $1"                        \
      " FOR UPDATE SKIP LOCKED)")                                                                  \
    /* Was the batch $2 of the connection $1 committed? Waits for it; afterwards no batch of that  \
     * connection is, wherever it hangs. Its outcome stays the same if it is repeated. */          \
    X(WRITER_FENCE, "gi",                                                                          \
      "UPDATE writer SET batch = -abs(batch) WHERE id = $1 RETURNING abs(batch) = $2")             \
    X(KEYS_ROTATOR, "", "SELECT pg_try_advisory_lock(1380996164, -3)")                             \
    X(KEYS_ROTATOR_DONE, "", "SELECT pg_advisory_unlock(1380996164, -3)")                          \
    /* By the clock of the database; a key from the future is due, too. */                         \
    X(KEYS_DUE, "ii",                                                                              \
      "SELECT EXISTS (SELECT FROM erase_key WHERE number = $1"                                     \
      " AND number = (SELECT max(number) FROM erase_key)"                                          \
      " AND (made + $2 * interval '1 millisecond' <= clock_timestamp()"                            \
      " OR made > clock_timestamp()))")                                                            \
    /* Submits wait behind a waiting exclusive lock, so it must not wait long. GROUP_CHANGE takes  \
     * it, too, to see every submit. */                                                            \
    X(KEYS_PATIENCE, "", "SET LOCAL lock_timeout = '500ms'")                                       \
    X(KEYS_HOLD_ALONE, "", "SELECT pg_advisory_xact_lock(1380996164, -2)")                         \
    X(KEYS_ADD, "ixx",                                                                             \
      "INSERT INTO erase_key (number, wrapped, fingerprint) SELECT $1, $2, $3"                     \
      " WHERE $1 = (SELECT max(number) + 1 FROM erase_key)")                                       \
    X(KEYS_OLD, "iii",                                                                             \
      "SELECT seq, id, key_number, wrapped_key FROM report WHERE seq > $1 AND key_number < $2"     \
      " ORDER BY seq LIMIT $3 FOR NO KEY UPDATE SKIP LOCKED")                                      \
    X(KEYS_REWRAP, "iix", "UPDATE report SET key_number = $2, wrapped_key = $3 WHERE seq = $1")    \
    X(KEYS_RETIRE, "i",                                                                            \
      "UPDATE erase_key SET retired = true WHERE number < $1 AND NOT retired"                      \
      " AND NOT EXISTS (SELECT FROM report WHERE key_number < $1)")                                \
    X(KEY_NOTE, "tx",                                                                              \
      "INSERT INTO key_check (name, fingerprint) VALUES ($1, $2) ON CONFLICT DO NOTHING")          \
    X(KEY_MOVE, "txx",                                                                             \
      "UPDATE key_check SET fingerprint = $2 WHERE name = $1 AND fingerprint = $3")                \
    X(KEY_SAME, "tx",                                                                              \
      "SELECT EXISTS (SELECT FROM key_check WHERE name = $1 AND fingerprint = $2)")                \
    /* ---- report ---- */                                                                         \
    X(LOCK_USER, "i", "SELECT " POSTGRES_LOCK_USER("$1"))                                          \
    X(KEY_FIND, "ixi",                                                                             \
      "SELECT id, request_mac FROM report"                                                         \
      " WHERE user_id = $1 AND key_mac = $2 AND key_expires_ms > $3")                              \
    X(KEY_FORGET, "ixi",                                                                           \
      "UPDATE report SET key_mac = NULL, request_mac = NULL, key_expires_ms = NULL"                \
      " WHERE user_id = $1 AND key_mac = $2 AND key_expires_ms <= $3")                             \
    /* `start`: whether it is processing from the beginning, by $16 the node with $17 the token of \
     * a claim and $18 its source. The claim that follows in the batch confirms that. $20: an      \
     * earlier try was committed; if the report is not there, it was refused or deleted since. */  \
    X(SUBMIT, "giitxxxiitixggitgtib",                                                              \
      "WITH mine AS (SELECT FROM report WHERE id = $1),"                                           \
      " known AS (SELECT id, request_mac = $7 AS same FROM report"                                 \
      "   WHERE user_id = $2 AND key_mac = $6 AND id <> $1),"                                      \
      " start AS MATERIALIZED (SELECT $16 IS NOT NULL AND NOT EXISTS (SELECT FROM paused)"         \
      "   AND NOT EXISTS (SELECT FROM report WHERE state = 0) AS now),"                            \
      " added AS (INSERT INTO report (id, user_id, state, slot, submitted_ms, name,"               \
      "   sealed_parameters, key_mac, request_mac, key_expires_ms, definition,"                    \
      "   key_number, wrapped_key, attempt, started_ms, node, token, source)"                      \
      "   SELECT $1, a.id, s.now::int, true, $3, $4, $5, $6, $7, $8, $4 || ' ' || $10, $11, $12,"  \
      "   s.now::int, s.now::int * $3, CASE WHEN s.now THEN $16 END, CASE WHEN s.now THEN $17 "    \
      "END,"                                                                                       \
      "   CASE WHEN s.now THEN $18 END"                                                            \
      "   FROM account a CROSS JOIN LATERAL (SELECT now AND"                                       \
      "     coalesce(nullif(a.running_limit, 0), nullif($19, 0)) IS NULL AS now FROM start) AS s"  \
      "   WHERE a.id = $2 AND NOT $20 AND " POSTGRES_MAY_RUN(                                      \
          "a",                                                                                     \
          "$4") "   AND NOT EXISTS (SELECT FROM mine)"                                             \
                "   AND NOT EXISTS (SELECT FROM known)"                                            \
                "   AND " POSTGRES_ACCESS_IS(                                                      \
                    "$13", "$14",                                                                  \
                    "$15") "   AND (SELECT count(*) FROM report WHERE user_id = $2 AND slot)"      \
                           "     < coalesce(CASE WHEN $13 IS NOT NULL THEN "                       \
                           "nullif(a.active_limit, 0) END, $9)"                                    \
                           "   " POSTGRES_MOVED                                                    \
                           ", state), moved AS (SELECT * FROM added WHERE state = 0),"             \
                           " waits AS (" POSTGRES_WAITS ")"                                        \
                           " SELECT CASE WHEN EXISTS (SELECT FROM added) OR EXISTS (SELECT "       \
                           "FROM mine) THEN 0"                                                     \
                           "   WHEN k.same THEN 1 WHEN $20 THEN 6 WHEN k.id IS NOT NULL THEN 2"    \
                           "   ELSE coalesce((SELECT CASE WHEN " POSTGRES_MAY_RUN(                 \
                               "a", "$4") " THEN 3 ELSE 5 END"                                     \
                                          "     FROM account a WHERE a.id = $2), 4) END, k.id,"    \
                                          " (SELECT a.name FROM account a WHERE a.id = $2)"        \
                                          " FROM (SELECT) AS one LEFT JOIN known k ON true")       \
    X(ACTIVE, "ig",                                                                                \
      "SELECT " POSTGRES_REPORT_COLUMNS " FROM " POSTGRES_REPORTS                                  \
      " WHERE r.user_id = $1 AND r.slot AND r.state IN (0, 1)"                                     \
      " AND NOT EXISTS (SELECT FROM report WHERE id = $2) ORDER BY r.seq")                         \
    /* So that two claims never count the same user as the one with the fewest running: after this \
     * lock a claim waits for no other. */                                                         \
    X(CLAIM_ALONE, "", "SELECT pg_advisory_xact_lock(1380996164, -4)")                             \
    /* See the function in postgres_schema.c. */                                                   \
    X(CLAIM, "tgittti",                                                                            \
      "SELECT " POSTGRES_REPORT_COLUMNS                                                            \
      ", r.sealed_parameters, a.name, r.definition = '', " POSTGRES_MAY_RUN(                       \
          "a", "r.name") " FROM claim($1, $2, $3, $4, $5, $6, $7) r"                               \
                         " JOIN account a ON a.id = r.user_id LEFT JOIN progress p ON false")      \
    /* Uses the index, whatever the planner estimates about the number of queued reports. */       \
    X(QUEUED, "",                                                                                  \
      "SELECT (SELECT seq FROM report WHERE state = 0 ORDER BY seq LIMIT 1) IS NOT NULL")          \
    /* What nodes of the previous version have queued. */                                          \
    X(WAITING_ADD, "",                                                                             \
      "WITH moved AS (SELECT user_id, " POSTGRES_WANTED " AS wanted, seq"                          \
      " FROM report"                                                                               \
      "   WHERE state = 0) " POSTGRES_WAITS)                                                       \
    X(SWEEP_WAITING, "",                                                                           \
      "WITH seen AS MATERIALIZED (SELECT user_id, wanted, version FROM waiting w WHERE NOT EXISTS" \
      "   (SELECT FROM report q WHERE q.state = 0 AND q.user_id = w.user_id"                       \
      "     AND coalesce(q.definition, q.name) COLLATE \"C\" = w.wanted)),"                        \
      " held AS MATERIALIZED (SELECT w.user_id, w.wanted FROM seen s JOIN waiting w"               \
      "   ON w.user_id = s.user_id AND w.wanted = s.wanted AND w.version = s.version"              \
      "   FOR UPDATE OF w SKIP LOCKED)"                                                            \
      " DELETE FROM waiting w USING held h WHERE w.user_id = h.user_id AND w.wanted = h.wanted")   \
    /* The lock prevents a deletion in between: the row would outlive it. */                       \
    X(PROGRESS, "giii",                                                                            \
      "INSERT INTO progress SELECT $1, $2, $3, $4 FROM report"                                     \
      " WHERE id = $1 AND attempt = $2 AND state = 1 FOR KEY SHARE ON CONFLICT (id) DO UPDATE"     \
      " SET attempt = EXCLUDED.attempt, rows = EXCLUDED.rows, bytes = EXCLUDED.bytes")             \
    /* Before a FINISH that is repeated: the previous try may still be committing, and a statement \
     * that began earlier would not see it. And SETTLE: the lock is written to the WAL, so its     \
     * commit waits for all of the WAL before it. */                                               \
    X(REPORT_LOCK, "g", "SELECT FROM report WHERE id = $1 FOR NO KEY UPDATE")                      \
    X(FINISH, "giiiiiixxbix",                                                                      \
      "WITH moved AS (UPDATE report SET state = $3, slot = false, rows = $4, bytes = $5,"          \
      "   finished_ms = $6, expires_ms = $7,"                                                      \
      "   sealed_digest = $8, sealed_message = $9, result_sealed = $10, footer = $11,"             \
      "   node = NULL, token = NULL WHERE id = $1 AND attempt = $2 AND state = 1"                  \
      "   RETURNING user_id),"                                                                     \
      " gone AS (DELETE FROM progress WHERE id = $1 AND attempt = $2),"                            \
      " kept AS (INSERT INTO result_chunk SELECT $1, $2, 0, $12 FROM moved WHERE $12 IS NOT NULL)" \
      " SELECT user_id, " POSTGRES_OWNER " FROM moved UNION ALL"                                   \
      " SELECT user_id, " POSTGRES_OWNER " FROM report"                                            \
      " WHERE id = $1 AND attempt = $2 AND state = $3")                                            \
    X(REQUEUE, "gib",                                                                              \
      "WITH gone AS (DELETE FROM progress WHERE id = $1 AND attempt = $2),"                        \
      " moved AS (UPDATE report SET state = 0, started_ms = 0, node = NULL, token = NULL,"         \
      "   source = NULL, failures = failures + CASE WHEN $3 THEN 1 ELSE 0 END"                     \
      "   WHERE id = $1 AND attempt = $2 AND state = 1 " POSTGRES_MOVED "),"                       \
      " waits AS (" POSTGRES_WAITS ") SELECT user_id, " POSTGRES_OWNER " FROM moved")              \
    /* Not only for a report in DELETING: after REVOKE, one in ERROR has its node, too. */         \
    X(RELEASE, "gi",                                                                               \
      "UPDATE report SET node = NULL WHERE id = $1 AND attempt = $2 AND state IN (3, 4)"           \
      " AND node IS NOT NULL RETURNING user_id, state = 4")                                        \
    X(TOMBSTONE, "gibggig",                                                                        \
      "WITH old AS (SELECT seq, state, attempt, node FROM report"                                  \
      "   WHERE id = $1 AND (user_id = $2 OR $2 = 0)"                                              \
      "   AND (state <> 4 OR $3 AND token = $7) AND " POSTGRES_ACCESS_IS(                          \
          "$4", "$5",                                                                              \
          "$6") " FOR UPDATE)"                                                                     \
                " UPDATE report r SET " POSTGRES_TOMBSTONED ", token = $7 FROM old"                \
                " WHERE r.seq = old.seq"                                                           \
                " RETURNING r.user_id, r.rows, old.attempt, old.state = 2 AND old.attempt = 1"     \
                " AND (SELECT count(*) FROM (SELECT FROM result_chunk WHERE report_id = r.id "     \
                "LIMIT 2)"                                                                         \
                "   AS few) = 1, " POSTGRES_OWNER ", r.name")                                      \
    X(DELETE_ROW, "g",                                                                             \
      "WITH gone AS (DELETE FROM progress WHERE id = $1)"                                          \
      " DELETE FROM report WHERE id = $1 AND state = 4 RETURNING " POSTGRES_OWNER)                 \
    /* What an earlier try has marked has its token. */                                            \
    X(TOMBSTONE_MANY, "Giigb",                                                                     \
      "WITH old AS (SELECT seq, state, attempt, node FROM report"                                  \
      "   WHERE id = ANY ($1) AND $2 IN (0, user_id) AND (state <> 4 AND (state = $3 OR $3 < 0)"   \
      "   OR state = 4 AND token = $4 AND $5) ORDER BY id FOR UPDATE)"                             \
      " UPDATE report r SET " POSTGRES_TOMBSTONED ", token = $4 FROM old WHERE r.seq = old.seq"    \
      " RETURNING r.id, r.user_id, r.rows, old.attempt,"                                           \
      " EXISTS (SELECT FROM node n WHERE n.id = old.node), " POSTGRES_OWNER ", r.name")            \
    X(DELETE_ROWS, "G",                                                                            \
      "WITH old AS (SELECT seq FROM report WHERE id = ANY ($1) AND state = 4 ORDER BY id"          \
      "   FOR UPDATE), gone AS (DELETE FROM progress WHERE id = ANY ($1))"                         \
      " DELETE FROM report WHERE seq = ANY (ARRAY(SELECT seq FROM old))"                           \
      " RETURNING id, " POSTGRES_OWNER)                                                            \
    X(MATCH, "iitii",                                                                              \
      "SELECT id, state, count(*) OVER () FROM report"                                             \
      " WHERE user_id = $1 AND state <> 4 AND (state = $2 OR $2 < 0)"                              \
      " AND ($3 IS NULL OR name = $3) AND ($4 = 0 OR submitted_ms < $4) ORDER BY seq LIMIT $5")    \
    /* What a living node still sends is left to who waits for that. What was marked later than    \
     * now, before the clock was set back, is not recent: it would wait for that time. */          \
    X(DELETING, "ii",                                                                              \
      "SELECT id, attempt, " POSTGRES_CLOCK " - finished_ms BETWEEN 0 AND $2 - 1 FROM report r"    \
      " WHERE state = 4 AND (node IS NULL OR " POSTGRES_NODE_DIED ")"                              \
      " AND NOT EXISTS (SELECT FROM transfer t JOIN node n ON n.id = t.node"                       \
      "   WHERE t.report_id = r.id)"                                                               \
      " ORDER BY finished_ms LIMIT $1")                                                            \
    X(HELD, "g",                                                                                   \
      "SELECT EXISTS (SELECT FROM report r JOIN node n ON n.id = r.node"                           \
      " WHERE r.id = $1 AND r.state = 4) OR EXISTS (SELECT FROM transfer t"                        \
      " JOIN node n ON n.id = t.node WHERE t.report_id = $1)")                                     \
    X(HELD_MANY, "G",                                                                              \
      "SELECT r.id FROM report r JOIN node n ON n.id = r.node"                                     \
      " WHERE r.id = ANY ($1) AND r.state = 4 UNION SELECT t.report_id FROM transfer t"            \
      " JOIN node n ON n.id = t.node WHERE t.report_id = ANY ($1)")                                \
    /* No pauses are kept for nodes that no longer exist. */                                       \
    X(PAUSE, "t",                                                                                  \
      "WITH gone AS (DELETE FROM paused WHERE source ~ '^@[0-9a-f-]{36}$' AND source <> $1"        \
      "   AND substr(source, 2) NOT IN (SELECT id FROM node))"                                     \
      " INSERT INTO paused (source) VALUES ($1) ON CONFLICT DO NOTHING")                           \
    X(RESUME, "t", "DELETE FROM paused WHERE source = $1")                                         \
    X(PAUSED, "", "SELECT source FROM paused ORDER BY source")                                     \
    /* ---- transfers ---- */                                                                      \
    X(TRANSFER, "ggt", "INSERT INTO transfer VALUES ($1, $2, $3) ON CONFLICT DO NOTHING")          \
    X(SENT, "gg",                                                                                  \
      "WITH gone AS (DELETE FROM transfer WHERE id = $2)"                                          \
      " SELECT user_id FROM report WHERE id = $1 AND state = 4")                                   \
    X(TRANSFERS_DELETED, "t",                                                                      \
      "SELECT t.report_id, coalesce(r.user_id, 0), t.id FROM transfer t"                           \
      " LEFT JOIN report r ON r.id = t.report_id WHERE t.node = $1"                                \
      " AND (r.id IS NULL OR r.state = 4)")                                                        \
    X(SWEEP_WRITERS, "",                                                                           \
      "DELETE FROM writer WHERE id = ANY (ARRAY(SELECT id FROM writer"                             \
      " WHERE seen < clock_timestamp() - interval '1 day' FOR UPDATE SKIP LOCKED))")               \
    X(SWEEP_TRANSFERS, "",                                                                         \
      "DELETE FROM transfer t WHERE NOT EXISTS (SELECT FROM node n WHERE n.id = t.node)")          \
    /* ---- nodes ---- */                                                                          \
    X(NODE_BEGIN, "ttitt",                                                                         \
      "WITH drained AS (UPDATE paused SET source = '@' || $1 WHERE source = '@' || $5)"            \
      " INSERT INTO node (id, host, lease_ms, alive_until, offer)"                                 \
      " VALUES ($1, $2, $3, clock_timestamp(), $4) ON CONFLICT DO NOTHING")                        \
    X(NODE_BEAT, "tit",                                                                            \
      "UPDATE node SET lease_ms = $2, offer = CASE WHEN offer = $3 THEN offer ELSE $3 END,"        \
      " alive_until = clock_timestamp() + $2 * interval '1 millisecond' WHERE id = $1"             \
      " RETURNING " POSTGRES_CLOCK)                                                                \
    /* While the server was down, no node could beat. What a dead one sent is over. */             \
    X(NODE_BURY, "",                                                                               \
      "WITH dead AS (DELETE FROM node WHERE id = ANY (ARRAY(SELECT id FROM node"                   \
      " WHERE clock_timestamp() > greatest(alive_until, pg_postmaster_start_time()"                \
      " + lease_ms * interval '1 millisecond') FOR UPDATE SKIP LOCKED)) RETURNING id)"             \
      " DELETE FROM transfer WHERE node = ANY (ARRAY(SELECT id FROM dead))")                       \
    X(REAP, "t",                                                                                   \
      "WITH moved AS (UPDATE report SET state = 0, started_ms = 0, node = NULL, token = NULL,"     \
      "   source = NULL WHERE seq = ANY (ARRAY(SELECT seq FROM report r WHERE state = 1"           \
      "   AND (node = $1 OR " POSTGRES_NODE_DIED ") FOR UPDATE SKIP LOCKED)) " POSTGRES_MOVED ")," \
      " waits AS (" POSTGRES_WAITS ") SELECT id, user_id, " POSTGRES_OWNER " FROM moved")          \
    X(REAP_OVER, "",                                                                               \
      "WITH gone AS (UPDATE report SET node = NULL WHERE seq = ANY (ARRAY(SELECT seq"              \
      "   FROM report r WHERE state IN (3, 4) AND " POSTGRES_NODE_DIED                             \
      "   FOR UPDATE SKIP LOCKED)) RETURNING id, user_id, state)"                                  \
      " SELECT id, user_id FROM gone WHERE state = 4")                                             \
    X(NODES, "",                                                                                   \
      "SELECT count(*), coalesce(ceil(1000 * extract(epoch FROM max(until) - clock_timestamp()))," \
      " 0)::bigint FROM (SELECT greatest(alive_until, pg_postmaster_start_time()"                  \
      " + lease_ms * interval '1 millisecond') AS until FROM node) AS n"                           \
      " WHERE until >= clock_timestamp()")                                                         \
    /* What is wanted in the queue (the distinct values of an index, one look-up each) and not     \
     * offered by any living node (one of the previous version offers everything) is recorded.     \
     * After some time it is relaxed: a version to any version after a lease, then a name to every \
     * node. A drained node offers no version, unless all are drained: the others take over its    \
     * queue. */                                                                                   \
    X(STRAYS, "tit",                                                                               \
      "WITH RECURSIVE drained AS (SELECT n.id FROM node n JOIN paused ON source = '@' || n.id"     \
      "   WHERE EXISTS (SELECT FROM node WHERE '@' || id NOT IN (SELECT source FROM paused))),"    \
      " queued (wanted) AS ("                                                                      \
      "   (SELECT " POSTGRES_WANTED " AS wanted FROM report WHERE state = 0"                       \
      "     ORDER BY wanted LIMIT 1) UNION ALL"                                                    \
      "   SELECT (SELECT " POSTGRES_WANTED " AS wanted FROM report WHERE state = 0"                \
      "     AND " POSTGRES_WANTED " > q.wanted ORDER BY wanted LIMIT 1)"                           \
      "   FROM queued q WHERE q.wanted IS NOT NULL),"                                              \
      " stray AS MATERIALIZED (SELECT wanted FROM queued q WHERE wanted <> ''"                     \
      "   AND (wanted <> ALL (string_to_array($1, E'\\n'))"                                        \
      "     OR wanted LIKE '% %' AND $3 IN (SELECT id FROM drained))"                              \
      "   AND NOT EXISTS (SELECT FROM node n"                                                      \
      "   WHERE n.offer IS NULL OR q.wanted = ANY (string_to_array(n.offer, E'\\n'))"              \
      "     AND (wanted NOT LIKE '% %' OR n.id NOT IN (SELECT id FROM drained)))),"                \
      " found AS (DELETE FROM missing WHERE wanted = ANY (ARRAY(SELECT wanted FROM missing"        \
      "   WHERE wanted NOT IN (SELECT wanted FROM stray) FOR UPDATE SKIP LOCKED))),"               \
      " noted AS (INSERT INTO missing SELECT wanted, clock_timestamp() FROM stray"                 \
      "   ON CONFLICT DO NOTHING),"                                                                \
      " late AS (SELECT wanted FROM missing JOIN stray USING (wanted)"                             \
      "   WHERE since < clock_timestamp() - interval '1 millisecond' * $2"                         \
      "     * CASE WHEN wanted LIKE '% %' THEN 1 ELSE " POSTGRES_STRAY_LEASES " END),"             \
      " moved AS (UPDATE report SET definition = CASE WHEN definition IS NULL THEN '' END"         \
      " WHERE seq = ANY (ARRAY(SELECT seq FROM report WHERE state = 0"                             \
      "   AND " POSTGRES_WANTED                                                                    \
      " IN (SELECT wanted FROM late) FOR UPDATE SKIP LOCKED)) " POSTGRES_MOVED                     \
      ") " POSTGRES_WAITS)                                                                         \
    X(RUNNING, "ti",                                                                               \
      "SELECT id, attempt, state = 4 FROM report WHERE node = $1 AND state IN (1, 4)"              \
      " ORDER BY state LIMIT $2")                                                                  \
    /* ---- reading ---- */                                                                        \
    /* A result of at most 64 KiB, as `row_results`, is one chunk. */                              \
    /* The plan of a position has 40 nodes, which are prepared although few reports are queued. */ \
    X(FIND, "gibggi",                                                                              \
      POSTGRES_FIND("CASE r.state WHEN 0 THEN " POSTGRES_POSITION " ELSE 0 END", "NULL::bytea"))   \
    X(FIND_RESULT, "gibggi",                                                                       \
      POSTGRES_FIND(                                                                               \
          "0::bigint",                                                                             \
          "(SELECT data FROM result_chunk t"                                                       \
          " WHERE r.state = 2 AND t.report_id = r.id AND t.attempt = r.attempt AND t.number = 0"   \
          " AND octet_length(t.data) <= 65536)"))                                                  \
    /* One statement, so that page and total are from the same moment. */                          \
    X(LIST, "iiiiti",                                                                              \
      "WITH page AS (SELECT " POSTGRES_REPORT_COLUMNS ", CASE"                                     \
      "   WHEN octet_length(r.sealed_parameters) <= $6 THEN r.sealed_parameters END AS listed,"    \
      "   r.seq FROM " POSTGRES_REPORTS "   WHERE r.user_id = $1 AND r.state <> 4"                 \
      "   AND (r.state = $2 OR $2 = -1 OR $2 = -2 AND r.state < 2)"                                \
      "   AND ($5 IS NULL OR r.name = $5)"                                                         \
      "   ORDER BY r.seq DESC LIMIT $3 OFFSET $4),"                                                \
      " every AS (SELECT count(*) AS n FROM report"                                                \
      "   WHERE user_id = $1 AND state <> 4"                                                       \
      "   AND (state = $2 OR $2 = -1 OR $2 = -2 AND state < 2)"                                    \
      "   AND ($5 IS NULL OR name = $5))"                                                          \
      " SELECT page.*, every.n FROM every LEFT JOIN page ON true ORDER BY page.seq DESC")          \
    X(LIST_ALL, "itttiiii", POSTGRES_LIST_ALL)                                                     \
    X(LIST_KINDS, "itttiiii", POSTGRES_LIST_KINDS)                                                 \
    X(LIST_ONES, "itttiiii", POSTGRES_LIST_ONES)                                                   \
    X(MATCH_ALL, "itttii", POSTGRES_MATCH_ALL(POSTGRES_ANYONES))                                   \
    X(MATCH_ONES, "itttii", POSTGRES_MATCH_ALL(POSTGRES_ONES))                                     \
    X(OLDEST, "", "SELECT submitted_ms FROM report WHERE state = 0 ORDER BY seq LIMIT 1")          \
    X(RUNNING_SOURCES, "",                                                                         \
      "SELECT source, count(*), 0 FROM report WHERE " POSTGRES_RUNNING " GROUP BY source")         \
    X(BUSIEST, "ii",                                                                               \
      "SELECT (SELECT a.name FROM account a WHERE a.id = user_id),"                                \
      " count(*) FILTER (WHERE state <> 0), count(*) FILTER (WHERE state = 0)"                     \
      " FROM (SELECT user_id, state FROM report WHERE " POSTGRES_RUNNING                           \
      "   UNION ALL (SELECT user_id, state"                                                        \
      "   FROM report WHERE state = 0 ORDER BY seq LIMIT $1)) AS few GROUP BY user_id"             \
      " ORDER BY 2 DESC, 3 DESC, 1 LIMIT $2")                                                      \
    X(NODE_LIST, "",                                                                               \
      "SELECT n.id, n.host, (SELECT count(*) FROM report r WHERE r.node = n.id)"                   \
      " FROM node n WHERE greatest(alive_until, pg_postmaster_start_time()"                        \
      " + lease_ms * interval '1 millisecond') >= clock_timestamp() ORDER BY n.host, n.id")        \
    /* The order of LATERAL keeps every plan on report_of_user. */                                 \
    X(EXPIRED, "i",                                                                                \
      "WITH removed AS MATERIALIZED (SELECT r.id, r.attempt FROM account a, LATERAL (SELECT id, "  \
      "   attempt, state FROM report WHERE user_id = a.id AND state IN (2, 3) ORDER BY seq LIMIT " \
      "   $1) r WHERE a.removed LIMIT $1)"                                                         \
      " SELECT id, attempt, 0::bigint FROM removed UNION ALL"                                      \
      " (SELECT id, attempt, expires_ms FROM report WHERE expires_ms IS NOT NULL"                  \
      "   AND id NOT IN (SELECT id FROM removed) ORDER BY expires_ms LIMIT $1)")                   \
    /* There are many complete reports: beyond 100000 the number is taken from the statistics of   \
     * the table. -1: when the first queued report was submitted. */                               \
    X(STATS, "",                                                                                   \
      "WITH few AS (SELECT state, count(*) AS n FROM report WHERE state IN (0, 1, 3, 4)"           \
      "   GROUP BY state),"                                                                        \
      " size AS (SELECT reltuples AS n FROM pg_class WHERE oid = 'report'::regclass)"              \
      " SELECT state, n FROM few UNION ALL"                                                        \
      " SELECT 2, CASE WHEN (SELECT n FROM size) < 100000"                                         \
      "   THEN (SELECT count(*) FROM report WHERE state = 2)"                                      \
      "   ELSE greatest(0, (SELECT n FROM size)"                                                   \
      "     - (SELECT coalesce(sum(n), 0) FROM few))::bigint END UNION ALL"                        \
      " SELECT -1, (SELECT submitted_ms FROM report WHERE state = 0 ORDER BY seq LIMIT 1)")        \
    X(SCAN, "gi",                                                                                  \
      "SELECT id, state, attempt, CASE WHEN footer < 0 THEN -footer ELSE bytes + footer END, "     \
      "expires_ms, result_sealed, key_number, "                                                    \
      "wrapped_key"                                                                                \
      " FROM report"                                                                               \
      " WHERE id > $1 ORDER BY id LIMIT $2")                                                       \
    /* ---- users ---- */                                                                          \
    X(USER_ADD, "ttttbii",                                                                         \
      "INSERT INTO account (name, password_hash, allow, grants, operator, active_limit,"           \
      " running_limit) VALUES ($1, $2, $3, $4, $5, $6::int, $7::int) ON CONFLICT DO NOTHING"       \
      " RETURNING id")                                                                             \
    X(USER_CHANGE, "ttttbbbiitb",                                                                  \
      "WITH unlocked AS (UPDATE login_address l SET failures = 0, first_failure_ms = 0,"           \
      "   locked_until_ms = 0 FROM account a WHERE $6 AND l.failures > 0 AND l.user_id = a.id"     \
      "   AND " POSTGRES_FOLDED("a.name") " = " POSTGRES_FOLDED(                                   \
          "$1") ")"                                                                                \
                " UPDATE account SET password_hash = coalesce($2, password_hash),"                 \
                " allow = coalesce($3, allow), grants = coalesce($4, grants),"                     \
                " disabled = coalesce($5, disabled), operator = coalesce($7, operator),"           \
                " removed = removed OR $11,"                                                       \
                " active_limit = coalesce($8, active_limit)::int,"                                 \
                " running_limit = coalesce($9, running_limit)::int,"                               \
                " failures = CASE WHEN $6 THEN 0 ELSE failures END,"                               \
                " first_failure_ms = CASE WHEN $6 THEN 0 ELSE first_failure_ms END,"               \
                " locked_until_ms = CASE WHEN $6 THEN 0 ELSE locked_until_ms END"                  \
                " WHERE " POSTGRES_FOLDED("name") " = " POSTGRES_FOLDED(                           \
                    "$1") " AND ($10 IS NULL OR grants IN ($10, $4)) AND ($11 OR NOT removed)"     \
                          " RETURNING id")                                                         \
    X(USER_DROP, "",                                                                               \
      "DELETE FROM account WHERE id = ANY (ARRAY(SELECT id FROM account a WHERE removed"           \
      "   AND NOT EXISTS (SELECT FROM report r WHERE r.user_id = a.id) FOR UPDATE SKIP LOCKED))")  \
    X(USERS_REMOVED, "", "SELECT count(*) FROM account WHERE removed")                             \
    X(USER_LOCK, "t",                                                                              \
      "SELECT " POSTGRES_LOCK_USER("id") " FROM account"                                           \
                                         " WHERE " POSTGRES_FOLDED("name") " = " POSTGRES_FOLDED(  \
                                             "$1"))                                                \
    /* postgres_read_report() replaces the empty message: there is no key here to seal one. */     \
    X(REVOKE, "tiit", POSTGRES_REVOKE(POSTGRES_FOLDED("a.name") " = " POSTGRES_FOLDED("$1")))      \
    X(GROUP_ADD, "ttb",                                                                            \
      "INSERT INTO user_group (name, grants, operator) VALUES ($1, $2, $3) ON CONFLICT DO "        \
      "NOTHING")                                                                                   \
    X(GROUP_SET, "ttbt",                                                                           \
      "UPDATE user_group SET grants = coalesce($2, grants), operator = coalesce($3, operator)"     \
      " WHERE name = $1 AND ($4 IS NULL OR grants IN ($4, $2))")                                   \
    X(GROUP_REMOVE, "t", "DELETE FROM user_group WHERE name = $1")                                 \
    X(GROUP_REVOKE, "tiit", POSTGRES_REVOKE(POSTGRES_IS_MEMBER("a", "$1")))                        \
    X(GROUP_LIST, "",                                                                              \
      "SELECT g.name, g.grants, g.operator, (SELECT count(*) FROM account a"                       \
      " WHERE " POSTGRES_IS_MEMBER("a", "g.name") ") FROM user_group g ORDER BY g.name")           \
    /* Twice: the second time with another name, which is needed only if the first was taken. */   \
    X(ENROL_ADD, "ttt",                                                                            \
      "INSERT INTO account (name, password_hash, issuer, subject) SELECT $3, '', $1, $2"           \
      " WHERE NOT EXISTS (SELECT FROM account WHERE issuer = $1 AND subject = $2)"                 \
      " ON CONFLICT DO NOTHING")                                                                   \
    X(ENROL_GROUPS, "ttti",                                                                        \
      "UPDATE account SET member_of = $3, member_s = $4 WHERE issuer = $1 AND subject = $2"        \
      " AND NOT disabled AND member_s <= $4 AND (member_of = $3 AND member_s <> $4"                \
      " OR member_of <> $3 AND " POSTGRES_LOCK_USER("id") " IS NOT NULL)")                         \
    X(ENROL_REVOKE, "tiitt", POSTGRES_REVOKE("a.issuer = $1 AND a.subject = $5"))                  \
    X(ENROL_SESSION, "ttgiitx",                                                                    \
      "WITH a AS (SELECT id FROM account WHERE issuer = $1 AND subject = $2 AND NOT disabled),"    \
      " opened AS (INSERT INTO session (id, user_id, access, refresh_hash, expires_ms,"            \
      "   created_ms, renewed_ms, address) SELECT $3, id, $3, $7, $5, $4, $4, $6 FROM a"           \
      "   ON CONFLICT DO NOTHING) SELECT EXISTS (SELECT FROM a)")                                  \
    X(USER_FIND, "t",                                                                              \
      "SELECT " POSTGRES_USER_COLUMNS ", a.password_hash FROM account a"                           \
      " WHERE " POSTGRES_FOLDED("name") " = " POSTGRES_FOLDED("$1"))                               \
    X(USER_LIST, "",                                                                               \
      "SELECT " POSTGRES_USER_COLUMNS " FROM account a ORDER BY " POSTGRES_FOLDED("name"))         \
    /* ---- sessions ---- */                                                                       \
    X(LOGIN_LOCK, "i", "SELECT FROM account WHERE id = $1 FOR NO KEY UPDATE")                      \
    /* From a known address, only the lock of that address counts. */                              \
    X(LOGIN_OPEN, "iiggxitit",                                                                     \
      "WITH known AS (" POSTGRES_KNOWN(                                                            \
          "$7",                                                                                    \
          "$8") "),"                                                                               \
                " free AS (SELECT id FROM account WHERE id = $1 AND NOT disabled"                  \
                "   AND ($9 IS NULL OR password_hash = $9)"                                        \
                "   AND coalesce((SELECT locked_until_ms FROM known), locked_until_ms) <= $2),"    \
                " cleared AS (UPDATE account SET failures = 0, first_failure_ms = 0, "             \
                "locked_until_ms = 0"                                                              \
                "   WHERE id = $1 AND failures > 0 AND NOT EXISTS (SELECT FROM known)"             \
                "     AND EXISTS (SELECT FROM free)),"                                             \
                " noted AS (INSERT INTO login_address (user_id, address, succeeded_ms)"            \
                "   SELECT id, $7, $2 FROM free WHERE $7 IS NOT NULL ON CONFLICT (user_id, "       \
                "address)"                                                                         \
                "   DO UPDATE SET succeeded_ms = $2, failures = 0, first_failure_ms = 0,"          \
                "     locked_until_ms = 0),"                                                       \
                " opened AS (INSERT INTO session (id, user_id, access, refresh_hash, expires_ms,"  \
                "   created_ms, renewed_ms, address)"                                              \
                "   SELECT $3, id, $4, $5, $6, $2, $2, coalesce($7, '') FROM free"                 \
                "   ON CONFLICT DO NOTHING)"                                                       \
                " SELECT EXISTS (SELECT FROM free)")                                               \
    X(LOGIN_FAILED, "iiiiiti",                                                                     \
      "WITH known AS (" POSTGRES_KNOWN(                                                            \
          "$6",                                                                                    \
          "$7") "),"                                                                               \
                " counted AS (UPDATE login_address" POSTGRES_COUNT_FAILURE                         \
                "   WHERE user_id = $1 AND address = $6 AND EXISTS (SELECT FROM known)"            \
                "     AND locked_until_ms <= $2)"                                                  \
                " UPDATE account" POSTGRES_COUNT_FAILURE                                           \
                " WHERE id = $1 AND NOT EXISTS (SELECT FROM known) AND locked_until_ms <= $2")     \
    X(SESSION, "ggbi",                                                                             \
      "SELECT " POSTGRES_USER_COLUMNS ", s.access <> $2"                                           \
      " FROM session s JOIN account a ON a.id = s.user_id"                                         \
      " WHERE s.id = $1 AND ($3 OR " POSTGRES_ACCESS_HOLDS("$2", "$4") ") AND NOT a.disabled")     \
    X(ROTATE_LOCK, "g", "SELECT FROM session WHERE id = $1 FOR UPDATE")                            \
    /* DONE is 0, UNKNOWN 1, REUSED 2, CURRENT 3; 4 is DONE by a try whose answer was lost. */     \
    X(ROTATE, "gxgigxibii",                                                                        \
      "WITH s AS (SELECT s.user_id, s.access, s.refresh_hash, s.created_ms, CASE"                  \
      "   WHEN s.access = $5 AND refresh_hash = $6 THEN 4"                                         \
      "   WHEN u.used_ms <= $9 THEN 2"                                                             \
      "   WHEN least(expires_ms, created_ms + $10) <= $4 OR disabled"                              \
      "     OR NOT ($8 OR " POSTGRES_ACCESS_HOLDS(                                                 \
          "$3",                                                                                    \
          "$9") ") THEN 1"                                                                         \
                "   WHEN u.used_ms IS NOT NULL THEN 3 WHEN refresh_hash = $2 THEN 0 ELSE 1 END "   \
                "AS outcome"                                                                       \
                "   FROM session s JOIN account a ON a.id = s.user_id"                             \
                "   LEFT JOIN used_refresh u ON u.session_id = s.id AND u.hash = $2"               \
                "   WHERE s.id = $1),"                                                             \
                " used AS (INSERT INTO used_refresh (session_id, hash, access, used_ms)"           \
                "   SELECT $1, $2, access, $4 FROM s WHERE outcome = 0),"                          \
                " renewed AS (UPDATE session SET access = $5, refresh_hash = $6,"                  \
                "   expires_ms = least($7, created_ms + $10), renewed_ms = $4"                     \
                "   WHERE id = $1 AND EXISTS (SELECT FROM s WHERE outcome = 0)),"                  \
                " ended AS (DELETE FROM session WHERE id = $1 AND EXISTS (SELECT FROM s WHERE "    \
                "outcome = 2))"                                                                    \
                " SELECT " POSTGRES_USER_COLUMNS ", s.outcome, s.access, s.refresh_hash,"          \
                " s.created_ms"                                                                    \
                " FROM s JOIN account a ON a.id = s.user_id")                                      \
    X(SESSIONS, "iii",                                                                             \
      "SELECT id, created_ms, renewed_ms, expires_ms, address FROM session"                        \
      " WHERE user_id = $1 AND expires_ms > $2 ORDER BY created_ms DESC, id LIMIT $3")             \
    X(LOGOUT, "ggxii",                                                                             \
      "DELETE FROM session s WHERE id = $1 AND (user_id = $5 OR refresh_hash = $3"                 \
      " OR EXISTS (SELECT FROM used_refresh WHERE session_id = $1 AND hash = $3)"                  \
      " OR " POSTGRES_ACCESS_HOLDS("$2", "$4") ") RETURNING user_id")                              \
    X(SESSION_END_USER, "t",                                                                       \
      "WITH a AS (SELECT id FROM account"                                                          \
      " WHERE " POSTGRES_FOLDED("name") " = " POSTGRES_FOLDED(                                     \
          "$1") "),"                                                                               \
                " ended AS (DELETE FROM session WHERE user_id IN (SELECT id FROM a)) SELECT id "   \
                "FROM a")                                                                          \
    X(API_KEY_FIND, "gbxi",                                                                        \
      "SELECT " POSTGRES_USER_COLUMNS ", k.name, k.allow, k.grants, k.operator, k.expires_ms,"     \
      " k.used_ms FROM api_key k JOIN account a ON a.id = k.user_id"                               \
      " WHERE k.id = $1 AND ($2 OR k.hash = $3) AND NOT k.suspended"                               \
      " AND (k.expires_ms = 0 OR k.expires_ms > $4) AND NOT a.disabled")                           \
    X(API_KEY_ADD, "gttxttbii",                                                                    \
      "WITH a AS (SELECT id FROM account"                                                          \
      "   WHERE " POSTGRES_FOLDED("name") " = " POSTGRES_FOLDED(                                   \
          "$2") " AND NOT removed),"                                                               \
                " added AS (INSERT INTO api_key (id, user_id, name, hash, grants, allow,"          \
                "   operator, created_ms, expires_ms)"                                             \
                "   SELECT $1, id, $3, $4, $5, $6, $7, $8, $9 FROM a"                              \
                "   ON CONFLICT DO NOTHING RETURNING 1)"                                           \
                " SELECT EXISTS (SELECT FROM a), EXISTS (SELECT FROM added)")                      \
    X(API_KEY_REMOVE, "t", "DELETE FROM api_key WHERE name = $1 RETURNING user_id")                \
    X(API_KEY_REMOVE_USER, "t",                                                                    \
      "DELETE FROM api_key WHERE user_id IN (SELECT id FROM account"                               \
      " WHERE " POSTGRES_FOLDED("name") " = " POSTGRES_FOLDED("$1") ")")                           \
    X(API_KEY_ENABLE, "t", "UPDATE api_key SET suspended = false WHERE name = $1")                 \
    X(API_KEY_SUSPEND, "", "UPDATE api_key SET suspended = true WHERE NOT suspended")              \
    X(API_KEY_USED, "gi",                                                                          \
      "UPDATE api_key SET used_ms = $2 WHERE id = (SELECT id FROM api_key"                         \
      " WHERE id = $1 AND used_ms < $2 FOR UPDATE SKIP LOCKED)")                                   \
    X(API_KEY_LIST, "t",                                                                           \
      "SELECT k.name, a.name, k.grants, k.allow, k.operator, k.suspended, a.disabled,"             \
      " k.created_ms, k.expires_ms, k.used_ms FROM api_key k JOIN account a ON a.id = k.user_id"   \
      " WHERE $1 IS NULL OR " POSTGRES_FOLDED("a.name") " = " POSTGRES_FOLDED(                     \
          "$1") " ORDER BY k.name COLLATE \"C\"")                                                  \
    X(IDENTITY_TAKE, "g", "UPDATE identity SET id = $1, home = " POSTGRES_HERE)                    \
    X(IDENTITY, "",                                                                                \
      "SELECT id, CASE WHEN home IS NULL THEN 0 WHEN home = " POSTGRES_HERE " THEN 1 ELSE 2 END"   \
      " FROM identity")                                                                            \
    X(LEDGERS, "", "SELECT id, records, place, given_up_ms FROM ledger")                           \
    X(LEDGERS_FORGET, "gi",                                                                        \
      "DELETE FROM ledger WHERE id = ANY (ARRAY(SELECT id FROM ledger WHERE id <> $1"              \
      " AND noted < to_timestamp($2 / 1000.0) FOR UPDATE SKIP LOCKED))")                           \
    X(LEDGER_COUNT, "gi",                                                                          \
      "UPDATE ledger SET records = greatest(records, $2), noted = clock_timestamp()"               \
      " WHERE id = $1")                                                                            \
    X(LEDGER_NOTE, "gtii",                                                                         \
      "INSERT INTO ledger VALUES ($1, $2, $3, clock_timestamp(), $4) ON CONFLICT (id) DO UPDATE"   \
      " SET place = $2, records = greatest(ledger.records, $3), noted = clock_timestamp(),"        \
      " given_up_ms = $4")                                                                         \
    X(SESSIONS_END, "", "DELETE FROM session")                                                     \
    X(PROBE, "", "LOCK TABLE account, report IN ROW EXCLUSIVE MODE")                               \
    X(SWEEP_SESSIONS, "i",                                                                         \
      "DELETE FROM session WHERE id = ANY (ARRAY(SELECT id FROM session"                           \
      " WHERE expires_ms <= $1 LIMIT " POSTGRES_SWEEP_MAX " FOR UPDATE SKIP LOCKED))")             \
    X(SWEEP_ADDRESSES, "i",                                                                        \
      "DELETE FROM login_address WHERE ctid = ANY (ARRAY(SELECT ctid FROM login_address"           \
      " WHERE succeeded_ms <= $1 LIMIT " POSTGRES_SWEEP_MAX " FOR UPDATE SKIP LOCKED))")           \
    X(SWEEP_KEYS, "i",                                                                             \
      "UPDATE report SET key_mac = NULL, request_mac = NULL, key_expires_ms = NULL"                \
      " WHERE seq = ANY (ARRAY(SELECT seq FROM report"                                             \
      " WHERE key_expires_ms <= $1 LIMIT " POSTGRES_SWEEP_MAX " FOR UPDATE SKIP LOCKED))")         \
    X(SWEEP_PROGRESS, "",                                                                          \
      "DELETE FROM progress WHERE id = ANY (ARRAY(SELECT id FROM progress p"                       \
      " WHERE NOT EXISTS (SELECT FROM report r"                                                    \
      " WHERE r.id = p.id AND r.attempt = p.attempt AND r.state = 1) FOR UPDATE SKIP LOCKED))")
