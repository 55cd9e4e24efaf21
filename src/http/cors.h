/* src/http/cors.h -- answers that pages of other origins may read (WHATWG Fetch, 3.2). */
#pragma once

#include <microhttpd.h>

#include "http/exchange.h"

/* If cors_origins has the request's Origin, add what lets its page read the answer, and, in an
 * answer to OPTIONS that has `Allow`, send such requests. Never with cookies. */
void cors_allow(struct exchange *ex, struct MHD_Response *response);
