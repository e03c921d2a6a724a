#define _GNU_SOURCE
#include "config.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "log.h"

enum {
    MAX_TEXT = 1 << 20, /* a ConfigMap has no more */
    MAX_LINE = 16000,   /* stunnel takes what exceeds 16383 bytes for another line */
    MAX_SECTIONS = 1024,
};

char config_error[512];

__attribute__((format(printf, 1, 2))) static bool refuse(const char *format, ...)
{
    va_list values;
    va_start(values, format);
    vsnprintf(config_error, sizeof config_error, format, values);
    va_end(values);
    return false;
}

static bool blank(char c)
{
    return c == ' ' || c == '\t';
}

bool config_next_line(Span *rest, Span *line)
{
    if (rest->at == rest->end)
        return false;
    const char *stop = memchr(rest->at, '\n', (size_t)(rest->end - rest->at));
    *line = (Span){rest->at, stop == NULL ? rest->end : stop};
    rest->at = stop == NULL ? rest->end : stop + 1;
    while (line->at < line->end && blank(*line->at))
        line->at++;
    while (line->at < line->end && blank(line->end[-1]))
        line->end--;
    return true;
}

bool config_option(Span line, const char *name, char value[PATH_MAX])
{
    size_t length = strlen(name);
    if ((size_t)(line.end - line.at) <= length || strncasecmp(line.at, name, length) != 0)
        return false;
    for (line.at += length; line.at < line.end && blank(*line.at);)
        line.at++;
    if (line.at == line.end || *line.at++ != '=')
        return false;
    while (line.at < line.end && blank(*line.at))
        line.at++;
    length = (size_t)(line.end - line.at) < PATH_MAX ? (size_t)(line.end - line.at) : 0;
    memcpy(value, line.at, length);
    value[length] = '\0';
    return true;
}

/* "<address>:<port>" or "<port>"; stunnel splits at the last colon, so that ":::443" is [::]:443. */
static bool set_accept(Section *section, const char *value)
{
    struct sockaddr_in *four = (struct sockaddr_in *)&section->address;
    struct sockaddr_in6 *six = (struct sockaddr_in6 *)&section->address;
    const char *colon = strrchr(value, ':'), *digits = colon == NULL ? value : colon + 1;
    char host[INET6_ADDRSTRLEN] = "::", *rest = NULL;
    if (colon != NULL)
        snprintf(host, sizeof host, "%.*s", (int)(colon - value), value);
    unsigned long port = *digits >= '0' && *digits <= '9' ? strtoul(digits, &rest, 10) : 0;
    if (port < 1 || port > UINT16_MAX || *rest != '\0')
        return refuse("accept = %.80s: there is no port from 1 to 65535", value);
    if (inet_pton(AF_INET, host, &four->sin_addr) == 1) {
        four->sin_family = AF_INET;
        four->sin_port = htons((uint16_t)port);
    } else if (inet_pton(AF_INET6, host, &six->sin6_addr) == 1) {
        six->sin6_family = AF_INET6;
        six->sin6_port = htons((uint16_t)port);
    } else {
        return refuse("accept = %.80s: the address must be a number", value);
    }
    snprintf(section->accept, sizeof section->accept, "%s:%lu", host, port);
    return true;
}

const Section *config_find(const Config *config, const char *accept)
{
    for (int i = 0; i < config->count; i++)
        if (strcmp(config->sections[i].accept, accept) == 0)
            return &config->sections[i];
    return NULL;
}

static bool end_section(Config *config, const char *end)
{
    Section *last = &config->sections[config->count - 1];
    last->text.end = end;
    if (last->accept[0] == '\0')
        return refuse("section %d has no accept line", config->count);
    if (config_find(config, last->accept) != last)
        return refuse("two sections accept at %s", last->accept);
    return true;
}

static bool begin_section(Config *config, const char *start)
{
    if (config->count == MAX_SECTIONS)
        return refuse("there are more than %d sections", MAX_SECTIONS);
    if (config->count == 0)
        config->global.end = start;
    else if (!end_section(config, start))
        return false;
    config->sections = allocated(realloc(config->sections, (size_t)(config->count + 1) * sizeof *config->sections));
    config->sections[config->count++] = (Section){.text = {start, start}};
    return true;
}

