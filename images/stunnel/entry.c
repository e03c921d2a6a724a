/* The entry point of the TLS sidecar: one stunnel, always with the files as they are now, and no connection lost.
 *
 * stunnel loads its files anew at SIGHUP and keeps open connections, but it needs help to live in a pod:
 *   - It closes its listeners and binds them anew, and refuses connections meanwhile. Listeners that it was handed at
 *     its start (sd_listen_fds(3)) it leaves open, so they are opened here.
 *   - It gives handed listeners to sections by position alone. Two sections that change places would swap their ports,
 *     and with them who is let in; one section less, and it serves nothing any more. So it reads not the ConfigMap's
 *     file but a copy of ours, in which each listener has its one section, in the order of the listeners.
 *   - It remembers its file by realpath(3): of a mounted ConfigMap that is a directory which the next change deletes.
 *
 * The listeners are those of the start (decco rolls the pods when they change); all else follows the newest files. If
 * stunnel refuses those, what was in force stays in force, and renewed certificates still reach it. The reasons and
 * figures are in docs/design/2026-11-23-sidecar-image.md.
 *
 * Exit status: stunnel's own, 128+n if a signal ended it; 125 for a failure of the entry point itself, 126 and 127 if
 * stunnel cannot be executed or found.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define VERSION "0.1"
#ifndef STUNNEL
#define STUNNEL "/usr/bin/stunnel4"
#endif
#ifndef POLL_MS
#define POLL_MS 10000 /* for where inotify tells nothing: virtual machines, or no instance left for this user */
#endif
#ifndef DRAIN_MS
#define DRAIN_MS 5000 /* the App has ended, so connections end by themselves, but for bytes on their way to slow peers */
#endif
enum {
    SETTLE_MS = 200,       /* the kubelet changes several volumes one after the other */
    ANSWER_MS = 10000,     /* stunnel loads its files within some milliseconds */
    END_MS = 5000,         /* stunnel ends at once, unless a name server keeps it waiting */
    DRAIN_STEP_MS = 50,
    MAX_CONFIG = 1 << 20,  /* a ConfigMap has no more */
    MAX_LINE = 16000,      /* stunnel takes what exceeds 16383 bytes for another line */
    MAX_SECTIONS = 1024,
    FIRST_LISTENER = 3,    /* SD_LISTEN_FDS_START */
    LOG_CHUNK = 4096,      /* a pipe that poll(2) calls writable takes that much at once */
    STAMP = 20,            /* "2026.11.23 16:41:43 " */
    ERROR = 3, WARNING, NOTICE, /* stunnel's levels, which are syslog's */
    FAILED = 125, NOT_EXECUTABLE, NOT_FOUND,
};

typedef struct {
    const char *at, *end;
} Span;

typedef struct {
    Span text; /* from its "[name]" to the next one */
    struct sockaddr_storage address;
    char accept[INET6_ADDRSTRLEN + 8];
} Section;

typedef struct {
    char *text;
    Span global; /* what stands before the first section */
    Section *sections;
    int count;
} Config;

static const char *config_path;
static Config *good, *trial; /* what stunnel has loaded last; what it was told to load */
static uint64_t seen;        /* mark of the files as they were then */
static pid_t stunnel;
static int config_fd, signal_fd, inotify_fd, log_fd;
static bool log_stalled;
static int64_t answer_by, check_at, poll_at, drain_until, kill_at; /* milliseconds; 0: not waiting for that */
static char why[512];                                              /* the sentence of the last refusal */

static int64_t now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static bool log_is_read(void)
{
    struct pollfd out = {.fd = STDERR_FILENO, .events = POLLOUT};
    return poll(&out, 1, 0) == 1;
}

static void put(const char *text, size_t length)
{
    for (ssize_t put; length > 0; text += put, length -= (size_t)put)
        if ((put = write(STDERR_FILENO, text, length)) < 0)
            return; /* and where should that be said? */
}

/* A line in stunnel's form. If nobody reads the log it is lost: signals must be heard all the same. */
__attribute__((format(printf, 2, 3))) static void say(int level, const char *format, ...)
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

__attribute__((format(printf, 1, 2))) static bool refuse(const char *format, ...)
{
    va_list values;
    va_start(values, format);
    vsnprintf(why, sizeof why, format, values);
    va_end(values);
    return false;
}

