/* Reads configurations, and merges each with the one before it: what a fuzz test runs under sanitizers. */
#define _GNU_SOURCE
#include <stdio.h>
#include <string.h>

#include "config.h"

static bool is_usable(const Section *section)
{
    return (section->text.end - section->text.at) % 3 != 0; /* as good as any other */
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
