/* The one client of `Scripts/bench fanout`: subscribers and publishers of a websocket server, driven by lines on stdin.
 *
 * usage: fanout_client PORT SUBSCRIBE-PATH PUBLISH-PATH [SECRET]
 *
 * With a secret it speaks WAMP (wamp.2.json, WAMP-CRA); without one it takes and sends bare events. Each command is
 * answered by one line of JSON:
 *   publishers N          opens N publishers
 *   subscribers N         opens N subscribers: {"seconds"}
 *   flood SECONDS WINDOW  publishes so that WINDOW events are under way: {"seconds", "deliveries", "p50", "p99", "event"}
 *   pace RATE SECONDS     publishes RATE events a second: the same
 * "event" is the median over the events of each one's own p99: one event that the machine was too busy for does not
 * change it, where it may be all that is in the p99 of all deliveries. An event bears the time of its making, so that
 * latencies, in microseconds, are from there to a subscriber's read.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
    EVENT = 2048,          /* bytes of an event without what WAMP adds */
    AT_ONCE = 100,         /* connections that are being opened at the same time */
    PER_NAME = 200,        /* sessions of one authid; servers limit them */
    INPUT = 1 << 18,       /* bytes read at once */
    SAMPLES = 1 << 22,     /* latencies kept */
    PATIENCE = 60,         /* seconds without a delivery or a new connection, after which all is given up */
};
#define TOPIC "com.example.bench"

enum state { CONNECTING, UPGRADING, JOINING, READY };

struct connection {
    int fd, number, publishes;
    enum state state;
    unsigned char *rest; /* what is no whole frame yet */
    size_t rest_length;
};

static int port, poller, opening;
static const char *paths[2], *secret;
static struct connection **publishers, **subscribers;
static int publisher_count, subscriber_count;
static struct sample {
    uint64_t made; /* of which event */
    uint32_t took;
} *samples;
static size_t sample_count, delivered, published;
static unsigned char input[INPUT];

static uint64_t now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * 1000000000ull + time.tv_nsec;
}

static void send_all(struct connection *to, const void *bytes, size_t length) {
    for (size_t sent = 0; sent < length;) {
        ssize_t count = send(to->fd, (const char *)bytes + sent, length - sent, MSG_NOSIGNAL);
        if (count < 0 && errno == EAGAIN) {
            usleep(100);
            continue;
        }
        if (count < 0) err(1, "The server took no more from connection %d", to->number);
        sent += count;
    }
}

static void send_frame(struct connection *to, int opcode, const void *payload, size_t length) {
    static const unsigned char mask[4] = {0x5A, 0xC3, 0x96, 0x0F};
    unsigned char frame[8 + 65536];
    size_t head = 2;
    if (length > 65535) errx(1, "a message is too long");
    frame[0] = 0x80 | opcode;
    if (length < 126) {
        frame[1] = 0x80 | length;
    } else {
        frame[1] = 0x80 | 126;
        frame[2] = length >> 8;
        frame[3] = length & 0xFF;
        head = 4;
    }
    memcpy(frame + head, mask, 4);
    head += 4;
    for (size_t index = 0; index < length; index++) {
        frame[head + index] = ((const unsigned char *)payload)[index] ^ mask[index % 4];
    }
    send_all(to, frame, head + length);
}

__attribute__((format(printf, 2, 3))) static void send_text(struct connection *to, const char *format, ...) {
    char text[4096];
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    send_frame(to, 0x1, text, length);
}

/* What `Scripts/bench` lets every server know: some sessions share a name. */
static void send_hello(struct connection *to) {
    char name[32];
    snprintf(name, sizeof name, to->publishes ? "publisher" : "bench%d", to->number / PER_NAME);
    send_text(to,
              "[1,\"farseed\",{\"roles\":{\"subscriber\":{},\"publisher\":{}},\"authmethods\":[\"wampcra\"],"
              "\"authid\":\"%s\"}]", name);
}

