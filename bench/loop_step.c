/* bench/loop_step.c -- the limit of generating: step through a query, read every column, write
 * nothing. usage: loop_step DATABASE SQL; prints the seconds it took. */
#include <sqlite3.h>
#include <stdint.h>
#include <stdio.h>
#include <time.h>

static double now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* What is read goes into a sum, so that the reading is not optimised away. */
static uint64_t read_column(sqlite3_stmt *stmt, int column)
{
    switch (sqlite3_column_type(stmt, column)) {
    case SQLITE_INTEGER:
        return (uint64_t)sqlite3_column_int64(stmt, column);
    case SQLITE_FLOAT:
        return (uint64_t)sqlite3_column_double(stmt, column);
    case SQLITE_TEXT:
        return sqlite3_column_text(stmt, column)[0] + (uint64_t)sqlite3_column_bytes(stmt, column);
    default:
        return 0;
    }
}

int main(int argc, char **argv)
{
    sqlite3 *db;
    sqlite3_stmt *stmt;
    uint64_t sum = 0;
    long rows = 0;
    double began = now();

    if (argc != 3 || sqlite3_open_v2(argv[1], &db, SQLITE_OPEN_READONLY, NULL) != SQLITE_OK ||
        sqlite3_exec(db, "PRAGMA cache_size = -16384", NULL, NULL, NULL) != SQLITE_OK ||
        sqlite3_prepare_v2(db, argv[2], -1, &stmt, NULL) != SQLITE_OK) {
        fprintf(stderr, "usage: loop_step DATABASE SQL\n");
        return 2;
    }
    while (sqlite3_step(stmt) == SQLITE_ROW) {
        rows++;
        for (int i = 0; i < sqlite3_column_count(stmt); i++)
            sum += read_column(stmt, i);
    }
    printf("%.6f %ld %llu\n", now() - began, rows, (unsigned long long)sum);
    sqlite3_finalize(stmt);
    sqlite3_close(db);
    return 0;
}
