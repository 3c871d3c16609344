"""What strangers may try against a running controller, each test named after the attack that it stops."""

import contextlib
import hashlib
import json
import os
import pathlib
import random
import re
import socket
import sqlite3
import ssl
import statistics
import subprocess
import time

import pytest
from conftest import ROOT, Home, free_port, wait_for
from rawweb import (ABORT, AUTHENTICATE, CALL, CHALLENGE, ERROR, EVENT, GOODBYE, RESULT, SUBSCRIBE, SUBSCRIBED, TEXT,
                    WELCOME, Connection, WebSocket, announcement, frame)

#: How often a hundred sockets use one ticket at once.
ROUNDS = int(os.environ.get("FARSEED_TICKET_ROUNDS", "100"))
#: The limits of Sources/Web/WebConfiguration.swift that are reached here; times in seconds.
UNAUTHENTICATED, PER_ADDRESS, PER_USER, FAILED_LOGINS = 256, 64, 256, 10
HEAD_WITHIN, BODY_WITHIN, WELCOME_WITHIN = 10, 15, 10
GREETING_BYTES, MESSAGE_BYTES, DEPTH, ELEMENTS = 8_192, 1 << 20, 32, 100_000
#: What a deadline may be late by on a busy machine.
LATE = 30
SAME_SITE = ("X-Farseed", "1")
#: Fields that a browser adds to the requests of another site's page.
CROSS_SITE = [
    [],
    [("Content-Type", "application/x-www-form-urlencoded")],
    [("Content-Type", "text/plain"), ("Sec-Fetch-Site", "cross-site"), ("Sec-Fetch-Mode", "no-cors")],
    [SAME_SITE, ("Origin", "https://evil.example")],
    [SAME_SITE, ("Origin", "null")],
    [SAME_SITE, ("Sec-Fetch-Site", "cross-site")],
    [SAME_SITE, ("Sec-Fetch-Site", "same-site")],
]
#: Every path of the server, as its source names them.
PATHS = sorted(set(re.findall(r'case "(/[\w/]+)":', (ROOT / "Sources/Web/Requests/Routes.swift").read_text())))

numbers = iter(range(2, 250))


def stranger():
    """An address of this machine that nobody else comes from, so that no count of another test is on it."""
    return f"127.77.0.{next(numbers)}"


class Controller(Home):
    """A controller that serves, its seedbox out of reach; every secret that it gives away is noted."""

    def __init__(self, directory, web=""):
        socks = directory / "no-tor"
        key = directory / "key"
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True, timeout=20)
        config = directory / "farseed.toml"
        config.write_text(f"""\
[web]
listen = "127.0.0.1:0"
{web}
[tor]
socks = "unix:{socks}"
[box.vps]
address = "2gzyxa5ihm7nsggfxnu52rck2vv4rvmdlkiu3zzui5du4xyclen53wid.onion"
user = "seedbox"
key = "{key}"
host-key = "{" ".join((directory / "key.pub").read_text().split()[:2])}"
""")
        super().__init__(directory, config)
        self.secrets = set()

    def start(self, *arguments):
        super().start("--verbose", *arguments)
        self.port = int(re.match(r"https?://127\.0\.0\.1:(\d+)/", self.url)[1])
        self.origin = self.url.split("/#")[0]
        self.link = self.secret(self.url.split("#login=")[1])
        self.pid = self.server.pid
        return self

    def secret(self, text):
        self.secrets.add(text)
        return text

    @property
    def database(self):
        return self.state / "farseed" / "farseed.db"

    def sql(self, statement, *values):
        with contextlib.closing(sqlite3.connect(self.database, timeout=20)) as database, database:
            return database.execute(statement, values).fetchall()

    def add_user(self, name, role):
        """A user with a password, written to the database as the controller keeps it; the password."""
        password, salt = self.secret(f"{name} of the many words"), os.urandom(16)
        hash = hashlib.scrypt(password.encode(), salt=salt, n=1 << 15, r=8, p=3, maxmem=1 << 27, dklen=32)
        self.sql("INSERT INTO accounts (name, role, labels, password, created_at, changed_at)"
                 " VALUES (?, ?, '[]', ?, 0, 0)", name, role, f"scrypt$15$8$3${salt.hex()}${hash.hex()}")
        return password

    def make_link(self, name="owner"):
        """A one-time link's token, written to the database as the controller keeps it."""
        token = self.secret(os.urandom(32).hex())
        self.sql("INSERT INTO links (digest, account, expires_at) VALUES (?, ?, ?)",
                 hashlib.sha256(token.encode()).digest(), name, int(time.time() * 1000) + 60_000)
        return token

    def connect(self, source="127.0.0.1"):
        return Connection(self.port, source)

    def ask(self, method, target, *fields, source="127.0.0.1", **more):
        with self.connect(source) as connection:
            return connection.ask(method, target, *fields, **more)

    def try_login(self, source="127.0.0.1", fields=(), **body):
        return self.ask("POST", "/api/login", SAME_SITE, *fields, source=source, body=body)

    def login(self, name="owner"):
        """Logs in by a link; the cookie as a request's field."""
        answer = self.try_login(token=self.make_link(name))
        assert answer.status == 204, answer
        pair = answer["set-cookie"].split(";")[0]
        self.secret(pair.split("=")[1])
        return ("Cookie", pair)

    def ticket(self, cookie, origin=None):
        answer = self.ask("POST", "/api/ticket", SAME_SITE, cookie, *([("Origin", origin)] if origin else []))
        assert answer.status == 200, answer
        return self.secret(answer.json["ticket"])

    def open(self, *fields, source="127.0.0.1", **more):
        return WebSocket(self.connect(source), *fields, **more)

    def session(self, cookie, name="owner"):
        """A websocket that is welcome."""
        ticket = self.ticket(cookie, self.origin)
        socket = self.open(origin=self.origin)
        welcome = socket.join(name, ticket)
        assert welcome[0] == WELCOME and welcome[2]["authid"] == name, welcome
        return socket

    def refusal(self, name, ticket, origin=None):
        """What somebody gets whose ticket must not let in: the message, and the code of the end."""
        with self.open(origin=origin) as socket:
            return socket.join(name, ticket), socket.receive()

    def audit(self, action):
        """The entries of this action, the newest first."""
        done = self.run("user", "audit", "--json", "-n", "100000")
        assert done.returncode == 0, done.stderr
        return [entry for entry in json.loads(done.stdout)["entries"] if entry["action"] == action]

    def text(self):
        return self.log.read_text(errors="replace")

    def memory(self):
        """Its resident memory in bytes."""
        return int(re.search(r"VmRSS:\s+(\d+) kB", pathlib.Path(f"/proc/{self.pid}/status").read_text())[1]) * 1024


