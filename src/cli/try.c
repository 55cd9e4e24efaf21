/* src/cli/try.c -- `reportd try`: runs a definition like a worker, without a server, and stores
 * nothing. */
#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/json.h"
#include "base/process.h"
#include "base/str.h"
#include "base/table.h"
#include "cli/options.h"
#include "cli/verbs.h"
#include "core/catalog.h"
#include "core/claims.h"
#include "core/config.h"
#include "core/param.h"
#include "proc/connection.h"
#include "proc/run.h"
#include "proc/sandbox.h"
#include "render/form.h"
#include "render/form_rows.h"

/* ---- a stored result, read back like the server's forms: as CSV, or as a table ---- */

enum {
    CELL_MAX_BYTES = 128 << 20,
    CELL_WIDTH_MAX = 40, /* characters of a cell in a table */
};

/* Print all of results as the server sends it with format=csv. -E_NOMEM, -E_INTERNAL. */
static int try_rows_csv(FILE *out, const struct form_spec *spec, struct err *err)
{
    struct form_writer *writer;
    struct buf block;
    int rc = form_new(spec, &writer, err), more = 1;

    if (rc < 0)
        return rc;
    buf_init(&block, SIZE_MAX);
    for (; more == 1; buf_reset(&block)) {
        more = form_more(writer, &block, err);
        fwrite(block.data, 1, block.len, out);
    }
    buf_done(&block);
    form_free(writer);
    return more;
}

struct table {
    FILE *out;
    struct buf line;
    struct form_rows *rows;
    const struct footer_part *part;
    size_t most;
    size_t *widths; /* of the columns of the part */
};

/* Add a text without its escapes; null as an empty text; anything else unchanged. */
static void add_value_text(struct buf *out, const struct form_value *value)
{
    switch (value->kind) {
    case FORM_NULL:
        break;
    case FORM_TRUE:
    case FORM_FALSE:
        buf_add_str(out, value->kind == FORM_TRUE ? "true" : "false");
        break;
    case FORM_TEXT:
        json_text_decode(out, value->at, value->len);
        break;
    default:
        buf_add(out, value->at, value->len);
    }
}

static bool is_last(const struct table *table, size_t column)
{
    return column + 1 == table->part->column_count;
}

static void add_to_line(struct table *table, size_t column, const char *text, size_t len)
{
    const struct table_cell cell = {.width = is_last(table, column) ? 0 : table->widths[column],
                                    .most = CELL_WIDTH_MAX};

    table_add(&table->line, text, len, &cell);
    buf_add_str(&table->line, is_last(table, column) ? "\n" : "  ");
}

static void put_line(struct table *table)
{
    fwrite(buf_str(&table->line), 1, table->line.len, table->out);
    buf_reset(&table->line);
}

static void measure_cell(struct table *table, size_t column, const char *text, size_t len)
{
    size_t width = table_width(text, len);

    width = width < CELL_WIDTH_MAX ? width : CELL_WIDTH_MAX;
    if (width > table->widths[column])
        table->widths[column] = width;
}

/* Measure or print the row. */
static void put_row(struct table *table, const struct form_value *values, bool print)
{
    struct buf cell;

    buf_init(&cell, CELL_MAX_BYTES);
    for (size_t i = 0; i < table->part->column_count; i++) {
        buf_reset(&cell);
        add_value_text(&cell, &values[i]);
        if (print)
            add_to_line(table, i, buf_str(&cell), cell.len);
        else
            measure_cell(table, i, buf_str(&cell), cell.len);
    }
    put_line(table);
    buf_done(&cell);
}

static int put_rows(struct table *table, bool print, struct err *err)
{
    const struct form_value *values;
    int rc = form_rows_begin(table->rows, table->part, err);

    for (size_t seen = 0; rc == 0; seen++) {
        rc = form_rows_next(table->rows, &values, err);
        if (rc <= 0)
            return rc;
        rc = 0;
        if (seen == table->most) {
            if (print)
                fprintf(table->out, "… the first %zu rows\n", table->most);
            return 0;
        }
        put_row(table, values, print);
    }
    return rc;
}

