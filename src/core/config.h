/* src/core/config.h -- the configuration: one table makes the struct, the file's keys, the
 * environment names, doc/config.md, reportd.conf(5) and `reportd serve --help`. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/err.h"

/* Kinds of value: FILE a path like PATH, or nothing; LISTEN addresses and ports, or unix: and
 * paths; PATH relative to the folder of the file; STORE a path or a URL; SPOOL a path or
 * "postgresql"; LEDGER a path, whose default is in the folder of the store if that is a file;
 * RECEIPT_KEY a path, whose default is next to key_file; INT in a range; DURATION ("24h") in ms;
 * SIZE ("1G") in bytes; LIMIT a size, or 0 for none; NETWORKS, ORIGINS lists of them, or nothing;
 * CHOICE one of a|b; ZONE a name of the tz database, or nothing. */
#define CONFIG_KEYS(X)                                                                             \
    /* name, kind, effect of SIGHUP, default, lowest, highest, description */                      \
    X(listen, LISTEN, RESTART, "127.0.0.1:8080", 0, 0,                                             \
      "Address and port to serve HTTP on; port 0 picks a free one; an IPv6 address goes in []; "   \
      "of a name such as localhost, all addresses; or unix:PATH, a Unix socket. May be repeated")  \
    X(metrics_listen, LISTEN, RESTART, "", 0, 0,                                                   \
      "Where /metrics is served, without a token and without TLS, and nothing else; then it is "   \
      "unknown elsewhere. Written as listen")                                                      \
    X(tls_certificate, FILE, RESTART, "", 0, 0,                                                    \
      "Certificate, with its chain, in PEM: then listen speaks HTTPS, except on Unix sockets; "    \
      "the file is read again at SIGHUP")                                                          \
    X(tls_key, FILE, RESTART, "", 0, 0,                                                            \
      "Private key of tls_certificate, in PEM, which other users of the machine may not read; "    \
      "without it, the key is in the file of the certificate")                                     \
    X(trusted_proxies, NETWORKS, RELOADED, "", 0, 0,                                               \
      "Proxies whose Forwarded or X-Forwarded-For names the client: addresses and networks such "  \
      "as 10.0.0.0/8, separated by spaces, and unix: for those that connect to a Unix socket")     \
    X(cors_origins, ORIGINS, RELOADED, "", 0, 0,                                                   \
      "Origins, such as https://app.example.com, separated by spaces, whose pages may use the "    \
      "API in a browser, with a token; none may use cookies")                                      \
    X(store, STORE, RESTART, "reportd.db", 0, 0,                                                   \
      "Where requests, users and sessions are kept: a path, sqlite:PATH, or, for many nodes, "     \
      "postgresql://USER@HOST/DATABASE")                                                           \
    X(store_connections, INT, RESTART, "4", 2, 64,                                                 \
      "Connections to a store in PostgreSQL: one writes, the others read; two more listen and "    \
      "send heartbeats")                                                                           \
    X(lease, DURATION, RESTART, "10s", 500, 600000,                                                \
      "How long a node that shares a store in PostgreSQL may be silent before the others take "    \
      "over its reports")                                                                          \
    X(spool, SPOOL, RESTART, "spool", 0, 0,                                                        \
      "Where results are kept: a folder, which all nodes that have one store share; or "           \
      "postgresql, the store's database, so that a result goes with its report's row")             \
    X(temp, PATH, RESTART, "temp", 0, 0,                                                           \
      "With a store in PostgreSQL, a folder of this node alone for unfinished results and "        \
      "spilled sorts; otherwise it is in the spool")                                               \
    X(reports, PATH, RESTART, "reports", 0, 0, "Folder of the report definitions (*.sql)")         \
    X(key_file, PATH, RESTART, "token.key", 0, 0,                                                  \
      "Keys of access tokens, the first of which signs; created at the first start, mode 0600; "   \
      "the file is read again at SIGHUP")                                                          \
    X(receipt_key_file, RECEIPT_KEY, RESTART, "receipt.key", 0, 0,                                 \
      "Keys of deletion receipts, the first of which signs; the same on all nodes; created "       \
      "at the first start, by default in the folder of key_file, mode 0600; the file is read "     \
      "again at SIGHUP")                                                                           \
    X(deletion_ledger, LEDGER, RESTART, "deletions.ledger", 0, 0,                                  \
      "File that records deletions for a restore, by default in the folder of the store, "         \
      "preferably on another disk; each node has its own")                                         \
    X(backup_horizon, DURATION, RESTART, "30d", 1000, INT64_C(315360000000),                       \
      "How long the deletion ledger keeps a record; at least as long as backups are kept")         \
    X(erase_key_file, PATH, RESTART, "erase.key", 0, 0,                                            \
      "Key that decrypts the reports in a store in PostgreSQL; created at the first start, "       \
      "mode 0600; each node has its own copy")                                                     \
    X(erase_after, DURATION, RESTART, "1h", 1000, INT64_C(2592000000),                             \
      "Age at which the key in erase_key_file is replaced, after which reports deleted "           \
      "before cannot be read")                                                                     \
    X(audit_log, FILE, RESTART, "", 0, 0,                                                          \
      "File of the audit trail: a line of JSON for each login, submit, download, deletion, purge " \
      "and reload, and each change of a user, group, key or queue; opened again at SIGHUP; not "   \
      "in "                                                                                        \
      "a folder of data. Each node has its own. Without it there is none")                         \
    X(audit_required, CHOICE, RESTART, "off|on", 0, 0,                                             \
      "Whether what the audit trail would record is refused, with 503, while audit_log cannot be " \
      "written")                                                                                   \
    X(audit_key_file, PATH, RESTART, "audit.key", 0, 0,                                            \
      "Key of the hashes that stand for references in the audit trail; the same on all nodes; "    \
      "created at the first start with audit_log, mode 0600")                                      \
    X(workers, INT, RESTART, "2", 1, 64,                                                           \
      "Worker processes, that is, reports generated at the same time")                             \
    X(http_threads, INT, RESTART, "2", 1, 64, "Threads that serve HTTP")                           \
    X(connections, INT, RESTART, "5000", 10, 100000,                                               \
      "Most HTTP connections open at the same time; fewer if RLIMIT_NOFILE does not allow "        \
      "two descriptors for each, and some for workers and files")                                  \
    X(connections_per_address, INT, RELOADED, "1000", 0, 100000,                                   \
      "Most of these from one IPv4 address or IPv6 /64 network, and at most half of them; "        \
      "0: no limit")                                                                               \
    X(request_timeout, DURATION, RELOADED, "20s", 100, 3600000,                                    \
      "How long a client may take for the handshake of TLS, to send the headers of a request, "    \
      "and for each 500 bytes per second of its body")                                             \
    X(session_life, DURATION, RELOADED, "90d", 60000, INT64_C(315360000000),                       \
      "How long a login lasts at most, however often its tokens are renewed")                      \
    X(active_limit, INT, RELOADED, "10", 1, 1000, "Most queued or processing reports per user")    \
    X(running_limit, INT, RELOADED, "0", 0, 1000,                                                  \
      "Most reports of one user that are generated at the same time, on all nodes; 0: no limit. "  \
      "reportd user limit gives a user another one")                                               \
    X(retention, DURATION, RELOADED, "24h", 1000, INT64_C(31536000000),                            \
      "How long a finished report is kept before it is purged; a definition may shorten it")       \
    X(report_timeout, DURATION, RELOADED, "10m", 100, INT64_C(604800000),                          \
      "Longest a report may run, after which it ends in error; a definition may set its own")      \
    X(timezone, ZONE, RELOADED, "", 0, 0,                                                          \
      "Time zone of today and of local timestamps in parameters, such as Australia/Sydney, and "   \
      "of sessions in PostgreSQL sources; a definition may set its own. Without it, "              \
      "parameters use UTC, and sessions the zone that PostgreSQL's role, database or URL sets")    \
    X(row_limit, INT, RELOADED, "100000000", 1, INT64_C(1000000000000),                            \
      "Most rows a report may have; a definition may lower it")                                    \
    X(size_limit, SIZE, RELOADED, "16G", 4096, INT64_C(1) << 50,                                   \
      "Largest result; a definition may lower it")                                                 \
    X(row_results, SIZE, RELOADED, "16K", 0, 65536,                                                \
      "Largest result that is written in the transaction that ends its report, instead of before " \
      "it: into the report's row instead of a file, or into its one chunk with spool = "           \
      "\"postgresql\"; at most 64K; 0: none")                                                      \
    X(cancel_grace, DURATION, RELOADED, "2s", 10, 60000,                                           \
      "How long a query that is deleted or has reached its time limit may take to stop before "    \
      "its "                                                                                       \
      "worker is killed")                                                                          \
    X(drain_grace, DURATION, RELOADED, "10s", 0, 3600000,                                          \
      "How long running reports may continue after SIGTERM before they are put back into the "     \
      "queue")                                                                                     \
    X(worker_memory, LIMIT, RESTART, "1G", 64 << 20, INT64_C(1) << 50,                             \
      "Most address space of one worker, at least 64M; a report that needs more ends in "          \
      "error; 0: no limit")                                                                        \
    X(temp_limit, LIMIT, RELOADED, "10G", 1 << 20, INT64_C(1) << 50,                               \
      "Most bytes that the sorts and temporary tables of one report on an SQLite source may "      \
      "write to the folder of temporary files; 0: no limit")                                       \
    X(spool_encryption, CHOICE, RELOADED, "off|on", 0, 0,                                          \
      "Whether result files are encrypted, each with a key that only its report's row has")        \
    X(result_compression, CHOICE, RELOADED, "off|zstd", 0, 0,                                      \
      "Whether new results are stored compressed, usually in less than a fifth of the space; "     \
      "a download is then made by the processor, not by sendfile")                                 \
    X(console, CHOICE, RELOADED, "on|off", 0, 0,                                                   \
      "Whether GET / serves the console, a page for people")                                       \
    X(log_level, CHOICE, RELOADED, "info|debug|warn|error", 0, 0, "Lowest level that is logged")   \
    X(log_format, CHOICE, RELOADED, "text|json", 0, 0, "Format of log lines")

