/* bench/loop_commit.c -- the limits of the store: bare SQLite committing in groups of 64, fsynced.
 * usage: loop_commit insert STORE SECONDS      rows like those of a submit; prints rows a second
 *        loop_commit delete STORE SPOOL COUNT  mark, unlink, drop as DELETE does; the same */
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

enum { GROUP = 64, USERS = 1000, ID_BYTES = 16 };

struct loop {
    sqlite3 *db;
    sqlite3_stmt *insert, *pick, *mark, *drop;
};

static double now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void must(struct loop *loop, int rc)
{
    if (rc == SQLITE_OK || rc == SQLITE_DONE || rc == SQLITE_ROW)
        return;
    fprintf(stderr, "loop_commit: %s\n", sqlite3_errmsg(loop->db));
    exit(1);
}

static void run(struct loop *loop, const char *sql)
{
    must(loop, sqlite3_exec(loop->db, sql, NULL, NULL, NULL));
}

static sqlite3_stmt *prepare(struct loop *loop, const char *sql)
{
    sqlite3_stmt *stmt;

    must(loop, sqlite3_prepare_v2(loop->db, sql, -1, &stmt, NULL));
    return stmt;
}

/* A GUID of version 7, as the server makes them: time first. */
static void new_id(unsigned char id[ID_BYTES])
{
    struct timespec t;
    unsigned long long ms;

    clock_gettime(CLOCK_REALTIME, &t);
    ms = (unsigned long long)t.tv_sec * 1000 + (unsigned long long)t.tv_nsec / 1000000;
    if (getrandom(id, ID_BYTES, 0) != ID_BYTES)
        exit(1);
    for (int i = 5; i >= 0; i--, ms >>= 8)
        id[i] = (unsigned char)ms;
    id[6] = 0x70 | (id[6] & 15);
    id[8] = 0x80 | (id[8] & 63);
}

static void insert_group(struct loop *loop)
{
    unsigned char id[ID_BYTES];

    run(loop, "BEGIN IMMEDIATE");
    for (int i = 0; i < GROUP; i++) {
        new_id(id);
        sqlite3_bind_blob(loop->insert, 1, id, ID_BYTES, SQLITE_STATIC);
        sqlite3_bind_int(loop->insert, 2, 1 + rand() % USERS);
        must(loop, sqlite3_step(loop->insert));
        sqlite3_reset(loop->insert);
    }
    run(loop, "COMMIT");
}

static double insert_for(struct loop *loop, double seconds)
{
    double began = now();
    long rows = 0;

    loop->insert = prepare(
        loop, "INSERT INTO report (id, user_id, state, slot, submitted_ms, name, parameters)"
              " VALUES (?1, ?2, 0, 1, 1700000000000, 'Tiny', '{}')");
    for (; now() - began < seconds; rows += GROUP)
        insert_group(loop);
    return (double)rows / (now() - began);
}

static int pick_group(struct loop *loop, unsigned char ids[GROUP][ID_BYTES])
{
    int count = 0;

    while (count < GROUP && sqlite3_step(loop->pick) == SQLITE_ROW)
        memcpy(ids[count++], sqlite3_column_blob(loop->pick, 0), ID_BYTES);
    sqlite3_reset(loop->pick);
    return count;
}

static void change_group(struct loop *loop, sqlite3_stmt *stmt, unsigned char ids[GROUP][ID_BYTES],
                         int count)
{
    run(loop, "BEGIN IMMEDIATE");
    for (int i = 0; i < count; i++) {
        sqlite3_bind_blob(stmt, 1, ids[i], ID_BYTES, SQLITE_STATIC);
        must(loop, sqlite3_step(stmt));
        sqlite3_reset(stmt);
    }
    run(loop, "COMMIT");
}

static void unlink_one(const char *spool, const unsigned char id[ID_BYTES])
{
    char path[4096];
    int len = snprintf(path, sizeof(path), "%s/", spool);

    for (int i = 0; i < ID_BYTES; i++)
        len += snprintf(path + len, sizeof(path) - (size_t)len, "%s%02x",
                        i == 4 || i == 6 || i == 8 || i == 10 ? "-" : "", id[i]);
    snprintf(path + len, sizeof(path) - (size_t)len, ".1.json");
    if (unlink(path) != 0) {
        perror(path);
        exit(1);
    }
}

static double delete_all(struct loop *loop, const char *spool, long most)
{
    unsigned char ids[GROUP][ID_BYTES];
    double began = now();
    long rows = 0;
    int count;

    loop->pick = prepare(loop, "SELECT id FROM report WHERE bytes = 7 LIMIT 64");
    loop->mark =
        prepare(loop, "UPDATE report SET state = 4, slot = 0, expires_ms = NULL, key = NULL,"
                      " key_hash = NULL, key_expires_ms = NULL WHERE id = ?1");
    loop->drop = prepare(loop, "DELETE FROM report WHERE id = ?1 AND state = 4");
    while (rows < most && (count = pick_group(loop, ids)) > 0) {
        run(loop, "PRAGMA synchronous = FULL");
        change_group(loop, loop->mark, ids, count);
        for (int i = 0; i < count; i++)
            unlink_one(spool, ids[i]);
        run(loop, "PRAGMA synchronous = NORMAL");
        change_group(loop, loop->drop, ids, count);
        rows += count;
    }
    return (double)rows / (now() - began);
}

int main(int argc, char **argv)
{
    struct loop loop = {0};
    double rate;

    if (argc < 4 || sqlite3_open(argv[2], &loop.db) != SQLITE_OK) {
        fprintf(stderr, "usage: loop_commit insert STORE SECONDS | delete STORE SPOOL COUNT\n");
        return 2;
    }
    run(&loop, "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA cache_size = -16384;"
               "PRAGMA wal_autocheckpoint = 4096; PRAGMA secure_delete = ON");
    if (strcmp(argv[1], "insert") == 0)
        rate = insert_for(&loop, atof(argv[3]));
    else
        rate = delete_all(&loop, argv[3], atol(argv[4]));
    printf("%.1f\n", rate);
    sqlite3_finalize(loop.insert);
    sqlite3_finalize(loop.pick);
    sqlite3_finalize(loop.mark);
    sqlite3_finalize(loop.drop);
    sqlite3_close(loop.db);
    return 0;
}
