#include "launcher.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { DEADLINE_MS = 30000, RETRY_US = 5000 };

static void copy_self(const char *target)
{
    char buffer[65536];
    int from = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    int to = open(target, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0755);
    if (from < 0 || to < 0)
        die(target);
    for (ssize_t got; (got = read(from, buffer, sizeof buffer)) != 0;) {
        if (got < 0)
            die("read");
        for (ssize_t at = 0, put; at < got; at += put)
            if ((put = write(to, buffer + at, (size_t)(got - at))) < 0)
                die(target);
    }
    if (fchmod(to, 0755) < 0 || close(to) < 0) /* whatever the umask is */
        die(target);
    close(from);
}

int install(const char *dir)
{
    char fresh[4096], final[4096];
    if (snprintf(fresh, sizeof fresh, "%s/.launcher.%d", dir, (int)getpid()) >= (int)sizeof fresh ||
        snprintf(final, sizeof final, "%s/launcher", dir) >= (int)sizeof final) {
        fprintf(stderr, "launcher: %.64s...: the path is too long\n", dir);
        return 1;
    }
    copy_self(fresh);
    if (rename(fresh, final) < 0) { /* whole or not at all, also while the old one runs (ETXTBSY) */
        int error = errno;
        unlink(fresh);
        errno = error;
        die(final);
    }
    int error = 0;
    for (int64_t deadline = now_ms() + DEADLINE_MS; now_ms() < deadline; usleep(RETRY_US)) {
        int fd = connect_seqpacket(dir); /* to the sidecar, a caller that hangs up without a word is nobody */
        if (fd >= 0) {
            close(fd);
            return 0;
        }
        error = errno;
    }
    fprintf(stderr, "launcher: the sidecar did not listen at %s/%s within %d s: %s\n", dir, SOCKET_NAME,
            DEADLINE_MS / 1000, strerror(error));
    return 1;
}