static void put_head(struct table *table)
{
    const struct footer_part *part = table->part;

    for (size_t i = 0; i < part->column_count; i++)
        add_to_line(table, i, part->columns[i].name, strlen(part->columns[i].name));
    put_line(table);
    for (size_t i = 0; i < part->column_count; i++) {
        for (size_t k = 0; k < table->widths[i]; k++)
            buf_add_char(&table->line, '-');
        buf_add_str(&table->line, is_last(table, i) ? "\n" : "  ");
    }
    put_line(table);
}

static int put_table(struct table *table, struct err *err)
{
    const struct footer_part *part = table->part;
    int rc;

    table->widths = calloc(part->column_count + 1, sizeof(*table->widths));
    if (table->widths == NULL)
        return err_set(err, -E_NOMEM, "out of memory");
    for (size_t i = 0; i < part->column_count; i++)
        measure_cell(table, i, part->columns[i].name, strlen(part->columns[i].name));
    fprintf(table->out, "%s:\n", part->name);
    rc = put_rows(table, false, err);
    if (rc == 0) {
        put_head(table);
        rc = put_rows(table, true, err);
    }
    putc('\n', table->out);
    free(table->widths);
    return rc;
}

/* Print the summary unchanged: one object. */
static int put_summary(FILE *out, const struct form_spec *spec, const struct footer_part *part,
                       struct err *err)
{
    size_t len = (size_t)(part->end - part->at);
    char *text = malloc(len + 1);
    int rc = text == NULL ? err_set(err, -E_NOMEM, "out of memory")
                          : spec->read(spec->context, part->at, text, len, err);

    if (rc == 0)
        fprintf(out, "summary: %.*s\n", (int)len, text);
    free(text);
    return rc;
}

/* Print the first `most` rows of results and of each other set, in columns, then the summary.
 * Errors as above. */
static int try_rows_table(FILE *out, const struct form_spec *spec, size_t most, struct err *err)
{
    struct table table = {.out = out, .most = most};
    size_t last = spec->footer->part_count - 1; /* the summary */
    int rc = form_rows_new(spec, &table.rows, err);

    buf_init(&table.line, CELL_MAX_BYTES);
    for (size_t i = 0; rc == 0 && i < last; i++) {
        table.part = &spec->footer->parts[i];
        rc = put_table(&table, err);
    }
    if (rc == 0)
        rc = put_summary(out, spec, &spec->footer->parts[last], err);
    buf_done(&table.line);
    form_rows_free(table.rows);
    return rc;
}

/* ---- the trial ---- */

enum {
    ROWS_SHOWN = 20,            /* in a table */
    RESULT_BYTES_MAX = 1 << 30, /* kept in memory, so that nothing is stored on a disk */
    EXIT_SIGNAL = 128,          /* plus the number of the signal, as in a shell */
};

enum format { FORMAT_JSON, FORMAT_CSV, FORMAT_TABLE };

/* What has to be run. */
struct trial {
    struct config *config;
    struct catalog *catalog; /* NULL: the definition is a separate file */
    const struct definition *def;
    struct definition *own; /* definition of that file */
    char *parameters;       /* canonical */
    json_t *claims;         /* NULL: none */
    char *claims_text;      /* of them, as in core/claims.h; NULL: none */
    const char *user;
    enum format format;
    int result_fd;                 /* a memfd */
    char temp_folder[64];          /* for sorts; made and removed here */
    struct run_progress *progress; /* shared with the process that runs it */
};

