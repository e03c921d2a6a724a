/* How a name of "checkHost" is compared; the entry point writes it before the name, names.c reads it. */
#ifndef NAMES_H
#define NAMES_H

#define EXACT_NAME "exact:"   /* of a client: one of its certificate's DNS names is the same */
#define SERVER_NAME "server:" /* of a server: the same, or a wildcard for one whole label (RFC 9525) */

/* The line by which names.c says, before stunnel does anything, that it is asked and not OpenSSL. */
#define NAMES_IN_FORCE "certificates are asked for their DNS names only"

#endif
