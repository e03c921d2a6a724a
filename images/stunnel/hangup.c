/* Loaded into stunnel (LD_PRELOAD): a connection that has ended in both directions is not over while bytes wait in it.
 *
 * A client has said all and closed its half; stunnel passes that on to the App; the App sends its answer and closes. From
 * then on poll(2) reports POLLHUP for the App's socket, always and without request. stunnel reads what is left as fast as its client
 * takes it. But when its buffer is full and the client does not take any more at this moment, POLLHUP is all that poll
 * reports, and stunnel 5.68 to 5.75 take it for the end: they report to the client an orderly end of an answer that is cut. Later
 * ones ask FIONREAD first. Here poll does it for them: such a socket is left out until something else happens, which can
 * only be the client's taking of bytes; then stunnel has space, asks for POLLIN, and reads to the end.
 *
 * To be removed with a stunnel that asks by itself; tests/images/test_half_closed.py shows it. Figures and what else was
 * tried: docs/design/2026-11-23-sidecar-hangup.md.
 */
#define _GNU_SOURCE
#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/ioctl.h>
#include <time.h>

enum { MILLION = 1000000, THOUSAND = 1000 };

static long long now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (long long)t.tv_sec * THOUSAND + t.tv_nsec / MILLION;
}

/* After a reset there is POLLERR, and stunnel is to see it. */
static bool has_only_hung_up(const struct pollfd *file)
{
    int bytes = 0;
    return (file->revents & (POLLHUP | POLLIN | POLLERR | POLLNVAL)) == POLLHUP &&
           ioctl(file->fd, FIONREAD, &bytes) == 0 && bytes > 0;
}

int poll(struct pollfd *files, nfds_t count, int timeout)
{
    long long end = now_ms() + timeout;
    bool left_out[count > 0 ? count : 1], again = true;
    int ready = 0;
    for (nfds_t i = 0; i < count; i++)
        left_out[i] = false;
    while (again) {
        long long left = timeout < 0 ? 0 : end - now_ms();
        left = left > 0 ? left : 0;
        struct timespec wait = {.tv_sec = (time_t)(left / THOUSAND), .tv_nsec = (long)(left % THOUSAND) * MILLION};
        ready = ppoll(files, count, timeout < 0 ? NULL : &wait, NULL);
        again = false;
        for (nfds_t i = 0; ready > 0 && i < count; i++) {
            if (!has_only_hung_up(&files[i]))
                continue;
            left_out[i] = again = true;
            files[i].fd = ~files[i].fd; /* ppoll passes over negative ones, and says that nothing happened there */
            files[i].revents = 0;
            ready--;
        }
        again = again && ready == 0;
    }
    for (nfds_t i = 0; i < count; i++)
        if (left_out[i])
            files[i].fd = ~files[i].fd;
    return ready;
}