static void usage(FILE *out)
{
    fprintf(out,
            "usage: reportd try [-c FILE] [--csv | --table] [--user NAME]\n"
            "                   [--claim NAME=VALUE]… REPORT [NAME=VALUE…]\n\n"
            "Run a report once, as a worker of the server would, and print it. No server is\n"
            "needed, and nothing is kept. REPORT is the name of a report in the reports\n"
            "folder of the configuration, or the path of a file (with a / or ending in\n"
            ".sql).\n\n"
            "  -c, --config FILE  the configuration (default: reportd.conf)\n"
            "  --csv              print results as CSV, one row per element of an array\n"
            "  --table            print the first %d rows of results and sets, and summary\n"
            "  --user NAME        the user in :session_user and reportd.user (default: try)\n"
            "  --claim NAME=VALUE a claim: :session_claim_NAME, reportd.claim_NAME\n"
            "  -h, --help         print this\n\n"
            "Rows, bytes, time and the database's notices go to standard error. Ctrl-C\n"
            "cancels the query. The exit status is 0 if the report is complete, 1 if not, 2\n"
            "for wrong usage, 128 plus the number of the signal that stopped it (130, 143).\n",
            ROWS_SHOWN);
}

/* ---- the process that runs the report, with the sandbox and limits of a worker ---- */

struct runner {
    const struct trial *trial;
    struct wire_order order;
    struct connection connection;
    struct sandbox_files files;
    int done_fd; /* eventfd: it has ended */
    int rc;
    struct err err;
};

static void print_notice(void *context, const char *text)
{
    (void)context;
    say_line(stderr, "%s", text);
}

static int run_once(struct runner *runner)
{
    const struct source_spec spec = {.url = runner->order.texts.source_url,
                                     .temp_folder = runner->trial->temp_folder,
                                     .temp_limit = runner->order.run.temp_limit,
                                     .notice = print_notice};
    struct wire_answer answer;
    int rc = connection_open(&runner->connection, spec, &runner->files, &runner->err)
                 ?: run_report(&runner->order, runner->connection.source, runner->trial->progress,
                               &answer, &runner->err);

    connection_close(&runner->connection);
    return rc;
}

static void *trial_thread(void *arg)
{
    struct runner *runner = arg;

    for (int i = 0; i < RUN_TRIES_MAX; i++) {
        runner->rc = run_once(runner);
        if (runner->rc != -E_CHANGED || ftruncate(runner->order.fd, 0) < 0 ||
            lseek(runner->order.fd, 0, SEEK_SET) < 0)
            break;
    }
    eventfd_write(runner->done_fd, 1);
    return NULL;
}

/* Wait for the end of the report, a signal (unless signal_fd is -1), or a time. True: the report
 * has ended; otherwise *ret_signal is the number of the signal, or 0. */
static bool await_runner(struct runner *runner, int signal_fd, int64_t until_ms, int *ret_signal)
{
    struct pollfd fds[] = {{.fd = runner->done_fd, .events = POLLIN},
                           {.fd = signal_fd, .events = POLLIN}};
    struct signalfd_siginfo info;
    int64_t left_ms = until_ms - clock_mono_ms();
    int n = 0;

    while (left_ms > 0 && (n = poll(fds, 2, left_ms < INT32_MAX ? (int)left_ms : INT32_MAX)) < 0 &&
           errno == EINTR)
        left_ms = until_ms - clock_mono_ms();
    *ret_signal = n > 0 && fds[1].revents != 0 && read(signal_fd, &info, sizeof(info)) > 0
                      ? (int)info.ssi_signo
                      : 0;
    return n > 0 && fds[0].revents != 0;
}

/* The message for the caller, then the one for the author, with its place in the file. */
static void print_run_failure(const struct runner *runner)
{
    const char *detail = runner->err.detail;
    int line = 0, skip = 0;

    say_line(stderr, "reportd try: %s", runner->err.text);
    if (sscanf(detail, "line %d: %n", &line, &skip) == 1 && skip > 0)
        say_line(stderr, "%s:%d: %s", runner->trial->def->file, line, detail + skip);
    else if (*detail != '\0')
        say_line(stderr, "%s", detail);
}

