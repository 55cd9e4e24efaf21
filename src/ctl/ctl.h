/* src/ctl/ctl.h -- reportctl's exit statuses, options and commands, one table each. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

/* Exit statuses: name, number, text for --help and the man page. */
#define CTL_EXITS(X)                                                                               \
    X(GOOD, 0, "Done")                                                                             \
    X(FAILED, 1, "The report ended in error, or the server rejected the request")                  \
    X(USAGE, 2, "The command line is wrong")                                                       \
    X(UNREACHABLE, 3, "The server cannot be reached or is unavailable")                            \
    X(AUTH, 4, "Not logged in, or not permitted")                                                  \
    X(LIMIT, 5, "A limit is reached: delete a report, or try again later")                         \
    X(LOCAL, 6, "A local file cannot be read or written, or a download is damaged")                \
    X(UNKNOWN, 7, "The reference or report type is unknown")                                       \
    X(INTERRUPTED, 130, "Interrupted (by SIGTERM: 143, by SIGHUP: 129)")

enum ctl_exit {
#define X(name, number, what) CTL_##name = number,
    CTL_EXITS(X)
#undef X
};

/* Options: member of struct ctl_options, letter (how a command lists it), long name, argument. A
 * capital letter has no short form. */
#define CTL_OPTIONS(X)                                                                             \
    X(server, 'S', "server", "URL", "The server, for example https://reports.example.org")         \
    X(cacert, 'E', "cacert", "FILE",                                                               \
      "Trust a server whose certificate an authority in FILE (PEM) made; login remembers it")      \
    X(json, 'J', "json", NULL, "Print the server's answer, or why there is none, as JSON")         \
    X(help, 'h', "help", NULL, "Print help, for the command if one is given")                      \
    X(version, 'V', "version", NULL, "Print the version")                                          \
    X(user, 'u', "user", "USER", "The name to log in with; of admin: only reports of this user")   \
    X(key_file, 'I', "key-file", "FILE",                                                           \
      "Send the API key in FILE with each request, instead of logging in")                         \
    X(token_command, 'X', "token-command", "CMD",                                                  \
      "Send the token that CMD prints; it runs again when the token is refused")                   \
    X(wait, 'W', "wait", NULL, "Wait until the report has finished")                               \
    X(key, 'K', "key", "KEY", "Idempotency-Key: the same key never makes a second report")         \
    X(output, 'o', "output", "FILE", "Write the result to FILE; - or none: standard output")       \
    X(format, 'F', "format", "FORMAT",                                                             \
      "The form of the result: json (default), ndjson, csv or xlsx")                               \
    X(labels, 'L', "labels", NULL, "Name columns by their labels: of csv, xlsx and rows")          \
    X(from, 'A', "from", "N", "Number of the first row, from 0")                                   \
    X(count, 'C', "count", "N", "How many rows: default 500")                                      \
    X(state, 'T', "state", "STATE", "Only reports that are queued, processing, complete or error") \
    X(name, 'M', "name", "NAME", "Only reports of this type")                                      \
    X(source, 'O', "source", "NAME", "Only reports that read this source")                         \
    X(before, 'B', "before", "TIME",                                                               \
      "Only reports submitted before this UTC time: 2026-01-31T00:00:00Z or 2026-01-31")           \
    X(dry_run, 'D', "dry-run", NULL, "Only print how many would be deleted")                       \
    X(yes, 'Y', "yes", NULL, "Do not ask before deleting many")                                    \
    X(receipt, 'R', "receipt", "FILE", "Save the server's receipt in FILE; -: standard output")    \
    X(page, 'P', "page", "N", "Number of the page, from 1")                                        \
    X(page_size, 'N', "page-size", "N", "Reports per page: default 100, at most 1000")

/* The options as given: NULL where not given, "" for one that takes no argument. */
struct ctl_options {
#define X(member, letter, name, argument, what) const char *member;
    CTL_OPTIONS(X)
#undef X
};

struct ctl {
    struct ctl_options options;
    char **arguments; /* after the command's name */
    size_t count;
    bool admin; /* of the reports of all users, as an operator */
};

/* A command does its work and prints its result on standard output: 0, or -E_* with the message for
 * the user in `err`; main() turns the code into the exit status. */
typedef int ctl_run(struct ctl *ctl, struct err *err);

ctl_run ctl_login;  /* ask for the password, save the tokens */
ctl_run ctl_logout; /* end the session, remove its tokens */
ctl_run ctl_types;  /* what may be run */
ctl_run ctl_submit; /* submit NAME Key=Value… */
ctl_run ctl_status; /* status REF */
ctl_run ctl_wait;   /* wait REF */
ctl_run ctl_get;    /* get REF */
ctl_run ctl_rows;   /* rows REF */
ctl_run ctl_link;   /* link REF */
ctl_run ctl_delete; /* delete REF, or all that match */
ctl_run ctl_list;   /* the user's reports */
ctl_run ctl_watch;  /* the user's reports, live */
ctl_run ctl_admin;  /* overview, list and delete for all users */
ctl_run ctl_do_run; /* submit, wait, get, delete */

/* Commands: name, arguments as shown in the usage, letters of its options (help, version, server,
 * cacert and json apply to all), least and most arguments, function, one line, more lines. */