@contextlib.contextmanager
def running(directory, web=""):
    controller = Controller(directory, web).start()
    try:
        yield controller
        assert controller.server.poll() is None, f"the controller ended by itself:\n{controller.tail()}"
    finally:
        controller.stop()


@pytest.fixture(scope="module")
def controller(tmp_path_factory):
    with running(tmp_path_factory.mktemp("attacked")) as controller:
        yield controller


@pytest.fixture(scope="module")
def cookie(controller):
    return controller.login()


def alive(controller, cookie):
    """Whoever is in can go on, quickly."""
    began = time.monotonic()
    answer = controller.ask("GET", "/api/boxes", cookie)
    assert answer.status == 200 and answer.json == {"boxes": [{"name": "vps"}]}, answer
    assert time.monotonic() - began < LATE
    return True


# Other sites' pages in the user's browser.

@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://127.0.0.1", "http://localhost:3000",
                                    "https://127.0.0.1:{port}", "http://127.0.0.1:{port}.evil.example", "file://", ""])
def test_cross_site_websocket(controller, cookie, origin):
    with controller.open(cookie, origin=origin.format(port=controller.port)) as socket:
        assert socket.answer.status == 403 and socket.answer["sec-websocket-accept"] is None
        assert socket.receive() is None
    with controller.open(cookie, origin=controller.origin) as socket:
        assert socket.answer.status == 101


@pytest.mark.parametrize("host", ["evil.example", "evil.example:{port}", "127.0.0.1.evil.example", "127.0.0.2:{port}",
                                  "localhost.evil.example:{port}", "[::2]", "evil@127.0.0.1", "127.0.0.1:{port}x", ""])
def test_dns_rebinding_by_host(controller, cookie, host):
    host = host.format(port=controller.port)
    token = controller.make_link()
    for method, path in [("GET", path) for path in ["/", "/main.js", *PATHS]] + [("POST", "/api/ticket")]:
        answer = controller.ask(method, path, cookie, SAME_SITE, host=host)
        assert answer.status in (400, 421) and len(answer.body) < 200, (path, answer)
    with controller.connect() as connection:
        assert connection.ask("POST", "/api/login", SAME_SITE, body={"token": token}, host=host).status in (400, 421)
        assert connection.ended() is not None
    # The rebound page learns the address too: its origin is then as foreign.
    answer = controller.ask("POST", "/api/login", SAME_SITE, ("Origin", f"http://{host}"), body={"token": token})
    assert answer.status == 403
    with controller.open(origin=f"http://{host}", host=host) as socket:
        assert socket.answer.status in (400, 421)
    assert controller.try_login(token=token).status == 204, "the refused requests must not use the link up"


def test_cross_site_request_forgery_on_every_post_route(controller):
    cookie, token = controller.login(), controller.make_link()
    posts = []
    for path in PATHS:
        answer = controller.ask("POST", path, cookie)
        if answer.status not in (405, 426):
            assert answer.status == 403, (path, answer)
            posts.append(path)
    assert {"/api/login", "/api/logout", "/api/ticket"} <= set(posts)
    for path in posts:
        for fields in CROSS_SITE:
            answer = controller.ask("POST", path, cookie, *fields, body={"token": token})
            assert answer.status == 403, (path, fields, answer)
            assert answer["set-cookie"] is None
        # What a browser asks before it sends a field of its own is never answered with a yes.
        answer = controller.ask("OPTIONS", path, ("Origin", "https://evil.example"),
                                ("Access-Control-Request-Method", "POST"),
                                ("Access-Control-Request-Headers", "x-farseed"))
        assert answer.status == 405 and not [name for name, _ in answer.fields if name.startswith("access-control")]
        for method in ("GET", "HEAD"):
            assert controller.ask(method, path, cookie, SAME_SITE).status == 405
    for path in ("/api/boxes", "/api/boxes/vps/torrents"):
        assert controller.ask("GET", path, cookie, ("Sec-Fetch-Site", "cross-site")).status == 403
    assert alive(controller, cookie)
    assert controller.try_login(token=token).status == 204, "the refused requests must not use the link up"


def test_clickjacking(controller, cookie):
    plain = [("GET", "/", 200, ()), ("HEAD", "/", 200, ()), ("GET", "/main.js", 200, ()), ("GET", "/nothing", 404, ()),
             ("POST", "/", 405, ()), ("DELETE", "/", 405, ()), ("GET", "/ws", 426, ()), ("GET", "/healthz", 200, ()),
             ("GET", "/metrics", 401, ()), ("GET", "/metrics", 200, (cookie,)),
             ("GET", "/api/boxes", 401, ()), ("GET", "/api/boxes", 200, (cookie,)),
             ("GET", "/", 431, (("X-Long", "x" * 20_000),)), ("POST", "/api/login", 400, (SAME_SITE,)),
             ("POST", "/api/ticket", 200, (SAME_SITE, cookie)), ("POST", "/api/ticket", 403, ())]
    for method, path, status, fields in plain:
        answer = controller.ask(method, path, *fields)
        assert answer.status == status, (method, path, answer)
        policy = dict(part.split(" ", 1) for part in answer["content-security-policy"].split("; "))
        assert policy["default-src"] == policy["frame-ancestors"] == policy["base-uri"] == "'none'", policy
        assert policy["script-src"] == "'self'" and "unsafe" not in str(policy), policy
        assert policy["require-trusted-types-for"] == "'script'"
        assert answer["x-frame-options"] == "DENY"
        assert answer["x-content-type-options"] == "nosniff"
        assert answer["referrer-policy"] == "no-referrer"
        assert answer["cross-origin-opener-policy"] == answer["cross-origin-resource-policy"] == "same-origin"
        assert answer["server"] is None and answer["access-control-allow-origin"] is None
        if path.startswith("/api/") and status == 200:
            assert answer["cache-control"] == "no-store"
    page = controller.ask("GET", "/").text
    assert not re.search(r"<script(?![^>]*\bsrc=)|\son\w+\s*=|<style|\sstyle\s*=|javascript:|https?://", page), \
        "the page itself has nothing that its policy forbids"


