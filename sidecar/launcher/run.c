/* The workspace's first process.
 *
 * It makes the pty, starts the shell on it once, and moves bytes between the pty and one end of a socket pair. The other end
 * goes to the sidecar by SCM_RIGHTS (unix(7)) each time one connects; a copy of it is kept here, so what a killed
 * sidecar had not read stays in the socket. With the count of bytes that were ever taken from it, which the hello says,
 * the next sidecar knows to the byte where its predecessor stopped.
 */

#include "launcher.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/sockios.h>
#include <poll.h>
#include <stdbool.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    OUT_BUFFER = 65536,
    IN_BUFFER = 4096,
    SOCKET_BUFFER = 262144,   /* bytes on their way to the sidecar, at most */
    RECONNECT_FIRST_MS = 5,
    RECONNECT_LONGEST_MS = 200,
    KILL_AFTER_MS = 2000,     /* from SIGHUP and SIGTERM to SIGKILL */
    HUNG_MS = 50,             /* how long a pty without a holder is left alone */
    QUIET_MS = 200,           /* a job that outlives the shell may hold the pty: silence this long is its end */
    FAREWELL_MS = 10000,      /* how long the last output may wait for a sidecar */
};

static struct {
    int master, mine, theirs, control, signals;
    pid_t shell;
    bool ended, pty_done, shut, drained;
    int status;
    uint64_t epoch, out_total, in_total;
    char out[OUT_BUFFER], in[IN_BUFFER];
    size_t out_start, out_end, in_start, in_end;
    int64_t retry_at, retry_pause, kill_at, last_output, farewell_at, hung_until;
} w = {.control = -1};

static void open_pty(void)
{
    int unlock = 0;
    struct winsize size = {.ws_row = 24, .ws_col = 80};
    w.master = open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK);
    if (w.master < 0)
        die("/dev/ptmx");
    if (ioctl(w.master, TIOCSPTLCK, &unlock) < 0 || ioctl(w.master, TIOCSWINSZ, &size) < 0)
        die("pty");
}

