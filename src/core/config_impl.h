/* src/core/config_impl.h -- shared by the files of the configuration. Only src/core/config*.c
 * includes this. */
#pragma once

#include <confuse.h>

#include "core/config.h"

/* config_section.c: the sections `issuer NAME {}`. For the parser's list. */
cfg_opt_t config_issuer_section(void);
/* -E_CONFIG with the file and the section. */
int config_issuers_take(struct config *config, cfg_t *cfg, struct err *err);
void config_issuers_free(struct config *config);

/* config.c: "PATH" → "FOLDER/PATH"; yours; NULL: out of memory. */
char *config_join_path(const char *folder, const char *path);
