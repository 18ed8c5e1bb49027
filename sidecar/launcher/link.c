/* The conversation with the sidecar: one JSON object a packet.
 *
 * The pty's master and two pipes go to every sidecar that connects, by SCM_RIGHTS (unix(7)). This process keeps copies and
 * touches no byte: whoever reads a key and shows its echo should not have to wait for two more processes to be woken. What
 * a killed sidecar had not taken is in the pty or in a pipe still, and how much of it is in the pipe (pipe(7), FIONREAD)
 * tells its successor to the byte where it stopped: see spool.py and journal.py.
 */

#include "workspace.h"

#include "launcher.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    RETRY_FIRST_MS = 5,
    RETRY_LONGEST_MS = 200,
    SETTLED_MS = 100, /* a connection that lasted as long was no refusal: retry from the shortest pause again */
};

void open_pipes(struct workspace *w)
{
    if (pipe2(w->pipes + OUTPUT_END, O_CLOEXEC | O_NONBLOCK) < 0 || pipe2(w->pipes + INPUT_END, O_CLOEXEC | O_NONBLOCK) < 0)
        die("pipe");
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

static void tell(struct workspace *w, const char *json, const int *descriptors, size_t count)
{
    union { /* aligned as cmsg(3) wants it */
        char space[CMSG_SPACE((1 + PIPE_ENDS) * sizeof(int))];
        struct cmsghdr header;
    } rights = {0};
    struct iovec part = {.iov_base = (void *)json, .iov_len = strlen(json)};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
    if (count > 0) {
        message.msg_control = rights.space;
        message.msg_controllen = CMSG_SPACE(count * sizeof(int));
        struct cmsghdr *header = CMSG_FIRSTHDR(&message);
        header->cmsg_level = SOL_SOCKET;
        header->cmsg_type = SCM_RIGHTS;
        header->cmsg_len = CMSG_LEN(count * sizeof(int));
        memcpy(CMSG_DATA(header), descriptors, count * sizeof(int));
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
    int descriptors[1 + PIPE_ENDS] = {w->master};
    memcpy(descriptors + 1, w->pipes, sizeof w->pipes);
    describe_end(w, end, sizeof end);
    snprintf(json, sizeof json,
             "{\"v\":2,\"type\":\"hello\",\"pid\":%d,\"started\":%" PRId64 ",\"epoch\":%" PRIu64 ",\"state\":\"%s\",%s}",
             (int)w->shell, w->started, w->epoch, w->ended ? "exited" : "running", end);
    tell(w, json, descriptors, 1 + PIPE_ENDS);
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
    tell(w, json, 0, 0);
}

static long number_after(const char *json, const char *key)
{
    const char *found = strstr(json, key);
    return found ? strtol(found + strlen(key), 0, 10) : -1;
}

/* Only the sidecar can be at the other end (the workspace cannot write to the folder of the socket), and it writes compact
 * JSON of the two forms in docs/architecture.md; so a search for a member does for a parser. */
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
        w->drained = w->ended;
    } else if (strstr(json, "\"type\":\"signal\"")) {
        long number = number_after(json, "\"signal\":");
        if (number > 0 && number < NSIG && !w->ended)
            signal_shell(w, (int)number);
    }
}
