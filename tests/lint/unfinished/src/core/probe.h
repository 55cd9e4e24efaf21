/* src/core/probe.h -- TODO: say what it does. */