# Tickets.

def test_forged_and_misused_tickets_get_one_and_the_same_abort(controller):
    cookie, origin = controller.login(), controller.origin
    controller.add_user("tess", "viewer")
    refusals = {}

    def refused(why, name, ticket, origin=origin):
        refusals[why] = controller.refusal(name, ticket, origin)

    def fresh(origin=origin):
        return controller.ticket(cookie, origin)

    for why, ticket in {"forged": os.urandom(32).hex(), "empty": "", "long": "f" * 5_000, "digest": hashlib.sha256(
            fresh().encode()).hexdigest(), "injected": "' OR 1=1 --", "nul": "x\0", "cookie": cookie[1].split("=")[1],
            "case": fresh().upper()}.items():
        refused(why, "owner", ticket)
    refused("another user", "tess", fresh())
    refused("nobody", "nobody", fresh())
    refused("no origin", "owner", fresh(), None)
    refused("made without origin", "owner", fresh(None))

    replayed = fresh()
    with controller.open(origin=origin) as socket:
        assert socket.join("owner", replayed)[0] == WELCOME
        refused("replayed while in use", "owner", replayed)
    refused("replayed", "owner", replayed)

    misused = fresh()
    refused("for another user", "tess", misused)
    refused("after a misuse", "owner", misused)

    late = fresh()
    controller.sql("UPDATE tickets SET expires_at = ? WHERE digest = ?", int(time.time() * 1000) - 1,
                   hashlib.sha256(late.encode()).digest())
    refused("late", "owner", late)

    tess = controller.login("tess")
    stale = controller.ticket(tess, origin)
    controller.sql("UPDATE accounts SET role = 'operator' WHERE name = 'tess'")
    refused("of another role", "tess", stale)
    left = controller.ticket(tess, origin)
    assert controller.ask("POST", "/api/logout", SAME_SITE, tess).status == 204
    refused("after the logout", "tess", left)

    assert len({json.dumps(refusal) for refusal in refusals.values()}) == 1, refusals
    abort, code = refusals["forged"]
    assert abort[0] == ABORT and abort[2] == "wamp.error.authentication_denied" and code == 1000


def test_a_ticket_asked_for_with_one_origin_is_none_for_another(tmp_path):
    with running(tmp_path, 'allowed-origins = ["https://other.example"]') as controller:
        cookie = controller.login()
        ticket = controller.ticket(cookie, "https://other.example")
        assert controller.refusal("owner", ticket, controller.origin)[0][0] == ABORT
        assert controller.refusal("owner", ticket, "https://other.example")[0][0] == ABORT
        ticket = controller.ticket(cookie, "https://other.example")
        with controller.open(origin="https://other.example") as socket:
            assert socket.join("owner", ticket)[0] == WELCOME


def test_a_hundred_uses_of_one_ticket_at_once_get_one_welcome(controller):
    cookie = controller.login()
    aborts = set()
    for round in range(ROUNDS):
        ticket = controller.ticket(cookie, controller.origin)
        secret = frame(TEXT, json.dumps([AUTHENTICATE, ticket, {}]).encode())
        with contextlib.ExitStack() as stack:
            sockets = [stack.enter_context(controller.open(
                origin=controller.origin, source=f"127.78.{round % 250}.{1 + i % 2}", wait=False)) for i in range(100)]
            for socket in sockets:
                assert socket.wait().status == 101
                socket.hello("owner")
            for socket in sockets:
                assert socket.receive()[0] == CHALLENGE
            for socket in random.sample(sockets, 100):
                socket.connection.send(secret)
            answers = [socket.receive() for socket in sockets]
            assert sum(answer[0] == WELCOME for answer in answers) == 1, (round, answers)
            aborts |= {json.dumps(answer) for answer in answers if answer[0] != WELCOME}
    assert len(aborts) == 1, aborts


# Sessions.

def test_session_fixation(controller):
    planted = os.urandom(32).hex()
    answer = controller.try_login(fields=[("Cookie", f"farseed={planted}; __Host-farseed={planted}")],
                                  token=controller.make_link())
    assert answer.status == 204 and planted not in answer["set-cookie"]
    fresh = answer["set-cookie"].split(";")[0]
    controller.secret(fresh.split("=")[1])
    assert controller.ask("GET", "/api/boxes", ("Cookie", f"farseed={planted}")).status == 401
    # Of two cookies of the name one was planted; which, nobody knows.
    for pair in (f"farseed={planted}; {fresh}", f"{fresh}; farseed={planted}"):
        assert controller.ask("GET", "/api/boxes", ("Cookie", pair)).status == 401
    assert controller.ask("GET", "/api/boxes", ("Cookie", f"__Host-{fresh}")).status == 401

    # Who logs in anew leaves nothing behind: the old cookie and its sockets end.
    with controller.session(("Cookie", fresh)) as socket:
        again = controller.try_login(fields=[("Cookie", fresh)], token=controller.make_link())
        assert again.status == 204 and again["set-cookie"].split(";")[0] != fresh
        controller.secret(again["set-cookie"].split(";")[0].split("=")[1])
        assert socket.receive()[0] == GOODBYE and socket.receive() == 1000
    assert controller.ask("GET", "/api/boxes", ("Cookie", fresh)).status == 401


