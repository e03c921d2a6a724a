/* stunnel's configuration: as much of its grammar as listeners and files need; the rest is for stunnel. */
#ifndef CONFIG_H
#define CONFIG_H

#include <limits.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>

typedef struct {
    const char *at, *end;
} Span;

typedef struct {
    Span text; /* from its "[name]" to the next one */
    struct sockaddr_storage address;
    char accept[INET6_ADDRSTRLEN + 8]; /* the same as text, and unique among the sections */
    bool client; /* TLS out of the pod */
} Section;

typedef struct {
    char *text; /* owned; all else points into it */
    Span global; /* what stands before the first section */
    Section *sections;
    int count;
} Config;

/* Why the last call gave NULL: a text without the name of the file. */
extern char config_error[512];

Config *config_read(const char *path);

/* Takes over a text from malloc(3), which has one byte more than its length. */
Config *config_parse(char *text, size_t length);
void config_drop(Config *config);
const Section *config_find(const Config *config, const char *accept);
Span config_text(const Config *config);
bool config_same(const Config *one, const Config *other);

/* The fresh text for exactly the listeners of the old one, in their order; the old section for what is not usable. */
Config *config_merged(const Config *old, const Config *fresh, bool (*usable)(const Section *));

/* The next line, without the blanks around it; false at the end. */
bool config_next_line(Span *rest, Span *line);

/* Whether the line is "name = value", in any case of letters; the value is "" if it is longer than any path or address. */
bool config_option(Span line, const char *name, char value[PATH_MAX]);

/* Takes from the front of *rest up to the next path of a certificate, key, authority or list; false if none is left. */
bool config_next_file(Span *rest, char path[PATH_MAX]);

#endif
