/* tests/contract/postgres_server.h -- a private PostgreSQL for one test program, started when it is
 * first needed and gone with the program: its keeper is tests/e2e/postgres.py. */
#pragma once

#include <fcntl.h>
#include <libpq-fe.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* The keeper stops the server when `orders` is closed, as it is when this program ends. */
static struct {
    FILE *orders, *answers;
    char url[200];
    char erase_key[160]; /* of the store in it, beside it */
} postgres_server;

/* The root of the sources: above the tests, wherever the program was built. */
#define POSTGRES_KEEPER "tests/e2e/postgres.py"

/* Read the keeper's next line, which may be {}. */
static void postgres_server_hear(char *line, int cap)
{
    if (fgets(line, cap, postgres_server.answers) == NULL) {
        fprintf(stderr, "no PostgreSQL: " POSTGRES_KEEPER " did not start it\n");
        abort();
    }
}

static void postgres_server_end(void)
{
    char rest[64];

    fclose(postgres_server.orders);
    while (fgets(rest, sizeof(rest), postgres_server.answers) != NULL)
        continue; /* until the keeper has ended, and the folder is gone */
    fclose(postgres_server.answers);
}

static void postgres_server_start(void)
{
    char line[256], folder[128];
    int orders[2], answers[2], port;

    if (pipe2(orders, O_CLOEXEC) < 0 || pipe2(answers, O_CLOEXEC) < 0)
        abort();
    if (fork() == 0) {
        dup2(orders[0], STDIN_FILENO);
        dup2(answers[1], STDOUT_FILENO);
        setsid(); /* Ctrl-C at the terminal is for the tests */
        execl("/usr/bin/python3", "python3", POSTGRES_KEEPER,
              "{\"fsync\": \"off\", \"full_page_writes\": \"off\"}", NULL);
        _exit(127);
    }
    close(orders[0]);
    close(answers[1]);
    postgres_server.orders = fdopen(orders[1], "w");
    postgres_server.answers = fdopen(answers[0], "r");
    postgres_server_hear(line, sizeof(line));
    if (sscanf(line, "{\"folder\": \"%127[^\"]\", \"port\": %d", folder, &port) != 2)
        abort();
    snprintf(postgres_server.url, sizeof(postgres_server.url),
             "postgresql://postgres@/postgres?host=%s&port=%d", folder, port);
    snprintf(postgres_server.erase_key, sizeof(postgres_server.erase_key), "%s/erase.key", folder);
    atexit(postgres_server_end);
}

static inline void postgres_server_url(char *out, size_t cap)
{
    if (postgres_server.orders == NULL)
        postgres_server_start();
    snprintf(out, cap, "%s", postgres_server.url);
}

/* What the statement gives as its first value goes to stdout of nobody: it has to work. */
static inline void postgres_server_exec(const char *sql)
{
    PGconn *pg = PQconnectdb(postgres_server.url);
    PGresult *result;

    PQsetNoticeProcessor(pg, NULL, NULL);
    result = PQexec(pg, "SET client_min_messages = error");
    PQclear(result);
    result = PQexec(pg, sql);
    if (PQresultStatus(result) != PGRES_COMMAND_OK && PQresultStatus(result) != PGRES_TUPLES_OK) {
        fprintf(stderr, "%s: %s", sql, PQerrorMessage(pg));
        abort();
    }
    PQclear(result);
    PQfinish(pg);
}

/* The first column of what the last statement returns, a line for each row; free() it. */
static inline char *postgres_server_text(const char *sql)
{
    PGconn *pg = PQconnectdb(postgres_server.url);
    PGresult *result = PQexec(pg, sql);
    char *text = NULL;
    size_t len;
    FILE *out = open_memstream(&text, &len);

    if (PQresultStatus(result) != PGRES_TUPLES_OK) {
        fprintf(stderr, "%s: %s", sql, PQerrorMessage(pg));
        abort();
    }
    for (int i = 0; i < PQntuples(result); i++)
        fprintf(out, "%s\n", PQgetvalue(result, i, 0));
    fclose(out);
    PQclear(result);
    PQfinish(pg);
    return text;
}

/* Return once the statement gives true. */
static inline void postgres_server_await(const char *sql)
{
    char *text = NULL;

    do {
        free(text);
        text = postgres_server_text(sql);
    } while (*text != 't');
    free(text);
}

/* Stop and start it, as an operator would. */
static inline void postgres_server_order(const char *words)
{
    char line[256];

    fprintf(postgres_server.orders, "%s\n", words);
    fflush(postgres_server.orders);
    postgres_server_hear(line, sizeof(line));
}
