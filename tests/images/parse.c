/* Reads configurations, expands them, and merges each with the one before it: what a fuzz test runs under sanitizers. */
#define _GNU_SOURCE
#include <stdio.h>
#include <string.h>

#include "config.h"
#include "expand.h"
#include "names.h"

static bool is_usable(const Section *section)
{
    return (section->text.end - section->text.at) % 3 != 0; /* as good as any other */
}

/* Every listener is in what stunnel would read, in the order of the sections, and no name without a mark. */
static bool expands(const Config *config)
{
    const Network network = {true, 2, {"192.0.2.1", "2001:2::1"}};
    Config *whole = expanded(config, &network);
    if (whole == NULL)
        return strstr(config_error, "sections") != NULL || strstr(config_error, "line of more") != NULL;
    char value[PATH_MAX];
    int found = 0;
    for (int i = 0; found < config->count && i < whole->count; i++)
        found += strcmp(whole->sections[i].accept, config->sections[found].accept) == 0;
    bool right = found == config->count;
    Span rest = config_text(whole);
    for (Span line; config_next_line(&rest, &line);)
        if (config_option(line, "checkHost", value) && strncmp(value, EXACT_NAME, strlen(EXACT_NAME)) != 0 &&
            strncmp(value, SERVER_NAME, strlen(SERVER_NAME)) != 0)
            right = false;
    config_drop(whole);
    return right;
}

int main(int argc, char **argv)
{
    Config *before = NULL;
    for (int i = 1; i < argc; i++) {
        Config *config = config_read(argv[i]), *merged = NULL;
        char path[PATH_MAX];
        if (config == NULL) {
            printf("refused: %s\n", config_error);
            continue;
        }
        for (Span rest = config_text(config); config_next_file(&rest, path);)
            if (memchr(path, '\0', sizeof path) == NULL)
                return 1;
        printf("%d sections\n", config->count);
        if (!expands(config))
            return 1;
        if (before != NULL) {
            merged = config_merged(before, config, is_usable);
            if (merged == NULL || merged->count != before->count)
                return 1;
            for (int k = 0; k < merged->count; k++)
                if (strcmp(merged->sections[k].accept, before->sections[k].accept) != 0)
                    return 1;
            config_drop(merged);
        }
        config_drop(before);
        before = config;
    }
    config_drop(before);
    return 0;
}
