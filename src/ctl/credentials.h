/* src/ctl/credentials.h -- who is logged in where: a 0600 file of the user's. */
#pragma once

#include "base/err.h"

/* $XDG_CONFIG_HOME/reportctl/credentials.json (default ~/.config). The password is never kept. */
struct credentials {
    char *server; /* as http_server() gives it */
    char *user;
    char *access_token, *refresh_token; /* of a login with a password, or … */
    char *key_file;      /* … the file with an API key, its absolute path, or … */
    char *token_command; /* … the command that prints a token, whose last output is
                          * `access_token` */
    char *cacert;        /* as http_cacert() gives it; NULL: none was named at the login */
};

void credentials_done(struct credentials *credentials); /* frees the strings, zeroes it */

/* Read them. -E_AUTH if nobody is logged in (err says how to), -E_IO if the file cannot be read, is
 * open to others or is damaged. *ret is yours: credentials_done(). */
int credentials_load(struct credentials *ret, struct err *err);

/* Write them: a new file, renamed over the old one, so that a crash leaves either. -E_IO. */
int credentials_save(const struct credentials *credentials, struct err *err);

/* Remove the file; 0 also if there is none. -E_IO. */
int credentials_remove(struct err *err);

/* Wait until no other reportctl exchanges tokens. *ret_fd is yours: close() it to let the next one.
 * -E_IO; -E_CANCELLED if a signal came. */
int credentials_lock(int *ret_fd, struct err *err);
