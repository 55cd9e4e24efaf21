/* src/core/key_file.h -- files that hold a secret of the server: made at the first start, mode
 * 0600, and durable before they have their name. */
#pragma once

#include <stdbool.h>

#include "base/buf.h"
#include "base/err.h"

enum { KEY_FILE_RANDOM_BYTES = 32 };

struct key_file {
    const char *path;
    const char *what; /* "key file": for messages */
    /* Append the content of a new file; a failure is the buffer's. NULL: it is never made. */
    void (*make)(struct buf *out);
    bool is_public; /* it may be readable by everyone, and be a pipe */
};

/* For `make`: the file is KEY_FILE_RANDOM_BYTES random bytes. */
void key_file_random(struct buf *out);

/* Append the content of the file to `ret` (at most its `max`), making the file if it is not there:
 * of two servers that start together one makes it and both use it. What a crash has left of a key
 * file (PATH.new) is removed, except next to a public one. -E_CONFIG, with a message that says
 * what to do, if it is no regular file, is open to more than its owner, is too long, or can't be
 * read or made; then `ret` may have a part. The caller clears `ret` before freeing it. */
int key_file_open(const struct key_file *file, struct buf *ret, struct err *err);

/* Append to `after` the content that replaces `before`. 0, or an error, which leaves the file.
 */
typedef int key_file_change_fn(void *context, const struct key_file *file, const struct buf *before,
                               struct buf *after, struct err *err);
/* Change the file, durably: at any time there is the old or the new, with the owner that it had.
 * Concurrent callers wait, and then change the new content. The result of `change`, or
 * -E_CONFIG if the file can't be read, written or given to that owner. */
int key_file_change(const struct key_file *file, key_file_change_fn *change, void *context,
                    struct err *err);

/* Clear the secret and free the buffer. */
void key_file_done(struct buf *content);
