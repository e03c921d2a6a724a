/* What the container sees of its pod's network. */
#ifndef NETWORK_H
#define NETWORK_H

#include <netinet/in.h>
#include <stdbool.h>

enum { MAX_ADDRESSES = 8 };

typedef struct {
    bool has_loopback6; /* a program can listen at ::1 */
    int count;
    char addresses[MAX_ADDRESSES][INET6_ADDRSTRLEN]; /* the pod's own, of both families, without loopback and link-local */
} Network;

/* They stay the same as long as the pod. If the kernel does not list the addresses, there are none. */
Network network_read(void);

#endif