static _Noreturn void give_up(const char *what, const char *reason)
{
    say(ERROR, "%s: %s", what, reason);
    exit(FAILED);
}

static void *allocated(void *memory)
{
    if (memory == NULL)
        give_up("memory", strerror(ENOMEM));
    return memory;
}

/* ---- the configuration: of stunnel's grammar as much as is needed here, the rest is for stunnel to judge ---- */

static bool blank(char c)
{
    return c == ' ' || c == '\t';
}

static bool next_line(const char **at, const char *end, Span *line)
{
    if (*at == end)
        return false;
    const char *stop = memchr(*at, '\n', (size_t)(end - *at));
    *line = (Span){*at, stop == NULL ? end : stop};
    *at = stop == NULL ? end : stop + 1;
    while (line->at < line->end && blank(*line->at))
        line->at++;
    while (line->at < line->end && blank(line->end[-1]))
        line->end--;
    return true;
}

/* Whether the line is "name = value"; value is "" if it could be neither a path nor an address. */
static bool option(Span line, const char *name, char value[PATH_MAX])
{
    size_t length = strlen(name);
    if ((size_t)(line.end - line.at) <= length || strncasecmp(line.at, name, length) != 0)
        return false;
    for (line.at += length; line.at < line.end && blank(*line.at);)
        line.at++;
    if (line.at == line.end || *line.at++ != '=')
        return false;
    while (line.at < line.end && blank(*line.at))
        line.at++;
    length = (size_t)(line.end - line.at) < PATH_MAX ? (size_t)(line.end - line.at) : 0;
    memcpy(value, line.at, length);
    value[length] = '\0';
    return true;
}

/* "<address>:<port>" or "<port>"; stunnel splits at the last colon, so that ":::443" is [::]:443. */
static bool set_accept(Section *section, const char *value)
{
    struct sockaddr_in *four = (struct sockaddr_in *)&section->address;
    struct sockaddr_in6 *six = (struct sockaddr_in6 *)&section->address;
    const char *colon = strrchr(value, ':'), *digits = colon == NULL ? value : colon + 1;
    char host[INET6_ADDRSTRLEN] = "::", *rest = NULL;
    if (colon != NULL)
        snprintf(host, sizeof host, "%.*s", (int)(colon - value), value);
    unsigned long port = *digits >= '0' && *digits <= '9' ? strtoul(digits, &rest, 10) : 0;
    if (port < 1 || port > UINT16_MAX || *rest != '\0')
        return refuse("accept = %.80s: there is no port from 1 to 65535", value);
    if (inet_pton(AF_INET, host, &four->sin_addr) == 1) {
        four->sin_family = AF_INET;
        four->sin_port = htons((uint16_t)port);
    } else if (inet_pton(AF_INET6, host, &six->sin6_addr) == 1) {
        six->sin6_family = AF_INET6;
        six->sin6_port = htons((uint16_t)port);
    } else {
        return refuse("accept = %.80s: the address must be a number", value);
    }
    snprintf(section->accept, sizeof section->accept, "%s:%lu", host, port);
    return true;
}

static const Section *find(const Config *config, const char *accept)
{
    for (int i = 0; i < config->count; i++)
        if (strcmp(config->sections[i].accept, accept) == 0)
            return &config->sections[i];
    return NULL;
}

static bool end_section(Config *config, const char *end)
{
    Section *last = &config->sections[config->count - 1];
    last->text.end = end;
    if (last->accept[0] == '\0')
        return refuse("section %d has no accept line", config->count);
    if (find(config, last->accept) != last)
        return refuse("two sections accept at %s", last->accept);
    return true;
}

