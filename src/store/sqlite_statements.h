/* src/store/sqlite_statements.h -- every SQL statement of the SQLite backend's verbs.
 * Queued is state 0, processing 1, complete 2, error 3, deleting 4 (see sqlite_schema.c). A query
 * on state 0, 1 or 4 repeats "state NOT IN (2, 3)" so that the partial index serves it. */
#pragma once

/* Read by sqlite_read_report(). */
#define SQLITE_REPORT_COLUMNS                                                                      \
    "id, user_id, name, message, state, attempt, failures, rows, bytes, submitted_ms, "            \
    "started_ms, finished_ms, expires_ms, digest, footer"
enum { SQLITE_REPORT_COLUMN_COUNT = 15 };

/* The groups of `user`: those of its identity provider's that there are. */
#define SQLITE_IS_LINE(lines, line)                                                                \
    "instr(char(10) || " lines " || char(10), char(10) || " line " || char(10)) > 0"
#define SQLITE_USER_GROUPS "FROM user_group g WHERE " SQLITE_IS_LINE("user.member_of", "g.name")
/* Only of a user of an identity provider, whose member_s is not -1: for the others nothing is run,
 * and no text is read, which would allocate. */
#define SQLITE_IF_EXTERNAL(what) "CASE WHEN user.member_s >= 0 THEN " what " END"
#define SQLITE_GROUP_GRANTS                                                                        \
    SQLITE_IF_EXTERNAL("(SELECT group_concat(g.grants, char(10)) " SQLITE_USER_GROUPS ")")
#define SQLITE_GROUP_OPERATES                                                                      \
    SQLITE_IF_EXTERNAL("EXISTS (SELECT 1 " SQLITE_USER_GROUPS " AND g.operator)")
#define SQLITE_ISSUER SQLITE_IF_EXTERNAL("user.issuer")
#define SQLITE_SUBJECT SQLITE_IF_EXTERNAL("user.subject")
#define SQLITE_GROUPS SQLITE_IF_EXTERNAL("user.member_of")

/* Read by read_user(). */
#define SQLITE_USER_COLUMNS                                                                        \
    "user.id, user.name, user.disabled, user.failures, user.first_failure_ms, "                    \
    "user.locked_until_ms, user.allow, user.grants, "                                              \
    "user.operator OR coalesce(" SQLITE_GROUP_OPERATES ", 0), user.active_limit, "                 \
    "user.running_limit, user.removed, " SQLITE_ISSUER ", " SQLITE_SUBJECT ", " SQLITE_GROUPS      \
    ", " SQLITE_GROUP_GRANTS
enum { SQLITE_USER_COLUMN_COUNT = 16 };

/* What move_report() needs to know before it moves a report. */
#define SQLITE_PLACE_COLUMNS "seq, id, user_id, state, slot, attempt, in_row"
enum { SQLITE_PLACE_COLUMN_COUNT = 7 };

/* The beginning and the end of every move: ?1 to, ?2 its slot, ?3 seq; bound by move_report(). */
#define SQLITE_MOVE "UPDATE report SET state = ?1, slot = ?2"
#define SQLITE_MOVED " WHERE seq = ?3"

/* The user's (?1) reports that hold a slot, whose list is ?2 (see sqlite_active.c). */
#define SQLITE_ACTIVE                                                                              \
    " FROM report WHERE seq IN (SELECT value FROM json_each(?2)) AND user_id = ?1"                 \
    " AND state IN (0, 1)"

/* In the state ?3 (-1: any, -2: queued or processing) and of the type ?4, if that is given. */
#define SQLITE_LISTED                                                                              \
    " AND (?3 = -1 OR state = ?3 OR ?3 = -2 AND state < 2) AND (?4 IS NULL OR name = ?4)"
/* If they have at most ?7 bytes. */
#define SQLITE_SHORT_PARAMETERS ", iif(length(CAST(parameters AS BLOB)) <= ?7, parameters, NULL)"
/* For other states the finished reports, which are many, are not read at all. */
#define SQLITE_OVER " AND ?3 NOT IN (-2, 0, 1)"
/* Reports of any user: in the state ?1, of the type ?2, of the types ?3 … */
#define SQLITE_OF_KIND                                                                             \
    " AND (?1 = -1 OR state = ?1) AND (?2 IS NULL OR name = ?2)"                                   \
    " AND (?3 IS NULL OR instr(char(10) || ?3, char(10) || name || char(10)) > 0)"
