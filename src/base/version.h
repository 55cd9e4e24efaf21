/* src/base/version.h -- the version of reportd and reportctl. */
#pragma once

#define REPORTD_VERSION "0.1.0"
#define API_VERSION "2.0"
