/* Loaded into stunnel (LD_PRELOAD): sections with the same file of authorities share one copy of it.
 *
 * stunnel reads a CAfile for each section by itself. The authorities of the Web are 150 certificates: 2 MB and, with the
 * OpenSSL of Debian 12, a tenth of a second of the time in which it accepts no connection, for each egress that trusts them
 * and for each of its two listeners. What OpenSSL makes of a file may be shared (SSL_CTX_set1_cert_store(3)); only a section
 * with revocation lists would alter it for the others, and the entry point refuses those.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <limits.h>
#include <sys/stat.h>

typedef struct ssl_ctx_st SSL_CTX;
typedef struct x509_store_st X509_STORE;
typedef int Load(SSL_CTX *, const char *, const char *);

X509_STORE *SSL_CTX_get_cert_store(const SSL_CTX *);
void SSL_CTX_set1_cert_store(SSL_CTX *, X509_STORE *);
int X509_STORE_up_ref(X509_STORE *);
void X509_STORE_free(X509_STORE *);
Load SSL_CTX_load_verify_locations;

static X509_STORE *last;
static char path[PATH_MAX];
static struct stat was;

static bool is_last(const char *file, const struct stat *now)
{
    return last != NULL && strcmp(file, path) == 0 && now->st_dev == was.st_dev && now->st_ino == was.st_ino &&
           now->st_size == was.st_size && now->st_mtim.tv_sec == was.st_mtim.tv_sec &&
           now->st_mtim.tv_nsec == was.st_mtim.tv_nsec && now->st_ctim.tv_sec == was.st_ctim.tv_sec &&
           now->st_ctim.tv_nsec == was.st_ctim.tv_nsec;
}

/* stunnel loads in one thread. */
int SSL_CTX_load_verify_locations(SSL_CTX *context, const char *file, const char *folder)
{
    static Load *openssl;
    struct stat now;
    if (openssl == NULL)
        *(void **)&openssl = dlsym(RTLD_NEXT, "SSL_CTX_load_verify_locations");
    if (file == NULL || folder != NULL || strlen(file) >= sizeof path || stat(file, &now) != 0)
        return openssl(context, file, folder);
    if (is_last(file, &now)) {
        SSL_CTX_set1_cert_store(context, last);
        return 1;
    }
    int done = openssl(context, file, folder);
    if (done == 1) {
        X509_STORE_free(last);
        last = SSL_CTX_get_cert_store(context);
        X509_STORE_up_ref(last);
        strcpy(path, file);
        was = now;
    }
    return done;
}