enum config_kind {
    CONFIG_LISTEN,
    CONFIG_STORE,
    CONFIG_SPOOL,
    CONFIG_LEDGER,
    CONFIG_RECEIPT_KEY,
    CONFIG_PATH,
    CONFIG_FILE,
    CONFIG_INT,
    CONFIG_DURATION,
    CONFIG_SIZE,
    CONFIG_LIMIT,
    CONFIG_NETWORKS,
    CONFIG_ORIGINS,
    CONFIG_CHOICE,
    CONFIG_ZONE,
};

/* What becomes of a key that has changed in the file when SIGHUP comes: the new value is used from
 * then on, or only a restart takes it. Addresses, paths and databases are opened, and threads and
 * processes started, once. A RELOADED value that is copied at the start has to be copied again, by
 * apply_config() or reload() (cli/serve.c), or by server_reload() (http/server.c). */
enum config_reload { CONFIG_RELOADED, CONFIG_RESTART };

static inline bool config_kind_is_number(enum config_kind kind)
{
    return kind == CONFIG_INT || kind == CONFIG_DURATION || kind == CONFIG_SIZE ||
           kind == CONFIG_LIMIT;
}

struct config_source {
    _Atomic int64_t max_running; /* reports at the same time, on all nodes; 0: no limit */
    char *name, *url; /* a relative path in the url is already made relative to the file */
};

