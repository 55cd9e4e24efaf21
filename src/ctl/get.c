/* src/ctl/get.c -- the command get: downloads a result into FILE.part, checks and renames it; or
 * into a pipe. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/forms.h"
#include "base/str.h"
#include "ctl/commands.h"
#include "ctl/progress.h"
#include "ctl/signal.h"

enum {
    DIGEST_BYTES = 32,
    DIGEST_TEXT = 45, /* of 32 bytes in base64, with the NUL */
    RANGE_TEXT = 64,
    VALIDATOR_TEXT = 160,
    OPEN_AGAIN_MS = 50,
    STALLS_MAX = 3, /* consecutive tries that brought nothing */
};

/* The words of --format, the first by default, and their media types. */
static const struct format {
    const char *word, *type;
} formats[] = {
#define X(name, word, type) {word, type},
    FORMS(X)
#undef X
};

/* A download. It may take several requests: each continues where the previous one was
 * interrupted. */
struct download {
    struct http *http;
    const char *type; /* of the content */
    const char *path; /* of the file being written; NULL: standard output */
    int fd;
    int64_t len, total;       /* bytes written; bytes in all, 0: unknown */
    char last;                /* last byte written */
    bool begun;               /* the current request has returned data */
    char digest[DIGEST_TEXT]; /* base64 as sent by the server, "" if there was none */
    /* For If-Range. A result that was sent compressed is continued uncompressed, and of that only
     * the date is known. "": the server sent none. */
    char validator[VALIDATOR_TEXT];
    EVP_MD_CTX *hash;
    struct progress progress;
    struct err err; /* why writing failed */
};

static int write_download(struct download *download, const char *data, size_t len)
{
    while (len > 0) {
        ssize_t n = write(download->fd, data, len);

        if (n < 0 && errno == EINTR && !signal_came())
            continue;
        if (n < 0 && errno == EINTR)
            return err_set(&download->err, -E_CANCELLED, "interrupted");
        if (n < 0 && errno == EPIPE && download->path == NULL) {
            signal_lose_reader();
            return err_set(&download->err, -E_CANCELLED, "standard output was closed");
        }
        if (n < 0)
            return err_errno(&download->err, -E_IO, "cannot write %s",
                             download->path != NULL ? download->path : "standard output");
        data += n;
        len -= (size_t)n;
    }
    return 0;
}

/* Copy the digest from `sha-256=:BASE64:` (RFC 9530). */
static void read_digest_header(struct download *download, const char *header)
{
    const char *text = header != NULL ? strstr(header, "sha-256=:") : NULL;
    const char *end;

    if (text == NULL)
        return;
    text += strlen("sha-256=:");
    end = strchr(text, ':');
    if (end == NULL || end - text != DIGEST_TEXT - 1)
        return;
    memcpy(download->digest, text, DIGEST_TEXT - 1);
    download->digest[DIGEST_TEXT - 1] = '\0';
}

/* The whole result is sent (again) from its first byte. */
static int start_over(struct download *download)
{
    const char *validator = http_header(download->http, "ETag");
    bool coded = http_header(download->http, "Content-Encoding") != NULL;

    if (coded || validator == NULL || str_starts(validator, "W/"))
        validator = http_header(download->http, "Last-Modified");
    if (download->len > 0 && (download->path == NULL || ftruncate(download->fd, 0) != 0 ||
                              lseek(download->fd, 0, SEEK_SET) != 0))
        return err_set(&download->err, -E_IO,
                       "the download broke off where it cannot be continued; try again");
    download->len = 0;
    download->validator[0] = '\0';
    download->digest[0] = '\0';
    if (validator != NULL && !str_copy(download->validator, sizeof(download->validator), validator))
        download->validator[0] = '\0';
    download->total = 0;
    if (!coded) { /* otherwise tag, digests and length are those of the coded bytes */
        /* In a 200 both digests are of the whole; in a 206 only Repr-Digest would be. */
        read_digest_header(download, http_header(download->http, "Content-Digest"));
        read_digest_header(download, http_header(download->http, "Repr-Digest"));
        download->total = http_header_number(download->http, "Content-Length", 0);
    }
    if (EVP_DigestInit_ex(download->hash, EVP_sha256(), NULL) != 1)
        return err_set(&download->err, -E_NOMEM, "SHA-256 does not start");
    return 0;
}