/* WAMP-CRA: the challenge is a string of JSON inside JSON. */
static void answer_challenge(struct connection *to, const char *text, size_t length) {
    static const char key[] = "\"challenge\":";
    const char *at = memmem(text, length, key, sizeof key - 1), *end = text + length;
    if (!at || !(at = memchr(at + sizeof key - 1, '"', end - at - sizeof key + 1))) errx(1, "CHALLENGE has none");
    unsigned char challenge[1024], digest[32], signature[64];
    size_t count = 0;
    for (at++; at < end && *at != '"' && count < sizeof challenge; at++) {
        if (*at == '\\') at++;
        challenge[count++] = *at;
    }
    HMAC(EVP_sha256(), secret, strlen(secret), challenge, count, digest, NULL);
    EVP_EncodeBlock(signature, digest, sizeof digest);
    send_text(to, "[5,\"%s\",{}]", signature);
}

static void became_ready(struct connection *connection) {
    connection->state = READY;
    opening--;
}

/* An event: the time is the first thing after the first '@'. */
static void took_event(const char *text, size_t length) {
    delivered++;
    const char *at = memchr(text, '@', length < 512 ? length : 512);
    if (!at || at + 17 > text + length) errx(1, "An event came without its time: %.*s", 200, text);
    uint64_t made = 0;
    for (int index = 1; index <= 16; index++) made = made << 4 | ((at[index] & 0xF) + (at[index] > '9' ? 9 : 0));
    if (sample_count < SAMPLES) samples[sample_count++] = (struct sample){made, (now() - made) / 1000};
}

static void took_text(struct connection *from, const char *text, size_t length) {
    if (!secret) {
        if (!from->publishes) took_event(text, length);
        return;
    }
    switch (length > 2 ? atoi(text + 1) : 0) {
    case 36: took_event(text, length); break;
    case 4: answer_challenge(from, text, length); break;
    case 2:
        if (from->publishes) {
            became_ready(from);
        } else {
            send_text(from, "[32,1,{},\"" TOPIC "\"]");
        }
        break;
    case 33: became_ready(from); break;
    default: errx(1, "The server said: %.*s", (int)(length < 300 ? length : 300), text);
    }
}

static void took_frame(struct connection *from, int opcode, const char *payload, size_t length) {
    switch (opcode) {
    case 0x1: case 0x2: took_text(from, payload, length); break;
    case 0x8: errx(1, "The server closed connection %d: %.*s", from->number, (int)length - 2, payload + 2);
    case 0x9: send_frame(from, 0xA, payload, length); break;
    default: break;
    }
}

/* Takes one frame, or the answer to the opening; 0 where more bytes are needed, else how many it took. */
static size_t take(struct connection *from, unsigned char *bytes, size_t length) {
    if (from->state == UPGRADING) {
        unsigned char *end = memmem(bytes, length, "\r\n\r\n", 4);
        if (!end) return 0;
        if (memcmp(bytes, "HTTP/1.1 101", 12)) errx(1, "The server answered: %.*s", 200, bytes);
        from->state = JOINING;
        if (secret) send_hello(from); else became_ready(from);
        return end + 4 - bytes;
    }
    if (length < 2) return 0;
    size_t size = bytes[1] & 0x7F, head = 2;
    if (size == 126) {
        if (length < 4) return 0;
        size = bytes[2] << 8 | bytes[3];
        head = 4;
    } else if (size == 127) {
        errx(1, "A frame is too long.");
    }
    if (length < head + size) return 0;
    took_frame(from, bytes[0] & 0xF, (char *)bytes + head, size);
    return head + size;
}

static void receive(struct connection *from) {
    memcpy(input, from->rest, from->rest_length);
    ssize_t got = read(from->fd, input + from->rest_length, INPUT - from->rest_length);
    if (got < 0 && errno == EAGAIN) return;
    if (got <= 0) errx(1, "The server ended connection %d.", from->number);
    size_t length = from->rest_length + got, at = 0, taken;
    while (at < length && (taken = take(from, input + at, length - at))) at += taken;
    from->rest_length = length - at;
    free(from->rest);
    from->rest = from->rest_length ? memcpy(malloc(from->rest_length), input + at, from->rest_length) : NULL;
}