static bool take_line(Config *config, Span line, const char *start)
{
    char value[PATH_MAX];
    for (const char *c = line.at; c < line.end; c++)
        if ((unsigned char)*c < ' ' && *c != '\t')
            return refuse("section %d has a control character in it", config->count);
    if (line.end - start > MAX_LINE)
        return refuse("section %d has a line of more than %d bytes", config->count, MAX_LINE);
    if (line.at < line.end && *line.at == '[' && line.end[-1] == ']') {
        if (config->count == MAX_SECTIONS)
            return refuse("there are more than %d sections", MAX_SECTIONS);
        if (config->count == 0)
            config->global.end = start;
        else if (!end_section(config, start))
            return false;
        size_t size = (size_t)(config->count + 1) * sizeof *config->sections;
        config->sections = allocated(realloc(config->sections, size));
        config->sections[config->count++] = (Section){.text = {start, start}};
    } else if (option(line, "include", value)) {
        return refuse("include is not supported"); /* it could bring sections that nobody counted */
    } else if (config->count > 0 && option(line, "accept", value)) {
        Section *last = &config->sections[config->count - 1];
        if (last->accept[0] != '\0')
            return refuse("section %d has two accept lines", config->count);
        return set_accept(last, value);
    }
    return true;
}

static void drop(Config *config)
{
    if (config != NULL) {
        free(config->sections);
        free(config->text);
        free(config);
    }
}

/* Takes the text over. NULL, with a sentence in why, for what cannot be served. */
static Config *parse(char *text, size_t length)
{
    Config *config = allocated(malloc(sizeof *config));
    const char *at = text, *start = text, *end = text + length;
    *config = (Config){.text = text, .global = {text, end}};
    bool right = true;
    for (Span line; right && next_line(&at, end, &line); start = at)
        right = take_line(config, line, start);
    if (right && (config->count == 0 || end_section(config, end)))
        return config;
    drop(config);
    return NULL;
}

static Config *read_config(void)
{
    char *text = allocated(malloc(MAX_CONFIG + 1));
    size_t length = 0;
    ssize_t got = -1;
    int file = open(config_path, O_RDONLY | O_CLOEXEC);
    while (file >= 0 && (got = read(file, text + length, MAX_CONFIG + 1 - length)) > 0)
        length += (size_t)got;
    int error = errno;
    if (file >= 0)
        close(file);
    if (got == 0 && length <= MAX_CONFIG)
        return parse(allocated(realloc(text, length + 1)), length);
    refuse("%s", got < 0 ? strerror(error) : "it is larger than 1 MiB");
    free(text);
    return NULL;
}

static Span section_for(const Config *fresh, int listener)
{
    const Section *now_has = &good->sections[listener], *next = find(fresh, now_has->accept);
    return next == NULL ? now_has->text : next->text;
}

/* What is new, for exactly the listeners that stunnel was handed, in their order. */
static Config *merged(const Config *fresh)
{
    size_t room = (size_t)(fresh->global.end - fresh->global.at) + 1, length = 0;
    for (int i = 0; i < good->count; i++)
        room += (size_t)(section_for(fresh, i).end - section_for(fresh, i).at) + 1;
    char *text = allocated(malloc(room));
    for (int i = -1; i < good->count; i++) {
        Span part = i < 0 ? fresh->global : section_for(fresh, i);
        memcpy(text + length, part.at, (size_t)(part.end - part.at));
        length += (size_t)(part.end - part.at);
        if (length > 0 && text[length - 1] != '\n')
            text[length++] = '\n';
    }
    for (int i = 0; i < good->count; i++)
        if (find(fresh, good->sections[i].accept) == NULL)
            say(WARNING, "%s is no longer configured: it stays as it was until the pod ends", good->sections[i].accept);
    for (int i = 0; i < fresh->count; i++)
        if (find(good, fresh->sections[i].accept) == NULL)
            say(WARNING, "%s is not served: a new listener needs a new pod", fresh->sections[i].accept);
    return parse(text, length);
}

/* ---- the files: which they are now, never what is in them ---- */

static uint64_t mixed(uint64_t mark, uint64_t value)
{
    for (int i = 0; i < 8; i++, value >>= 8)
        mark = (mark ^ (value & 0xff)) * 0x100000001b3; /* FNV-1a */
    return mark;
}

/* Also watches its directory, in which the kubelet swaps a symbolic link. Where that fails there is the slow look. */
static uint64_t look_at(uint64_t mark, const char *path)
{
    char directory[PATH_MAX] = ".";
    const char *slash = strrchr(path, '/');
    if (slash != NULL)
        snprintf(directory, sizeof directory, "%.*s", (int)(slash - path) + 1, path);
    inotify_add_watch(inotify_fd, directory, IN_CREATE | IN_CLOSE_WRITE | IN_MOVED_TO | IN_DELETE | IN_ONLYDIR);
    struct stat s;
    if (stat(path, &s) != 0)
        return mixed(mark, 0);
    mark = mixed(mixed(mixed(mark, s.st_dev), s.st_ino), (uint64_t)s.st_size);
    mark = mixed(mixed(mark, (uint64_t)s.st_mtim.tv_sec), (uint64_t)s.st_mtim.tv_nsec);
    return mixed(mixed(mark, (uint64_t)s.st_ctim.tv_sec), (uint64_t)s.st_ctim.tv_nsec);
}

