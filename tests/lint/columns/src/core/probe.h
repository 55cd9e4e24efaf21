/* src/core/probe.h -- a word that no formatter can break. */
/* https://reports.example.org/a/path/that/goes/on/and/on/until/it/has/left/the/page/on/the/right/hand/side */
