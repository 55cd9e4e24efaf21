/* src/store/probe.h -- the store speaks HTTP. */
#include <microhttpd.h>