static bool is_result(const struct download *download)
{
    const char *type = http_header(download->http, "Content-Type");

    return type != NULL && str_starts(type, download->type);
}

static int on_content(void *context, long status, const void *data, size_t len)
{
    struct download *download = context;

    if (!download->begun && !is_result(download))
        return -E_IO;
    if (!download->begun && status == 200 && start_over(download) != 0)
        return -E_IO;
    if (!download->begun && status == 206) /* there was none while it was compressed */
        read_digest_header(download, http_header(download->http, "Repr-Digest"));
    download->begun = true;
    if (download->path == NULL)
        api_set_printed();
    if (write_download(download, data, len) != 0)
        return -E_IO;
    EVP_DigestUpdate(download->hash, data, len);
    if (len > 0)
        download->last = ((const char *)data)[len - 1];
    download->len += (int64_t)len;
    if (download->path != NULL)
        progress_bar(&download->progress, download->len, download->total);
    return 0;
}

static int check_download_digest(struct download *download, struct err *err)
{
    unsigned char digest[EVP_MAX_MD_SIZE], text[DIGEST_TEXT];

    if (download->digest[0] == '\0')
        return 0;
    EVP_DigestFinal_ex(download->hash, digest, NULL);
    EVP_EncodeBlock(text, digest, DIGEST_BYTES);
    if (!str_eq((const char *)text, download->digest))
        return err_set(err, -E_IO,
                       "the result arrived damaged (its SHA-256 is not what the server "
                       "says); fetch it again");
    return 0;
}

/* One request for the rest, or for the whole if there is nothing yet. */
static int fetch_once(struct api *api, struct download *download, const char *path, struct err *err)
{
    char range[RANGE_TEXT], if_range[VALIDATOR_TEXT + 16];
    struct http_request request = {
        .method = "GET", .path = path, .write = on_content, .context = download};
    int rc;

    download->begun = false;
    request.compressed = !http_is_local(download->http) && download->len == 0;
    if (download->len > 0 && download->validator[0] != '\0') {
        snprintf(range, sizeof(range), "Range: bytes=%lld-", (long long)download->len);
        snprintf(if_range, sizeof(if_range), "If-Range: %s", download->validator);
        request.headers[0] = range;
        request.headers[1] = if_range;
    }
    rc = api_call(api, &request, NULL, err);
    /* A 200 from another program, or an empty one, is not a result. */
    if ((rc == 0 || (rc == -E_IO && download->err.code == 0)) && !download->begun)
        return api_unexpected(api, err);
    return rc;
}

static int fetch(struct api *api, struct download *download, const char *path, struct err *err)
{
    int stalls = 0;
    int rc;

    do {
        int64_t had = download->len;

        if (stalls > 0)
            http_pause(download->http, stalls);
        rc = fetch_once(api, download, path, err);
        if (rc == -E_IO && download->err.code != 0) {
            *err = download->err;
            rc = err->code;
        }
        stalls = download->len > had ? 1 : stalls + 1;
    } while (rc == -E_BUSY && stalls < STALLS_MAX && !signal_came());
    progress_done(&download->progress);
    return rc == 0 ? check_download_digest(download, err) : rc;
}

/* May the file at `path`, which is open, be written? Not if somebody else made it, who could read
 * it, or if another download is still writing it. */
