/* The container's log: lines of the entry point, in the form of stunnel's, and those of stunnel as they come. */
#ifndef LOG_H
#define LOG_H

#include <stdbool.h>

enum { LOG_ERROR = 3, LOG_WARNING, LOG_NOTICE }; /* stunnel's levels, which are syslog's */
enum { FAILED = 125, NOT_EXECUTABLE, NOT_FOUND };

typedef enum { NOTHING, LOADED, REFUSED } Outcome; /* what stunnel says of its configuration */

/* One line. If nobody reads the log it is lost, since signals must be heard all the same. */
void say(int level, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Ends the entry point with status FAILED. */
void give_up(const char *what, const char *reason) __attribute__((noreturn));

/* The memory that was asked for, or give_up. */
void *allocated(void *memory);

/* Whether the next few kilobytes can be written without waiting for a reader. */
bool log_is_read(void);

/* Whether the library that is loaded into stunnel has said that it is in force (names.h). */
extern bool log_names_in_force;

/* Passes on what *from has to read, once; closes it at its end, and sets it to -1. False if there was nothing. */
bool log_relay(int *from, Outcome *outcome);

#endif
