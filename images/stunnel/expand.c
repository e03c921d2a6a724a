#define _GNU_SOURCE
#include "expand.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "log.h"
#include "names.h"

#define LOOPBACK4 "127.0.0.1:"
#define LOOPBACK6 "::1:"
#define AUTHORITIES "/ca.crt"
#define REVOKED "/ca.crl"

static bool starts_with(const char *text, const char *start)
{
    return strncmp(text, start, strlen(start)) == 0;
}

static const char *port_of(const char *address)
{
    return strrchr(address, ':') + 1;
}

/* A connection to such a port of the pod's address would come back to the sidecar. */
static bool is_own_port(const Config *config, const char *port)
{
    for (int i = 0; i < config->count; i++)
        if (strcmp(port_of(config->sections[i].accept), port) == 0)
            return true;
    return false;
}

/* If it cannot be found out whether there are lists, the section stays as it was: files_are_readable. */
static void put_lists(FILE *out, const char *authorities)
{
    char path[PATH_MAX];
    size_t length = strlen(authorities), end = strlen(AUTHORITIES);
    if (length < end || strcmp(authorities + length - end, AUTHORITIES) != 0)
        return;
    snprintf(path, sizeof path, "%.*s" REVOKED, (int)(length - end), authorities);
    if (access(path, F_OK) == 0 || errno != ENOENT)
        fprintf(out, "CRLfile = %s\n", path);
}

static void put_lines(FILE *out, const Config *config, const Section *section, const char *accept, const Network *network)
{
    char value[PATH_MAX];
    Span rest = section == NULL ? config->global : section->text;
    bool client = section != NULL && section->client;
    for (Span line; config_next_line(&rest, &line);) {
        if (accept != NULL && config_option(line, "accept", value))
            fprintf(out, "accept = %s\n", accept);
        else if (config_option(line, "checkHost", value))
            fprintf(out, "checkHost = %s%s\n", client ? SERVER_NAME : EXACT_NAME, value);
        else
            fprintf(out, "%.*s\n", (int)(line.end - line.at), line.at);
        if (config_option(line, "CAfile", value))
            put_lists(out, value);
        if (section == NULL || client || !config_option(line, "connect", value) || !starts_with(value, LOOPBACK6) ||
            is_own_port(config, port_of(value)))
            continue;
        for (int i = 0; i < network->count; i++)
            fprintf(out, "connect = %s:%s\n", network->addresses[i], port_of(value));
    }
}

/* A section of which the text decides would check by lists that are not in the Secret of its authorities. */
static bool names_lists(const Config *config)
{
    char value[PATH_MAX];
    Span rest = config_text(config);
    for (Span line; config_next_line(&rest, &line);)
        if (config_option(line, "CRLfile", value))
            return true;
    return false;
}

Config *expanded(const Config *config, const Network *network)
{
    if (names_lists(config)) {
        strcpy(config_error, "CRLfile is not supported: a ca.crl beside the ca.crt is used by itself");
        return NULL;
    }
    char *text = NULL;
    size_t length = 0;
    FILE *out = allocated(open_memstream(&text, &length));
    put_lines(out, config, NULL, NULL, network);
    for (int i = 0; i < config->count; i++) {
        const Section *section = &config->sections[i];
        char other[sizeof section->accept] = LOOPBACK6;
        put_lines(out, config, section, NULL, network);
        if (!network->has_loopback6 || !starts_with(section->accept, LOOPBACK4))
            continue;
        strcat(other, port_of(section->accept));
        if (config_find(config, other) == NULL)
            put_lines(out, config, section, other, network);
    }
    if (fclose(out) != 0)
        give_up("memory", strerror(errno));
    return config_parse(text, length);
}