def test_a_stolen_cookie_is_worth_nothing_after_the_logout(controller):
    cookie, other = controller.login(), controller.login()
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(controller.session(cookie)) for _ in range(20)]
        stays = stack.enter_context(controller.session(other))
        began = time.monotonic()
        answer = controller.ask("POST", "/api/logout", SAME_SITE, cookie)
        assert answer.status == 204 and "Max-Age=0" in answer["set-cookie"]
        for socket in sockets:
            goodbye = socket.receive()
            assert goodbye[0] == GOODBYE and goodbye[2] == "farseed.close.logged_out", goodbye
            assert socket.receive() == 1000
        assert time.monotonic() - began < 1
        stays.send(CALL, 1, {}, "farseed.boxes")
        assert stays.receive()[:2] == [RESULT, 1]
    for method, path in (("GET", "/api/boxes"), ("GET", "/api/boxes/vps/torrents"), ("POST", "/api/ticket")):
        assert controller.ask(method, path, SAME_SITE, cookie).status == 401
    assert alive(controller, other)


def test_cookies_cannot_be_read_by_scripts_or_sent_by_other_sites(controller):
    answer = controller.try_login(token=controller.make_link())
    controller.secret(answer["set-cookie"].split(";")[0].split("=")[1])
    parts = answer["set-cookie"].split("; ")
    assert parts[0].startswith("farseed=") and {"HttpOnly", "SameSite=Strict", "Path=/"} <= set(parts), parts
    assert "domain" not in answer["set-cookie"].lower()
    assert f"Max-Age={7 * 86_400}" in parts, "no longer than its session"


def test_a_viewer_cannot_escalate(controller):
    controller.add_user("vera", "viewer")
    with controller.session(controller.login("vera"), "vera") as socket:
        for number, (procedure, words) in enumerate([
            ("farseed.vps.torrent.remove", {"ids": ["a" * 40]}), ("farseed.vps.torrent.add", {"magnet": "magnet:?"}),
            ("farseed.vps.session.set", {}), ("wamp.session.list", {}), ("wamp.session.kill_all", {}),
        ], 1):
            socket.send(CALL, number, {}, procedure, [], words)
            error = socket.receive()
            assert error[:3] == [ERROR, CALL, number] and error[4] == "wamp.error.not_authorized", error
        register, publish = (64, "farseed.vps.torrent.remove"), (16, "farseed.vps.torrents")
        for kind, topic in (register, publish, (SUBSCRIBE, "wamp.session.on_join")):
            socket.send(kind, 99, {"acknowledge": True}, topic)
            error = socket.receive()
            assert error[:3] == [ERROR, kind, 99] and error[4] == "wamp.error.not_authorized", error
        socket.send(SUBSCRIBE, 100, {}, "farseed.vps.torrents")
        assert socket.receive()[:2] == [SUBSCRIBED, 100]
    assert controller.sql("SELECT count(*) FROM jobs") == [(0,)]


# Passwords.

def test_login_guessing(controller):
    guesser, password = stranger(), controller.add_user("lena", "viewer")
    for _ in range(FAILED_LOGINS):
        assert controller.try_login(guesser, token=os.urandom(32).hex()).status == 401
    link = controller.make_link()
    for body in ({"token": link}, {"user": "lena", "password": password}, {"user": "lena", "password": "wrong"}):
        answer = controller.try_login(guesser, **body)
        assert answer.status == 429 and answer["retry-after"] == "60" and answer["set-cookie"] is None, answer
    # They are written down, as one entry however many they are.
    told = wait_for("the entry", lambda: [entry for entry in controller.audit("login.throttled")
                                          if entry["origin"] == guesser], LATE)
    # A minute may have begun anew in between.
    assert len(told) < 3 and {(entry["who"], entry["outcome"]) for entry in told} == {("-", "refused")}, told
    # Nobody else is locked out, and the link is still good.
    answer = controller.try_login(stranger(), user="lena", password=password)
    assert answer.status == 204, answer
    controller.secret(answer["set-cookie"].split(";")[0].split("=")[1])
    assert controller.try_login(stranger(), token=link).status == 204


def test_login_guessing_all_at_once(controller):
    """Guesses that are under way together are counted as those one after the other."""
    for body in ({"user": "owner", "password": "a guess"}, {"token": "ab" * 32}):
        guesser = stranger()
        with contextlib.ExitStack() as stack:
            connections = [stack.enter_context(controller.connect(guesser)) for _ in range(PER_ADDRESS - 4)]
            for connection in connections:
                connection.begin("POST", "/api/login", SAME_SITE, body=body)
            statuses = [connection.answer().status for connection in connections]
        assert statuses.count(401) <= FAILED_LOGINS and set(statuses) <= {401, 429}, statuses


def test_enumeration_of_users_by_time_or_text(controller):
    controller.add_user("zoe", "viewer")
    times, texts = {}, set()
    wrong = {"a user with a password": "zoe", "a user without one": "owner", "nobody": "nobody", "no name": "' OR 1=1"}
    for _ in range(3):
        for kind, name in wrong.items():
            began = time.monotonic()
            answer = controller.try_login(stranger(), user=name, password="not the right one")
            times.setdefault(kind, []).append(time.monotonic() - began)
            assert answer.status == 401
            texts.add((answer.body, *(field for field in answer.fields if field[0] != "date")))
    assert len(texts) == 1, texts
    quickest = {kind: min(measured) for kind, measured in times.items()}
    assert max(quickest.values()) < 2 * min(quickest.values()), times
    assert statistics.median(times["nobody"]) > 0.02, "a password's hash is dear"


# Addresses.

def test_forged_x_forwarded_for(controller):
    guesser = stranger()
    for i in range(FAILED_LOGINS):
        forged = [(name, f"203.0.113.{i}") for name in ("X-Forwarded-For", "X-Real-IP", "Client-IP", "True-Client-IP")]
        forged.append(("Forwarded", f"for=203.0.113.{i}"))
        assert controller.try_login(guesser, forged, token="0" * 64).status == 401
    assert controller.try_login(guesser, [("X-Forwarded-For", "203.0.113.99")], token="0" * 64).status == 429
    wait_for("the failed logins in the log", lambda: controller.text().count(f"web.client={guesser} ") == FAILED_LOGINS,
             LATE)
    assert "203.0.113." not in controller.text()


