/* Loaded into stunnel (LD_PRELOAD): sections with the same file of authorities share one copy of it.
 *
 * stunnel reads a CAfile for each section by itself, twice: for the certificates and for their subjects. The authorities of
 * the Web are 150 certificates: 2 MB, and with the OpenSSL of Debian 12 a fifth of a second in which no connection is
 * accepted, for each egress that trusts them and for each of its two listeners. What OpenSSL makes of a file may be shared
 * (SSL_CTX_set1_cert_store(3)); only a section with revocation lists alters it for the others, and for connections that
 * use it already: where there is a ca.crl beside the authorities (expand.c), each section has its own, as without this file.
 * stunnel loads in one thread.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

typedef struct ssl_ctx_st SSL_CTX;
typedef struct x509_store_st X509_STORE;
typedef struct stack_st Names;
typedef int Load(SSL_CTX *, const char *, const char *);
typedef int Add(Names *, const char *);

X509_STORE *SSL_CTX_get_cert_store(const SSL_CTX *);
void SSL_CTX_set1_cert_store(SSL_CTX *, X509_STORE *);
int X509_STORE_up_ref(X509_STORE *);
void X509_STORE_free(X509_STORE *);
void *X509_NAME_dup(const void *);
void X509_NAME_free(void *);
int OPENSSL_sk_num(const Names *);
void *OPENSSL_sk_value(const Names *, int);
int OPENSSL_sk_push(Names *, const void *);
Names *OPENSSL_sk_deep_copy(const Names *, void *(*)(const void *), void (*)(void *));
void OPENSSL_sk_pop_free(Names *, void (*)(void *));
Load SSL_CTX_load_verify_locations;
Add SSL_add_file_cert_subjects_to_stack;

typedef struct {
    char path[PATH_MAX];
    struct stat was;
} File;

static File of_store, of_subjects;
static X509_STORE *store;
static Names *subjects;

static bool is_unchanged(const File *file, const char *path, const struct stat *now)
{
    const struct stat *was = &file->was;
    return strcmp(path, file->path) == 0 && now->st_dev == was->st_dev && now->st_ino == was->st_ino &&
           now->st_size == was->st_size && now->st_mtim.tv_sec == was->st_mtim.tv_sec &&
           now->st_mtim.tv_nsec == was->st_mtim.tv_nsec && now->st_ctim.tv_sec == was->st_ctim.tv_sec &&
           now->st_ctim.tv_nsec == was->st_ctim.tv_nsec;
}

static bool has_lists(const char *path)
{
    char lists[PATH_MAX];
    struct stat there;
    size_t length = strlen(path), end = strlen("/ca.crt");
    if (length < end || strcmp(path + length - end, "/ca.crt") != 0)
        return false;
    snprintf(lists, sizeof lists, "%.*s/ca.crl", (int)(length - end), path);
    return stat(lists, &there) == 0;
}

/* With the state of before the content was read, so that a change in between is seen at the next section. */
static void remember(File *file, const char *path, const struct stat *now)
{
    strcpy(file->path, path);
    file->was = *now;
}

int SSL_CTX_load_verify_locations(SSL_CTX *context, const char *path, const char *folder)
{
    static Load *openssl;
    struct stat now;
    if (openssl == NULL)
        *(void **)&openssl = dlsym(RTLD_NEXT, "SSL_CTX_load_verify_locations");
    if (path == NULL || folder != NULL || strlen(path) >= PATH_MAX || stat(path, &now) != 0 || has_lists(path))
        return openssl(context, path, folder);
    if (store != NULL && is_unchanged(&of_store, path, &now)) {
        SSL_CTX_set1_cert_store(context, store);
        return 1;
    }
    int done = openssl(context, path, folder);
    if (done == 1) {
        X509_STORE_free(store);
        store = SSL_CTX_get_cert_store(context);
        X509_STORE_up_ref(store);
        remember(&of_store, path, &now);
    }
    return done;
}

int SSL_add_file_cert_subjects_to_stack(Names *names, const char *path)
{
    static Add *openssl;
    struct stat now;
    if (openssl == NULL)
        *(void **)&openssl = dlsym(RTLD_NEXT, "SSL_add_file_cert_subjects_to_stack");
    if (OPENSSL_sk_num(names) != 0 || strlen(path) >= PATH_MAX || stat(path, &now) != 0)
        return openssl(names, path);
    if (subjects != NULL && is_unchanged(&of_subjects, path, &now)) {
        for (int i = 0; i < OPENSSL_sk_num(subjects); i++)
            OPENSSL_sk_push(names, X509_NAME_dup(OPENSSL_sk_value(subjects, i)));
        return 1;
    }
    int done = openssl(names, path);
    if (done == 1) {
        OPENSSL_sk_pop_free(subjects, X509_NAME_free);
        subjects = OPENSSL_sk_deep_copy(names, X509_NAME_dup, X509_NAME_free);
        remember(&of_subjects, path, &now);
    }
    return done;
}