#define CTL_COMMANDS(X)                                                                            \
    X("login", "", "uIX", 0, 0, ctl_login, "Log in and keep the tokens",                           \
      "Asks for the server and the user if they are not given, and for the password. The "         \
      "password is read from the "                                                                 \
      "terminal, or is one line of standard input if that is not a terminal; it is never an "      \
      "argument and never kept. If the connection is not encrypted, and not to this machine, a "   \
      "warning comes before the question. With --key-file or --token-command no password is "      \
      "asked for: the file or the command is remembered, and read or run when it is needed. "      \
      "Only one of -u, --key-file and --token-command may be given. Other commands send what "     \
      "the variable REPORTCTL_TOKEN has, a key or a token, in place of all this, to the server "   \
      "that --server names.")                                                                      \
    X("logout", "", "", 0, 0, ctl_logout, "End the session and forget its tokens",                 \
      "The session ends on the server. If that does not answer, the tokens are forgotten all "     \
      "the same, and the exit status says so. An API key or a token from a command is only "       \
      "forgotten: it stays valid, and so do links made with it.")                                  \
    X("types", "[NAME.Parameter]", "", 0, 1, ctl_types,                                            \
      "Show the reports you may run, and their parameters",                                        \
      "With NAME.Parameter, shows the choices of a parameter: one line for each, with value "      \
      "and label.")                                                                                \
    X("submit", "NAME [Key=Value ...]", "WK", 1, 1000, ctl_submit,                                 \
      "Submit a report and print its reference",                                                   \
      "If the connection breaks, the request is repeated safely: reportctl makes an "              \
      "Idempotency-Key if none is given.")                                                         \
    X("status", "REF", "", 1, 1, ctl_status, "Show the status of a report", "")                    \
    X("wait", "REF", "", 1, 1, ctl_wait, "Wait until a report has finished",                       \
      "Shows state, queue position, rows and time on standard error.")                             \
    X("get", "REF", "oFL", 1, 1, ctl_get, "Fetch the result of a complete report",                 \
      "With -o the result is written to FILE.part, checked against the server's SHA-256 digest "   \
      "and then renamed to FILE. A FILE that is not a plain file, such as a FIFO, is written "     \
      "to directly. A broken download continues where it stopped, or starts again in another "     \
      "format than json, of which there is no digest. From another machine the result comes "      \
      "compressed, if the server and libcurl can: then the server checks the digest, and the "     \
      "compression has a checksum.")                                                               \
    X("rows", "REF", "ACL", 1, 1, ctl_rows, "Show rows of a result as a table",                    \
      "Numbers keep all their digits, and NULL is shown as NULL. A nested array shows its number " \
      "of rows. More than 1,000 rows take several requests, and columns are aligned within each. " \
      "On a terminal long texts are cut; elsewhere nothing is. --json prints an answer of the "    \
      "server per request.")                                                                       \
    X("link", "REF", "FL", 1, 1, ctl_link, "Print a URL that downloads a result",                  \
      "Anyone who has the URL, such as a browser without a token, gets the result in that "        \
      "format, for 5 minutes. It ends with the report, and with the session, key or token that "   \
      "made it.")                                                                                  \
    X("delete", "[REF]", "TMBDYR", 0, 1, ctl_delete, "Delete a report, or all that match",         \
      "Works in every state: a queued report never starts, a running one is cancelled, a "         \
      "finished one is removed. Without REF, deletes all your reports that match --state, "        \
      "--name and --before, up to 10,000. It shows their number and asks first, unless --yes "     \
      "is given. The receipt is a signed statement of what was deleted, which reportd "            \
      "receipt checks; the server does not keep it.")                                              \
    X("list", "", "TMPN", 0, 0, ctl_list, "List your reports, newest first",                       \
      "The last column has the type and the parameters, as submit takes them, and of a report "    \
      "that failed the reason.")                                                                   \
    X("watch", "", "", 0, 0, ctl_watch, "Show your reports as they change",                        \
      "Prints a line for each active report, then one for each change, also of progress and of "   \
      "the place in the queue, until it is interrupted (Ctrl-C). With --json a line is the "       \
      "server's JSON of the event.")                                                               \
    X("admin", "overview|list|delete|pause|resume|drain|undrain [REF|SOURCE|NODE]", "uTMOBDYRPN",  \
      1, 2, ctl_admin, "See and delete the reports of all users, as an operator",                  \
      "overview shows the queue, nodes, workers, sources and disks; list and delete are as those " \
      "of one's own reports, of all users, and take --user and --source, too. No result is "       \
      "shown. The receipt of a deletion names the owner and the operator. After pause no report "  \
      "starts, or none that reads SOURCE, on any node, until resume; after drain NODE starts "     \
      "none, until undrain or its restart. Running reports continue.")                             \
    X("run", "NAME [Key=Value ...]", "oFL", 1, 1000, ctl_do_run,                                   \
      "Submit a report, wait, get its result and delete it",                                       \
      "Interrupting (Ctrl-C) deletes the report before reportctl ends. With --json a failure is "  \
      "an answer of the server, or {\"result\": false, \"message\": ...} if there is none.")