def test_forged_x_forwarded_proto_and_host(controller, cookie):
    forged = [("X-Forwarded-Proto", "https"), ("X-Forwarded-Host", "evil.example"), ("X-Forwarded-Port", "443"),
              ("Forwarded", "proto=https;host=evil.example"), ("X-Original-URL", "/metrics"),
              ("X-Rewrite-URL", "/metrics"), ("X-HTTP-Method-Override", "DELETE")]
    answer = controller.try_login(fields=forged, token=controller.make_link())
    assert answer.status == 204 and "Secure" not in answer["set-cookie"]
    assert answer["set-cookie"].startswith("farseed=")
    controller.secret(answer["set-cookie"].split(";")[0].split("=")[1])
    assert controller.ask("POST", "/api/ticket", SAME_SITE, cookie, *forged,
                          ("Origin", controller.origin.replace("http:", "https:"))).status == 403
    page, plain = controller.ask("GET", "/", *forged), controller.ask("GET", "/")
    assert (page.status, page.body) == (plain.status, plain.body)
    assert controller.ask("GET", "/", ("X-Forwarded-Host", f"127.0.0.1:{controller.port}"),
                          host="evil.example").status == 421
    assert "farseed_" not in controller.ask("GET", "/metrics", ("X-Forwarded-For", "127.0.0.1")).text
    assert "farseed_" not in controller.ask("GET", "/metrics", source=stranger()).text


def test_figures_are_not_for_strangers_on_loopback(tmp_path):
    token = os.urandom(16).hex()
    (tmp_path / "metrics.token").write_text(token + "\n")
    (tmp_path / "metrics.token").chmod(0o600)
    with running(tmp_path, 'metrics-token-file = "metrics.token"\ntrusted-proxies = ["127.0.0.9"]') as controller:
        for source in ("127.0.0.1", "127.0.0.9", stranger()):
            for host in (None, "localhost", f"localhost:{controller.port}"):
                for fields in ((), (("X-Forwarded-For", "127.0.0.1"),), (("Authorization", "Bearer " + token[:-1]),),
                               (("Authorization", "Bearer "),), (("Authorization", token),)):
                    answer = controller.ask("GET", "/metrics", *fields, source=source, host=host)
                    assert answer.status == 401 and "farseed_" not in answer.text, (source, host, fields)
        answer = controller.ask("GET", "/metrics", ("Authorization", "Bearer " + token), source=stranger())
        assert answer.status == 200 and "\nfarseed_" in answer.text and token not in answer.text
        assert token not in controller.text()
        assert controller.stop() == 0
        (tmp_path / "metrics.token").write_text("short")
        short = controller.run("serve")
        assert short.returncode == 21 and "/metrics" in short.stderr and "16" in short.stderr, short
        (tmp_path / "metrics.token").chmod(0o644)
        open_to_all = controller.run("serve")
        assert open_to_all.returncode == 22 and "chmod 600" in open_to_all.stderr, open_to_all
        (tmp_path / "metrics.token").write_text(token)
        (tmp_path / "metrics.token").chmod(0o600)
        controller.start()


# What tor brings from an onion service.

def circuit(number):
    """The line that tor writes before a client's first byte."""
    return f"PROXY TCP6 fc00:dead:beef:4dad::{number >> 16:x}:{number & 0xffff:x} ::1 65535 42\r\n".encode()


@pytest.fixture(scope="module")
def onion(tmp_path_factory):
    port = free_port()
    with running(tmp_path_factory.mktemp("onion"), f'onion-listen = "127.0.0.1:{port}"\n'
                 'trusted-proxies = ["127.0.0.1"]\nallowed-hosts = ["page.onion"]') as controller:
        controller.onion_port = port
        yield controller


@contextlib.contextmanager
def by_circuit(controller, number):
    with Connection(controller.onion_port, host="page.onion") as connection:
        connection.send(circuit(number))
        yield connection


def guess(connection, *fields):
    return connection.ask("POST", "/api/login", SAME_SITE, *fields, body={"token": os.urandom(32).hex()}).status


def test_one_circuit_of_an_onion_service_cannot_lock_out_the_others(onion):
    with by_circuit(onion, 7) as connection:
        assert [guess(connection) for _ in range(FAILED_LOGINS)] == [401] * FAILED_LOGINS
        assert guess(connection) == 429
    # Nor by another connection of the circuit, or by an address that it makes up.
    with by_circuit(onion, 7) as connection:
        assert guess(connection, ("X-Forwarded-For", "203.0.113.1")) == 429
    for number in (8, 7 << 16, (1 << 32) - 1):
        with by_circuit(onion, number) as connection:
            assert guess(connection) == 401
    assert onion.try_login(token=onion.make_link()).status == 204
    told = wait_for("the entry", lambda: onion.audit("login.throttled"), LATE)
    assert {entry["origin"] for entry in told} == {"onion circuit 7"}
    assert "203.0.113.1" not in onion.text()


def test_a_circuit_s_client_is_no_local_one(onion):
    with by_circuit(onion, 9) as connection:
        assert connection.ask("GET", "/").status == 200
        for host in ("localhost", "127.0.0.1", "page.onion"):
            assert connection.ask("GET", "/metrics", host=host).status == 401
        assert connection.ask("GET", "/", host="evil.example").status == 421
    with by_circuit(onion, 10) as first, contextlib.ExitStack() as stack:
        assert first.ask("GET", "/healthz").status == 200
        several = [stack.enter_context(by_circuit(onion, 10)) for _ in range(PER_ADDRESS - 1)]
        assert all(connection.ask("GET", "/healthz").status == 200 for connection in several)
        with by_circuit(onion, 10) as one_more:
            assert one_more.ended() is not None
        with by_circuit(onion, 11) as other:
            assert other.ask("GET", "/healthz").status == 200


