/* src/base/version.h -- the version of reportd and reportctl. */
#ifndef BASE_VERSION_H
#define BASE_VERSION_H

#define REPORTD_VERSION "0.1.0"
#define API_VERSION "2.0"

#endif