/* Returns the exit status. */
static int run_watched(struct runner *runner, int signal_fd)
{
    const struct wire_run *run = &runner->order.run;
    int64_t grace_ms = runner->trial->config->cancel_grace.number;
    int number, none;

    if (await_runner(runner, signal_fd, clock_mono_ms() + run->timeout_ms, &number)) {
        if (runner->rc == -E_NOMEM)
            run_needs_memory(runner->trial->config->worker_memory.number, &runner->err);
        if (runner->rc < 0)
            print_run_failure(runner);
        return runner->rc == 0 ? EXIT_GOOD : EXIT_FAILED;
    }
    connection_stop(&runner->connection);
    await_runner(runner, -1, clock_mono_ms() + grace_ms, &none);
    if (number == 0) {
        run_took_too_long(run->timeout_ms, &runner->err);
        print_run_failure(runner);
        return EXIT_FAILED;
    }
    fprintf(stderr, "reportd try: the report was stopped\n");
    return EXIT_SIGNAL + number;
}

static int run_sandboxed(const struct trial *trial, const sigset_t *signals)
{
    static const struct wire_texts no_texts = {
#define X(name) .name = "",
        WIRE_TEXTS(X)
#undef X
    };
    static struct runner runner; /* must outlive this function: the thread may still use it */
    int signal_fd = signalfd(-1, signals, SFD_CLOEXEC);
    pthread_t thread;

    runner.trial = trial;
    connection_init(&runner.connection);
    runner.order = (struct wire_order){.run = {.temp_limit = trial->config->temp_limit.number},
                                       .texts = no_texts,
                                       .fd = trial->result_fd,
                                       .texts_fd = -1};
    runner.order.texts.definition_file = trial->def->file;
    runner.order.texts.definition_text = trial->def->text;
    runner.order.texts.parameters = trial->parameters;
    runner.order.texts.user_name = trial->user;
    runner.order.texts.claims = trial->claims_text ?: "";
    runner.order.texts.source_url = config_source_url(trial->config, trial->def->source);
    runner.order.texts.temp_folder = trial->temp_folder;
    runner.order.texts.timezone = trial->config->timezone.text;
    run_limits(trial->config, trial->def, &runner.order.run);
    if (runner.order.run.size_limit > RESULT_BYTES_MAX)
        runner.order.run.size_limit = RESULT_BYTES_MAX;
    sandbox_process(trial->config->worker_memory.number);
    connection_files(runner.order.texts.source_url, trial->temp_folder, &runner.files);
    runner.done_fd = eventfd(0, EFD_CLOEXEC);
    if (signal_fd < 0 || runner.done_fd < 0 ||
        pthread_create(&thread, NULL, trial_thread, &runner) != 0) {
        fprintf(stderr, "reportd try: out of memory\n");
        return EXIT_FAILED;
    }
    return run_watched(&runner, signal_fd);
}

/* ---- the process that prints it ---- */

/* Run the report in a separate process; returns the exit status. Before this process stops, it
 * stops the other one. */
static int run_trial(const struct trial *trial)
{
    sigset_t signals;
    pid_t pid, self = getpid();
    int status;

    sigemptyset(&signals);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGHUP);
    pthread_sigmask(SIG_BLOCK, &signals, NULL);
    fflush(NULL);
    pid = fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGTERM);
        if (getppid() != self)
            _exit(EXIT_FAILED);
        _exit(run_sandboxed(trial, &signals));
    }
    if (pid < 0) {
        fprintf(stderr, "reportd try: no process: %s\n", strerror(errno));
        return EXIT_FAILED;
    }
    sigaddset(&signals, SIGCHLD);
    pthread_sigmask(SIG_BLOCK, &signals, NULL);
    while (waitpid(pid, &status, WNOHANG) == 0) {
        int number = sigwaitinfo(&signals, NULL);

        if (number > 0 && number != SIGCHLD)
            kill(pid, number);
    }
    if (WIFEXITED(status))
        return WEXITSTATUS(status);
    if (WTERMSIG(status) == SIGXCPU)
        fprintf(stderr, "reportd try: the report used more processor time than its limit allows\n");
    else
        fprintf(stderr, "reportd try: the report ended with signal %d (%s)\n", WTERMSIG(status),
                strsignal(WTERMSIG(status)));
    return EXIT_FAILED;
}