@pytest.mark.parametrize("line", [
    b"", b"GET / HTTP/1.1\r\nHost: page.onion\r\n\r\n", b"\r\n", b"PROXY UNKNOWN\r\n",
    b"PROXY TCP4 203.0.113.1 127.0.0.1 1 2\r\n", b"PROXY TCP6 ::1 ::1 1 2\r\n", b"PROXY TCP6 2001:db8::1 ::1 1 2\r\n",
    b"PROXY TCP6 fc00:dead:beef:4dad:1::1 ::1 1 2\r\n", circuit(1).replace(b"\r\n", b"\n"), circuit(1)[:-2] + b" 1\r\n",
    b"\r\n\r\n\0\r\nQUIT\n!\x11", b"PROXY TCP6 " + b"f" * 200, circuit(1).lower(),
])
def test_a_forged_or_missing_circuit_line_ends_the_connection(onion, line):
    with Connection(onion.onion_port, host="page.onion") as connection:
        began = time.monotonic()
        connection.send(line)
        if line and b"HTTP" not in line:
            with contextlib.suppress(ConnectionError):
                connection.begin("GET", "/")
        with contextlib.suppress(ConnectionError):
            assert connection.answer() is None
        assert connection.ended(HEAD_WITHIN + LATE) is not None
        assert time.monotonic() - began < HEAD_WITHIN + LATE
    # Nor does the line mean anything at the other door.
    with onion.connect() as connection:
        connection.send(circuit(1))
        assert connection.answer().status == 400


def test_a_circuit_line_that_comes_in_pieces(onion):
    with Connection(onion.onion_port, host="page.onion") as connection:
        connection.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in circuit(12) + b"GET /healthz HTTP/1.1\r\nHost: page.onion\r\n\r\n":
            connection.send(bytes([byte]))
        assert connection.answer().status == 200


# Paths, fields, lengths.

@pytest.mark.parametrize("target", [
    "/../../../../etc/passwd", "/..%2f..%2f..%2fetc%2fpasswd", "/%2e%2e/%2e%2e/%2e%2e/etc/passwd",
    "/%252e%252e%252f%252e%252e%252fetc%252fpasswd", "/%c0%ae%c0%ae/%c0%ae%c0%ae/etc/passwd", "//etc/passwd",
    "/..\\..\\etc\\passwd", "/..%5c..%5cetc%5cpasswd", "/main.js/../../../../etc/passwd", "/main.js%00.css",
    "/etc/passwd", "/proc/self/environ", "/Page/main.js", "/index.html", "/.git/config", "/farseed.db", "/main.js/",
    "/api/boxes/..%2f..%2f/torrents", "/api/boxes/../torrents", "/api/boxes/%00/torrents", "/;/main.js", "/%6dain.js",
])
def test_path_traversal_in_static_files(controller, cookie, target):
    for method in ("GET", "HEAD"):
        answer = controller.ask(method, target, cookie)
        assert answer.status == 404, answer
        assert b"root:" not in answer.body and b"SQLite" not in answer.body and len(answer.body) < 200


@pytest.mark.parametrize("target", ["http://evil.example/", "http://127.0.0.1/etc/passwd", "file:///etc/passwd",
                                    "etc/passwd", "*", "evil.example:443", "?", "\\\\evil.example\\share"])
def test_a_target_that_is_no_path_is_refused(controller, target):
    for method in ("GET", "CONNECT", "OPTIONS", "TRACE"):
        answer = controller.ask(method, target)
        assert answer is None or answer.status in (400, 405), (method, answer)
        assert answer is None or b"Farseed</title>" not in answer.body


def test_response_splitting(controller, cookie):
    usual = {name for name, _ in controller.ask("GET", "/nothing").fields}
    inject = "%0d%0aSet-Cookie:%20farseed=planted%0d%0a%0d%0a<script>"
    for target in (f"/{inject}", f"/nothing?{inject}", f"/api/boxes/{inject}/torrents", "/%E5%98%8A%E5%98%8DX:1"):
        answer = controller.ask("GET", target, cookie)
        assert answer.status == 404 and {name for name, _ in answer.fields} <= usual, answer
        assert b"planted" not in answer.body and b"script" not in answer.body
    for name in ("Origin", "Cookie", "If-None-Match", "X-Forwarded-For", "User-Agent", "Sec-WebSocket-Protocol"):
        for poison in ("a\rSet-Cookie: x=planted", "a\nSet-Cookie: x=planted", "a\r\n\tSet-Cookie: x=planted", "a\0b"):
            with controller.connect() as connection:
                connection.send(f"GET / HTTP/1.1\r\nHost: {connection.host}\r\n{name}: {poison}\r\n\r\n".encode())
                answer = connection.answer()
                assert answer is None or answer["set-cookie"] is None and b"planted" not in answer.body, (name, poison)
    with controller.open(("Sec-WebSocket-Protocol", "wamp.2.json\tX: planted")) as socket:
        assert "planted" not in str(socket.answer.fields)


@pytest.mark.parametrize("fields", [
    "Content-Length: 4\r\nContent-Length: 60\r\n", "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n",
    "Transfer-Encoding: xchunked\r\n", "Transfer-Encoding: chunked, identity\r\n", "Content-Length: +4\r\n",
    "Content-Length: 0x4\r\n", "Content-Length : 4\r\n", "Content-Length: 4, 4\r\n", "Content-Length: -1\r\n",
])
def test_request_smuggling(controller, fields):
    with controller.connect() as connection:
        connection.send(f"POST /api/login HTTP/1.1\r\nHost: {connection.host}\r\nX-Farseed: 1\r\n{fields}\r\n"
                        f"0\r\n\r\nGET /healthz HTTP/1.1\r\nHost: {connection.host}\r\n\r\n".encode())
        answer = connection.answer()
        assert answer is None or answer.status == 400, answer
        assert connection.ended() is not None
        assert answer is None or answer.text != "ok\n"


