/* What stunnel reads: the ConfigMap's text, and what only the entry point can know. */
#ifndef EXPAND_H
#define EXPAND_H

#include "config.h"
#include "network.h"

/* A new configuration, or NULL with config_error. It has
 *   - a second section, at ::1, for each at 127.0.0.1, if the pod has that address: an App that connects to "localhost"
 *     may mean either;
 *   - the pod's own addresses after a "connect = ::1:<port>" of an endpoint: an App may listen there and nowhere else;
 *   - "CRLfile = <folder>/ca.crl" after each "CAfile = <folder>/ca.crt", while there is such a file: the Secret alone
 *     decides whether certificates are checked for revocation, so that both change in the same moment;
 *   - a mark before each name of checkHost, which says how it is compared (names.h). */
Config *expanded(const Config *config, const Network *network);

#endif
