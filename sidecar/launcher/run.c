/* The workspace's first process: makes the pty, starts the shell on it once, reaps, reports the end. */

#include "workspace.h"

#include "launcher.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    KILL_AFTER_MS = 2000,   /* from SIGHUP and SIGTERM to SIGKILL */
    LEAVE_AFTER_MS = 10000, /* how long the last output may wait for a sidecar */
};

static struct workspace w;

/* A runtime stops a container by whatever STOPSIGNAL its image says; these are in use. The first process of a pid namespace
 * gets no default actions (pid_namespaces(7)), so each has to be listened for. */
static const int stop_signals[] = {SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2, SIGWINCH, SIGPWR};

static void watch_signals(void)
{
    sigset_t watched;
    sigemptyset(&watched);
    sigaddset(&watched, SIGCHLD);
    sigaddset(&watched, SIGRTMIN + 3);
    for (size_t i = 0; i < sizeof stop_signals / sizeof *stop_signals; i++)
        sigaddset(&watched, stop_signals[i]);
    sigprocmask(SIG_BLOCK, &watched, 0);
    signal(SIGPIPE, SIG_IGN);
    w.signals = signalfd(-1, &watched, SFD_CLOEXEC | SFD_NONBLOCK);
    if (w.signals < 0)
        die("signalfd");
}

static void begin_to_end(void)
{
    if (w.ended || w.terminated)
        return;
    w.terminated = true;
    w.kill_at = now_ms() + KILL_AFTER_MS;
    signal_shell(&w, SIGHUP);
    signal_shell(&w, SIGTERM);
    signal_shell(&w, SIGCONT); /* a stopped one could not act on them */
}

/* Every orphan of the container ends up here. When the shell, leader of the session, ends, the kernel itself sends SIGHUP to
 * the job in front (credentials(7)). */
static void reap(void)
{
    int status;
    for (pid_t pid; (pid = waitpid(-1, &status, WNOHANG)) > 0;) {
        if (pid != w.shell || w.ended)
            continue;
        w.ended = true;
        w.status = status;
        w.kill_at = 0;
        w.leave_at = now_ms() + LEAVE_AFTER_MS;
        report_exit(&w);
    }
}

static void take_signals(void)
{
    struct signalfd_siginfo info;
    while (read(w.signals, &info, sizeof info) == (ssize_t)sizeof info) {
        if (info.ssi_signo == SIGCHLD)
            reap();
        else
            begin_to_end();
    }
}

/* What has to happen at some time, and the time until the next such thing for poll(2), -1 if there is none. */
static int keep_time(void)
{
    int64_t now = now_ms(), next = INT64_MAX;
    if (w.kill_at && now >= w.kill_at) {
        signal_shell(&w, SIGKILL);
        w.kill_at = 0;
    }
    if (w.control < 0 && now >= w.retry_at)
        try_to_connect(&w);
    int64_t times[] = {
        w.kill_at,
        w.leave_at,
        w.control < 0 ? w.retry_at : 0,
    };
    for (size_t i = 0; i < sizeof times / sizeof *times; i++)
        if (times[i] && times[i] < next)
            next = times[i];
    if (next == INT64_MAX)
        return -1;
    return next <= now ? 0 : (int)(next - now);
}

static void turn(void)
{
    int timeout = keep_time();
    struct pollfd fds[] = {
        {.fd = w.signals, .events = POLLIN},
        {.fd = w.control, .events = POLLIN},
    };
    if (poll(fds, 2, timeout) < 0 && errno != EINTR)
        die("poll");
    if (fds[0].revents)
        take_signals();
    if (fds[1].revents && w.control >= 0)
        obey(&w);
}

int run_workspace(char **argv)
{
    char json[64];
    last_words = say_not_started;
    prctl(PR_SET_DUMPABLE, 0);         /* no process of the user reads or traces this one (ptrace(2)) */
    prctl(PR_SET_CHILD_SUBREAPER, 1);  /* for a pod whose containers share a pid namespace */
    watch_signals();                   /* before there is a shell whose end could be missed */
    open_pty(&w);
    open_pipes(&w);
    int refused = start_shell(&w, argv);
    if (refused)
        return refused;
    last_words = 0;
    while (!w.ended || (!w.drained && now_ms() < w.leave_at))
        turn();
    snprintf(json, sizeof json, "{\"shell\":\"exited\",\"code\":%d}", code_of(w.status));
    write_termination_log(json);
    return code_of(w.status);
}