static uint64_t look_at_files(uint64_t mark, const Config *config)
{
    static const char *const names[] = {"cert", "key", "CAfile", "CRLfile"};
    char path[PATH_MAX];
    const char *at = config->text, *end = config->count ? config->sections[config->count - 1].text.end : at;
    for (Span line; next_line(&at, end, &line);)
        for (size_t i = 0; i < sizeof names / sizeof *names; i++)
            if (option(line, names[i], path))
                mark = look_at(mark, path);
    return mark;
}

static void load(Config *config)
{
    const char *end = config->sections[config->count - 1].text.end;
    size_t length = (size_t)(end - config->text);
    if (ftruncate(config_fd, 0) != 0 || pwrite(config_fd, config->text, length, 0) != (ssize_t)length)
        give_up("the copy of the configuration", strerror(errno));
    trial = config;
    answer_by = now() + ANSWER_MS;
    if (stunnel != 0)
        kill(stunnel, SIGHUP);
}

/* Marks come before contents: a change in between is seen at the next look, and never missed. */
static void check(void)
{
    check_at = 0;
    poll_at = now() + POLL_MS;
    if (answer_by || drain_until || kill_at)
        return; /* the answer leads here again; at the end nothing does */
    uint64_t mark = look_at_files(look_at(0xcbf29ce484222325, config_path), good);
    Config *fresh = read_config(), *next = good;
    if (fresh != NULL)
        mark = look_at_files(mark, fresh);
    if (mark != seen) {
        seen = mark;
        if (fresh == NULL)
            say(ERROR, "%s: %s; the last good one stays", config_path, why);
        else
            next = merged(fresh);
        load(next);
    }
    drop(fresh);
}

static void answered(bool loaded)
{
    if (trial == NULL)
        return;
    Config *refused = loaded || trial == good ? NULL : trial;
    if (loaded && trial != good) {
        drop(good);
        good = trial;
    }
    say(loaded ? NOTICE : ERROR, loaded ? "configuration and certificates are loaded"
        : refused ? "stunnel refuses the new configuration: the last good one stays, with the newest certificates"
                  : "stunnel refuses the files: what it loaded before stays in force");
    trial = NULL;
    answer_by = 0;
    check_at = now() + SETTLE_MS;
    if (refused) {
        drop(refused);
        load(good);
    }
}

/* ---- stunnel: its listeners, its log, its end ---- */

static int opened(const Section *section)
{
    struct sockaddr_storage address = section->address;
    struct sockaddr_in6 *six = (struct sockaddr_in6 *)&address;
    int on = 1, off = 0, listener = socket(address.ss_family, SOCK_STREAM, 0);
    if (listener < 0 && errno == EAFNOSUPPORT && IN6_IS_ADDR_UNSPECIFIED(&six->sin6_addr)) {
        struct sockaddr_in any = {.sin_family = AF_INET, .sin_port = six->sin6_port}; /* a node without IPv6 */
        memcpy(&address, &any, sizeof any);
        listener = socket(AF_INET, SOCK_STREAM, 0);
    }
    bool six_too = address.ss_family == AF_INET6;
    socklen_t length = six_too ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in);
    if (listener < 0 || setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0 ||
        (six_too && setsockopt(listener, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off) != 0) ||
        bind(listener, (struct sockaddr *)&address, length) != 0 || listen(listener, SOMAXCONN) != 0)
        give_up(section->accept, strerror(errno));
    return listener;
}

