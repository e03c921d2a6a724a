/* The entry point of the TLS sidecar: one stunnel, always with the files as they are now, and no connection lost.
 *
 * stunnel loads its files again at SIGHUP and keeps open connections, but it needs help to live in a pod:
 *   - It closes its listeners and binds them again, and refuses connections meanwhile. Listeners that it was handed at
 *     its start (sd_listen_fds(3)) it leaves open, so they are opened here.
 *   - It gives handed listeners to sections by position alone. Two sections that change places would swap their ports,
 *     and with them who is let in; one section less, and it serves nothing any more. So it reads not the ConfigMap's
 *     file but a copy of ours, in which each listener has its one section, in the order of the listeners.
 *   - It remembers its file by realpath(3): of a mounted ConfigMap that is a directory which the next change deletes.
 *   - It drops the end of an answer when the App closes while the client is slow (hangup.c), and takes a client by its
 *     common name or by a wildcard (names.c). preload.so, beside this program, is loaded into it against both.
 *   - It connects and listens where it is asked to, and only the pod knows its addresses (expand.c).
 *
 * The listeners are those of the start (decco rolls the pods when they change); all else follows the newest files. If
 * stunnel refuses those, what was in force stays in force, and renewed certificates still reach it. The reasons and
 * figures are in docs/design/2026-11-23-sidecar-image.md.
 *
 * Exit status: stunnel's own, 128+n if a signal ended it; 125 for a failure of the entry point itself, 126 and 127 if
 * stunnel cannot be executed or found.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "config.h"
#include "expand.h"
#include "files.h"
#include "launch.h"
#include "log.h"
#include "network.h"
#include "resources.h"

#define VERSION "0.1"
#ifndef SETTLE_MS
#define SETTLE_MS 200 /* the kubelet changes several volumes one after the other */
#endif
#ifndef POLL_MS
#define POLL_MS 10000 /* for where inotify reports nothing: virtual machines, or no instance left for this user */
#endif
#ifndef DRAIN_MS
#define DRAIN_MS 5000 /* the App has ended, and so do connections, but for bytes on their way to slow peers */
#endif

enum {
    ANSWER_MS = 10000, /* stunnel loads its files within some milliseconds */
    END_MS = 5000,     /* stunnel ends at once, unless a name server keeps it waiting */
    DRAIN_STEP_MS = 50,
};

static const char *config_path;
static Config *good, *trial; /* what stunnel has loaded last; what it was signalled to load */
static uint64_t seen;        /* mark of the files as they were then */
static pid_t stunnel;
static Network network;
static int config_fd, signal_fd, log_fd;
static bool log_stalled;
static int64_t answer_by, check_at, poll_at, drain_until, kill_at; /* milliseconds; 0: not waiting for that */

static int64_t now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* ---- the files that stunnel has loaded ---- */

/* What the file asks for in this pod, or NULL with config_error. */
static Config *read_config(void)
{
    Config *written = config_read(config_path), *config = written == NULL ? NULL : expanded(written, &network);
    config_drop(written);
    return config;
}

/* What stunnel has, in the copy from which it reads; at its start, or after SIGHUP. */
static void load(Config *config)
{
    size_t length = (size_t)(config_text(config).end - config->text);
    if (ftruncate(config_fd, 0) != 0 || pwrite(config_fd, config->text, length, 0) != (ssize_t)length)
        give_up("the copy of the configuration", strerror(errno));
    trial = config;
    answer_by = now() + ANSWER_MS;
    if (stunnel != 0)
        kill(stunnel, SIGHUP);
}

static void log_differences(const Config *fresh)
{
    for (int i = 0; i < good->count; i++) {
        const Section *next = config_find(fresh, good->sections[i].accept);
        if (next == NULL) {
            say(LOG_WARNING, "%s is no longer configured: it stays as it was while this container runs",
                good->sections[i].accept);
        } else if (!files_are_readable(next)) {
            say(LOG_WARNING, "%s stays as it was: not all its files are there", next->accept);
            files_log_unreadable(next->text);
        }
    }
    for (int i = 0; i < fresh->count; i++)
        if (config_find(good, fresh->sections[i].accept) == NULL)
            say(LOG_WARNING, "%s is not served: a new listener needs a new container", fresh->sections[i].accept);
}

