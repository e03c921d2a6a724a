#include "log.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "names.h"

enum {
    CHUNK = 4096, /* a pipe that poll(2) calls writable takes that much at once */
    STAMP = 20,   /* "2026.11.23 16:41:43 " */
};

bool log_names_in_force;

bool log_is_read(void)
{
    struct pollfd out = {.fd = STDERR_FILENO, .events = POLLOUT};
    return poll(&out, 1, 0) == 1;
}

static void put(const char *text, size_t length)
{
    for (ssize_t done; length > 0; text += done, length -= (size_t)done)
        if ((done = write(STDERR_FILENO, text, length)) < 0)
            return; /* and where should that be said? */
}

void say(int level, const char *format, ...)
{
    char line[1024];
    time_t seconds = time(NULL);
    size_t used = strftime(line, sizeof line, "%Y.%m.%d %H:%M:%S", localtime(&seconds));
    used += (size_t)snprintf(line + used, sizeof line - used, " LOG%d[entry]: ", level);
    va_list values;
    va_start(values, format);
    used += (size_t)vsnprintf(line + used, sizeof line - used, format, values);
    va_end(values);
    used = used < sizeof line - 1 ? used : sizeof line - 1;
    line[used++] = '\n';
    if (log_is_read())
        put(line, used);
}

void give_up(const char *what, const char *reason)
{
    say(LOG_ERROR, "%s: %s", what, reason);
    exit(FAILED);
}

void *allocated(void *memory)
{
    if (memory == NULL)
        give_up("memory", strerror(ENOMEM));
    return memory;
}

/* Whole lines are compared, and [ui] is stunnel's main thread: no peer's name can pass for one of these. */
static bool is(const char *line, size_t length, const char *text)
{
    return length == STAMP + strlen(text) && memcmp(line + STAMP, text, strlen(text)) == 0;
}

static bool starts(const char *line, size_t length, size_t from, const char *text)
{
    return length >= from + strlen(text) && memcmp(line + from, text, strlen(text)) == 0;
}

/* Of no use to a reader, though said at each load: "No trusted certificates" of each section that asks for none, and
 * "Insecure file permissions" of volumes which no other container mounts. "[ ] " are the details of a failed start. */
static bool is_noise(const char *line, size_t length)
{
    return is(line, length, "LOG5[ui]: UTF-8 byte order mark not detected") ||
           is(line, length, "LOG5[ui]: FIPS mode disabled") ||
           is(line, length, "LOG3[ui]: No trusted certificates found") ||
           starts(line, length, STAMP, "LOG4[ui]: Insecure file permissions on ") || starts(line, length, 0, "[ ] ");
}

bool log_relay(int *from, Outcome *outcome)
{
    static char buffer[CHUNK];
    static size_t used;
    ssize_t got = read(*from, buffer + used, sizeof buffer - used);
    *outcome = NOTHING;
    if (got < 0)
        return false;
    if (got == 0) {
        put(buffer, used);
        close(*from);
        *from = -1;
        return false;
    }
    used += (size_t)got;
    char *rest = buffer, *kept = buffer;
    for (char *end; (end = memchr(rest, '\n', (size_t)(buffer + used - rest))) != NULL; rest = end + 1) {
        size_t length = (size_t)(end - rest);
        if (is(rest, length, "LOG5[ui]: Configuration successful"))
            *outcome = LOADED;
        else if (is(rest, length, "LOG3[ui]: Failed to reload the configuration file"))
            *outcome = REFUSED;
        bool is_names = length == strlen(NAMES_IN_FORCE) && memcmp(rest, NAMES_IN_FORCE, length) == 0;
        log_names_in_force = log_names_in_force || is_names;
        if (!is_names && !is_noise(rest, length)) {
            memmove(kept, rest, length + 1);
            kept += length + 1;
        }
    }
    if (rest == buffer && used == sizeof buffer)
        kept = rest = buffer + used; /* a line that fills the buffer goes out in pieces */
    put(buffer, (size_t)(kept - buffer));
    used -= (size_t)(rest - buffer);
    memmove(buffer, rest, used);
    return true;
}