static bool keeps_silent(const struct trial *trial)
{
    return trial->format == FORMAT_CSV &&
           (trial->def->set_count > 0 || trial->def->summary.sql != NULL);
}

static int read_result_bytes(void *context, int64_t at, void *out, size_t len, struct err *err)
{
    int fd = *(int *)context;

    return file_read_all(fd, out, len, at) == (ssize_t)len ? 0
                                                           : err_set(err, -E_IO, "no such bytes");
}

static int load_footer(int fd, struct footer **ret, struct err *err)
{
    int64_t size = lseek(fd, 0, SEEK_END), at;
    uint8_t trailer[FOOTER_TRAILER];
    char *text = NULL;
    size_t len;
    int rc = read_result_bytes(&fd, size - FOOTER_TRAILER, trailer, sizeof(trailer), err)
                 ?: footer_find(trailer, size, &at, &len, err);

    if (rc < 0)
        return rc;
    text = malloc(len + 1);
    rc = (text == NULL ? err_set(err, -E_NOMEM, "out of memory")
                       : read_result_bytes(&fd, at, text, len, err))
             ?: footer_read(text, len, trailer, ret, err);
    free(text);
    return rc;
}

static int print_rows(const struct trial *trial, struct err *err)
{
    struct form_spec spec = {.form = FORM_CSV, .options.delimiter = ',', .read = read_result_bytes};
    struct footer *footer = NULL;
    int fd = trial->result_fd, rc = load_footer(fd, &footer, err);

    if (rc < 0)
        return rc;
    spec.context = &fd;
    spec.footer = footer;
    spec.bytes = atomic_load(&trial->progress->bytes);
    rc = trial->format == FORMAT_CSV ? try_rows_csv(stdout, &spec, err)
                                     : try_rows_table(stdout, &spec, ROWS_SHOWN, err);
    footer_free(footer);
    return rc;
}

static int print_result_json(const struct trial *trial)
{
    size_t len = (size_t)atomic_load(&trial->progress->bytes);
    void *json = mmap(NULL, len, PROT_READ, MAP_SHARED, trial->result_fd, 0);

    if (json == MAP_FAILED)
        return -E_NOMEM;
    if (fwrite(json, 1, len, stdout) == len)
        putchar('\n');
    munmap(json, len);
    return 0;
}

static int print_result(const struct trial *trial)
{
    struct err err = {0};
    int rc = trial->format == FORMAT_JSON ? print_result_json(trial) : print_rows(trial, &err);

    if (fflush(stdout) != 0 || ferror(stdout))
        rc = -E_IO;
    return rc;
}

static int run_and_print(const struct trial *trial)
{
    int64_t begin_ms = clock_mono_ms(), rows, bytes;
    int status = run_trial(trial);
    char size[32];

    if (status != EXIT_GOOD)
        return status;
    rows = atomic_load(&trial->progress->rows);
    bytes = atomic_load(&trial->progress->bytes);
    begin_ms = clock_mono_ms() - begin_ms;
    if (print_result(trial) < 0) {
        fprintf(stderr, "reportd try: the result could not be printed\n");
        return EXIT_FAILED;
    }
    if (keeps_silent(trial))
        fprintf(stderr, "CSV has the rows of results only; the summary and sets are left out\n");
    str_human_size(size, sizeof(size), bytes);
    fprintf(stderr, "%" PRId64 " row%s, %s, %" PRId64 ".%03" PRId64 " s\n", rows,
            rows == 1 ? "" : "s", size, begin_ms / 1000, begin_ms % 1000);
    return EXIT_GOOD;
}