/* … of the user ?4, submitted before ?5. All are read in the order of the table; by the index of
 * users only if it is given. */
#define SQLITE_ANYONES                                                                             \
    SQLITE_OF_KIND " AND (?4 IS NULL OR user_id = (SELECT user.id FROM user WHERE user.name = "    \
                   "?4)) AND (?5 = 0 OR submitted_ms < ?5)"
#define SQLITE_ANYONES_OVER                                                                        \
    " FROM report NOT INDEXED WHERE state IN (2, 3) AND ?1 NOT IN (0, 1)" SQLITE_ANYONES
#define SQLITE_ONES_OVER                                                                           \
    " FROM report WHERE user_id = (SELECT user.id FROM user WHERE user.name = ?4)"                 \
    " AND state IN (2, 3) AND ?1 NOT IN (0, 1)" SQLITE_ANYONES
/* Of one state, 0 or 1, so that the index has them in the order of the table. */
#define SQLITE_ANYONES_ACTIVE(one)                                                                 \
    " FROM report WHERE state = " one " AND state NOT IN (2, 3) AND ?1 IN (-1, " one               \
    ")" SQLITE_ANYONES
#define SQLITE_OWNER "(SELECT user.name FROM user WHERE user.id = user_id)"
#define SQLITE_OWNED                                                                               \
    "SELECT " SQLITE_REPORT_COLUMNS SQLITE_SHORT_PARAMETERS ", " SQLITE_OWNER ", seq"
/* `over`, the finished ones, and the active ones: a page, all, and their number, up to ?6. */
#define SQLITE_WITH_ACTIVE(columns, over)                                                          \
    columns over " UNION ALL " columns SQLITE_ANYONES_ACTIVE(                                      \
        "1") " UNION ALL " columns SQLITE_ANYONES_ACTIVE("0")
#define SQLITE_LIST_OF(over)                                                                       \
    SQLITE_WITH_ACTIVE(SQLITE_OWNED, over) " ORDER BY seq DESC LIMIT ?6 OFFSET ?8"
#define SQLITE_MATCH_OF(over) SQLITE_WITH_ACTIVE("SELECT id, state, seq", over) " ORDER BY seq"
#define SQLITE_FEW(of) "(SELECT count(*) FROM (SELECT 1" of " LIMIT ?6))"
#define SQLITE_TOTAL_OF(over)                                                                      \
    "SELECT min(?6, " over                                                                         \
    " + " SQLITE_FEW(SQLITE_ANYONES_ACTIVE("1")) " + " SQLITE_FEW(SQLITE_ANYONES_ACTIVE("0")) ")"
/* The types, and states, of which there are finished reports that match: few, each found in the
 * index by one step from the one before. Of each, the index has the reports in the order of the
 * table: so a page reads a page of each, and nothing in between. */
#define SQLITE_KINDS                                                                               \
    "WITH RECURSIVE type (name) AS (SELECT min(name) FROM report WHERE state IN (2, 3) UNION ALL"  \
    " SELECT (SELECT min(r.name) FROM report r WHERE r.name > type.name AND r.state IN (2, 3))"    \
    " FROM type WHERE type.name IS NOT NULL), ended (state) AS (VALUES (2), (3)),"                 \
    " kind (name, state) AS (SELECT name, state FROM type, ended"                                  \
    " WHERE name IS NOT NULL" SQLITE_OF_KIND ") "
#define SQLITE_OF_ONE_KIND                                                                         \
    " FROM report k WHERE k.name = kind.name AND k.state = kind.state AND k.state IN (2, 3)"
#define SQLITE_KINDS_OVER                                                                          \
    " FROM report WHERE seq IN (SELECT o.seq FROM kind CROSS JOIN report o WHERE o.seq IN"         \
    " (SELECT k.seq" SQLITE_OF_ONE_KIND " ORDER BY k.seq DESC LIMIT ?6 + ?8))"

/* And submitted before ?5, if that is given. */
#define SQLITE_CHOSEN SQLITE_LISTED " AND (?5 = 0 OR submitted_ms < ?5)"

/* An access token of session `s`: its latest one, or one that was replaced after the time. */
#define SQLITE_ACCESS_HOLDS(access, time)                                                          \
    "(s.access = " access " OR EXISTS (SELECT 1 FROM used_refresh AS old"                          \
    " WHERE old.session_id = s.id AND old.access = " access " AND old.used_ms > " time "))"

