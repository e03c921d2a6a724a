#define _GNU_SOURCE
#include "files.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "log.h"

int files_fd = -1;

bool files_watch(void)
{
    files_fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    return files_fd >= 0;
}

/* FNV-1a, which began with FILES_NONE. */
static uint64_t mixed(uint64_t mark, uint64_t value)
{
    for (int i = 0; i < 8; i++, value >>= 8)
        mark = (mark ^ (value & 0xff)) * 0x100000001b3;
    return mark;
}

uint64_t files_look_at(uint64_t mark, const char *path)
{
    char directory[PATH_MAX] = ".";
    const char *slash = strrchr(path, '/');
    if (slash != NULL)
        snprintf(directory, sizeof directory, "%.*s", (int)(slash - path) + 1, path);
    inotify_add_watch(files_fd, directory, IN_CREATE | IN_CLOSE_WRITE | IN_MOVED_TO | IN_DELETE | IN_ONLYDIR);
    struct stat s;
    if (stat(path, &s) != 0)
        return mixed(mark, 0);
    mark = mixed(mixed(mixed(mark, s.st_dev), s.st_ino), (uint64_t)s.st_size);
    mark = mixed(mixed(mark, (uint64_t)s.st_mtim.tv_sec), (uint64_t)s.st_mtim.tv_nsec);
    return mixed(mixed(mark, (uint64_t)s.st_ctim.tv_sec), (uint64_t)s.st_ctim.tv_nsec);
}

uint64_t files_look_at_all(uint64_t mark, const Config *config)
{
    char path[PATH_MAX];
    for (Span rest = config_text(config); config_next_file(&rest, path);)
        mark = files_look_at(mark, path);
    return mark;
}

bool files_are_readable(const Section *section)
{
    char path[PATH_MAX];
    for (Span rest = section->text; config_next_file(&rest, path);)
        if (access(path, R_OK) != 0)
            return false;
    return true;
}

void files_log_unreadable(Span text)
{
    char path[PATH_MAX];
    while (config_next_file(&text, path))
        if (access(path, R_OK) != 0)
            say(LOG_ERROR, "%s: %s", path, strerror(errno));
}