static void start(void)
{
    int ends[2];
    pid_t self = getpid();
    if (pipe2(ends, O_CLOEXEC) != 0 || (stunnel = fork()) < 0)
        give_up("start", strerror(errno));
    if (stunnel > 0) {
        close(ends[1]);
        log_fd = ends[0];
        fcntl(log_fd, F_SETFL, O_NONBLOCK);
        return;
    }
    char listeners[32], owner[32];
    snprintf(listeners, sizeof listeners, "LISTEN_FDS=%d", good->count);
    snprintf(owner, sizeof owner, "LISTEN_PID=%d", (int)getpid());
    sigset_t none;
    sigemptyset(&none);
    signal(SIGHUP, SIG_IGN); /* until stunnel handles it: by default it kills */
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    setsid(); /* no terminal, so that nothing asks there for a key's passphrase */
    /* "-fd 0" makes stunnel read its standard input first, and open a file named "0" at each reload: in this directory
     * that is its standard input from the beginning, our copy in memory. The pod has nowhere to write a file. */
    if (getppid() != self || dup2(config_fd, STDIN_FILENO) < 0 || dup2(ends[1], STDOUT_FILENO) < 0 ||
        dup2(ends[1], STDERR_FILENO) < 0 || chdir("/proc/self/fd") != 0 || sigprocmask(SIG_SETMASK, &none, NULL) != 0)
        give_up("start", strerror(errno));
    char *arguments[] = {"stunnel4", "-fd", "0", NULL}, *environment[] = {listeners, owner, NULL};
    execve(STUNNEL, arguments, environment);
    say(ERROR, "%s: %s", STUNNEL, strerror(errno));
    _exit(errno == ENOENT ? NOT_FOUND : NOT_EXECUTABLE);
}

/* stunnel's sockets but for its listeners; two for each connection. */
static int open_sockets(void)
{
    char path[64], target[16];
    int sockets = -good->count;
    snprintf(path, sizeof path, "/proc/%d/fd", (int)stunnel);
    DIR *directory = opendir(path);
    if (directory == NULL)
        return 0;
    for (struct dirent *entry; (entry = readdir(directory)) != NULL;)
        if (readlinkat(dirfd(directory), entry->d_name, target, sizeof target) >= 7 && memcmp(target, "socket:", 7) == 0)
            sockets++;
    closedir(directory);
    return sockets;
}

static void terminate(void)
{
    drain_until = 0;
    kill_at = now() + END_MS;
    kill(stunnel, SIGTERM);
}

static void drain(void)
{
    if (open_sockets() <= 0 || now() >= drain_until)
        terminate();
}

static bool is(Span line, const char *text)
{
    size_t length = strlen(text);
    return (size_t)(line.end - line.at) == STAMP + length && memcmp(line.at + STAMP, text, length) == 0;
}

/* Said at each load, and of no use: "No trusted certificates" is told of sections that ask for no certificate. */
static bool is_noise(Span line)
{
    return is(line, "LOG5[ui]: UTF-8 byte order mark not detected") || is(line, "LOG5[ui]: FIPS mode disabled") ||
           is(line, "LOG3[ui]: No trusted certificates found");
}

/* Passes stunnel's log on, and learns from it whether the files were taken. False if there is no more now. */
static bool relay(void)
{
    static char buffer[LOG_CHUNK];
    static size_t used;
    ssize_t got = read(log_fd, buffer + used, sizeof buffer - used);
    if (got <= 0) {
        if (got == 0) { /* stunnel has ended, or is about to */
            put(buffer, used);
            close(log_fd);
            log_fd = -1;
        }
        return false;
    }
    used += (size_t)got;
    bool loaded = false, refused = false;
    char *rest = buffer, *kept = buffer;
    for (char *stop; (stop = memchr(rest, '\n', (size_t)(buffer + used - rest))) != NULL; rest = stop + 1) {
        Span line = {rest, stop};
        loaded |= is(line, "LOG5[ui]: Configuration successful");
        refused |= is(line, "LOG3[ui]: Failed to reload the configuration file");
        if (!is_noise(line)) {
            memmove(kept, rest, (size_t)(stop + 1 - rest));
            kept += stop + 1 - rest;
        }
    }
    if (rest == buffer && used == sizeof buffer)
        kept = rest = buffer + used; /* one enormous line */
    put(buffer, (size_t)(kept - buffer));
    used -= (size_t)(rest - buffer);
    memmove(buffer, rest, used);
    if (loaded || refused)
        answered(loaded);
    return true;
}