static void open_connection(struct connection *connection) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int yes = 1;
    connection->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    if (connection->fd < 0) err(1, "socket");
    setsockopt(connection->fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    if (connect(connection->fd, (void *)&address, sizeof address) < 0 && errno != EINPROGRESS) err(1, "connect");
    struct epoll_event event = {.events = EPOLLOUT, .data.ptr = connection};
    if (epoll_ctl(poller, EPOLL_CTL_ADD, connection->fd, &event) < 0) err(1, "epoll_ctl");
    opening++;
}

static void connected(struct connection *connection) {
    int fault = 0;
    socklen_t size = sizeof fault;
    getsockopt(connection->fd, SOL_SOCKET, SO_ERROR, &fault, &size);
    if (fault) errx(1, "The server does not take connection %d: %s", connection->number, strerror(fault));
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = connection};
    epoll_ctl(poller, EPOLL_CTL_MOD, connection->fd, &event);
    char request[512];
    int length = snprintf(
        request, sizeof request,
        "GET %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n%s"
        "Sec-WebSocket-Key: AAECAwQFBgcICQoLDA0ODw==\r\nSec-WebSocket-Version: 13\r\n\r\n",
        paths[connection->publishes], port, secret ? "Sec-WebSocket-Protocol: wamp.2.json\r\n" : "");
    connection->state = UPGRADING;
    send_all(connection, request, length);
}

/* Handles what comes within so many milliseconds; 1 where a command waits on stdin. */
static int turn(int milliseconds) {
    struct epoll_event events[256];
    int ready = epoll_wait(poller, events, 256, milliseconds), commanded = 0;
    for (int index = 0; index < ready; index++) {
        struct connection *connection = events[index].data.ptr;
        if (!connection) commanded = 1;
        else if (connection->state == CONNECTING) connected(connection);
        else receive(connection);
    }
    return commanded;
}

static void open_all(int count, int publishes) {
    struct connection ***list = publishes ? &publishers : &subscribers;
    int *have = publishes ? &publisher_count : &subscriber_count;
    uint64_t began = now(), heard = began;
    *list = realloc(*list, (*have + count) * sizeof **list);
    for (int left = count, before = 0; left > 0 || opening > 0; turn(100)) {
        for (; left > 0 && opening < AT_ONCE; left--) {
            struct connection *new = calloc(1, sizeof *new);
            new->publishes = publishes;
            new->number = *have;
            (*list)[(*have)++] = new;
            open_connection(new);
        }
        if (opening + left != before) heard = now();
        before = opening + left;
        if (now() - heard > PATIENCE * 1000000000ull) errx(1, "No connection came about in %d s.", PATIENCE);
    }
    printf("{\"seconds\": %.6f}\n", (now() - began) / 1e9);
}

/* Publishes one event by the next publisher: a delta of some torrents, of EVENT bytes. */
static void publish(void) {
    static char text[EVENT + 256];
    int length = secret ? snprintf(text, sizeof text, "[16,%zu,{},\"" TOPIC "\",", published + 1) : 0;
    int start = length;
    length += sprintf(text + length, "[\"@%016llx\"],{\"epoch\":1764000000000,\"seq\":%zu,\"set\":{",
                      (unsigned long long)now(), published + 1);
    for (int index = 0; length - start < EVENT - 250; index++) {
        length += sprintf(text + length,
                          "%s\"%08x5f2b0c9a7d41e3866a1c94b0d2e7f513\":{\"down\":%d,\"left\":%d,\"eta\":%d,\"peers\":%d}",
                          index ? "," : "", index * 40503, 1200000 + index * 977, 1 << 30, 600 + index, index % 50);
    }
    length += sprintf(text + length, "},\"pad\":\"");
    while (length - start < EVENT - 2) text[length++] = 'x';
    length += sprintf(text + length, "\"}");
    if (secret) text[length++] = ']';
    send_frame(publishers[published++ % publisher_count], 0x1, text, length);
}