static void open_sockets(void)
{
    int pair[2], size = SOCKET_BUFFER;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) < 0)
        die("socketpair");
    w.mine = pair[0];
    w.theirs = pair[1];
    setsockopt(w.mine, SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
    setsockopt(w.theirs, SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
    while (getrandom(&w.epoch, sizeof w.epoch, 0) != sizeof w.epoch)
        ;
    w.epoch >>= 1; /* fits a signed integer everywhere */
}

static const char *default_shell(void)
{
    const char *candidates[] = {getenv("SHELL"), "/bin/bash", "/bin/sh"};
    for (int i = 0; i < 3; i++)
        if (candidates[i] && *candidates[i] == '/' && access(candidates[i], X_OK) == 0)
            return candidates[i];
    return "/bin/sh";
}

static void become_shell(char **argv, int report)
{
    char login[256];
    char *chosen[] = {login, 0};
    const char *program = argv[0];
    if (!program) { /* a login shell, which reads the image's /etc/profile, has a dash before its name */
        program = default_shell();
        snprintf(login, sizeof login, "-%s", strrchr(program, '/') + 1);
        argv = chosen;
        setenv("SHELL", program, 1);
    }
    int slave = -1;
    if (setsid() >= 0)
        slave = ioctl(w.master, TIOCGPTPEER, O_RDWR);
    if (slave >= 0 && ioctl(slave, TIOCSCTTY, 0) == 0 && dup2(slave, 0) >= 0 && dup2(slave, 1) >= 0 &&
        dup2(slave, 2) >= 0) {
        if (slave > 2)
            close(slave);
        restore_signals();
        execvp(program, argv);
    }
    int error = errno;
    if (write(report, &error, sizeof error) < 0)
        _exit(125);
    _exit(error == ENOENT ? 127 : 126);
}

static void write_termination(const char *json)
{
    int fd = open(setting("CODESESSIONS_TERMINATION_LOG", "/dev/termination-log"), O_WRONLY | O_TRUNC | O_CLOEXEC);
    if (fd < 0)
        return; /* not a pod: nobody reads it */
    if (write(fd, json, strlen(json)) < 0)
        perror("launcher: termination log");
    close(fd);
}

/* Start the shell; returns 0, or the exit code that says it could not be started. */
static int start_shell(char **argv)
{
    int report[2], error = 0;
    if (pipe2(report, O_CLOEXEC) < 0)
        die("pipe");
    w.shell = fork();
    if (w.shell < 0)
        die("fork");
    if (w.shell == 0)
        become_shell(argv, report[1]);
    close(report[1]);
    ssize_t got = read(report[0], &error, sizeof error);
    close(report[0]);
    if (got != (ssize_t)sizeof error)
        return 0;
    char name[512] = "", json[1024];
    const char *program = argv[0] ? argv[0] : default_shell();
    for (size_t i = 0, j = 0; program[i] && j + 2 < sizeof name; i++)
        name[j++] = program[i] == '"' || program[i] == '\\' || (unsigned char)program[i] < 32 ? '?' : program[i];
    snprintf(json, sizeof json, "{\"shell\":\"not started\",\"error\":\"exec %s: %s\"}", name, strerror(error));
    fprintf(stderr, "launcher: exec %s: %s\n", name, strerror(error));
    write_termination(json);
    waitpid(w.shell, 0, 0);
    return error == ENOENT ? 127 : 126;
}

static int exit_code(void)
{
    return WIFSIGNALED(w.status) ? 128 + WTERMSIG(w.status) : WEXITSTATUS(w.status);
}

static void lose_control(void)
{
    if (w.control >= 0)
        close(w.control);
    w.control = -1;
    w.retry_pause = RECONNECT_FIRST_MS;
    w.retry_at = now_ms() + w.retry_pause;
}

static void tell(const char *json, int fd_to_pass)
{
    char space[CMSG_SPACE(sizeof(int))] = {0};
    struct iovec part = {.iov_base = (void *)json, .iov_len = strlen(json)};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
    if (fd_to_pass >= 0) {
        message.msg_control = space;
        message.msg_controllen = sizeof space;
        struct cmsghdr *header = CMSG_FIRSTHDR(&message);
        header->cmsg_level = SOL_SOCKET;
        header->cmsg_type = SCM_RIGHTS;
        header->cmsg_len = CMSG_LEN(sizeof(int));
        memcpy(CMSG_DATA(header), &fd_to_pass, sizeof(int));
    }
    if (sendmsg(w.control, &message, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
        lose_control();
}

static int describe_end(char *json, size_t size)
{
    if (!w.ended)
        return snprintf(json, size, "\"state\":\"running\",\"code\":null,\"signal\":null");
    if (WIFSIGNALED(w.status))
        return snprintf(json, size, "\"state\":\"exited\",\"code\":null,\"signal\":%d", WTERMSIG(w.status));
    return snprintf(json, size, "\"state\":\"exited\",\"code\":%d,\"signal\":null", WEXITSTATUS(w.status));
}

static void say_hello(void)
{
    char end[128], json[512];
    int unread = 0, queued = 0;
    ioctl(w.theirs, SIOCINQ, &unread); /* output not yet taken by a sidecar */
    ioctl(w.mine, SIOCINQ, &queued);   /* input not yet taken by this process */
    describe_end(end, sizeof end);
    snprintf(json, sizeof json,
             "{\"v\":1,\"type\":\"hello\",\"pid\":%d,\"epoch\":%" PRIu64 ",\"taken\":%" PRIu64 ",\"given\":%" PRIu64 ",%s}",
             (int)w.shell, w.epoch, w.out_total - (uint64_t)unread, w.in_total + (uint64_t)queued, end);
    tell(json, w.theirs);
}

static void try_to_connect(void)
{
    w.control = connect_seqpacket(setting("CODESESSIONS_RUN_DIR", DEFAULT_RUN_DIR));
    if (w.control >= 0) {
        say_hello();
        return;
    }
    w.retry_pause = w.retry_pause * 2 > RECONNECT_LONGEST_MS ? RECONNECT_LONGEST_MS : w.retry_pause * 2;
    w.retry_at = now_ms() + w.retry_pause;
}

static long number_after(const char *json, const char *key)
{
    const char *found = strstr(json, key);
    return found ? strtol(found + strlen(key), 0, 10) : -1;
}

static void signal_shell(int number)
{
    pid_t group = -1;
    if (ioctl(w.master, TIOCGPGRP, &group) == 0 && group > 0)
        kill(-group, number);
    if (group != w.shell)
        kill(-w.shell, number);
}

static void obey(void)
{
    char json[1024];
    ssize_t got = recv(w.control, json, sizeof json - 1, MSG_DONTWAIT);
    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (got <= 0) {
        lose_control();
        return;
    }
    json[got] = 0;
    if (strstr(json, "\"drained\"")) {
        w.drained = true;
    } else if (strstr(json, "\"resize\"")) {
        long rows = number_after(json, "\"rows\":"), columns = number_after(json, "\"cols\":");
        if (rows > 0 && rows < 65536 && columns > 0 && columns < 65536) {
            struct winsize size = {.ws_row = (unsigned short)rows, .ws_col = (unsigned short)columns};
            ioctl(w.master, TIOCSWINSZ, &size);
        }
    } else if (strstr(json, "\"signal\"")) {
        long number = number_after(json, "\"signal\":");
        if (number > 0 && number < NSIG && !w.ended)
            signal_shell((int)number);
    }
}

static void begin_to_end(void)
{
    if (w.ended || w.kill_at)
        return;
    signal_shell(SIGHUP);
    signal_shell(SIGTERM);
    signal_shell(SIGCONT);
    w.kill_at = now_ms() + KILL_AFTER_MS;
}

static void reap(void)
{
    int status;
    for (pid_t pid; (pid = waitpid(-1, &status, WNOHANG)) > 0;) {
        if (pid != w.shell || w.ended)
            continue;
        char end[128], json[256];
        w.ended = true;
        w.status = status;
        w.last_output = now_ms();
        w.farewell_at = now_ms() + FAREWELL_MS;
        describe_end(end, sizeof end);
        snprintf(json, sizeof json, "{\"type\":\"exit\",%s}", end);
        if (w.control >= 0)
            tell(json, -1);
    }
}

static void take_signals(void)
{
    struct signalfd_siginfo info;
    while (read(w.signals, &info, sizeof info) == (ssize_t)sizeof info) {
        if (info.ssi_signo == SIGCHLD)
            reap();
        else if (info.ssi_signo == SIGTERM || info.ssi_signo == SIGINT || info.ssi_signo == SIGHUP)
            begin_to_end();
    }
}

static void move_output(void)
{
    for (int turns = 0; turns < 16; turns++) {
        if (w.out_start == w.out_end && !w.pty_done) {
            ssize_t got = read(w.master, w.out, sizeof w.out);
            if (got < 0 && (errno == EAGAIN || errno == EINTR))
                return;
            if (got <= 0) { /* EIO: nobody holds the other side; while the shell lives it may open /dev/tty again */
                w.pty_done = w.ended;
                w.hung_until = now_ms() + HUNG_MS;
                return;
            }
            w.out_start = 0;
            w.out_end = (size_t)got;
            w.last_output = now_ms();
        }
        if (w.out_start == w.out_end)
            return;
        ssize_t sent = send(w.mine, w.out + w.out_start, w.out_end - w.out_start, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent < 0)
            return;
        w.out_start += (size_t)sent;
        w.out_total += (uint64_t)sent;
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

static int timeout_ms(void)
{
    int64_t next = INT64_MAX, now = now_ms();
    if (w.control < 0 && w.retry_at < next)
        next = w.retry_at;
    if (w.kill_at && !w.ended && w.kill_at < next)
        next = w.kill_at;
    if (w.hung_until > now && w.hung_until < next)
        next = w.hung_until;
    if (w.ended && !w.shut && w.last_output + QUIET_MS < next)
        next = w.last_output + QUIET_MS;
    if (w.ended && w.farewell_at < next)
        next = w.farewell_at;
    if (next == INT64_MAX)
        return -1;
    return next <= now ? 0 : (int)(next - now);
}

static void keep_time(void)
{
    int64_t now = now_ms();
    if (w.kill_at && !w.ended && now >= w.kill_at) {
        kill(-w.shell, SIGKILL);
        kill(w.shell, SIGKILL);
        w.kill_at = 0;
    }
    if (w.ended && !w.pty_done && w.out_start == w.out_end && now >= w.last_output + QUIET_MS)
        w.pty_done = true;
    if (w.ended && w.pty_done && w.out_start == w.out_end && !w.shut) {
        shutdown(w.mine, SHUT_WR); /* the sidecar reads end-of-file behind the last byte */
        w.shut = true;
    }
    if (w.control < 0 && now >= w.retry_at)
        try_to_connect();
}

static void turn(void)
{
    bool sending = w.out_start < w.out_end, typing = w.in_start < w.in_end, hung = w.hung_until > now_ms();
    short from_pty = (short)((!sending && !w.pty_done ? POLLIN : 0) | (typing ? POLLOUT : 0));
    short on_socket = (short)((sending ? POLLOUT : 0) | (!typing && !w.pty_done ? POLLIN : 0));
    struct pollfd fds[] = {
        {.fd = w.signals, .events = POLLIN},
        {.fd = w.control, .events = POLLIN},
        {.fd = from_pty && !hung ? w.master : -1, .events = from_pty},
        {.fd = on_socket ? w.mine : -1, .events = on_socket},
    };
    if (poll(fds, 4, timeout_ms()) < 0 && errno != EINTR)
        die("poll");
    if (fds[0].revents)
        take_signals();
    if (fds[1].revents && w.control >= 0)
        obey();
    if (!hung || w.ended)
        move_output();
    if (typing || fds[3].revents & POLLIN)
        move_input();
    keep_time();
}

int run_workspace(char **argv)
{
    sigset_t caught;
    prctl(PR_SET_DUMPABLE, 0); /* no process of the user reads or traces this one (ptrace(2)) */
    open_pty();
    open_sockets();
    int refused = start_shell(argv);
    if (refused)
        return refused;
    sigemptyset(&caught);
    sigaddset(&caught, SIGCHLD);
    sigaddset(&caught, SIGTERM);
    sigaddset(&caught, SIGINT);
    sigaddset(&caught, SIGHUP);
    sigprocmask(SIG_BLOCK, &caught, 0);
    signal(SIGPIPE, SIG_IGN);
    w.signals = signalfd(-1, &caught, SFD_CLOEXEC | SFD_NONBLOCK);
    if (w.signals < 0)
        die("signalfd");
    w.retry_pause = RECONNECT_FIRST_MS;
    reap(); /* it may have ended before the signal was watched for */
    while (!(w.ended && (w.drained || now_ms() >= w.farewell_at)))
        turn();
    char json[64];
    snprintf(json, sizeof json, "{\"shell\":\"exited\",\"code\":%d}", exit_code());
    write_termination(json);
    return exit_code();
}