/* Each mark is made before the content is read, so that a change in between is seen at the next check. */
static void check(void)
{
    check_at = 0;
    poll_at = now() + POLL_MS;
    if (answer_by || drain_until || kill_at)
        return; /* the answer leads here again; at the end nothing does */
    uint64_t mark = files_look_at_all(files_look_at(FILES_NONE, config_path), good);
    Config *fresh = read_config(), *next = NULL;
    if (fresh != NULL)
        mark = files_look_at_all(mark, fresh);
    if (mark != seen) {
        seen = mark;
        if (fresh != NULL && (next = config_merged(good, fresh, files_are_readable)) != NULL)
            log_differences(fresh);
        else
            say(LOG_ERROR, "%s: %s; the last good configuration stays", config_path, config_error);
        if (next == NULL || config_same(next, good)) {
            config_drop(next);
            next = good;
        }
        load(next);
    }
    config_drop(fresh);
}

/* stunnel says that it has started just before it handles signals. Until then they would be lost, or would kill it. */
static void await_handlers(void)
{
    static bool there;
    char path[64], text[4096];
    snprintf(path, sizeof path, "/proc/%d/status", (int)stunnel);
    for (int i = 0; !there && i < 1000; i++) {
        int file = open(path, O_RDONLY | O_CLOEXEC);
        ssize_t length = file < 0 ? -1 : read(file, text, sizeof text - 1);
        if (file >= 0)
            close(file);
        text[length > 0 ? length : 0] = '\0';
        const char *caught = strstr(text, "SigCgt:");
        there = caught == NULL || (strtoull(caught + 7, NULL, 16) & 1 << (SIGINT - 1)) != 0; /* the last it handles */
        if (!there)
            nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    }
}

static void answered(bool loaded)
{
    if (trial == NULL)
        return; /* too late, and it was signalled again */
    /* The loader goes on without a library that it cannot load. */
    if (loaded && !log_names_in_force)
        give_up(strchr(preload(), '=') + 1, "stunnel has not loaded it, so it would compare names as it likes");
    await_handlers();
    Config *was = trial;
    trial = NULL;
    answer_by = 0;
    check_at = now() + SETTLE_MS;
    if (!loaded)
        files_log_unreadable(config_text(was));
    if (loaded) {
        say(LOG_NOTICE, "configuration and certificates are loaded");
        if (was != good)
            config_drop(good);
        good = was;
    } else if (was == good) {
        say(LOG_ERROR, "stunnel refuses the files: what it has loaded before stays in force");
    } else {
        say(LOG_ERROR, "stunnel refuses the new configuration: the last good one stays, with the newest certificates");
        config_drop(was);
        load(good);
    }
}

/* ---- stunnel: its end ---- */

/* stunnel's sockets but for its listeners: two for each connection. */
static int open_sockets(void)
{
    char path[64], target[16];
    int sockets = -good->count;
    snprintf(path, sizeof path, "/proc/%d/fd", (int)stunnel);
    DIR *directory = opendir(path);
    if (directory == NULL)
        return 0;
    for (struct dirent *entry; (entry = readdir(directory)) != NULL;) {
        ssize_t length = readlinkat(dirfd(directory), entry->d_name, target, sizeof target);
        sockets += length > 7 && memcmp(target, "socket:", 7) == 0;
    }
    closedir(directory);
    return sockets > 0 ? sockets : 0;
}

static void terminate(void)
{
    drain_until = 0;
    kill_at = now() + END_MS;
    kill(stunnel, SIGTERM);
}

static bool relay(void)
{
    Outcome outcome;
    bool more = log_relay(&log_fd, &outcome);
    if (outcome != NOTHING)
        answered(outcome == LOADED);
    return more;
}

static void reap(void)
{
    int status;
    for (pid_t pid; (pid = waitpid(-1, &status, WNOHANG)) > 0;) {
        if (pid != stunnel)
            continue; /* an orphan: process 1 inherits those */
        while (log_fd >= 0 && log_is_read() && relay())
            ;
        if (trial == good)
            files_log_unreadable(config_text(good)); /* it has not even started */
        if (WIFSIGNALED(status))
            say(LOG_ERROR, "stunnel was ended by signal %d (%s)", WTERMSIG(status), strsignal(WTERMSIG(status)));
        else
            say(kill_at != 0 ? LOG_NOTICE : LOG_ERROR, "stunnel ended with status %d", WEXITSTATUS(status));
        exit(WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status));
    }
}