static bool take_line(Config *config, Span line, const char *start)
{
    char value[PATH_MAX];
    for (const char *c = line.at; c < line.end; c++)
        if ((unsigned char)*c < ' ' && *c != '\t')
            return refuse("section %d has a control character in it", config->count);
    if (line.end - start > MAX_LINE)
        return refuse("section %d has a line of more than %d bytes", config->count, MAX_LINE);
    if (line.at < line.end && *line.at == '[' && line.end[-1] == ']')
        return begin_section(config, start);
    if (config_option(line, "include", value))
        return refuse("include is not supported"); /* it could bring sections that nobody counted */
    if (config_option(line, "CRLpath", value))
        return refuse("CRLpath is not supported"); /* its files are read during handshakes, and nobody watches them */
    if (config->count == 0)
        return true;
    if (config_option(line, "client", value))
        config->sections[config->count - 1].client = strcasecmp(value, "yes") == 0; /* the last one counts */
    if (!config_option(line, "accept", value))
        return true;
    if (config->sections[config->count - 1].accept[0] != '\0')
        return refuse("section %d has two accept lines", config->count);
    return set_accept(&config->sections[config->count - 1], value);
}

void config_drop(Config *config)
{
    if (config != NULL) {
        free(config->sections);
        free(config->text);
        free(config);
    }
}

Config *config_parse(char *text, size_t length)
{
    Config *config = allocated(malloc(sizeof *config));
    const char *start = text, *end = text + length;
    *config = (Config){.text = text, .global = {text, end}};
    bool right = true;
    for (Span line, rest = config->global; right && config_next_line(&rest, &line); start = rest.at)
        right = take_line(config, line, start);
    if (right && (config->count == 0 || end_section(config, end)))
        return config;
    config_drop(config);
    return NULL;
}

Config *config_read(const char *path)
{
    char *text = allocated(malloc(MAX_TEXT + 1));
    size_t length = 0;
    ssize_t got = -1;
    int file = open(path, O_RDONLY | O_CLOEXEC);
    while (file >= 0 && (got = read(file, text + length, MAX_TEXT + 1 - length)) > 0)
        length += (size_t)got;
    refuse("%s", got < 0 ? strerror(errno) : "it is larger than 1 MiB");
    if (file >= 0)
        close(file);
    if (got == 0 && length <= MAX_TEXT)
        return config_parse(allocated(realloc(text, length + 1)), length);
    free(text);
    return NULL;
}

Span config_text(const Config *config)
{
    return (Span){config->text, config->count == 0 ? config->global.end : config->sections[config->count - 1].text.end};
}

static size_t length_of(Span span)
{
    return (size_t)(span.end - span.at);
}

bool config_same(const Config *one, const Config *other)
{
    Span a = config_text(one), b = config_text(other);
    return length_of(a) == length_of(b) && memcmp(a.at, b.at, length_of(a)) == 0;
}

Config *config_merged(const Config *old, const Config *fresh, bool (*usable)(const Section *))
{
    /* Each section is in one of the two; each may lack the end of its last line. */
    size_t length = 0, size = length_of(config_text(old)) + length_of(config_text(fresh)) + (size_t)old->count + 1;
    char *text = allocated(malloc(size));
    for (int i = -1; i < old->count; i++) {
        const Section *from = i < 0 ? NULL : config_find(fresh, old->sections[i].accept);
        Span part = i < 0 ? fresh->global : from != NULL && usable(from) ? from->text : old->sections[i].text;
        memcpy(text + length, part.at, length_of(part));
        length += length_of(part);
        if (length > 0 && text[length - 1] != '\n')
            text[length++] = '\n';
    }
    return config_parse(text, length);
}

bool config_next_file(Span *rest, char path[PATH_MAX])
{
    static const char *const names[] = {"cert", "key", "CAfile", "CRLfile"};
    for (Span line; config_next_line(rest, &line);)
        for (size_t i = 0; i < sizeof names / sizeof *names; i++)
            if (config_option(line, names[i], path))
                return true;
    return false;
}
