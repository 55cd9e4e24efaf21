/* src/core/probe.h -- hides a struct. */
typedef struct probe {
    int depth;
} probe_t;
