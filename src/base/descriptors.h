/* src/base/descriptors.h -- descriptors 0, 1 and 2 are never anything but the standard streams. */
#pragma once

/* Take those of the descriptors 0, 1 and 2 that are closed, so that no file or socket that is
 * opened later gets their number and what is meant for a standard stream is never written into it.
 * They stand for /dev/null, opened the other way round: reading and writing fail (EBADF) as on a
 * closed one. Ends the process if that cannot be done. Call it first thing in main(). */
void descriptors_fill_standard(void);
