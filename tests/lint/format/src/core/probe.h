/* src/core/probe.h -- not as clang-format has it. */
enum {DEPTH=10};
