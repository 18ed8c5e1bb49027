/* The pty and the shell on it. */

#include "workspace.h"

#include "launcher.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { NOT_FOUND = 127, NOT_EXECUTABLE = 126 }; /* POSIX.1-2017, XCU 2.8.2 */

void open_pty(struct workspace *w)
{
    struct winsize size = {.ws_row = 24, .ws_col = 80};
    w->master = posix_openpt(O_RDWR | O_NOCTTY);
    if (w->master < 0 || unlockpt(w->master) < 0 || ioctl(w->master, TIOCSWINSZ, &size) < 0 ||
        fcntl(w->master, F_SETFD, FD_CLOEXEC) < 0 || fcntl(w->master, F_SETFL, O_RDWR | O_NONBLOCK) < 0)
        die("pty");
}

static const char *default_shell(void)
{
    const char *candidates[] = {getenv("SHELL"), "/bin/bash", "/bin/sh"};
    for (size_t i = 0; i < sizeof candidates / sizeof *candidates; i++)
        if (candidates[i] && *candidates[i] == '/' && access(candidates[i], X_OK) == 0)
            return candidates[i];
    return "/bin/sh";
}

static void no_file_outlives_exec(void)
{
#ifdef SYS_close_range
    syscall(SYS_close_range, 3U, ~0U, 4U /* CLOSE_RANGE_CLOEXEC */); /* Linux 5.11; our own files are so anyway */
#endif
}

/* From the master (TIOCGPTPEER, ioctl_tty(2)), so that no path is needed; by its path where the kernel cannot. */
static int open_slave(int master)
{
    int slave = ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY);
    const char *path = slave < 0 ? ptsname(master) : 0;
    return path ? open(path, O_RDWR | O_NOCTTY) : slave;
}

/* In the child. The slave is opened only here, so that the end of file comes when the last process of the session lets go
 * of it. */
static void become_shell(const struct workspace *w, char **argv, int report)
{
    char *chosen[] = {0, 0};
    if (!argv[0]) {
        chosen[0] = (char *)default_shell(); /* no login shell: /etc/profile would undo the image's PATH */
        argv = chosen;
        setenv("SHELL", chosen[0], 1);
    }
    int slave = -1;
    if (setsid() >= 0)
        slave = open_slave(w->master);
    if (slave >= 0 && ioctl(slave, TIOCSCTTY, 0) == 0 && dup2(slave, 0) >= 0 && dup2(slave, 1) >= 0 &&
        dup2(slave, 2) >= 0) {
        if (slave > 2)
            close(slave);
        no_file_outlives_exec();
        restore_signals();
        execvp(argv[0], argv);
    }
    int error = errno;
    if (write(report, &error, sizeof error) < 0)
        _exit(125);
    _exit(error == ENOENT ? NOT_FOUND : NOT_EXECUTABLE);
}

void write_termination_log(const char *json)
{
    int fd = open(setting("CODESESSIONS_TERMINATION_LOG", "/dev/termination-log"), O_WRONLY | O_TRUNC | O_CLOEXEC);
    if (fd < 0)
        return; /* not a pod: nobody reads it */
    if (write(fd, json, strlen(json)) < 0)
        perror("launcher: termination log");
    close(fd);
}

void say_not_started(const char *what, int error)
{
    char json[512];
    snprintf(json, sizeof json, "{\"shell\":\"not started\",\"error\":\"%.256s: %s\"}", what, strerror(error));
    write_termination_log(json);
}

/* A question mark for each byte that a log or a JSON string could not carry as it is. */
static void copy_printable(char *to, size_t size, const char *from)
{
    size_t length = 0;
    for (; from[length] && length + 1 < size; length++) {
        unsigned char c = (unsigned char)from[length];
        to[length] = (char)(c < 32 || c > 126 || c == '"' || c == '\\' ? '?' : c);
    }
    to[length] = 0;
}

int start_shell(struct workspace *w, char **argv)
{
    int report[2], error = 0;
    if (pipe2(report, O_CLOEXEC) < 0) /* closed by exec: end of file says that it worked */
        die("pipe");
    w->started = (int64_t)time(0);
    w->shell = fork();
    if (w->shell < 0)
        die("fork");
    if (w->shell == 0)
        become_shell(w, argv, report[1]);
    close(report[1]);
    ssize_t got;
    while ((got = read(report[0], &error, sizeof error)) < 0 && errno == EINTR)
        ;
    close(report[0]);
    if (got != (ssize_t)sizeof error)
        return 0;
    waitpid(w->shell, 0, 0);
    char what[256] = "exec ";
    copy_printable(what + strlen(what), sizeof what - strlen(what), argv[0] ? argv[0] : default_shell());
    fprintf(stderr, "launcher: %s: %s\n", what, strerror(error));
    say_not_started(what, error);
    return error == ENOENT ? NOT_FOUND : NOT_EXECUTABLE;
}

void signal_shell(const struct workspace *w, int number)
{
    pid_t group = -1;
    if (ioctl(w->master, TIOCGPGRP, &group) == 0 && group > 0 && group != w->shell)
        kill(-group, number); /* what is in front; gVisor refuses to say, then the shell is all that is known */
    kill(-w->shell, number);
}
