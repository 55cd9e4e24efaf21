/* src/http/user.h -- the paths under /User/. */
#pragma once

#include "http/exchange.h"

/* First steps of the routes (see http/router.c). */
exchange_step user_login, user_refresh, user_logout, user_me, user_password, user_sessions,
    user_session_end;

/* Most reports that the caller may have active: the user's own limit, or the configuration's. */
int user_active_limit(const struct exchange *ex);
