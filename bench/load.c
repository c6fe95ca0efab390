/*
 * Asks a socketmap server as Postfix does: many connections, one request at a time on each.
 *
 *     load HOST PORT CONNECTIONS SECONDS FILE [RATE]
 *
 * FILE holds the requests, ready to be sent, one a line. With SECONDS 0 each is asked once, in the
 * file's order; else in random order until the time is over: each connection asks as soon as it
 * has its answer or, with RATE, so many are asked a second, whatever the server does. One that
 * finds all connections waiting for their answers waits with them, and its latency counts that.
 * Prints one line of JSON: how many replies, in how many seconds, how many of them were OK, and
 * latencies in microseconds. Ends with 1 where the server hangs up, or says nothing for a minute.
 */
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

enum { LONGEST_REPLY = 1 << 17, SILENCE_MS = 60000, EVENTS = 128 };

/* Latencies are counted in classes of 1/32: 32 steps between a power of two and the next. */
enum { STEPS = 32, CLASSES = 64 * STEPS };

typedef struct { char *text; size_t length; } Request;
typedef struct { int socket; double asked; size_t got; char *reply; } Peer;

static Request *requests;
static size_t n_requests, n_asked, n_answered, n_ok;
static unsigned long classes[CLASSES];

static void fail(const char *what) { perror(what); exit(1); }

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + t.tv_nsec * 1e-9;
}

static void read_requests(const char *path)
{
    FILE *file = fopen(path, "r");
    char *line = NULL;
    size_t room = 0, capacity = 0;
    ssize_t length;
    if (!file) fail(path);
    while ((length = getline(&line, &room, file)) > 0) {
        if (line[length - 1] == '\n') length--;
        if (n_requests == capacity)
            requests = realloc(requests, (capacity = 2 * capacity + 64) * sizeof *requests);
        requests[n_requests].text = strndup(line, length);
        requests[n_requests++].length = length;
    }
    fclose(file);
}

static int class_of(double seconds)
{
    unsigned long ns = seconds * 1e9;
    if (ns < STEPS) return ns;
    int power = 63 - __builtin_clzl(ns), shift = power - 5;
    return (shift + 1) * STEPS + (int)((ns >> shift) & (STEPS - 1));
}

static double middle_of(int class)
{
    if (class < STEPS) return class * 1e-3;
    int shift = class / STEPS - 1;
    return ((unsigned long)(STEPS + class % STEPS) << shift) * (1 + 0.5 / STEPS) * 1e-3;
}

static double percentile(double share)
{
    unsigned long wanted = share * n_answered, seen = 0;
    for (int class = 0; class < CLASSES; class++)
        if ((seen += classes[class]) > wanted) return middle_of(class);
    return 0;
}

/* `due`: when it was to be asked, which is now unless it had to wait for a connection. */
static void ask(Peer *peer, int once, double due)
{
    static unsigned long state = 0x9E3779B97F4A7C15;
    state = state * 6364136223846793005ul + 1442695040888963407ul;
    if (once && n_asked == n_requests) return;
    Request *request = &requests[once ? n_asked : (state >> 33) % n_requests];
    n_asked++;
    peer->got = 0;
    peer->asked = due;
    if (write(peer->socket, request->text, request->length) != (ssize_t)request->length)
        fail("write");
}

/* Whether the whole reply is there. */
static int take(Peer *peer)
{
    ssize_t n = read(peer->socket, peer->reply + peer->got, LONGEST_REPLY - peer->got - 1);
    if (n <= 0) fail("the server hung up");
    peer->got += n;
    peer->reply[peer->got] = 0;
    char *colon;
    size_t length = strtoul(peer->reply, &colon, 10);
    if (*colon != ':' || peer->got < (size_t)(colon - peer->reply) + length + 2) return 0;
    n_answered++;
    n_ok += !strncmp(colon + 1, "OK ", 3);
    classes[class_of(now() - peer->asked)]++;
    return 1;
}

