/* What the parts of the run mode share: the pty, the shell on it, and the way to the sidecar. */
#ifndef WORKSPACE_H
#define WORKSPACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum { OUT_BUFFER = 65536, IN_BUFFER = 4096 };

struct workspace {
    int master;                 /* of the pty; never leaves this process */
    int signals;                /* signalfd(2) */
    pid_t shell;
    int64_t started;            /* Unix time of the shell's start, seconds */

    bool ended, terminated;     /* the shell ended; somebody told this process to end it */
    int status;                 /* of the shell, as wait(2) gives it */
    int64_t kill_at, leave_at;  /* when to use SIGKILL; when to leave without the sidecar's word (ms, 0: never) */

    int mine, theirs;           /* the socket pair that carries the bytes; `theirs` is handed over */
    uint64_t epoch;             /* a random name of this socket pair, below 2^63 */
    uint64_t out_total;         /* bytes ever put into the pair */
    uint64_t in_total;          /* bytes ever taken from it */
    char out[OUT_BUFFER], in[IN_BUFFER];
    size_t out_start, out_end, in_start, in_end;

    int64_t hung_until;         /* the pty has no holder just now: leave it alone until then */
    int64_t empty_since;        /* when the pty was first found empty after the shell's end; 0: not yet */
    uint64_t after_end;         /* bytes that came out of the pty after the shell's end */
    bool pty_done, shut;        /* no more is read from the pty; the sidecar was shown the end of the bytes */

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
void open_pair(struct workspace *w);
void try_to_connect(struct workspace *w);
void report_exit(struct workspace *w);
void obey(struct workspace *w); /* what the sidecar has just sent, if anything */

#endif