static int by_event(const void *left, const void *right) {
    const struct sample *a = left, *b = right;
    return a->made != b->made ? (a->made < b->made ? -1 : 1) : (a->took > b->took) - (a->took < b->took);
}

static int by_time(const void *left, const void *right) {
    const struct sample *a = left, *b = right;
    return (a->took > b->took) - (a->took < b->took);
}

/* The median of the events' own 99th percentiles. */
static uint32_t middle_event(void) {
    qsort(samples, sample_count, sizeof *samples, by_event);
    struct sample *events = malloc((sample_count + 1) * sizeof *events);
    size_t count = 0;
    for (size_t first = 0, end; first < sample_count; first = end) {
        for (end = first + 1; end < sample_count && samples[end].made == samples[first].made;) end++;
        events[count++] = samples[first + (end - first) * 99 / 100];
    }
    qsort(events, count, sizeof *events, by_time);
    uint32_t middle = count ? events[count / 2].took : 0;
    free(events);
    return middle;
}

/* Publishes for so long, at a rate or, where that is 0, with so many events under way; then waits for what is left. */
static void measure(double rate, double seconds, int window) {
    uint64_t began = now(), end = began + seconds * 1e9, heard = began;
    size_t first = published, seen = delivered = 0;
    sample_count = 0;
    for (;;) {
        uint64_t time = now();
        size_t due = (published - first) * subscriber_count, wait = 100;
        if (time < end && rate > 0) {
            uint64_t next = began + (published - first) / rate * 1e9;
            if (next <= time) publish();
            wait = next <= time ? 0 : (next - time) / 1000000;
        } else if (time < end && due - delivered <= (size_t)(window - 1) * subscriber_count) {
            publish();
            wait = 0;
        } else if (time >= end && delivered == due) {
            break;
        }
        turn(wait);
        if (delivered != seen || time < end) heard = now();
        seen = delivered;
        if (now() - heard > PATIENCE * 1000000000ull) errx(1, "%zu of %zu deliveries came.", delivered, due);
    }
    double took = (now() - began) / 1e9;
    uint32_t event = middle_event();
    qsort(samples, sample_count, sizeof *samples, by_time);
    printf("{\"seconds\": %.6f, \"deliveries\": %zu, \"p50\": %u, \"p99\": %u, \"event\": %u}\n", took, delivered,
           samples[sample_count / 2].took, samples[sample_count * 99 / 100].took, event);
}

int main(int count, char **words) {
    if (count < 4) errx(2, "usage: fanout_client PORT SUBSCRIBE-PATH PUBLISH-PATH [SECRET]");
    port = atoi(words[1]);
    paths[0] = words[2];
    paths[1] = words[3];
    secret = words[4];
    samples = malloc(SAMPLES * sizeof *samples);
    poller = epoll_create1(0);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL};
    if (epoll_ctl(poller, EPOLL_CTL_ADD, 0, &event) < 0) err(1, "stdin must be a pipe");
    setvbuf(stdout, NULL, _IOLBF, 0);
    for (;;) {
        char line[128];
        double first = 0, second = 0;
        while (!turn(-1)) {}
        /* One command at a time comes, so that nothing waits in stdin's buffer. */
        if (!fgets(line, sizeof line, stdin)) return 0;
        if (sscanf(line, "publishers %lf", &first) == 1) open_all(first, 1);
        else if (sscanf(line, "subscribers %lf", &first) == 1) open_all(first, 0);
        else if (sscanf(line, "flood %lf %lf", &first, &second) == 2) measure(0, first, second);
        else if (sscanf(line, "pace %lf %lf", &first, &second) == 2) measure(first, second, 0);
        else errx(2, "no such command: %s", line);
    }
}