/* A file that is ready at each moment at which a request is due. */
static int pace(double rate)
{
    long ns = 1e9 / rate;
    struct timespec each = {.tv_sec = ns / 1000000000, .tv_nsec = ns % 1000000000};
    struct itimerspec period = {.it_interval = each, .it_value = each};
    int timer = timerfd_create(CLOCK_MONOTONIC, 0);
    if (timer < 0 || timerfd_settime(timer, 0, &period, NULL)) fail("timer");
    return timer;
}

int main(int argc, char **argv)
{
    if (argc != 6 && argc != 7) {
        fprintf(stderr, "load HOST PORT CONNECTIONS SECONDS FILE [RATE]\n");
        return 2;
    }
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(atoi(argv[2]))};
    inet_pton(AF_INET, argv[1], &to.sin_addr);
    int n_peers = atoi(argv[3]), on = 1, poller = epoll_create1(0), timer = -1;
    double seconds = atof(argv[4]), rate = argc == 7 ? atof(argv[6]) : 0, begun, ended;
    read_requests(argv[5]);
    Peer *peers = calloc(n_peers, sizeof *peers), **idle = calloc(n_peers, sizeof *idle);
    int n_idle = 0;
    for (int i = 0; i < n_peers; i++) {
        peers[i].reply = malloc(LONGEST_REPLY);
        peers[i].socket = socket(AF_INET, SOCK_STREAM, 0);
        if (connect(peers[i].socket, (struct sockaddr *)&to, sizeof to)) fail("connect");
        setsockopt(peers[i].socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = &peers[i]};
        epoll_ctl(poller, EPOLL_CTL_ADD, peers[i].socket, &event);
    }
    if (rate) {
        /* Mail servers wait for no processor of this machine. Who may not say so does without. */
        sched_setscheduler(0, SCHED_FIFO, &(struct sched_param){.sched_priority = 1});
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL};
        epoll_ctl(poller, EPOLL_CTL_ADD, timer = pace(rate), &event);
    }
    /* What is due and finds no connection, in a ring: when it was to be asked. */
    size_t n_waiting = 0, oldest = 0, room = rate ? rate * seconds + 2 : 1;
    double *waiting = calloc(room, sizeof *waiting);
    begun = ended = now();
    for (int i = 0; i < n_peers; i++)
        if (rate) idle[n_idle++] = &peers[i];
        else ask(&peers[i], !seconds, now());
    while (n_answered < n_asked || n_waiting || (rate && now() - begun < seconds)) {
        struct epoll_event events[EVENTS];
        int n = epoll_wait(poller, events, EVENTS, SILENCE_MS);
        if (n <= 0) { fprintf(stderr, "no reply\n"); return 1; }
        for (int i = 0; i < n; i++) {
            Peer *peer = events[i].data.ptr;
            if (!peer) {
                unsigned long due = 0;
                if (read(timer, &due, sizeof due) != sizeof due) fail("timer");
                double at = now();
                if (at - begun >= seconds) epoll_ctl(poller, EPOLL_CTL_DEL, timer, NULL);
                else
                    for (; due && n_waiting < room; due--)
                        waiting[(oldest + n_waiting++) % room] = at;
                continue;
            }
            if (!take(peer)) continue;
            ended = now();
            if (rate) idle[n_idle++] = peer;
            else if (!seconds || ended - begun < seconds) ask(peer, !seconds, now());
        }
        for (; n_waiting && n_idle; n_waiting--, oldest = (oldest + 1) % room)
            ask(idle[--n_idle], 0, waiting[oldest]);
    }
    printf("{\"answers\": %zu, \"seconds\": %.6f, \"ok\": %zu, \"p50\": %.1f, \"p95\": %.1f, "
           "\"p99\": %.1f, \"p999\": %.1f}\n", n_answered, ended - begun, n_ok, percentile(.5),
           percentile(.95), percentile(.99), percentile(.999));
    return 0;
}
