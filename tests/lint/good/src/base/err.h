/* src/base/err.h -- stands in for the real one. */
struct err;
