/* Loaded into stunnel (LD_PRELOAD): which names of a certificate count.
 *
 * stunnel compares a name of "checkHost" by X509_check_host(3), without flags: a wildcard in the certificate stands for any
 * label, and a certificate without DNS names is taken by its common name. For a client that may connect only because of its
 * name both are too much: whoever gets a certificate for *.example.com would be each of the clients there. stunnel has no
 * option for the flags, so X509_check_host is replaced by one that sets them, as the mark before the name says (names.h).
 *
 * A name without a mark fits no certificate here. And without this library a name with a mark fits none that is in use, so
 * that nobody is admitted; the entry point ends then. docs/design/2026-11-29-certificate-names.md.
 */
#define _GNU_SOURCE
#include "names.h"

#include <dlfcn.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "log.h"

typedef struct x509_st X509;
typedef int Check(X509 *, const char *, size_t, unsigned int, char **);

enum { NO_WILDCARDS = 0x2, NO_PARTIAL_WILDCARDS = 0x4, NEVER_CHECK_SUBJECT = 0x20 }; /* openssl/x509v3.h */

Check X509_check_host;
static Check *openssl;

/* The name after a mark, or NULL. */
static const char *marked(const char *name, const char *mark)
{
    size_t length = strlen(mark);
    return strncmp(name, mark, length) == 0 && name[length] != '\0' ? name + length : NULL;
}

int X509_check_host(X509 *certificate, const char *name, size_t length, unsigned int flags, char **found)
{
    const char *exact = marked(name, EXACT_NAME), *server = marked(name, SERVER_NAME);
    if (length != 0 || (exact == NULL && server == NULL))
        return 0; /* stunnel passes 0, for a text that ends by itself */
    flags |= NEVER_CHECK_SUBJECT | (exact != NULL ? NO_WILDCARDS : NO_PARTIAL_WILDCARDS);
    return openssl(certificate, exact != NULL ? exact : server, 0, flags, found);
}

/* The next one is OpenSSL's, unless that is a part of stunnel, which then would not ask here. */
__attribute__((constructor)) static void begin(void)
{
    Check *asked;
    *(void **)&openssl = dlsym(RTLD_NEXT, "X509_check_host");
    *(void **)&asked = dlsym(RTLD_DEFAULT, "X509_check_host");
    if (openssl == NULL || asked != X509_check_host) {
        dprintf(STDERR_FILENO, "names.c: stunnel has an OpenSSL whose X509_check_host cannot be replaced\n");
        _exit(FAILED);
    }
    dprintf(STDERR_FILENO, "%s\n", NAMES_IN_FORCE);
}
