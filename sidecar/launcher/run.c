/* The workspace's first process: makes the pty, starts the shell on it once, moves the bytes, reaps, reports the end. */

#include "workspace.h"

#include "launcher.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    LITTLE = 256,           /* a read of less is taken for all there was: the next poll(2) says if there is more */
    TURNS = 4,              /* times the buffer is filled from the pty in one go, at most */
    KILL_AFTER_MS = 2000,   /* from SIGHUP and SIGTERM to SIGKILL */
    HUNG_MS = 50,           /* how long a pty without a holder is left alone */
    QUIET_MS = 200,         /* so long after the pty was found empty, nothing of an ended shell is left in it */
    MOST_PENDING = 262144,  /* more than a pty can hold (some 20 KB): what comes behind is not the shell's */
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

/* Fill the buffer from the pty, which gives 4095 bytes at a time, until it gives little. True if there is something to send. */
static bool read_pty(void)
{
    w.out_start = w.out_end = 0;
    while (w.out_end < sizeof w.out) {
        ssize_t got = read(w.master, w.out + w.out_end, sizeof w.out - w.out_end);
        if (got > 0) {
            w.out_end += (size_t)got;
            w.after_end += w.ended ? (uint64_t)got : 0;
            w.pty_done = w.after_end > MOST_PENDING;
            if (w.pty_done || got < LITTLE)
                break;
            continue;
        }
        if (got < 0 && errno == EINTR)
            break;
        if (got < 0 && errno == EAGAIN) {
            if (w.ended && !w.empty_since && !w.out_end)
                w.empty_since = now_ms();
            break;
        }
        /* EIO: nobody holds the other side. While the shell lives, it may open /dev/tty again. */
        w.pty_done = w.ended;
        w.hung_until = now_ms() + HUNG_MS;
        break;
    }
    return w.out_end > 0;
}

static void move_output(void)
{
    for (int turns = 0; turns < TURNS; turns++) {
        if (w.out_start == w.out_end && (w.pty_done || !read_pty()))
            return;
        ssize_t sent = send(w.mine, w.out + w.out_start, w.out_end - w.out_start, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent < 0) { /* the sidecar is behind, or away: the pty waits, and with it who writes to it */
            w.empty_since = 0;
            return;
        }
        w.out_start += (size_t)sent;
        w.out_total += (uint64_t)sent;
        if (sent < LITTLE && !w.ended)
            return;
    }
}

static void move_input(void)
{
    if (w.in_start == w.in_end) {
        ssize_t got = recv(w.mine, w.in, sizeof w.in, MSG_DONTWAIT);
        if (got <= 0)
            return;
        w.in_start = 0;
        w.in_end = (size_t)got;
        w.in_total += (uint64_t)got;
    }
    ssize_t written = write(w.master, w.in + w.in_start, w.in_end - w.in_start);
    if (written > 0)
        w.in_start += (size_t)written;
    else if (written < 0 && errno != EAGAIN && errno != EINTR)
        w.in_start = w.in_end; /* the pty is gone, and so is who would read this */
}

/* What has to happen at some time, and the time until the next such thing for poll(2), -1 if there is none. */
static int keep_time(void)
{
    int64_t now = now_ms(), next = INT64_MAX;
    if (w.kill_at && now >= w.kill_at) {
        signal_shell(&w, SIGKILL);
        w.kill_at = 0;
    }
    if (w.ended && w.empty_since && w.out_start == w.out_end && now >= w.empty_since + QUIET_MS)
        w.pty_done = true; /* whoever holds it still is a job that outlived the shell */
    if (w.pty_done && w.out_start == w.out_end && !w.shut) {
        shutdown(w.mine, SHUT_WR); /* the sidecar reads end of file behind the last byte */
        w.shut = true;
    }
    if (w.control < 0 && now >= w.retry_at)
        try_to_connect(&w);
    int64_t times[] = {
        w.kill_at,
        w.leave_at,
        w.control < 0 ? w.retry_at : 0,
        w.hung_until > now ? w.hung_until : 0,
        w.ended && w.empty_since && !w.pty_done ? w.empty_since + QUIET_MS : 0,
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
    bool hung = w.hung_until > now_ms(), sending = w.out_start < w.out_end, typing = w.in_start < w.in_end;
    short from_pty = (short)((sending ? 0 : POLLIN) | (typing ? POLLOUT : 0));
    short on_socket = (short)((sending ? POLLOUT : 0) | (typing || w.pty_done ? 0 : POLLIN));
    struct pollfd fds[] = {
        {.fd = w.signals, .events = POLLIN},
        {.fd = w.control, .events = POLLIN},
        {.fd = from_pty && !hung && !w.pty_done ? w.master : -1, .events = from_pty}, /* else POLLHUP would spin */
        {.fd = on_socket ? w.mine : -1, .events = on_socket},
    };
    if (poll(fds, 4, timeout) < 0 && errno != EINTR)
        die("poll");
    if (fds[0].revents)
        take_signals();
    if (fds[1].revents && w.control >= 0)
        obey(&w);
    if (sending || w.ended || (!hung && fds[2].revents & (POLLIN | POLLHUP | POLLERR)))
        move_output();
    if (!w.pty_done && (typing || fds[3].revents & POLLIN))
        move_input();
}

int run_workspace(char **argv)
{
    char json[64];
    last_words = say_not_started;
    prctl(PR_SET_DUMPABLE, 0);         /* no process of the user reads or traces this one (ptrace(2)) */
    prctl(PR_SET_CHILD_SUBREAPER, 1);  /* for a pod whose containers share a pid namespace */
    watch_signals();                   /* before there is a shell whose end could be missed */
    open_pty(&w);
    open_pair(&w);
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
