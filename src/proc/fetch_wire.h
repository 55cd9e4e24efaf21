/* src/proc/fetch_wire.h -- what the server and the process that fetches say to each other. The
 * server sends one packet: the URL, a NUL, the file of authorities or nothing, a NUL. The answer is
 * one packet or more, each with its kind before up to FETCH_PACKET_MAX - 1 bytes. */
#pragma once

enum { FETCH_PACKET_MAX = 32 << 10 };

#define FETCH_CONTENT 'c' /* what the URL serves */
#define FETCH_FAILURE 'f' /* why it was not fetched */