/* ---- finding what has to be run ---- */

static void on_problem(void *context, const char *text)
{
    (void)context;
    say_line(stderr, "%s", text);
}

static int load_own_definition(struct trial *trial, const char *path, struct err *err)
{
    struct problems problems = {0};
    int rc = definition_load(path, &problems, &trial->own, err);

    for (size_t i = 0; i < problems.count; i++) {
        problem_err(&problems.list[i], path, err);
        on_problem(NULL, err->text);
    }
    if (problems.count > 0)
        err_set(err, rc, "the definition is broken");
    problems_done(&problems);
    if (rc == 0)
        rc = definition_set_timezone(trial->own, config_timezone(trial->config), err);
    trial->def = trial->own;
    return rc;
}

static void on_broken(void *context, const char *text)
{
    *(bool *)context = true;
    on_problem(NULL, text);
}

static int find_name(struct trial *trial, const char *name, struct err *err)
{
    struct nearest nearest = {.typed = name};
    char words[NEAREST_TEXT];
    struct catalog_spec spec = {.folder = trial->config->reports.text,
                                .timezone = config_timezone(trial->config)};
    int rc = catalog_new(&spec, &trial->catalog, err);
    bool broken = false;

    if (rc < 0)
        return rc;
    trial->def = catalog_hold(trial->catalog, name);
    if (trial->def != NULL)
        return 0;
    /* It may be one of the broken definitions. */
    catalog_free(trial->catalog);
    spec.problem = on_broken;
    spec.context = &broken;
    rc = catalog_new(&spec, &trial->catalog, err);
    if (rc < 0) {
        trial->catalog = NULL;
        return rc;
    }
    catalog_nearest(trial->catalog, &nearest);
    return err_set(err, -E_NOT_FOUND, "there is no report '%.128s' in %.200s%s%s", name,
                   trial->config->reports.text, nearest_words(&nearest, "", words),
                   broken ? ", unless it is in a file with problems: correct these first" : "");
}

static int find_definition(struct trial *trial, const char *name, struct err *err)
{
    size_t len = strlen(name);
    bool file = strchr(name, '/') != NULL || (len > 4 && str_eq(name + len - 4, ".sql"));
    int rc = file ? load_own_definition(trial, name, err) : find_name(trial, name, err);

    if (rc < 0)
        return rc;
    if (config_source_url(trial->config, trial->def->source) != NULL)
        return 0;
    return err_set(err, -E_DEFINITION, "%.200s:%d: there is no source '%.40s' in the configuration",
                   trial->def->file, trial->def->source_line, trial->def->source);
}

/* Take NAME=VALUE words, checked as the server does. */
static int take_parameters(struct trial *trial, char **words, struct err *err)
{
    json_t *given = json_object();
    int rc = 0;

    for (; rc == 0 && given != NULL && *words != NULL; words++) {
        char *value = strchr(*words, '=');

        if (value == NULL || value == *words) {
            rc = err_set(err, -E_INVALID, "'%.80s' is not a parameter; write NAME=VALUE", *words);
            break;
        }
        *value = '\0';
        if (json_object_get(given, *words) != NULL)
            rc = err_set(err, -E_INVALID, "the parameter %.80s is given twice", *words);
        else if (json_object_set_new(given, *words, json_string(value + 1)) < 0)
            rc = err_set(err, -E_PARAM, "'%.80s' and its value must be UTF-8", *words);
    }
    if (rc == 0)
        rc = params_canonical(trial->def, given, clock_now_ms(), &trial->parameters, err);
    json_decref(given);
    return rc;
}