#define SQLITE_STATEMENTS(X)                                                                       \
    /* ---- transactions ---- */                                                                   \
    X(BEGIN, "BEGIN IMMEDIATE")                                                                    \
    X(COMMIT, "COMMIT")                                                                            \
    X(DATA_VERSION, "PRAGMA data_version")                                                         \
    /* writes the first page unchanged: sqlite_open.c */                                           \
    X(PROBE, "PRAGMA application_id = 1380996164")                                                 \
    /* ---- report ---- */                                                                         \
    X(SUBMIT, "INSERT INTO report (id, user_id, state, slot, submitted_ms, name, parameters, key," \
              " key_hash, key_expires_ms) VALUES (?1, ?2, 0, 1, ?3, ?4, ?5, ?6, ?7, ?8)")          \
    X(KEY_FIND, "SELECT id, key_hash FROM report WHERE user_id = ?1 AND key = ?2"                  \
                " AND key_expires_ms > ?3")                                                        \
    X(KEY_FORGET, "UPDATE report SET key = NULL, key_hash = NULL, key_expires_ms = NULL"           \
                  " WHERE user_id = ?1 AND key = ?2")                                              \
    X(ACTIVE, "SELECT " SQLITE_REPORT_COLUMNS SQLITE_ACTIVE " ORDER BY seq")                       \
    X(HOLDERS, "SELECT user_id, seq, state, iif(state = 0, name, NULL) FROM report WHERE state "   \
               "IN (0, 1, 4)"                                                                      \
               " AND state NOT IN (2, 3) AND slot = 1")                                            \
    X(ACTIVE_PLACES, "SELECT " SQLITE_PLACE_COLUMNS ", name" SQLITE_ACTIVE " ORDER BY seq")        \
    X(PLACE, "SELECT " SQLITE_PLACE_COLUMNS ", name FROM report WHERE id = ?1")                    \
    X(TURNS, "SELECT id, turn, running_limit FROM user WHERE turn > 0 OR running_limit > 0")       \
    X(TURN_OF, "SELECT id, turn, running_limit FROM user WHERE id = ?1")                           \
    X(STATE_AT, "SELECT state, slot FROM report WHERE seq = ?1")                                   \
    X(CHANGED, "INSERT OR IGNORE INTO changed_user (user_id) VALUES (?1)")                         \
    X(CHANGED_USERS, "SELECT user_id FROM changed_user")                                           \
    X(CHANGED_SEEN, "DELETE FROM changed_user")                                                    \
    X(TURN, "UPDATE user SET turn = ?2 WHERE id = ?1")                                             \
    X(NAME_AT, "SELECT name FROM report WHERE seq = ?1")                                           \
    X(RECOVER_PLACE, "SELECT " SQLITE_PLACE_COLUMNS " FROM report WHERE state = 1"                 \
                     " AND state NOT IN (2, 3) LIMIT 1")                                           \
    X(PROCESSING,                                                                                  \
      "SELECT id, attempt FROM report WHERE state = 1 AND state NOT IN (2, 3) LIMIT ?1")           \
    X(CLAIMABLE,                                                                                   \
      "SELECT " SQLITE_REPORT_COLUMNS ", parameters,"                                              \
      " (SELECT user.name FROM user WHERE user.id = user_id) FROM report WHERE seq = ?1")          \
    X(CLAIM, SQLITE_MOVE ", started_ms = ?4, attempt = ?5" SQLITE_MOVED)                           \
    X(FINISH, SQLITE_MOVE ", rows = ?4, bytes = ?5, finished_ms = ?6, expires_ms = ?7,"            \
                          " digest = ?8, message = ?9, seal_key = ?10, in_row = ?11,"              \
                          " footer = ?12" SQLITE_MOVED)                                            \
    X(REVOKE, SQLITE_MOVE                                                                          \
      ", finished_ms = ?4, message = ?7, expires_ms = ?4"                                          \
      " + coalesce((SELECT value FROM json_each(?5) WHERE key = name), ?6)" SQLITE_MOVED)          \
    X(KEEP_RESULT, "INSERT OR REPLACE INTO small_result (seq, data) VALUES (?1, ?2)")              \
    X(REQUEUE, SQLITE_MOVE ", started_ms = 0, failures = failures + ?4" SQLITE_MOVED)              \
    X(TOMBSTONE, SQLITE_MOVE                                                                       \
      ", expires_ms = NULL, key = NULL, key_hash = NULL, key_expires_ms = NULL, digest = NULL,"    \
      " message = NULL, seal_key = NULL, in_row = 0, name = '', parameters = ''" SQLITE_MOVED)     \
    X(ERASE_RESULT, "DELETE FROM small_result WHERE seq = ?1")                                     \
    X(DELETE_ROW, "DELETE FROM report WHERE seq = ?1")                                             \
    X(DELETING, "SELECT id, attempt FROM report WHERE state = 4 AND state NOT IN (2, 3) LIMIT ?1") \
    X(PAUSE, "INSERT OR IGNORE INTO paused (source) VALUES (?1)")                                  \
    X(RESUME, "DELETE FROM paused WHERE source = ?1")                                              \
    X(PAUSED, "SELECT source FROM paused ORDER BY source")                                         \
    /* ---- reading ---- */                                                                        \
    X(FIND, "SELECT " SQLITE_REPORT_COLUMNS ", iif(?3, parameters, NULL),"                         \
            " seq, seal_key, in_row,"                                                              \
            " iif(?4 AND in_row, (SELECT data FROM small_result WHERE seq = report.seq), NULL),"   \
            " iif(?2 = 0, " SQLITE_OWNER ", NULL)"                                                 \
            " FROM report"                                                                         \
            " WHERE id = ?1 AND (user_id = ?2 OR ?2 = 0) AND state <> 4")                          \
    X(LIST, "SELECT " SQLITE_REPORT_COLUMNS SQLITE_SHORT_PARAMETERS ", seq FROM report"            \
            " WHERE user_id = ?1 AND state IN (2, 3)" SQLITE_OVER SQLITE_LISTED " UNION ALL"       \
            " SELECT " SQLITE_REPORT_COLUMNS SQLITE_SHORT_PARAMETERS                               \
            ", seq" SQLITE_ACTIVE SQLITE_LISTED " ORDER BY seq DESC LIMIT ?5 OFFSET ?6")           \
    X(LIST_TOTAL, "SELECT (SELECT count(*) FROM report WHERE user_id = ?1 AND state IN (2, 3))"    \
                  " + (SELECT count(*)" SQLITE_ACTIVE ")")                                         \
    X(LIST_SOME_TOTAL, "SELECT (SELECT count(*) FROM report WHERE user_id = ?1"                    \
                       " AND state IN (2, 3)" SQLITE_OVER SQLITE_LISTED ")"                        \
                       " + (SELECT count(*)" SQLITE_ACTIVE SQLITE_LISTED ")")                      \
    X(MATCH,                                                                                       \
      "SELECT id, state, seq FROM report WHERE user_id = ?1 AND state IN (2, 3)" SQLITE_CHOSEN     \
      " UNION ALL SELECT id, state, seq" SQLITE_ACTIVE SQLITE_CHOSEN " ORDER BY seq")              \
    X(LIST_ALL, SQLITE_OWNED " FROM report WHERE state <> 4 ORDER BY seq DESC LIMIT ?6 OFFSET ?8") \
    X(LIST_ALL_TOTAL, "SELECT min(?6, coalesce(sum(n), 0)) FROM tally WHERE node < 4")             \
    X(LIST_KINDS, SQLITE_KINDS SQLITE_LIST_OF(SQLITE_KINDS_OVER))                                  \
    X(LIST_KINDS_TOTAL, SQLITE_KINDS SQLITE_TOTAL_OF("(SELECT coalesce(sum(" SQLITE_FEW(           \
                            SQLITE_OF_ONE_KIND) "), 0) FROM kind)"))                               \
    X(LIST_ONES, SQLITE_LIST_OF(SQLITE_ONES_OVER))                                                 \
    X(LIST_ONES_TOTAL, SQLITE_TOTAL_OF(SQLITE_FEW(SQLITE_ONES_OVER)))                              \
    X(MATCH_ALL, SQLITE_MATCH_OF(SQLITE_ANYONES_OVER))                                             \
    X(MATCH_ONES, SQLITE_MATCH_OF(SQLITE_ONES_OVER))                                               \
    X(OLDEST, "SELECT submitted_ms FROM report WHERE state = 0 AND state NOT IN (2, 3)"            \
              " ORDER BY seq LIMIT 1")                                                             \
    X(BUSIEST,                                                                                     \
      "SELECT " SQLITE_OWNER ", sum(state = 1), sum(state = 0) FROM (SELECT user_id,"              \
      " state FROM report WHERE state = 1 AND state NOT IN (2, 3) UNION ALL SELECT * FROM"         \
      " (SELECT user_id, state FROM report WHERE state = 0 AND state NOT IN (2, 3)"                \
      " ORDER BY seq LIMIT ?1)) GROUP BY user_id ORDER BY 2 DESC, 3 DESC, 1 LIMIT ?2")             \
    X(EXPIRED, "WITH removed AS MATERIALIZED (SELECT report.id, attempt FROM user"                 \
               " CROSS JOIN report ON user_id = user.id AND state IN (2, 3)"                       \
               " WHERE removed LIMIT ?1)"                                                          \
               " SELECT id, attempt, 0 FROM removed UNION ALL SELECT * FROM"                       \
               " (SELECT id, attempt, expires_ms FROM report WHERE expires_ms IS NOT NULL"         \
               " AND id NOT IN (SELECT id FROM removed) ORDER BY expires_ms LIMIT ?1)")            \
    /* -1: when the first queued report was submitted */                                           \
    X(STATS, "SELECT node, n FROM tally WHERE node < 5 UNION ALL"                                  \
             " SELECT -1, (SELECT submitted_ms FROM report WHERE state = 0"                        \
             " AND state NOT IN (2, 3) ORDER BY seq LIMIT 1)")                                     \
    X(SCAN, "SELECT id, state, attempt, iif(footer < 0, -footer, bytes + footer), expires_ms,"     \
            " seal_key IS NOT NULL, in_row,"                                                       \
            " (SELECT length(data) FROM small_result WHERE seq = report.seq) FROM report"          \
            " WHERE id > ?1 ORDER BY id LIMIT ?2")                                                 \
    X(COUNTS, "INSERT INTO tally (node, n) VALUES (?1, ?2) ON CONFLICT DO UPDATE SET n = n + ?2")  \
    /* ---- users ---- */                                                                          \
    X(USER_ADD, "INSERT INTO user (id, name, password_hash, allow, grants, operator,"              \
                " active_limit, running_limit) VALUES (1 + max((SELECT last_user FROM identity),"  \
                " coalesce((SELECT max(id) FROM user), 0)), ?1, ?2, ?3, ?4, ?5, ?6, ?7)")          \
    X(USER_CHANGE, "UPDATE user SET password_hash = coalesce(?2, password_hash),"                  \
                   " allow = coalesce(?3, allow), grants = coalesce(?4, grants),"                  \
                   " disabled = coalesce(?5, disabled), operator = coalesce(?7, operator),"        \
                   " removed = removed OR ?11,"                                                    \
                   " active_limit = coalesce(?8, active_limit),"                                   \
                   " running_limit = coalesce(?9, running_limit),"                                 \
                   " failures = iif(?6, 0, failures),"                                             \
                   " first_failure_ms = iif(?6, 0, first_failure_ms),"                             \
                   " locked_until_ms = iif(?6, 0, locked_until_ms)"                                \
                   " WHERE name = ?1 AND (?10 IS NULL OR grants = ?10)"                            \
                   " AND (?11 OR NOT removed) RETURNING id")                                       \
    X(USER_LAST, "UPDATE identity SET last_user = max(last_user, ?1)")                             \
    /* None of them is active: the constraint makes sure of that. */                               \
    X(USER_DROP, "DELETE FROM user WHERE removed = 1 AND NOT EXISTS (SELECT 1 FROM report"         \
                 " WHERE user_id = user.id AND state IN (2, 3)) AND NOT EXISTS"                    \
                 " (SELECT 1 FROM report WHERE state = 4 AND state NOT IN (2, 3) AND user_id = "   \
                 "user.id)")                                                                       \
    X(USERS_REMOVED, "SELECT count(*) FROM user WHERE removed = 1")                                \
    X(USER_NAME, "SELECT name FROM user WHERE id = ?1")                                            \
    X(GRANTS, "SELECT disabled, grants, " SQLITE_GROUP_GRANTS " FROM user WHERE id = ?1")          \
    X(USER_FIND, "SELECT " SQLITE_USER_COLUMNS ", password_hash FROM user WHERE name = ?1")        \
    X(USER_LIST, "SELECT " SQLITE_USER_COLUMNS " FROM user ORDER BY name")                         \
    /* ---- groups, and users of identity providers ---- */                                        \
    X(GROUP_ADD, "INSERT INTO user_group (name, grants, operator) VALUES (?1, ?2, ?3)")            \
    X(GROUP_SET, "UPDATE user_group SET grants = coalesce(?2, grants),"                            \
                 " operator = coalesce(?3, operator)"                                              \
                 " WHERE name = ?1 AND (?4 IS NULL OR grants = ?4)")                               \
    X(GROUP_REMOVE, "DELETE FROM user_group WHERE name = ?1")                                      \
    X(GROUP_MEMBERS, "SELECT id FROM user WHERE issuer <> ''"                                      \
                     " AND " SQLITE_IS_LINE("member_of", "?1"))                                    \
    X(GROUP_LIST, "SELECT g.name, g.grants, g.operator, (SELECT count(*) FROM user"                \
                  " WHERE issuer <> '' AND " SQLITE_IS_LINE(                                       \
                      "member_of", "g.name") ")"                                                   \
                                             " FROM user_group g ORDER BY g.name")                 \
    X(ENROL_FIND, "SELECT id, disabled, member_of, member_s FROM user"                             \
                  " WHERE issuer = ?1 AND subject = ?2 AND issuer <> ''")                          \
    X(ENROL_ADD, "INSERT INTO user (id, name, password_hash, issuer, subject, member_of,"          \
                 " member_s) VALUES (1 + max((SELECT last_user FROM identity),"                    \
                 " coalesce((SELECT max(id) FROM user), 0)), ?1, '', ?2, ?3, ?4, ?5)")             \
    X(ENROL_GROUPS, "UPDATE user SET member_of = ?2, member_s = ?3 WHERE id = ?1")                 \
    /* ---- sessions ---- */                                                                       \
    X(LOGIN_FIND, "SELECT " SQLITE_USER_COLUMNS " FROM user WHERE id = ?1"                         \
                  " AND (?2 IS NULL OR password_hash = ?2)")                                       \
    X(LOGIN_NOTE, "UPDATE user SET failures = ?2, first_failure_ms = ?3, locked_until_ms = ?4"     \
                  " WHERE id = ?1")                                                                \
    X(ADDRESS_FIND, "SELECT failures, first_failure_ms, locked_until_ms FROM login_address"        \
                    " WHERE user_id = ?1 AND address = ?2 AND succeeded_ms > ?3")                  \
    X(ADDRESS_FAILED, "UPDATE login_address SET failures = ?3, first_failure_ms = ?4,"             \
                      " locked_until_ms = ?5 WHERE user_id = ?1 AND address = ?2")                 \
    X(ADDRESS_KNOWN, "INSERT OR REPLACE INTO login_address (user_id, address, succeeded_ms)"       \
                     " VALUES (?1, ?2, ?3)")                                                       \
    X(ADDRESS_UNLOCK, "UPDATE login_address SET failures = 0, first_failure_ms = 0,"               \
                      " locked_until_ms = 0 WHERE user_id = ?1 AND failures > 0")                  \
    X(SESSION_ADD, "INSERT INTO session (id, user_id, access, refresh_hash, expires_ms,"           \
                   " created_ms, renewed_ms, address) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?6, ?7)"     \
                   " ON CONFLICT (id) DO NOTHING")                                                 \
    X(SESSION,                                                                                     \
      "SELECT " SQLITE_USER_COLUMNS ", s.access <> ?2"                                             \
      " FROM session s JOIN user ON user.id = user_id"                                             \
      " WHERE s.id = ?1 AND (?3 OR " SQLITE_ACCESS_HOLDS("?2", "?4") ") AND NOT disabled")         \
    X(ROTATE_FIND,                                                                                 \
      "SELECT " SQLITE_USER_COLUMNS ", (?5 OR " SQLITE_ACCESS_HOLDS(                               \
          "?3",                                                                                    \
          "?6") ")"                                                                                \
                " AND min(expires_ms, created_ms + ?7) > ?4 AND NOT disabled, refresh_hash = ?2,"  \
                " s.access,"                                                                       \
                " (SELECT used_ms > ?6 FROM used_refresh WHERE session_id = ?1 AND hash = ?2),"    \
                " refresh_hash, created_ms"                                                        \
                " FROM session s JOIN user ON user.id = user_id WHERE s.id = ?1")                  \
    X(ROTATE_USE, "INSERT INTO used_refresh (session_id, hash, access, used_ms)"                   \
                  " SELECT id, refresh_hash, access, ?2 FROM session WHERE id = ?1")               \
    X(ROTATE, "UPDATE session SET access = ?2, refresh_hash = ?3,"                                 \
              " expires_ms = min(?4, created_ms + ?5), renewed_ms = ?6 WHERE id = ?1")             \
    X(SESSION_END, "DELETE FROM session WHERE id = ?1")                                            \
    X(SESSIONS, "SELECT id, created_ms, renewed_ms, expires_ms, address FROM session"              \
                " WHERE user_id = ?1 AND expires_ms > ?2 ORDER BY created_ms DESC, id LIMIT ?3")   \
    X(LOGOUT, "DELETE FROM session AS s WHERE id = ?1 AND (user_id = ?5 OR refresh_hash = ?3"      \
              " OR EXISTS (SELECT 1 FROM used_refresh WHERE session_id = ?1 AND hash = ?3)"        \
              " OR " SQLITE_ACCESS_HOLDS("?2", "?4") ") RETURNING user_id")                        \
    X(SESSION_END_USER, "DELETE FROM session WHERE user_id = ?1")                                  \
    X(API_KEY_FIND, "SELECT " SQLITE_USER_COLUMNS ", k.name, k.allow, k.grants, k.operator,"       \
                    " k.expires_ms, k.used_ms FROM api_key k JOIN user ON user.id = k.user_id"     \
                    " WHERE k.id = ?1 AND (?2 OR k.hash = ?3) AND NOT k.suspended"                 \
                    " AND (k.expires_ms = 0 OR k.expires_ms > ?4) AND NOT disabled")               \
    X(API_KEY_ADD, "INSERT INTO api_key (id, user_id, name, hash, grants, allow, operator,"        \
                   " created_ms, expires_ms) SELECT ?1, id, ?3, ?4, ?5, ?6, ?7, ?8, ?9"            \
                   " FROM user WHERE name = ?2 AND NOT removed")                                   \
    X(API_KEY_REMOVE, "DELETE FROM api_key WHERE name = ?1 RETURNING user_id")                     \
    X(API_KEY_REMOVE_USER, "DELETE FROM api_key WHERE user_id = ?1")                               \
    X(API_KEY_ENABLE, "UPDATE api_key SET suspended = 0 WHERE name = ?1")                          \
    X(API_KEY_SUSPEND, "UPDATE api_key SET suspended = 1 WHERE suspended = 0")                     \
    X(API_KEY_USED, "UPDATE api_key SET used_ms = ?2 WHERE id = ?1 AND used_ms < ?2")              \
    X(API_KEY_LIST, "SELECT k.name, user.name, k.grants, k.allow, k.operator, suspended,"          \
                    " disabled, created_ms, expires_ms, used_ms"                                   \
                    " FROM api_key k JOIN user ON user.id = k.user_id"                             \
                    " WHERE ?1 IS NULL OR user.name = ?1 ORDER BY k.name")                         \
    X(IDENTITY_TAKE, "UPDATE identity SET id = ?1")                                                \
    X(IDENTITY, "SELECT id FROM identity")                                                         \
    X(LEDGERS, "SELECT id, records, place, given_up_ms FROM ledger")                               \
    X(LEDGERS_FORGET,                                                                              \
      "DELETE FROM ledger WHERE id <> ?1 AND given_up_ms > 0 AND given_up_ms < ?2")                \
    X(LEDGER_NOTE,                                                                                 \
      "INSERT INTO ledger (id, place, records, given_up_ms) VALUES (?1, ?2, ?3, ?4)"               \
      " ON CONFLICT DO UPDATE SET place = ?2, records = max(records, ?3), given_up_ms = ?4")       \
    X(LEDGER_COUNT, "UPDATE ledger SET records = max(records, ?2) WHERE id = ?1")                  \
    X(SESSIONS_END, "DELETE FROM session")                                                         \
    X(SWEEP_SESSIONS, "DELETE FROM session WHERE expires_ms <= ?1")                                \
    X(SWEEP_ADDRESSES, "DELETE FROM login_address WHERE succeeded_ms <= ?1")                       \
    X(SWEEP_KEYS, "UPDATE report SET key = NULL, key_hash = NULL, key_expires_ms = NULL"           \
                  " WHERE key_expires_ms <= ?1")
