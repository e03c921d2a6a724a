#define _GNU_SOURCE
#include "launch.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "log.h"

#define LIBRARY "preload.so"
#define PRELOAD "LD_PRELOAD="

/* The loader would just go on without a missing one. */
char *preload(void)
{
    static char variable[sizeof PRELOAD + PATH_MAX] = PRELOAD;
    char *path = variable + sizeof PRELOAD - 1, *folder_end = NULL;
    if (realpath((const char *)getauxval(AT_EXECFN), path) != NULL)
        folder_end = strrchr(path, '/');
    if (folder_end == NULL || folder_end + sizeof "/" LIBRARY > path + PATH_MAX)
        give_up("the folder of this program", strerror(errno));
    strcpy(folder_end + 1, LIBRARY);
    if (access(path, R_OK) != 0)
        give_up(path, strerror(errno));
    return variable;
}

pid_t launch(int config_fd, int listeners, int *log_fd)
{
    int ends[2];
    pid_t self = getpid(), stunnel;
    char *library = preload();
    if (pipe2(ends, O_CLOEXEC) != 0 || (stunnel = fork()) < 0)
        give_up("start", strerror(errno));
    if (stunnel > 0) {
        close(ends[1]);
        *log_fd = ends[0];
        fcntl(*log_fd, F_SETFL, O_NONBLOCK);
        return stunnel;
    }
    char number[32], owner[32];
    snprintf(number, sizeof number, "LISTEN_FDS=%d", listeners);
    snprintf(owner, sizeof owner, "LISTEN_PID=%d", (int)getpid());
    char *arguments[] = {"stunnel4", "-fd", "0", NULL}, *environment[] = {number, owner, library, NULL};
    sigset_t none;
    sigemptyset(&none);
    signal(SIGHUP, SIG_IGN); /* until stunnel handles it: by default it kills */
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    setsid(); /* no terminal, so that nothing asks there for a key's passphrase */
    /* "-fd 0" makes stunnel read its standard input first, and open a file named "0" at each reload: in this directory
     * that is its standard input from the beginning, our copy in memory. The pod has nowhere to write a file. */
    if (getppid() != self || dup2(config_fd, STDIN_FILENO) < 0 || dup2(ends[1], STDOUT_FILENO) < 0 ||
        dup2(ends[1], STDERR_FILENO) < 0 || chdir("/proc/self/fd") != 0 || sigprocmask(SIG_SETMASK, &none, NULL) != 0)
        give_up("start", strerror(errno));
    execve(STUNNEL, arguments, environment);
    int error = errno;
    say(LOG_ERROR, "%s: %s", STUNNEL, strerror(error));
    _exit(error == ENOENT ? NOT_FOUND : NOT_EXECUTABLE);
}