static void reap(void)
{
    int status;
    for (pid_t pid; (pid = waitpid(-1, &status, WNOHANG)) > 0;) {
        if (pid != stunnel)
            continue; /* an orphan: whoever is process 1 inherits those */
        while (log_fd >= 0 && log_is_read() && relay())
            ;
        bool asked = kill_at != 0;
        if (WIFSIGNALED(status))
            say(ERROR, "stunnel was ended by signal %d (%s)", WTERMSIG(status), strsignal(WTERMSIG(status)));
        else
            say(asked && WEXITSTATUS(status) == 0 ? NOTICE : ERROR, "stunnel ended with status %d", WEXITSTATUS(status));
        exit(WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status));
    }
}

static void heed(int signal)
{
    if (signal == SIGCHLD) {
        reap();
    } else if (signal == SIGHUP) {
        seen = 0;
        check_at = now();
    } else if (signal == SIGUSR2) {
        kill(stunnel, SIGUSR2); /* writes the open connections to the log */
    } else if (drain_until || kill_at) {
        terminate();
    } else {
        int sockets = open_sockets();
        say(NOTICE, "ends (%s), %d sockets of connections are open", strsignal(signal), sockets > 0 ? sockets : 0);
        drain_until = now() + DRAIN_MS;
        drain();
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
    int64_t next = INT64_MAX;
    for (size_t i = 0; i < sizeof timers / sizeof *timers; i++)
        if (timers[i] != 0 && timers[i] < next)
            next = timers[i];
    return next > now() ? (int)(next - now()) : 0;
}

static void run_timers(void)
{
    if (due(&check_at) || due(&poll_at))
        check();
    if (due(&answer_by)) {
        say(WARNING, "stunnel did not say whether it loaded the files; it is told again");
        if (trial != good)
            drop(trial);
        trial = NULL;
        seen = 0;
    }
    if (drain_until)
        drain();
    if (due(&kill_at)) {
        kill_at = now() + END_MS;
        kill(stunnel, SIGKILL);
    }
}

static _Noreturn void run(void)
{
    union {
        struct signalfd_siginfo signal;
        char events[4096];
    } got;
    for (;;) {
        struct pollfd ready[] = {
            {.fd = signal_fd, .events = POLLIN},
            {.fd = inotify_fd, .events = POLLIN},
            {.fd = log_stalled ? STDERR_FILENO : log_fd, .events = log_stalled ? POLLOUT : POLLIN},
        };
        poll(ready, 3, time_left());
        if (read(signal_fd, &got.signal, sizeof got.signal) == sizeof got.signal)
            heed((int)got.signal.ssi_signo);
        if (ready[1].revents && read(inotify_fd, got.events, sizeof got.events) > 0 && check_at == 0)
            check_at = now() + SETTLE_MS; /* not put off by further changes: there may be no end of them */
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
    good = read_config();
    if (good == NULL || good->count == 0)
        give_up(config_path, good == NULL ? why : "there is no section, so there is nothing to serve");
    for (int i = 0; i < good->count; i++) {
        if (opened(&good->sections[i]) != FIRST_LISTENER + i)
            give_up(good->sections[i].accept, "the descriptors are not in a row");
        say(NOTICE, "listens at %s", good->sections[i].accept);
    }
    config_fd = memfd_create("stunnel.conf", MFD_CLOEXEC);
    inotify_fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    if (inotify_fd < 0)
        say(WARNING, "inotify: %s; files are looked at every %d ms", strerror(errno), POLL_MS);
    sigset_t handled;
    sigemptyset(&handled);
    for (const int *s = (const int[]){SIGCHLD, SIGTERM, SIGINT, SIGQUIT, SIGHUP, SIGUSR2, 0}; *s != 0; s++)
        sigaddset(&handled, *s);
    sigprocmask(SIG_BLOCK, &handled, NULL);
    signal(SIGPIPE, SIG_IGN);
    signal_fd = signalfd(-1, &handled, SFD_CLOEXEC | SFD_NONBLOCK);
    if (config_fd < 0 || signal_fd < 0)
        give_up("start", strerror(errno));
    seen = look_at_files(look_at_files(look_at(0xcbf29ce484222325, config_path), good), good);
    load(good);
    start();
    poll_at = now() + POLL_MS;
}

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "--version") == 0) {
        dprintf(STDOUT_FILENO, "decco TLS sidecar, entry point " VERSION "\n");
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
