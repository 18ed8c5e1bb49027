#include "launcher.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* A container runtime that restarts a crashed container waits longer each time, up to minutes (Kubernetes:
 * CrashLoopBackOff). A terminal cannot wait: this process starts its program again after 20 ms, then up to 1 s. */
enum { FIRST_PAUSE_MS = 20, LONGEST_PAUSE_MS = 1000, CALM_MS = 10000 };

static volatile sig_atomic_t child, leaving;

static void pass_on(int number)
{
    if (number == SIGTERM || number == SIGINT)
        leaving = 1;
    if (child > 0)
        kill((pid_t)child, number);
}

int supervise(char **argv)
{
    struct sigaction action = {.sa_handler = pass_on};
    sigset_t passed, before;
    sigemptyset(&passed);
    int numbers[] = {SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGUSR2};
    for (unsigned i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        sigaction(numbers[i], &action, 0);
        sigaddset(&passed, numbers[i]);
    }
    int pause_ms = FIRST_PAUSE_MS;
    for (;;) {
        int64_t begun = now_ms();
        sigprocmask(SIG_BLOCK, &passed, &before); /* no signal may fall between fork and knowing the child */
        pid_t pid = fork();
        if (pid < 0)
            die("fork");
        if (pid == 0) {
            restore_signals();
            execvp(argv[0], argv);
            fprintf(stderr, "launcher: exec %s: %s\n", argv[0], strerror(errno));
            _exit(127);
        }
        child = pid;
        sigprocmask(SIG_SETMASK, &before, 0);
        int status = 0;
        for (;;) {
            pid_t ended = waitpid(-1, &status, 0);
            if (ended == pid)
                break;
            if (ended < 0 && errno != EINTR)
                die("waitpid");
        }
        child = 0;
        if (leaving || (WIFEXITED(status) && WEXITSTATUS(status) == 0))
            return code_of(status);
        fprintf(stderr, "launcher: %s ended with %d; starting it again\n", argv[0], code_of(status));
        if (now_ms() - begun > CALM_MS)
            pause_ms = FIRST_PAUSE_MS;
        usleep((useconds_t)pause_ms * 1000);
        pause_ms = pause_ms * 2 > LONGEST_PAUSE_MS ? LONGEST_PAUSE_MS : pause_ms * 2;
        if (leaving)
            return code_of(status);
    }
}
