/* The conversation with the sidecar: one JSON object a packet, and the socket pair that carries the bytes.
 *
 * One end of the pair goes to the sidecar by SCM_RIGHTS (unix(7)) each time one connects. A copy is kept here, so what a
 * killed sidecar had not taken stays in the socket. The hello says how many bytes were ever taken (all that were put in,
 * less what SIOCINQ says is still there); by that the next sidecar knows to the byte where its predecessor stopped. The
 * master itself is not handed over: of a tty, nobody can tell how far the last reader came.
 */

#include "workspace.h"

#include "launcher.h"

#include <errno.h>
#include <inttypes.h>
#include <linux/sockios.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    SOCKET_BUFFER = 262144, /* bytes on their way to the sidecar, about */
    RETRY_FIRST_MS = 5,
    RETRY_LONGEST_MS = 200,
    SETTLED_MS = 100, /* a connection that lasted as long was no refusal: retry from the shortest pause again */
};

void open_pair(struct workspace *w)
{
    int pair[2], size = SOCKET_BUFFER, unread;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) < 0)
        die("socketpair");
    w->mine = pair[0];
    w->theirs = pair[1];
    setsockopt(w->mine, SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
    setsockopt(w->theirs, SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
    if (ioctl(w->theirs, SIOCINQ, &unread) < 0 || ioctl(w->mine, SIOCINQ, &unread) < 0)
        die("SIOCINQ"); /* better no session than one whose transcript may be wrong */
    while (getrandom(&w->epoch, sizeof w->epoch, 0) != sizeof w->epoch)
        ;
    w->epoch >>= 1; /* fits a signed integer everywhere */
    w->control = -1;
    w->retry_pause = RETRY_FIRST_MS;
}

static void pause_before_retry(struct workspace *w)
{
    w->retry_at = now_ms() + w->retry_pause;
    w->retry_pause = w->retry_pause * 2 > RETRY_LONGEST_MS ? RETRY_LONGEST_MS : w->retry_pause * 2;
}

static void lose_control(struct workspace *w)
{
    close(w->control);
    w->control = -1;
    if (now_ms() - w->connected_at >= SETTLED_MS)
        w->retry_pause = RETRY_FIRST_MS;
    pause_before_retry(w);
}

static void tell(struct workspace *w, const char *json, int fd_to_pass)
{
    union { /* aligned as cmsg(3) wants it */
        char space[CMSG_SPACE(sizeof(int))];
        struct cmsghdr header;
    } rights = {0};
    struct iovec part = {.iov_base = (void *)json, .iov_len = strlen(json)};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
    if (fd_to_pass >= 0) {
        message.msg_control = rights.space;
        message.msg_controllen = sizeof rights.space;
        struct cmsghdr *header = CMSG_FIRSTHDR(&message);
        header->cmsg_level = SOL_SOCKET;
        header->cmsg_type = SCM_RIGHTS;
        header->cmsg_len = CMSG_LEN(sizeof(int));
        memcpy(CMSG_DATA(header), &fd_to_pass, sizeof(int));
    }
    if (sendmsg(w->control, &message, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
        lose_control(w);
}

/* The members that say how the shell ended, or that it has not. */
static void describe_end(const struct workspace *w, char *json, size_t size)
{
    char code[16] = "null", number[16] = "null";
    if (w->ended && WIFSIGNALED(w->status))
        snprintf(number, sizeof number, "%d", WTERMSIG(w->status));
    else if (w->ended)
        snprintf(code, sizeof code, "%d", WEXITSTATUS(w->status));
    snprintf(json, size, "\"code\":%s,\"signal\":%s,\"terminated\":%s", code, number, w->terminated ? "true" : "false");
}

static void say_hello(struct workspace *w)
{
    char end[128], json[512];
    int unread = 0, queued = 0;
    struct winsize size = {.ws_row = 24, .ws_col = 80};
    ioctl(w->master, TIOCGWINSZ, &size);
    ioctl(w->theirs, SIOCINQ, &unread); /* output not yet taken by a sidecar */
    ioctl(w->mine, SIOCINQ, &queued);   /* input not yet taken by this process */
    describe_end(w, end, sizeof end);
    snprintf(json, sizeof json,
             "{\"v\":1,\"type\":\"hello\",\"pid\":%d,\"started\":%" PRId64 ",\"rows\":%d,\"cols\":%d,"
             "\"epoch\":%" PRIu64 ",\"taken\":%" PRIu64 ",\"given\":%" PRIu64 ",\"state\":\"%s\",%s}",
             (int)w->shell, w->started, size.ws_row, size.ws_col, w->epoch, w->out_total - (uint64_t)unread,
             w->in_total + (uint64_t)queued, w->ended ? "exited" : "running", end);
    tell(w, json, w->theirs);
}

void try_to_connect(struct workspace *w)
{
    w->control = connect_seqpacket(setting("CODESESSIONS_RUN_DIR", DEFAULT_RUN_DIR));
    if (w->control < 0) {
        pause_before_retry(w);
        return;
    }
    w->connected_at = now_ms();
    say_hello(w);
}

void report_exit(struct workspace *w)
{
    char end[128], json[256];
    if (w->control < 0)
        return; /* the next hello says it */
    describe_end(w, end, sizeof end);
    snprintf(json, sizeof json, "{\"type\":\"exit\",%s}", end);
    tell(w, json, -1);
}

static long number_after(const char *json, const char *key)
{
    const char *found = strstr(json, key);
    return found ? strtol(found + strlen(key), 0, 10) : -1;
}

/* Only the sidecar can be at the other end (the workspace cannot write to the folder of the socket), and it writes compact
 * JSON of the three forms in docs/architecture.md; so a search for a member does for a parser. */
void obey(struct workspace *w)
{
    char json[1024];
    ssize_t got = recv(w->control, json, sizeof json - 1, MSG_DONTWAIT);
    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (got <= 0) {
        lose_control(w);
        return;
    }
    json[got] = 0;
    if (strstr(json, "\"type\":\"drained\"")) {
        w->drained = w->shut;
    } else if (strstr(json, "\"type\":\"resize\"")) {
        long rows = number_after(json, "\"rows\":"), columns = number_after(json, "\"cols\":");
        if (rows > 0 && rows < 65536 && columns > 0 && columns < 65536) {
            struct winsize size = {.ws_row = (unsigned short)rows, .ws_col = (unsigned short)columns};
            ioctl(w->master, TIOCSWINSZ, &size);
        }
    } else if (strstr(json, "\"type\":\"signal\"")) {
        long number = number_after(json, "\"signal\":");
        if (number > 0 && number < NSIG && !w->ended)
            signal_shell(w, (int)number);
    }
}
