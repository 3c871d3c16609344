"""While a hundred passwords are hashed, or the database is locked, subscribers go on getting their events as before."""

import base64
import collections
import contextlib
import hashlib
import hmac
import itertools
import json
import resource
import secrets
import select
import signal
import sqlite3
import struct
import time

import pytest
from rawweb import AUTHENTICATE, CALL, CHALLENGE, EVENT, HELLO, PONG, RESULT, SUBSCRIBE, SUBSCRIBED, WELCOME, frame
from attacked import SAME_SITE, Controller

SUBSCRIBERS, LOGINS = 1_000, 100
#: Subscribers of one user: fewer than a user may have.
PER_USER = 200
PUBLISH, TOPIC = 16, "farseed.worker.clock"
#: Events a second, and for how long they are measured before passwords are hashed; in seconds. Then they are for as long
#: as it takes to answer all hundred.
RATE, PHASE = 5, 12
#: Each phase ends within this, on a busy machine and in a program built for tests too.
DEADLINE = 500
#: Logins that wait for their answer at once: five times as many as are hashed at once. A response may take two minutes,
#: which is not much for one of more in a program built for tests on a machine that does other work.
AT_ONCE = 10
#: The 99th percentile with logins may be this many times the one without, and a little; and never more than this, in
#: seconds. A loop that hashed one password itself would be 200 ms late, and with a hundred of them 20 s.
RATIO, SLACK, ABSOLUTE = 5, 0.05, 0.5
#: How long the database is locked, less than the controller waits for it, and how often an event is published; in seconds.
LOCKED, PAUSE = 2, 0.02


@pytest.fixture
def controller(tmp_path):
    """A controller with a worker that may publish, and with room for a thousand connections."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 8_192), hard))
    secret = tmp_path / "clock.secret"
    secret.write_text(secrets.token_hex(32))
    secret.chmod(0o600)
    controller = Controller(tmp_path)
    with controller.config.open("a") as config:
        config.write(f'[worker.clock]\nsecret-file = "{secret}"\ntopics = ["farseed.worker."]\n')
    controller.clock_secret = secret.read_bytes()
    try:
        yield controller.start()
    finally:
        # Without waiting for the hashes that are left.
        controller.stop(signal.SIGKILL)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def subscribe(controller):
    """A thousand websockets that have subscribed, of several users."""
    for number in range(SUBSCRIBERS):
        if number % PER_USER == 0:
            name = f"viewer-{number}"
            controller.add_user(name, "viewer")
            cookie = controller.login(name)
            asking = controller.connect()
        ticket = asking.ask("POST", "/api/ticket", SAME_SITE, cookie, ("Origin", controller.origin)).json["ticket"]
        session = controller.open(origin=controller.origin)
        assert session.join(name, ticket)[0] == WELCOME
        session.send(SUBSCRIBE, 1, {}, TOPIC)
        assert session.receive()[:2] == [SUBSCRIBED, 1]
        yield session


def publisher(controller):
    """The worker's websocket."""
    session = controller.open()
    session.send(HELLO, "farseed", {"roles": {"publisher": {}}, "authmethods": ["wampcra"], "authid": "clock"})
    kind, method, extra = session.receive()
    assert (kind, method) == (CHALLENGE, "wampcra")
    digest = hmac.digest(controller.clock_secret, extra["challenge"].encode(), hashlib.sha256)
    session.send(AUTHENTICATE, base64.b64encode(digest).decode(), {})
    assert session.receive()[0] == WELCOME
    return session


def logins(controller, password):
    """A hundred connections, each with a login under way once it is taken."""
    for number in range(LOGINS):
        # Five of one address, as more at once count as guessing.
        connection = controller.connect(f"127.79.0.{1 + number // 5}")
        connection.begin("POST", "/api/login", SAME_SITE, body={"user": "lena", "password": password})
        yield connection


