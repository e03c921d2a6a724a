/* What stunnel is given at its start, and keeps: its listeners, and the number of clients that it may admit. */
#ifndef RESOURCES_H
#define RESOURCES_H

#include "config.h"

enum { FIRST_LISTENER = 3 }; /* SD_LISTEN_FDS_START */

/* Opens one listener for each section, in their order and from FIRST_LISTENER on, or gives up. */
void listen_for(const Config *config);

/* Clients above the limit are turned away. Without one they would take the container's memory to its limit, where the
 * kernel ends stunnel and with it all connections. stunnel has no option for it: it accepts 125 for 256 descriptors. */
void limit_clients(int listeners);

#endif
