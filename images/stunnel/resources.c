#define _GNU_SOURCE
#include "resources.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "log.h"

#ifndef MEMORY_LIMIT_V2
#define MEMORY_LIMIT_V2 "/sys/fs/cgroup/memory.max"
#endif
#define MEMORY_LIMIT_V1 "/sys/fs/cgroup/memory/memory.limit_in_bytes"

enum {
    MAX_DESCRIPTORS = 65536,
    IDLE_KB = 32 << 10, /* measured: 10 MB, 2 for the system's authorities, and 0.2 for each egress */
    CLIENT_KB = 128,    /* measured: 104 in the process; the rest is for the kernel's buffers */
    MIN_CLIENTS = 128,
};

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
    bool is_six = address.ss_family == AF_INET6;
    socklen_t length = is_six ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in);
    if (listener < 0 || setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0 ||
        (is_six && setsockopt(listener, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off) != 0) ||
        bind(listener, (struct sockaddr *)&address, length) != 0 || listen(listener, SOMAXCONN) != 0)
        give_up(section->accept, strerror(errno));
    bool as_asked = address.ss_family == section->address.ss_family;
    say(LOG_NOTICE, "listens at %s%s", section->accept, as_asked ? "" : ", with IPv4 only");
    return listener;
}

void listen_for(const Config *config)
{
    for (int i = 0; i < config->count; i++)
        if (opened(&config->sections[i]) != FIRST_LISTENER + i)
            give_up(config->sections[i].accept, "the descriptors are not in a row");
}

/* The container's limit in KiB, or 0. */
static uint64_t memory_limit(void)
{
    static const char *const paths[] = {MEMORY_LIMIT_V2, MEMORY_LIMIT_V1};
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        char text[32] = "";
        int file = open(paths[i], O_RDONLY | O_CLOEXEC);
        ssize_t length = file < 0 ? -1 : read(file, text, sizeof text - 1);
        if (file >= 0)
            close(file);
        if (length > 0)
            return strtoull(text, NULL, 10) >> 10; /* "max" is 0 */
    }
    return 0;
}

void limit_clients(int listeners)
{
    uint64_t memory = memory_limit(), descriptors = MAX_DESCRIPTORS;
    if (memory != 0) {
        uint64_t clients = memory > IDLE_KB ? (memory - IDLE_KB) / CLIENT_KB : 0;
        clients = clients > MIN_CLIENTS ? clients : MIN_CLIENTS;
        uint64_t needed = clients * 256 / 125 + 32 + 2 * (uint64_t)listeners;
        descriptors = needed < descriptors ? needed : descriptors;
    }
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = descriptors < limit.rlim_max ? descriptors : limit.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &limit) != 0)
        give_up("the limit of descriptors", strerror(errno));
    say(LOG_NOTICE, "accepts %llu clients at once", (unsigned long long)limit.rlim_cur * 125 / 256);
}