static int take_claim(void *context, const char *text, struct err *err)
{
    struct trial *trial = context;
    size_t len = strcspn(text, "=");
    char name[DEFINITION_CLAIM_TEXT];

    if (text[len] == '\0' || text[len + 1] == '\0' || !claim_is_name(text, len))
        return err_set(err, -E_INVALID, "'%.80s' is not a claim; write NAME=VALUE", text);
    if (trial->claims == NULL)
        trial->claims = json_object();
    snprintf(name, sizeof(name), DEFINITION_CLAIM_PREFIX "%.*s", (int)len, text);
    return json_object_set_new(trial->claims, name, json_string(text + len + 1)) == 0
               ? 0
               : err_set(err, -E_INVALID, "a claim must be UTF-8");
}

static int write_claims(struct trial *trial, struct err *err)
{
    if (trial->claims == NULL)
        return 0;
    trial->claims_text = json_dumps(trial->claims, JSON_COMPACT);
    return trial->claims_text != NULL ? 0 : err_no_memory(err);
}

static int make_places(struct trial *trial, struct err *err)
{
    const char *folder = getenv("TMPDIR");

    trial->progress = mmap(NULL, sizeof(*trial->progress), PROT_READ | PROT_WRITE,
                           MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    trial->result_fd = memfd_create("reportd-try", MFD_CLOEXEC);
    if (trial->progress == MAP_FAILED || trial->result_fd < 0)
        return err_errno(err, -E_NOMEM, "no memory for the result");
    if (folder == NULL || strlen(folder) > 32)
        folder = "/tmp";
    snprintf(trial->temp_folder, sizeof(trial->temp_folder), "%s/reportd-try.XXXXXX", folder);
    if (mkdtemp(trial->temp_folder) != NULL)
        return 0;
    trial->temp_folder[0] = '\0';
    return err_errno(err, -E_IO, "no folder for temporary files in %s", folder);
}

static void trial_done(struct trial *trial)
{
    if (trial->temp_folder[0] != '\0')
        rmdir(trial->temp_folder);
    if (trial->result_fd >= 0)
        close(trial->result_fd);
    if (trial->progress != NULL && trial->progress != MAP_FAILED)
        munmap(trial->progress, sizeof(*trial->progress));
    free(trial->parameters);
    free(trial->claims_text);
    json_decref(trial->claims);
    if (trial->catalog != NULL)
        catalog_release(trial->catalog, trial->def);
    catalog_free(trial->catalog);
    definition_free(trial->own);
    config_free(trial->config);
}

static int try_report(struct trial *trial, const char *config, char **words)
{
    struct err err = {0};
    int rc = config_load(config, &trial->config, &err)
                 ?: find_definition(trial, words[0], &err)
                 ?: take_parameters(trial, words + 1, &err)
                 ?: write_claims(trial, &err)
                 ?: make_places(trial, &err);

    if (rc == 0)
        return run_and_print(trial);
    say_line(stderr, "reportd try: %s", err.text);
    return EXIT_FAILED;
}

int verb_try(int argc, char **argv)
{
    struct trial trial = {.user = "try", .result_fd = -1};
    const char *config = "reportd.conf";
    bool csv = false, table = false;
    const struct verb_option options[] = {{.name = "config", .text = &config},
                                          {.name = "csv", .flag = &csv},
                                          {.name = "table", .flag = &table},
                                          {.name = "user", .text = &trial.user},
                                          {.name = "claim", .take = take_claim, .context = &trial},
                                          {0}};
    int status = options_read(&(struct verb_line){"try", usage, options}, argc, argv);

    if (status != 0)
        return status - 1;
    if (csv && table)
        return options_wrong("try", "--csv and --table exclude each other");
    if (optind == argc)
        return options_wrong("try", "which report?");
    trial.format = csv ? FORMAT_CSV : table ? FORMAT_TABLE : FORMAT_JSON;
    signals_ignore();
    status = try_report(&trial, config, argv + optind);
    trial_done(&trial);
    return status;
}