static int claim_part(const char *path, int fd, struct err *err)
{
    struct stat st;

    if (fstat(fd, &st) != 0)
        return err_errno(err, -E_IO, "cannot look at %s", path);
    if (!S_ISREG(st.st_mode) || st.st_uid != geteuid())
        return err_set(err, -E_IO, "%s is not a file of yours; remove it, or choose another output",
                       path);
    /* Once it is ours, it is not the result of a download that has just ended. */
    if ((flock(fd, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK) ||
        !file_has_name(fd, path, AT_SYMLINK_NOFOLLOW))
        return err_set(err, -E_IO, "another download is writing %s", path);
    return ftruncate(fd, 0) == 0 ? 0 : err_errno(err, -E_IO, "cannot write %s", path);
}

/* O_NONBLOCK: something other than a file may be there. */
static int open_part(const char *path, mode_t mode, int *ret_fd, struct err *err)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_NONBLOCK | O_CLOEXEC | O_NOFOLLOW, mode);
    int rc;

    if (fd < 0)
        return err_errno(err, -E_IO, "cannot create %s", path);
    rc = claim_part(path, fd, err);
    if (rc == 0 && (mode & S_IRWXG) == 0)
        fchmod(fd, mode); /* what a killed download left may be for everybody */
    if (rc == 0)
        *ret_fd = fd;
    else
        close(fd);
    return rc;
}

/* Download into `output`.part and rename it, so that `output` is always complete. An existing file
 * keeps its mode, and until the rename only its owner can read the new one. */
static int fetch_file(struct api *api, struct download *download, const char *path,
                      const char *output, struct err *err)
{
    struct buf part;
    struct stat st;
    bool exists = stat(output, &st) == 0;
    int rc;

    buf_init(&part, PATH_MAX);
    buf_add_format(&part, "%s.part", output);
    download->path = buf_str(&part);
    download->fd = -1;
    if (buf_failed(&part))
        rc = err_set(err, -E_IO, "the name of %s is too long", output);
    else
        rc = open_part(download->path, exists ? 0600 : 0666, &download->fd, err);
    if (rc == 0) {
        rc = fetch(api, download, path, err);
        if (rc == 0 && exists && fchmod(download->fd, st.st_mode & 07777) != 0)
            rc = err_errno(err, -E_IO, "cannot give %s the mode of %s", download->path, output);
        if (rc == 0 && fsync(download->fd) != 0 && errno != EINVAL)
            rc = err_errno(err, -E_IO, "cannot write %s", download->path);
        if (rc == 0 && rename(download->path, output) != 0)
            rc = err_errno(err, -E_IO, "cannot rename %s to %s", download->path, output);
        if (rc != 0)
            unlink(download->path);
    }
    if (download->fd >= 0)
        close(download->fd);
    buf_done(&part);
    return rc;
}

/* Open an output that is not a regular file. A FIFO without a reader is waited for, but not in
 * open(), which would miss a signal that arrives just before it. */
static int open_special(const char *output, bool fifo, int *ret_fd, struct err *err)
{
    int fd;

    while ((fd = open(output, O_WRONLY | O_CLOEXEC | (fifo ? O_NONBLOCK : 0))) < 0 && fifo &&
           errno == ENXIO && !signal_came())
        signal_sleep(OPEN_AGAIN_MS);
    if (fd >= 0 && fcntl(fd, F_SETFL, 0) == 0 && !signal_came()) {
        *ret_fd = fd;
        return 0;
    }
    err_errno(err, -E_IO, "cannot open %s", output);
    if (fd >= 0)
        close(fd);
    return signal_came() ? err_set(err, -E_CANCELLED, "interrupted") : -E_IO;
}

/* An output that is not a regular file, such as a FIFO or /dev/null, is written to, not
 * replaced. */
static int fetch_into(struct api *api, struct download *download, const char *path,
                      const char *output, bool fifo, struct err *err)
{
    int rc = open_special(output, fifo, &download->fd, err);

    if (rc != 0)
        return rc;
    download->path = output;
    rc = fetch(api, download, path, err);
    close(download->fd);
    return rc;
}

/* Download to standard output; on a terminal, the prompt starts on a new line. */
static int fetch_out(struct api *api, struct download *download, const char *path, struct err *err)
{
    int rc = fetch(api, download, path, err);

    if (rc == 0 && download->last != '\n' && isatty(download->fd) &&
        write_download(download, "\n", 1) != 0) {
        *err = download->err;
        rc = err->code;
    }
    return rc;
}

