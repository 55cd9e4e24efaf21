/* src/store/postgres_admin_sql.h -- the operators' list and choice of reports, in parts, for
 * postgres_statements.h, whose words it uses. */
#pragma once

/* Reports of any user, for operators: in the state $1, of the type $2, of the types $3; and of the
 * user $4, by the index of users. */
#define POSTGRES_ANYONES                                                                           \
    "r.state <> 4 AND (r.state = $1 OR $1 = -1) AND ($2 IS NULL OR r.name = $2)"                   \
    " AND ($3 IS NULL OR strpos(E'\\n' || $3, E'\\n' || r.name || E'\\n') > 0)"
#define POSTGRES_ONES                                                                              \
    POSTGRES_ANYONES                                                                               \
    " AND r.user_id = ANY (ARRAY(SELECT id FROM account a WHERE " POSTGRES_FOLDED(                 \
        "a.name") " = " POSTGRES_FOLDED("$4") "))"
/* "column = ANY (array of one)", ordered by that column first, is served by its index. With "column
 * = value" the planner knows that seq is enough to order by, and reads the whole table in that
 * order if it expects the value to be frequent. */
/* One statement, so that page and total are of one moment. At most $8 are counted. */
#define POSTGRES_PAGE(which, order)                                                                \
    "page AS (SELECT " POSTGRES_REPORT_COLUMNS ", CASE"                                            \
    "   WHEN octet_length(r.sealed_parameters) <= $7 THEN r.sealed_parameters END AS listed,"      \
    "   " POSTGRES_OWNER " AS owner, r.seq"                                                        \
    "   FROM " POSTGRES_REPORTS " WHERE " which " ORDER BY " order " LIMIT $5 OFFSET $6),"
#define POSTGRES_PAGE_AND_TOTAL                                                                    \
    " SELECT page.*, every.n FROM every LEFT JOIN page ON true ORDER BY page.seq DESC"
#define POSTGRES_FEW(of) "(SELECT count(*) AS n FROM (SELECT" of " LIMIT $8) AS few)"
#define POSTGRES_LIST_IN(which, order)                                                             \
    POSTGRES_PAGE(which, order)                                                                    \
    " every AS " POSTGRES_FEW(" FROM report r WHERE " which " ORDER BY " order)                    \
        POSTGRES_PAGE_AND_TOTAL
#define POSTGRES_LIST_ALL "WITH " POSTGRES_LIST_IN("r.state <> 4", "r.seq DESC")
#define POSTGRES_LIST_ONES "WITH " POSTGRES_LIST_IN(POSTGRES_ONES, "r.user_id DESC, r.seq DESC")
/* The same by type and state. There are few types with finished reports, each found in the index by
 * one step from the one before; of each, the index has the reports in their order. So a page reads
 * a page of each, and nothing in between. */
#define POSTGRES_OF_TYPE(type)                                                                     \
    "($2 IS NULL OR " type " = $2)"                                                                \
    " AND ($3 IS NULL OR strpos(E'\\n' || $3, E'\\n' || " type " || E'\\n') > 0)"
#define POSTGRES_OF_ONE_KIND                                                                       \
    " FROM report o WHERE o.name COLLATE \"C\" = ANY (ARRAY[kind.name])"                           \
    " AND o.state = kind.state AND o.state IN (2, 3)"
#define POSTGRES_BY_KIND " ORDER BY o.name COLLATE \"C\" DESC, o.state DESC, o.seq DESC"
#define POSTGRES_ACTIVE_OF(one)                                                                    \
    " FROM report o WHERE o.state = " one " AND $1 IN (-1, " one ")"                               \
    " AND " POSTGRES_OF_TYPE("o.name")
#define POSTGRES_KINDS                                                                             \
    "type (name) AS (SELECT min(name COLLATE \"C\") FROM report WHERE state IN (2, 3)"             \
    "   UNION ALL SELECT (SELECT min(o.name COLLATE \"C\") FROM report o"                          \
    "   WHERE o.name COLLATE \"C\" > type.name AND o.state IN (2, 3)) FROM type"                   \
    "   WHERE type.name IS NOT NULL),"                                                             \
    " kind AS (SELECT name, state FROM type, (VALUES (2), (3)) AS s (state)"                       \
    "   WHERE $1 IN (-1, state) AND name IS NOT NULL AND " POSTGRES_OF_TYPE("name") ")"
#define POSTGRES_EACH_KIND(which) "(SELECT few.* FROM kind CROSS JOIN LATERAL " which " AS few)"
#define POSTGRES_UP_TO(of, order) "(SELECT o.seq" of order " LIMIT $5 + $6)"
#define POSTGRES_LATEST(of) POSTGRES_UP_TO(of, " ORDER BY o.seq DESC")
#define POSTGRES_KINDS_LATEST                                                                      \
    POSTGRES_EACH_KIND(POSTGRES_UP_TO(POSTGRES_OF_ONE_KIND, POSTGRES_BY_KIND))
#define POSTGRES_KINDS_COUNT POSTGRES_EACH_KIND(POSTGRES_FEW(POSTGRES_OF_ONE_KIND POSTGRES_BY_KIND))
#define POSTGRES_BOTH(what, of) what(POSTGRES_ACTIVE_OF("0")) of what(POSTGRES_ACTIVE_OF("1"))
#define POSTGRES_KINDS_TOTAL                                                                       \
    "coalesce((SELECT sum(n) FROM " POSTGRES_KINDS_COUNT " AS few), 0)"                            \
    " + " POSTGRES_BOTH(POSTGRES_FEW, " + ")
#define POSTGRES_KINDS_PAGE                                                                        \
    POSTGRES_PAGE("r.seq = ANY (ARRAY(SELECT seq FROM chosen))", "r.seq DESC")
#define POSTGRES_LIST_KINDS                                                                        \
    "WITH RECURSIVE " POSTGRES_KINDS ", chosen AS (" POSTGRES_KINDS_LATEST                         \
    " UNION ALL " POSTGRES_BOTH(POSTGRES_LATEST,                                                   \
                                " UNION ALL ") "), " POSTGRES_KINDS_PAGE                           \
                                               " every AS (SELECT least($8, " POSTGRES_KINDS_TOTAL \
                                               ")::bigint AS n)" POSTGRES_PAGE_AND_TOTAL
#define POSTGRES_MATCH_ALL(which)                                                                  \
    "SELECT r.id, r.state, count(*) OVER () FROM report r WHERE " which                            \
    " AND ($5 = 0 OR r.submitted_ms < $5) ORDER BY r.seq LIMIT $6"
