/* src/spool/probe.h -- the spool waits for libpq by itself. */
#include <libpq-fe.h>