/* A symbolic link stays: its target is replaced, or made. */
static int fetch_link(struct api *api, struct download *download, const char *path,
                      const char *output, struct err *err)
{
    char real[PATH_MAX];
    struct stat st;
    bool made = stat(output, &st) != 0;
    int fd = made ? open(output, O_WRONLY | O_CREAT | O_CLOEXEC, 0666) : -1;
    int rc;

    if ((made && fd < 0) || realpath(output, real) == NULL)
        rc = err_errno(err, -E_IO, "cannot write what %s links to", output);
    else
        rc = fetch_file(api, download, path, real, err);
    if (fd >= 0) {
        close(fd);
        if (rc != 0)
            unlink(real);
    }
    return rc;
}

/* Is it /dev/stdout, or another name of standard output? That may be in the middle of a file. */
static bool is_stdout(const struct stat *st)
{
    struct stat out;

    return fstat(STDOUT_FILENO, &out) == 0 && out.st_dev == st->st_dev && out.st_ino == st->st_ino;
}

static int fetch_to(struct api *api, struct download *download, const char *path,
                    const char *output, struct err *err)
{
    struct stat st;

    if (output == NULL || str_eq(output, "-") || (stat(output, &st) == 0 && is_stdout(&st)))
        return fetch_out(api, download, path, err);
    if (stat(output, &st) == 0 && !S_ISREG(st.st_mode))
        return fetch_into(api, download, path, output, S_ISFIFO(st.st_mode), err);
    if (lstat(output, &st) == 0 && S_ISLNK(st.st_mode))
        return fetch_link(api, download, path, output, err);
    return fetch_file(api, download, path, output, err);
}

/* NULL: there is no such format. */
static const struct format *find_format(const char *word)
{
    for (size_t i = 0; i < sizeof(formats) / sizeof(formats[0]); i++) {
        if (word == NULL || str_eq(word, formats[i].word))
            return &formats[i];
    }
    return NULL;
}

int step_check_format(const struct ctl_options *options, struct err *err)
{
    return find_format(options->format) != NULL
               ? 0
               : err_set(err, -E_INVALID, "'%s' is not a format; write json, ndjson, csv or xlsx",
                         options->format);
}

static int result_path(const char *reference, const struct ctl_options *options, struct buf *path,
                       struct err *err)
{
    char base[API_PATH_MAX];
    int rc = api_reference_path("Report", reference, base, err);

    if (rc == 0)
        buf_add_str(path, base);
    return rc ?: api_add_query(path, "format", options->format, err)
              ?: api_add_query(path, "labels", options->labels != NULL ? "1" : NULL, err);
}

int step_get(struct api *api, const char *reference, const struct ctl_options *options,
             struct err *err)
{
    struct download download = {
        .http = api_http(api), .fd = STDOUT_FILENO, .hash = EVP_MD_CTX_new()};
    struct buf path;
    int rc = step_check_format(options, err);

    buf_init(&path, (size_t)2 * API_PATH_MAX);
    rc = rc ?: result_path(reference, options, &path, err);
    if (rc == 0)
        download.type = find_format(options->format)->type;
    if (rc == 0 && download.hash == NULL)
        rc = err_set(err, -E_NOMEM, "out of memory");
    progress_init(&download.progress);
    fflush(stdout);
    if (rc == 0)
        rc = fetch_to(api, &download, buf_str(&path), options->output, err);
    EVP_MD_CTX_free(download.hash);
    buf_done(&path);
    return rc;
}

int ctl_get(struct ctl *ctl, struct err *err)
{
    struct api *api;
    int rc = step_check_format(&ctl->options, err) ?: api_open(&ctl->options, &api, err);

    if (rc != 0)
        return rc;
    rc = step_get(api, ctl->arguments[0], &ctl->options, err);
    api_free(api);
    return rc;
}