def test_oversize_header(controller, cookie):
    for fields in ([("X-Long", "x" * 20_000)], [(f"X-{i}", "1") for i in range(150)], [("Cookie", "a=" + "x" * 17_000)],
                   [("X" * 20_000, "1")]):
        answer = controller.ask("GET", "/", *fields)
        assert answer.status == 431, answer
    assert controller.ask("GET", "/" + "x" * 3_000).status == 414
    assert controller.ask("POST", "/api/login", SAME_SITE, body=b"x" * 5_000).status == 413
    assert controller.ask("POST", "/api/login", SAME_SITE, body=b"[" * 4_000).status == 400
    with controller.connect() as connection:
        connection.begin("POST", "/api/login", SAME_SITE, ("Transfer-Encoding", "chunked"))
        connection.send(b"1000\r\n" + b"x" * 4_096 + b"\r\n1000\r\n" + b"x" * 4_096 + b"\r\n0\r\n\r\n")
        assert connection.answer().status in (400, 413) and connection.ended() is not None
    # One that never ends is refused where it is too long, and what is sent after that is kept nowhere.
    before = controller.memory()
    for endless in (b"x", b"x: y\r\n", b"x\r\n y"):
        with controller.connect() as connection:
            connection.send(b"GET / HTTP/1.1\r\n")
            with contextlib.suppress(ConnectionError):
                for _ in range(20):
                    connection.send(endless * (1_000_000 // len(endless)))
            with contextlib.suppress(ConnectionError):
                assert connection.answer().status in (400, 431)
            assert connection.ended() is not None
    assert controller.memory() - before < 20_000_000
    assert alive(controller, cookie)


def test_slow_headers(controller, cookie):
    """Slowloris: a connection that does not get to the point is closed, and nobody else waits for it."""
    request = f"GET / HTTP/1.1\r\nHost: 127.0.0.1:{controller.port}\r\nX-Drip: ".encode()
    body = f"POST /api/login HTTP/1.1\r\nHost: 127.0.0.1:{controller.port}\r\n" \
           "X-Farseed: 1\r\nContent-Length: 100\r\n\r\n".encode()
    began = time.monotonic()
    with contextlib.ExitStack() as stack:
        def several(first):
            connections = [stack.enter_context(controller.connect()) for _ in range(40)]
            for connection in connections:
                connection.send(first)
            return connections

        # What is begun, how long it may last, and whether a byte is added every second.
        kinds = [(several(b""), HEAD_WITHIN, b""), (several(request), HEAD_WITHIN, b"x"),
                 (several(b"\r\n"), HEAD_WITHIN, b"\r\n"), (several(body), BODY_WITHIN, b"x")]
        silent = [stack.enter_context(controller.open()) for _ in range(20)]
        second = 0
        while second < BODY_WITHIN - 2:
            second += 1
            for connections, _, drip in kinds:
                for connection in connections:
                    with contextlib.suppress(ConnectionError):
                        connection.send(drip)
            assert alive(controller, cookie)
            time.sleep(max(0, began + second - time.monotonic()))
        for socket in silent:
            assert socket.connection.ended() is not None
        for connections, within, _ in kinds:
            for connection in connections:
                assert connection.ended(began + within + LATE - time.monotonic()) is not None, within
    assert time.monotonic() - began < BODY_WITHIN + LATE


# Websockets.

def test_unauthenticated_sockets_are_limited(controller, cookie):
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(controller.open(wait=False)) for _ in range(UNAUTHENTICATED + 8)]
        refused = [socket.answer for socket in sockets if socket.wait().status != 101]
        assert len(refused) == 8
        assert all(answer.status == 503 and answer["retry-after"] == "5" for answer in refused), refused[0]
        assert alive(controller, cookie)
        # And they end by themselves where they do not say who they are.
        began = time.monotonic()
        for socket in sockets:
            assert socket.connection.ended(began + WELCOME_WITHIN + LATE - time.monotonic()) is not None
    with controller.session(cookie):
        pass


def test_websockets_of_one_user_are_limited(controller):
    controller.add_user("many", "viewer")
    cookie = controller.login("many")
    with contextlib.ExitStack() as stack:
        for _ in range(PER_USER):
            stack.enter_context(controller.session(cookie, "many"))
        refused, code = controller.refusal("many", controller.ticket(cookie, controller.origin), controller.origin)
        assert refused[0] == ABORT and code == 1000, refused
        with controller.session(controller.login()):
            pass

    def joins():
        with controller.open(origin=controller.origin) as socket:
            return socket.join("many", controller.ticket(cookie, controller.origin))[0] == WELCOME

    wait_for("room for the user", joins, LATE)


def test_connections_of_one_address_are_limited(controller, cookie):
    flooder = stranger()
    with contextlib.ExitStack() as stack:
        for _ in range(PER_ADDRESS):
            connection = stack.enter_context(controller.connect(flooder))
            assert connection.ask("GET", "/healthz").status == 200
        with controller.connect(flooder) as one_more:
            assert one_more.ended() is not None
        assert controller.ask("GET", "/healthz", source=stranger()).status == 200
        assert alive(controller, cookie)
    wait_for("the address to be let in again", lambda: answers(controller, flooder), LATE)


def answers(controller, source):
    try:
        answer = controller.ask("GET", "/healthz", source=source)
    except ConnectionError:
        return False
    return answer is not None and answer.status == 200


def test_oversize_websocket_messages(controller, cookie):
    before = controller.memory()
    for size in (GREETING_BYTES + 1, 1 << 40, (1 << 63) - 1):
        with controller.open() as socket:
            socket.connection.send(announcement(TEXT, size) if size > 65_535 else frame(TEXT, b" " * size))
            assert socket.receive() == 1009
    with contextlib.ExitStack() as stack:
        # Before the welcome also in fragments.
        socket = stack.enter_context(controller.open())
        for i in range(5):
            socket.connection.send(frame(TEXT if i == 0 else 0, b" " * 2_000, final=False))
        assert socket.receive() == 1009

        sockets = [stack.enter_context(controller.session(cookie)) for _ in range(30)]
        for socket in sockets[:20]:
            # Announced and not sent: no memory is set aside for it.
            socket.connection.send(announcement(TEXT, MESSAGE_BYTES))
        for socket in sockets[20:]:
            socket.connection.send(announcement(TEXT, MESSAGE_BYTES + 1))
            assert socket.receive() == 1009
        assert controller.memory() - before < 20 * MESSAGE_BYTES
    with controller.session(cookie) as socket:
        call = json.dumps([CALL, 1, {}, "farseed.boxes", [""]])
        call = call.replace('""', '"' + "x" * (MESSAGE_BYTES - len(call)) + '"')
        assert len(call) == MESSAGE_BYTES
        socket.connection.send(frame(TEXT, call.encode()))
        assert socket.receive()[:2] == [RESULT, 1]
    assert alive(controller, cookie)


def test_deeply_nested_websocket_messages(controller, cookie):
    bombs = {
        "open": "[" * (MESSAGE_BYTES - 1), "closed": "[" * 200_000 + "]" * 200_000, "maps": '{"a":' * 100_000,
        "one too deep": json.dumps([CALL, 1, {}, "farseed.boxes", nested(DEPTH)]),
        "too many": json.dumps([CALL, 1, {}, "farseed.boxes", [0] * ELEMENTS]),
    }
    for kind, bomb in bombs.items():
        with controller.session(cookie) as socket:
            socket.connection.send(frame(TEXT, bomb.encode()))
            abort = socket.receive()
            assert abort[0] == ABORT and abort[2] == "wamp.error.protocol_violation", (kind, abort)
            assert isinstance(socket.receive(), int), kind
    with controller.open() as socket:
        socket.connection.send(frame(TEXT, b"[" * GREETING_BYTES))
        assert socket.receive()[0] == ABORT
    with controller.session(cookie) as socket:
        socket.send(CALL, 1, {}, "farseed.boxes", nested(DEPTH - 4))
        assert socket.receive()[:2] == [RESULT, 1]
    assert alive(controller, cookie)


def nested(depth):
    value = []
    for _ in range(depth - 1):
        value = [value]
    return value


# TLS.

def old_tls(port):
    """Whether a handshake by TLS 1.1 is taken, as OpenSSL's own client tells."""
    done = subprocess.run(["openssl", "s_client", "-tls1_1", "-cipher", "DEFAULT@SECLEVEL=0", "-connect",
                           f"127.0.0.1:{port}"], stdin=subprocess.DEVNULL, capture_output=True, timeout=20)
    assert b"CONNECTED" in done.stdout, done
    return "refused" if b"protocol version" in done.stderr and b"Cipher is (NONE)" in done.stdout else "taken"


def test_under_tls_the_cookie_is_bound_to_it_and_slow_handshakes_end(tmp_path):
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                    "-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", tmp_path / "tls.key",
                    "-out", tmp_path / "tls.pem"], check=True, capture_output=True, timeout=20)
    (tmp_path / "tls.key").chmod(0o600)
    with running(tmp_path, 'certificate = "tls.pem"\ncertificate-key = "tls.key"') as controller:
        context = ssl.create_default_context(cafile=tmp_path / "tls.pem")

        def connect():
            raw = Connection(controller.port).socket
            return Connection(made=context.wrap_socket(raw, server_hostname="127.0.0.1"),
                              host=f"127.0.0.1:{controller.port}")

        began = time.monotonic()
        with controller.connect() as silent, controller.connect() as slow:
            slow.send(b"\x16\x03\x01\x02\x00\x01")
            with connect() as connection:
                answer = connection.ask("POST", "/api/login", SAME_SITE, ("Origin", controller.origin),
                                        body={"token": controller.link})
                assert answer.status == 204
                assert answer["strict-transport-security"] == "max-age=31536000"
                pair, *parts = answer["set-cookie"].split("; ")
                assert pair.startswith("__Host-farseed=")
                assert {"Secure", "HttpOnly", "SameSite=Strict", "Path=/"} <= set(parts), parts
                assert connection.ask("GET", "/api/boxes", ("Cookie", pair)).status == 200
                planted = pair.removeprefix("__Host-")
                assert connection.ask("GET", "/api/boxes", ("Cookie", planted)).status == 401
                plain = ("Origin", controller.origin.replace("https:", "http:"))
                assert connection.ask("POST", "/api/ticket", SAME_SITE, ("Cookie", pair), plain).status == 403
            assert old_tls(controller.port) == "refused"
            for connection in (silent, slow):
                assert connection.ended(began + HEAD_WITHIN + LATE - time.monotonic()) is not None