/* An identity provider; it does not change while the server runs. */
enum { CONFIG_ISSUER_NAME_MAX = 32 };
struct config_issuer {
    char *name, *url, *audience; /* tokens have the url as iss, and the audience in aud */
    char *keys;                  /* path of a JWK Set, or its URL: config_is_url() */
    char *keys_ca;               /* path of the authorities of that URL; NULL: the system's */
    char *user_claim;            /* names the user */
    char *groups_claim;          /* the claim with the user's groups; NULL: none */
    char *session_claims;        /* claims that definitions see, separated by blanks; NULL: none */
};

/* Any thread may read it while SIGHUP replaces it. */
union config_value {
    char *_Atomic text; /* of the other kinds: owned by the config, and there as long as it is */
    _Atomic int64_t number; /* INT, DURATION (ms), SIZE and LIMIT (bytes) */
};

struct config {
    char *file, *folder;
#define X(name, kind, reload, default_value, lowest, highest, what) union config_value name;
    CONFIG_KEYS(X)
#undef X
    bool has_password; /* the file has one, in a URL */
    struct config_source *sources;
    size_t source_count;
    struct config_issuer *issuers;
    size_t issuer_count;
    struct config *replaced; /* keeps the texts that config_adopt() replaced; NULL: none */
};

/* Read `path`, then the environment (REPORTD_LISTEN and so on win over the file). -E_CONFIG with
 * "FILE:LINE: what is wrong and what it takes". *ret is yours: config_free(). */
int config_load(const char *path, struct config **ret, struct err *err);
void config_free(struct config *config); /* NULL is fine */

#define CONFIG_UNIX "unix:" /* before the path of a socket */
/* Split "HOST:PORT" or "[IPv6]:PORT"; false: it is neither, or the port is invalid. */
enum { CONFIG_HOST_TEXT = 256, CONFIG_PORT_TEXT = 8 };
bool config_split_listen(const char *listen, char host[CONFIG_HOST_TEXT],
                         char port[CONFIG_PORT_TEXT]);

/* The path of an embedded store, borrowed; NULL if the store is in PostgreSQL. */
const char *config_store_path(const struct config *config);
/* The configured time zone, borrowed; NULL if none is. */
const char *config_timezone(const struct config *config);
/* Borrowed; NULL if there is no such source. */
const char *config_source_url(const struct config *config, const char *name);

/* Of an issuer's keys: http or https. */
bool config_is_url(const char *keys);
/* In any case; borrowed; NULL if there is no such issuer. */
const struct config_issuer *config_find_issuer(const struct config *config, const char *name);

/* Take the next name off the list of an issuer's session_claims; borrowed, not terminated; NULL:
 * none is left. */
const char *config_next_claim(const char **list, size_t *ret_len);
/* The name on such a list, in any case; NULL: it is not there. */
const char *config_find_claim(const char *list, const char *name, size_t len);

/* The environment variable that stands for a key: the prefix and the key in upper case. */
#define CONFIG_VARIABLE "REPORTD_"
enum { CONFIG_VARIABLE_TEXT = 64 };
const char *config_variable(const char *key, char variable[CONFIG_VARIABLE_TEXT]);

/* Print every key: as lines for --help, or as the table of doc/config.md. */
void config_print_help(FILE *out);
void config_print_markdown(FILE *out);
