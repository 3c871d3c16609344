/* The least that a fan-out costs on this machine: one thread, epoll, a frame made once and sent to every subscriber.
 *
 * usage: fanout_loop PORT      on loopback; who asks for /pub publishes, everybody else subscribes
 *
 * It takes what Scripts/bench's own client sends and nothing else: no authentication, no key is hashed, no limits.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { MOST = 16384, INPUT = 1 << 16 };
enum kind { OPENING, PUBLISHER, SUBSCRIBER };

struct connection {
    enum kind kind;
    int fd;
    /* Where it stands in `subscribers`. */
    int place;
    /* What is no whole request or frame yet; NULL for subscribers. */
    unsigned char *input;
    size_t length;
    /* The rest of a frame that the kernel did not take; while it waits, further events are left out. */
    unsigned char *rest;
    size_t rest_length;
};

static int poller, subscriber_count;
static struct connection *subscribers[MOST];

static void watch(struct connection *connection, unsigned events, int how) {
    struct epoll_event event = {.events = events, .data.ptr = connection};
    if (epoll_ctl(poller, how, connection->fd, &event) < 0) err(1, "epoll_ctl");
}

static void end(struct connection *connection) {
    if (connection->kind == SUBSCRIBER) {
        subscribers[connection->place] = subscribers[--subscriber_count];
        subscribers[connection->place]->place = connection->place;
    }
    close(connection->fd);
    free(connection->input);
    free(connection->rest);
    free(connection);
}

static void deliver(struct connection *to, const unsigned char *frame, size_t length) {
    if (to->rest) return;
    ssize_t sent = send(to->fd, frame, length, MSG_NOSIGNAL);
    if (sent < 0) {
        /* Whoever is gone is found by reading. */
        if (errno != EAGAIN) return;
        sent = 0;
    }
    if ((size_t)sent == length) return;
    to->rest_length = length - sent;
    to->rest = malloc(to->rest_length);
    memcpy(to->rest, frame + sent, to->rest_length);
    watch(to, EPOLLIN | EPOLLOUT, EPOLL_CTL_MOD);
}

static void drain(struct connection *connection) {
    ssize_t sent = send(connection->fd, connection->rest, connection->rest_length, MSG_NOSIGNAL);
    if (sent < 0) return;
    connection->rest_length -= sent;
    memmove(connection->rest, connection->rest + sent, connection->rest_length);
    if (connection->rest_length) return;
    free(connection->rest);
    connection->rest = NULL;
    watch(connection, EPOLLIN, EPOLL_CTL_MOD);
}

/* Sends one event of `length` bytes to all. */
static void publish(const unsigned char *event, size_t length) {
    static unsigned char frame[INPUT + 4];
    size_t head = 2;
    frame[0] = 0x81;
    if (length < 126) {
        frame[1] = length;
    } else {
        frame[1] = 126;
        frame[2] = length >> 8;
        frame[3] = length & 0xFF;
        head = 4;
    }
    memcpy(frame + head, event, length);
    for (int index = 0; index < subscriber_count; index++) deliver(subscribers[index], frame, head + length);
}

/* Takes whole frames out of a publisher's input; false where it closes. */
static int take_frames(struct connection *connection) {
    unsigned char *input = connection->input;
    while (connection->length >= 6) {
        size_t length = input[1] & 0x7F, head = 6;
        if (length == 126) {
            length = input[2] << 8 | input[3];
            head = 8;
        }
        if (connection->length < head + length) return 1;
        for (size_t index = 0; index < length; index++) input[head + index] ^= input[head - 4 + index % 4];
        if ((input[0] & 0x0F) == 0x8) return 0;
        if ((input[0] & 0x0F) < 0x8) publish(input + head, length);
        connection->length -= head + length;
        memmove(input, input + head + length, connection->length);
    }
    return 1;
}

static void open_socket(struct connection *connection) {
    static const char answer[] =
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n";
    int publishes = memmem(connection->input, connection->length, " /pub", 5) != NULL;
    if (send(connection->fd, answer, sizeof answer - 1, MSG_NOSIGNAL) < 0) return;
    connection->length = 0;
    connection->kind = publishes ? PUBLISHER : SUBSCRIBER;
    if (publishes) return;
    if (subscriber_count == MOST) errx(1, "more subscribers than %d", MOST);
    free(connection->input);
    connection->input = NULL;
    connection->place = subscriber_count;
    subscribers[subscriber_count++] = connection;
}

static void receive(struct connection *connection) {
    static unsigned char scrap[INPUT];
    unsigned char *to = connection->input ? connection->input + connection->length : scrap;
    ssize_t got = read(connection->fd, to, connection->input ? INPUT - connection->length : sizeof scrap);
    if (got < 0 && errno == EAGAIN) return;
    if (got <= 0) {
        end(connection);
        return;
    }
    if (connection->kind == SUBSCRIBER) return;
    connection->length += got;
    if (connection->kind == PUBLISHER) {
        if (!take_frames(connection)) end(connection);
    } else if (memmem(connection->input, connection->length, "\r\n\r\n", 4)) {
        open_socket(connection);
    }
}

int main(int count, char **words) {
    if (count != 2) errx(2, "usage: fanout_loop PORT");
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), yes = 1;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(atoi(words[1]))};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    if (bind(listener, (void *)&address, sizeof address) < 0 || listen(listener, 1024) < 0) err(1, "listen");
    poller = epoll_create1(0);
    struct connection door = {.fd = listener};
    watch(&door, EPOLLIN, EPOLL_CTL_ADD);
    for (;;) {
        struct epoll_event events[256];
        int ready = epoll_wait(poller, events, 256, -1);
        if (ready < 0 && errno != EINTR) err(1, "epoll_wait");
        for (int index = 0; index < ready; index++) {
            struct connection *connection = events[index].data.ptr;
            if (connection != &door) {
                if (events[index].events & EPOLLOUT && connection->rest) drain(connection);
                if (events[index].events & ~EPOLLOUT) receive(connection);
                continue;
            }
            int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
            if (fd < 0) continue;
            setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
            struct connection *new = calloc(1, sizeof *new);
            new->fd = fd;
            new->input = malloc(INPUT);
            watch(new, EPOLLIN, EPOLL_CTL_ADD);
        }
    }
}