class Crowd:
    """The subscribers, and how long each event took to each of them; everything in one thread, and few system calls."""

    def __init__(self, sessions, clock):
        self.sessions = {session.connection.socket.fileno(): session for session in sessions}
        self.rest = collections.defaultdict(bytes)
        self.clock = clock
        self.poll = select.epoll()
        for descriptor, session in self.sessions.items():
            session.connection.socket.setblocking(False)
            self.poll.register(descriptor, select.EPOLLIN)
        self.sent = []
        self.latencies = []

    def run(self, until, logins=()):
        """Publishes and receives until `until()` and all that was published has come; the latencies of this phase.

        Meanwhile it goes through `logins`, connections that wait for an answer, so many at once; their answers' statuses
        are in `statuses`.
        """
        self.latencies = []
        first, began = len(self.sent), time.monotonic()
        logins, waiting = iter(logins), {}
        self.statuses = []
        due, is_over = began, False
        while not is_over or len(self.latencies) < (len(self.sent) - first) * len(self.sessions):
            now = time.monotonic()
            assert now - began < DEADLINE, (len(self.latencies), len(self.sent) - first, len(self.statuses))
            is_over = is_over or until()
            for connection in itertools.islice(logins, AT_ONCE - len(waiting)):
                waiting[connection.socket.fileno()] = connection
                self.poll.register(connection.socket, select.EPOLLIN)
            if not is_over and now >= due:
                self.sent.append(now)
                self.clock.send(PUBLISH, len(self.sent), {}, TOPIC, [len(self.sent) - 1])
                due += 1 / RATE
            for descriptor, _ in self.poll.poll(0.05 if is_over else max(0, due - time.monotonic()), 4_096):
                if descriptor in self.sessions:
                    self.received(descriptor)
                else:
                    self.poll.unregister(descriptor)
                    self.statuses.append(waiting.pop(descriptor).answer().status)
        return sorted(self.latencies)

    def received(self, descriptor):
        connection = self.sessions[descriptor].connection
        data = self.rest[descriptor] + connection.socket.recv(65_536)
        now = time.monotonic()
        while len(data) >= 2:
            size, start = data[1] & 0x7F, 2
            if size == 126:
                size, start = struct.unpack_from("!H", data.ljust(4), 2)[0], 4
            if len(data) < start + size:
                break
            payload, opcode, data = data[start:start + size], data[0] & 0x0F, data[start + size:]
            if opcode == 1:
                # [36, subscription, publication, details, [number]]
                self.latencies.append(now - self.sent[int(payload[payload.rindex(b"[") + 1:-2])])
            elif opcode == 9:
                connection.send(frame(PONG, payload))
            else:
                pytest.fail(f"a subscriber was sent away: {payload!r}")
        self.rest[descriptor] = data


def p99(latencies):
    return latencies[len(latencies) * 99 // 100]


def test_a_hundred_logins_do_not_delay_a_thousand_subscribers(controller):
    password = controller.add_user("lena", "viewer")
    crowd = Crowd(list(subscribe(controller)), publisher(controller))

    def after(seconds):
        end = time.monotonic() + seconds
        return lambda: time.monotonic() >= end

    # The first events find caches cold; they are nobody's.
    crowd.run(after(2))
    quiet = crowd.run(after(PHASE))

    began = time.monotonic()
    busy = crowd.run(lambda: len(crowd.statuses) == LOGINS, logins(controller, password))
    took = time.monotonic() - began

    print(json.dumps({"quiet_p99_ms": round(p99(quiet) * 1e3, 1), "busy_p99_ms": round(p99(busy) * 1e3, 1),
                      "quiet_p50_ms": round(quiet[len(quiet) // 2] * 1e3, 1),
                      "busy_p50_ms": round(busy[len(busy) // 2] * 1e3, 1), "busy_max_ms": round(busy[-1] * 1e3, 1),
                      "deliveries": [len(quiet), len(busy)], "logins": len(crowd.statuses), "logins_s": round(took, 2)}))
    assert crowd.statuses == [204] * LOGINS, "every login is answered"
    assert took > 1, "a hundred hashes are dear"
    assert p99(busy) < RATIO * p99(quiet) + SLACK and p99(busy) < ABSOLUTE, (p99(quiet), p99(busy))


def test_a_locked_database_delays_nobody_who_does_not_need_it(controller):
    """Who logs in, and whose command is written down, waits for another program's lock; events and pages do not."""
    cookie = controller.login()
    reader, asking, clock = controller.session(cookie), controller.session(cookie), publisher(controller)
    reader.send(SUBSCRIBE, 1, {}, TOPIC)
    assert reader.receive()[:2] == [SUBSCRIBED, 1]
    link, entering = controller.make_link(), controller.connect()
    with contextlib.closing(sqlite3.connect(controller.database, timeout=20, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        entering.begin("POST", "/api/login", SAME_SITE, body={"token": link})
        asking.send(CALL, 1, {}, "farseed.vps.torrent.stop", [], {"hashes": ["0123456789abcdef" * 2 + "01234567"]})
        began, number = time.monotonic(), 0
        while time.monotonic() - began < LOCKED:
            number += 1
            clock.send(PUBLISH, number, {}, TOPIC, [number])
            event = reader.receive()
            assert (event[0], event[4]) == (EVENT, [number])
            time.sleep(PAUSE)
        assert controller.ask("GET", "/healthz").status == 200
        waiting = [entering.socket, asking.connection.socket]
        assert not select.select(waiting, [], [], 0)[0], "these must wait for the database, or nothing was tried"
        other.execute("ROLLBACK")
    # A loop that waited itself would have waited for the lock's end, or as long as the controller has patience with it.
    assert number > LOCKED / PAUSE / 10
    assert entering.answer().status == 204
    assert asking.receive()[:2] == [RESULT, 1]
