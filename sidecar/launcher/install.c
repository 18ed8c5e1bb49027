#include "launcher.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { DEADLINE_MS = 30000 };

static void copy_self(const char *target)
{
    char buffer[65536];
    int from = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    int to = open(target, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0755);
    if (from < 0 || to < 0)
        die(target);
    for (;;) {
        ssize_t got = read(from, buffer, sizeof buffer);
        if (got < 0)
            die("read");
        if (got == 0)
            break;
        if (write(to, buffer, (size_t)got) != got)
            die(target);
    }
    if (fchmod(to, 0755) < 0 || close(to) < 0)
        die(target);
    close(from);
}

int install(const char *dir)
{
    char fresh[4096], final[4096];
    snprintf(fresh, sizeof fresh, "%s/.launcher.%d", dir, (int)getpid());
    snprintf(final, sizeof final, "%s/launcher", dir);
    copy_self(fresh);
    if (rename(fresh, final) < 0)
        die(final);
    for (int64_t deadline = now_ms() + DEADLINE_MS; now_ms() < deadline; usleep(5000)) {
        int fd = connect_seqpacket(dir); /* the sidecar takes a caller without a word for nobody */
        if (fd >= 0) {
            close(fd);
            return 0;
        }
    }
    fprintf(stderr, "launcher: the sidecar did not listen at %s/%s within %d s: %s\n", dir, SOCKET_NAME,
            DEADLINE_MS / 1000, strerror(errno));
    return 1;
}
