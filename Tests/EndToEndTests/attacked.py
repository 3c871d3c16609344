"""A controller to attack, and what all attacks have in common."""

import contextlib
import hashlib
import json
import os
import pathlib
import re
import secrets
import sqlite3
import subprocess
import time

import pytest
from conftest import ROOT, Home
from rawweb import WELCOME, Connection, WebSocket

#: The limits of Sources/Web/WebConfiguration.swift that are reached here; times in seconds.
UNAUTHENTICATED, PER_ADDRESS, PER_USER, FAILED_LOGINS = 256, 64, 256, 10
HEAD_WITHIN, BODY_WITHIN, WELCOME_WITHIN = 10, 15, 10
GREETING_BYTES, MESSAGE_BYTES, DEPTH, ELEMENTS = 8_192, 1 << 20, 32, 100_000
SUBSCRIPTIONS, MESSAGE_BURST, MESSAGES_PER_SECOND = 1_024, 1_000, 200
#: What a deadline may be late by on a busy machine.
LATE = 30
SAME_SITE = ("X-Farseed", "1")
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


def keeps_no_secret(controller):
    """Nothing of what was given away lies where somebody may read it who is not let in."""
    kept = {name: pathlib.Path(f"/proc/{controller.pid}/{name}").read_bytes() for name in ("cmdline", "environ")}
    kept["metrics"] = controller.ask("GET", "/metrics", controller.login()).body
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


class Employer(Controller):
    """A controller that knows the workers alpha and beta by one secret: each may act below `farseed.worker.`."""

    def __init__(self, directory, role="guest"):
        super().__init__(directory)
        self.worker_secret = secrets.token_hex(32)
        file = directory / "worker.secret"
        file.write_text(self.worker_secret)
        file.chmod(0o600)
        with self.config.open("a") as config:
            for name in "alpha", "beta":
                config.write(f'[worker.{name}]\nrole = "{role}"\nsecret-file = "{file}"\n'
                             'topics = ["farseed.worker."]\nprocedures = ["farseed.worker."]\n')


@contextlib.contextmanager
def employing(directory, role="guest"):
    """An `Employer` that serves; it needs no seedbox."""
    employer = Employer(directory, role)
    try:
        yield employer.start()
    finally:
        employer.stop()


@pytest.fixture(scope="module")
def controller(tmp_path_factory):
    with running(tmp_path_factory.mktemp("attacked")) as controller:
        yield controller
        keeps_no_secret(controller)


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
