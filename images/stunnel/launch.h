/* The start of stunnel, with the libraries that are loaded into it. */
#ifndef LAUNCH_H
#define LAUNCH_H

#include <sys/types.h>

#define STUNNEL "/usr/bin/stunnel4"

/* LD_PRELOAD with the library in the folder of this program; gives up if it is not there. */
char *preload(void);

/* Starts stunnel, which reads its configuration from config_fd, is handed so many listeners, and writes to *log_fd. */
pid_t launch(int config_fd, int listeners, int *log_fd);

#endif
