/* src/cli/trail.c -- `reportd trail find`: the lines of the audit trail about one reference. */
#include <errno.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/str.h"
#include "cli/options.h"
#include "cli/verbs.h"
#include "core/config.h"
#include "core/trail.h"

enum { NEEDLE_TEXT = TRAIL_HASH_TEXT + 32 };

static void usage(FILE *out)
{
    fprintf(out,
            "usage: reportd trail find [-c FILE] REFERENCE [FILE…]\n\n"
            "Print the lines of the audit trail that are about a report, which may have been\n"
            "deleted: the trail has a keyed hash in the place of its reference. Without FILE,\n"
            "audit_log and what it was renamed to (audit_log.*) are read, the oldest first;\n"
            "- is standard input, such as zcat audit.log.2.gz.\n\n"
            "  -c, --config FILE  the configuration, whose audit_key_file has the key\n"
            "                     (default: reportd.conf)\n"
            "  -h, --help         print this\n\n"
            "The exit status is 0 if there is such a line, 1 if not, 2 for wrong usage.\n");
}

struct finding {
    char needle[NEEDLE_TEXT];
    long found;
};

static int find_in_trail(struct finding *finding, FILE *file, const char *path, struct err *err)
{
    char *line = NULL;
    size_t room = 0;

    while (getline(&line, &room, file) > 0) {
        if (strstr(line, finding->needle) == NULL)
            continue;
        fputs(line, stdout);
        finding->found++;
    }
    free(line);
    return ferror(file) ? err_errno(err, -E_IO, "cannot read '%s'", path) : 0;
}

static int find_in_path(struct finding *finding, const char *path, struct err *err)
{
    FILE *file;
    int rc;

    if (str_eq(path, "-"))
        return find_in_trail(finding, stdin, "standard input", err);
    file = fopen(path, "re");
    if (file == NULL)
        return err_errno(err, -E_IO, "cannot read '%s'", path);
    rc = find_in_trail(finding, file, path, err);
    fclose(file);
    return rc;
}

static int compare_times(const void *left, const void *right)
{
    struct stat a = {0}, b = {0};

    stat(*(char *const *)left, &a);
    stat(*(char *const *)right, &b);
    return (a.st_mtim.tv_sec > b.st_mtim.tv_sec) - (a.st_mtim.tv_sec < b.st_mtim.tv_sec);
}

static bool is_compressed(const char *path)
{
    static const char *const ends[] = {".gz", ".xz", ".zst", ".bz2"};
    size_t len = strlen(path);

    for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
        size_t end = strlen(ends[i]);

        if (len > end && str_eq(path + len - end, ends[i]))
            return true;
    }
    return false;
}

/* Search the trail and its older parts. */
static int find_in_all(struct finding *finding, const char *audit_log, struct err *err)
{
    glob_t all = {0};
    char *pattern;
    int rc = 0;

    if (asprintf(&pattern, "%s.*", audit_log) < 0)
        return err_set(err, -E_NOMEM, "out of memory");
    glob(pattern, 0, NULL, &all);
    free(pattern);
    if (all.gl_pathc > 1)
        qsort(all.gl_pathv, all.gl_pathc, sizeof(all.gl_pathv[0]), compare_times);
    for (size_t i = 0; i < all.gl_pathc && rc == 0; i++) {
        if (is_compressed(all.gl_pathv[i]))
            say_line(stderr, "reportd trail: not read, since it is compressed: %s",
                     all.gl_pathv[i]);
        else
            rc = find_in_path(finding, all.gl_pathv[i], err);
    }
    globfree(&all);
    return rc ?: find_in_path(finding, audit_log, err);
}

static int find(const char *config_file, char **words, struct finding *finding, struct err *err)
{
    char hash[TRAIL_HASH_TEXT];
    struct config *config = NULL;
    struct trail_key key = {0};
    struct guid id;
    int rc = 0;

    if (!guid_parse(words[0], &id))
        return err_set(err, -E_INVALID, "'%.64s' is not a reference, which is a GUID", words[0]);
    rc = config_load(config_file, &config, err);
    if (rc == 0 && words[1] == NULL && *config->audit_log.text == '\0')
        rc = err_set(err, -E_CONFIG, "audit_log is not set: there is no audit trail");
    rc = rc ?: trail_key_open(config->audit_key_file.text, false, &key, err);
    if (rc == 0) {
        trail_hash(&key, &id, hash);
        snprintf(finding->needle, sizeof(finding->needle), "\"reference\":\"%s\"", hash);
        rc = words[1] == NULL ? find_in_all(finding, config->audit_log.text, err) : 0;
        for (char **path = words + 1; *path != NULL && rc == 0; path++)
            rc = find_in_path(finding, *path, err);
    }
    trail_key_done(&key);
    config_free(config);
    return rc;
}

int verb_trail(int argc, char **argv)
{
    const char *file = "reportd.conf";
    const struct verb_option options[] = {{.name = "config", .text = &file}, {0}};
    struct finding finding = {.found = 0};
    struct err err = {0};
    int rc = options_read(&(struct verb_line){"trail", usage, options}, argc, argv);

    if (rc != 0)
        return rc - 1;
    if (optind == argc)
        return options_wrong("trail", "name an action: find");
    if (!str_eq(argv[optind], "find"))
        return options_wrong("trail", "there is no action '%s'; there is: find", argv[optind]);
    if (optind + 1 == argc)
        return options_wrong("trail", "find takes a reference");
    if (find(file, argv + optind + 1, &finding, &err) < 0) {
        say_line(stderr, "reportd trail: %s", err.text);
        return EXIT_FAILED;
    }
    if (finding.found == 0)
        say_line(stderr, "reportd trail: no line is about it");
    return finding.found > 0 ? EXIT_GOOD : EXIT_FAILED;
}
