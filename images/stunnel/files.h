/* The files that stunnel loads: which they are now, never what is in them. */
#ifndef FILES_H
#define FILES_H

#include <stdbool.h>
#include <stdint.h>

#include "config.h"

#define FILES_NONE 0xcbf29ce484222325 /* the mark of no file at all */

/* Readable after a change in a watched directory; -1 while none can be watched. */
extern int files_fd;

/* False, with errno, if this user has no instance of inotify left, or the kernel has none. */
bool files_watch(void);

/* Continues a mark, which differs when a file is another than before. Also watches its directory, in which the kubelet
 * swaps a symbolic link; where that fails, the caller has to check from time to time. */
uint64_t files_look_at(uint64_t mark, const char *path);
uint64_t files_look_at_all(uint64_t mark, const Config *config);

/* Whether all files of a section are there. A pod that is about to be replaced has not mounted its successor's. */
bool files_are_readable(const Section *section);

/* Into the log, since stunnel does not say which file it could not read. */
void files_log_unreadable(Span text);

#endif