# Last, as it looks for what all the others were given.

def test_secrets_are_not_in_log_arguments_environment_figures_or_database(controller):
    cookie = controller.login()
    with controller.session(cookie) as socket:
        socket.send(SUBSCRIBE, 1, {"get_retained": True}, "farseed.link.vps")
        assert socket.receive()[0] == SUBSCRIBED and socket.receive()[0] == EVENT
    for place in ("/api/boxes?ticket={0}", "/ws?ticket={0}", "/{0}", "/api/login?token={0}"):
        controller.ask("GET", place.format(controller.ticket(cookie)))
    assert controller.try_login(token=controller.link, password=controller.link).status in (204, 401)
    controller.refusal("nobody", controller.ticket(cookie))
    assert len(controller.secrets) >= 8, "a link, a cookie and tickets at least"

    kept = {name: pathlib.Path(f"/proc/{controller.pid}/{name}").read_bytes() for name in ("cmdline", "environ")}
    kept["metrics"] = controller.ask("GET", "/metrics", cookie).body
    assert b"\nfarseed_" in kept["metrics"]
    kept |= {path.name: path.read_bytes() for path in controller.state.rglob("*") if path.is_file()}
    kept["log"] = controller.log.read_bytes()
    assert b"A login failed." in kept["log"] or b"Logged in." in kept["log"], "this is the log"
    assert b"SQLite format 3" in kept["farseed.db"]
    for secret in controller.secrets:
        forms = {secret.encode()}
        with contextlib.suppress(ValueError):
            forms.add(bytes.fromhex(secret))
        for place, text in kept.items():
            assert not any(form in text for form in forms), f"a secret lies in {place}"
    modes = {path.name: path.stat().st_mode & 0o077 for path in [controller.state / "farseed",
                                                                  *(controller.state / "farseed").iterdir()]}
    assert not any(modes.values()), modes
