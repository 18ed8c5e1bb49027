/* The launcher: one static program with three jobs, so that one file serves every container image. */
#ifndef LAUNCHER_H
#define LAUNCHER_H

#include <stdint.h>
#include <time.h>

#define DEFAULT_RUN_DIR "/run/codesession"
#define SOCKET_NAME "pty.sock"

/* run.c: owns the pty and the shell; the workspace container's first process. Returns the exit code. */
int run_workspace(char **argv);

/* install.c: puts this program into `dir` and waits until the sidecar listens there. Returns the exit code. */
int install(const char *dir);

/* supervise.c: keeps a program running; the sidecar container's first process. Returns the exit code. */
int supervise(char **argv);

/* common.c */
int64_t now_ms(void);                                         /* CLOCK_MONOTONIC, milliseconds */
int connect_seqpacket(const char *dir);                       /* a socket, or -1 with errno: nobody listens */
const char *setting(const char *name, const char *otherwise); /* environment variable or default */
void restore_signals(void);                                   /* default actions, nothing blocked, for a child */
int code_of(int status);                                      /* exit code of a wait status: 128 + signal if killed */
void die(const char *what) __attribute__((noreturn));         /* perror and exit 1, after `last_words` if it is set */
extern void (*last_words)(const char *what, int error);

#endif
