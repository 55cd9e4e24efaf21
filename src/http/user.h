/* src/http/user.h -- POST /User/Login, /User/RefreshToken and /User/Logout, GET /User/Me. */
#pragma once

#include "http/exchange.h"

/* First steps of the routes (see http/router.c). */
exchange_step user_login, user_refresh, user_logout, user_me;

/* Most reports that the caller may have active: the user's own limit, or the configuration's. */
int user_active_limit(const struct exchange *ex);

/* The threads that run argon2id for user_login(), off the HTTP threads: pushing can be refused.
 * NULL: no memory. */
struct work_queue *user_password_queue_new(void);