static void heed(int number)
{
    if (number == SIGCHLD) {
        reap();
    } else if (number == SIGHUP) {
        seen = 0;
        check_at = now();
    } else if (drain_until || kill_at) {
        terminate(); /* asked twice: at once */
    } else {
        say(LOG_NOTICE, "%s: ends when connections have, at the latest in %d s (%d sockets)", strsignal(number),
            DRAIN_MS / 1000, open_sockets());
        drain_until = now() + DRAIN_MS;
    }
}

/* ---- the loop ---- */

static bool due(int64_t *at)
{
    bool is_due = *at != 0 && now() >= *at;
    if (is_due)
        *at = 0;
    return is_due;
}

static int time_left(void)
{
    int64_t timers[] = {answer_by, check_at, poll_at, kill_at, drain_until ? now() + DRAIN_STEP_MS : 0};
    int64_t next = INT64_MAX, current = now();
    for (size_t i = 0; i < sizeof timers / sizeof *timers; i++)
        if (timers[i] != 0 && timers[i] < next)
            next = timers[i];
    return next > current ? (int)(next - current) : 0;
}

static void run_timers(void)
{
    if (drain_until && (open_sockets() == 0 || now() >= drain_until))
        terminate();
    if (due(&kill_at)) {
        kill_at = now() + END_MS;
        kill(stunnel, SIGKILL);
    }
    if (due(&answer_by)) {
        say(LOG_WARNING, "stunnel did not say whether it has loaded the files: it will be signalled again");
        if (trial != good)
            config_drop(trial);
        trial = NULL;
        seen = 0;
    }
    if (due(&check_at) || due(&poll_at))
        check();
}

static void run(void)
{
    for (struct signalfd_siginfo signal;;) {
        char events[4096];
        struct pollfd ready[] = {
            {.fd = signal_fd, .events = POLLIN},
            {.fd = files_fd, .events = POLLIN},
            {.fd = log_stalled ? STDERR_FILENO : log_fd, .events = log_stalled ? POLLOUT : POLLIN},
        };
        poll(ready, sizeof ready / sizeof *ready, time_left());
        if (read(signal_fd, &signal, sizeof signal) == sizeof signal)
            heed((int)signal.ssi_signo);
        if (ready[1].revents && read(files_fd, events, sizeof events) > 0 && check_at == 0)
            check_at = now() + SETTLE_MS; /* not put off by what follows, which may have no end */
        if (ready[2].revents) {
            log_stalled = !log_is_read();
            if (!log_stalled && log_fd >= 0)
                relay();
        }
        run_timers();
    }
}

static void begin(void)
{
    close_range(FIRST_LISTENER, ~0U, 0);
    uint64_t mark = files_look_at(FILES_NONE, config_path);
    network = network_read();
    good = read_config();
    if (good == NULL || good->count == 0)
        give_up(config_path, good == NULL ? config_error : "there is no section, so there is nothing to serve");
    listen_for(good);
    limit_clients(good->count);
    config_fd = memfd_create("stunnel.conf", MFD_CLOEXEC);
    if (!files_watch())
        say(LOG_WARNING, "inotify: %s; changes are found within %d s", strerror(errno), POLL_MS / 1000);
    sigset_t handled;
    sigemptyset(&handled);
    for (const int *s = (const int[]){SIGCHLD, SIGTERM, SIGINT, SIGQUIT, SIGHUP, 0}; *s != 0; s++)
        sigaddset(&handled, *s);
    sigprocmask(SIG_BLOCK, &handled, NULL);
    signal(SIGPIPE, SIG_IGN);
    signal_fd = signalfd(-1, &handled, SFD_CLOEXEC | SFD_NONBLOCK);
    if (config_fd < 0 || signal_fd < 0)
        give_up("start", strerror(errno));
    seen = files_look_at_all(files_look_at_all(mark, good), good); /* as in check(), with one configuration as both */
    load(good);
    stunnel = launch(config_fd, good->count, &log_fd);
    poll_at = now() + POLL_MS;
}

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "--version") == 0) {
        dprintf(STDOUT_FILENO, "decco TLS sidecar, entry point " VERSION "\n");
        putenv(preload());
        execl(STUNNEL, "stunnel4", "-version", (char *)NULL);
        give_up(STUNNEL, strerror(errno));
    }
    if (argc != 2 || argv[1][0] == '-') {
        dprintf(STDERR_FILENO, "usage: %s <configuration of stunnel> | --version\n", argv[0]);
        return FAILED;
    }
    config_path = argv[1];
    begin();
    run();
}
