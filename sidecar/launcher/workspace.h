/* What the parts of the run mode share: the pty, the shell on it, and the conversation with the sidecar. */
#ifndef WORKSPACE_H
#define WORKSPACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum { OUTPUT_END, OUTPUT_START, INPUT_END, INPUT_START, PIPE_ENDS }; /* each pipe(2): where it is read, and filled */

struct workspace {
    int master;                 /* of the pty */
    int pipes[PIPE_ENDS];       /* between the pty and the sidecar's files; only the sidecar moves bytes through them */
    uint64_t epoch;             /* a random name of the pipes, below 2^63 */
    int signals;                /* signalfd(2) */
    pid_t shell;
    int64_t started;            /* Unix time of the shell's start, seconds */

    bool ended, terminated;     /* the shell ended; somebody told this process to end it */
    int status;                 /* of the shell, as wait(2) gives it */
    int64_t kill_at, leave_at;  /* when to use SIGKILL; when to leave without the sidecar's word (ms, 0: never) */

    int control;                /* connection to the sidecar, -1 if there is none */
    int64_t connected_at, retry_at, retry_pause;
    bool drained;               /* the sidecar has everything */
};

/* shell.c */
void open_pty(struct workspace *w);
int start_shell(struct workspace *w, char **argv); /* 0, or the exit code that says it could not be started */
void signal_shell(const struct workspace *w, int number);
void write_termination_log(const char *json);
void say_not_started(const char *what, int error); /* in the termination log */

/* link.c: the protocol is in docs/architecture.md, "Launcher <-> sidecar" */
void open_pipes(struct workspace *w);
void try_to_connect(struct workspace *w);
void report_exit(struct workspace *w);
void obey(struct workspace *w); /* what the sidecar has just sent, if anything */

#endif
