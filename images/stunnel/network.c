#define _GNU_SOURCE
#include "network.h"

#include <arpa/inet.h>
#include <errno.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "log.h"

/* False without IPv6 in the kernel, and where net.ipv6.conf.lo.disable_ipv6 has taken the address away. */
static bool can_listen_at_loopback6(void)
{
    struct sockaddr_in6 address = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    int probe = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool can = probe >= 0 && bind(probe, (struct sockaddr *)&address, sizeof address) == 0;
    if (probe >= 0)
        close(probe);
    return can;
}

/* A link-local address of IPv6 is of no use without the name of its interface. */
static const void *own_address(const struct ifaddrs *entry)
{
    if (entry->ifa_addr == NULL || (entry->ifa_flags & IFF_UP) == 0)
        return NULL;
    if (entry->ifa_addr->sa_family == AF_INET) {
        const struct in_addr *four = &((const struct sockaddr_in *)entry->ifa_addr)->sin_addr;
        return ntohl(four->s_addr) >> IN_CLASSA_NSHIFT == IN_LOOPBACKNET ? NULL : four;
    }
    if (entry->ifa_addr->sa_family != AF_INET6)
        return NULL;
    const struct in6_addr *six = &((const struct sockaddr_in6 *)entry->ifa_addr)->sin6_addr;
    return IN6_IS_ADDR_LOOPBACK(six) || IN6_IS_ADDR_LINKLOCAL(six) ? NULL : six;
}

Network network_read(void)
{
    Network network = {.has_loopback6 = can_listen_at_loopback6()};
    struct ifaddrs *all = NULL;
    if (getifaddrs(&all) != 0)
        say(LOG_WARNING, "the pod's addresses: %s; Apps are looked for at the loopback addresses only", strerror(errno));
    for (const struct ifaddrs *entry = all; entry != NULL && network.count < MAX_ADDRESSES; entry = entry->ifa_next) {
        const void *address = own_address(entry);
        if (address != NULL)
            inet_ntop(entry->ifa_addr->sa_family, address, network.addresses[network.count++], INET6_ADDRSTRLEN);
    }
    if (all != NULL)
        freeifaddrs(all);
    return network;
}
