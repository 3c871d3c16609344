"""Every exit code of the command line has a real cause here or in test_faults.py; the last test sees to that.

FARSEED_SILENCE=1 adds what takes a minute.
"""

import contextlib
import json
import os
import pathlib
import socket
import socketserver
import sqlite3
import subprocess
import threading

import pytest

from conftest import AGENT, CODES, ROOT, link_state, make_home, wait_for

#: Mistakes of the one who types: the code's name, or 64 for wrong usage, and the line.
MISTAKES = [
    (64, "start"),
    (64, "no-such-command"),
    (64, "set all"),
    (64, "add x --no-wait --wait done"),
    (64, "stop all --no-wait --no-queue"),
    (64, "jobs --watch --open"),
    (64, "move all --to relative"),
    (64, "session set nonsense"),
    ("bad-request", "list status:sleeping"),
    ("bad-request", "add CONFIG"),
    ("too-large", "add LARGE"),
    ("not-permitted", "exec -- sh"),
    ("not-found", "add /nowhere/a.torrent"),
    ("not-found", "show ffffffff"),
    ("not-found", "free /no/such/directory"),
    ("not-found", "jobs show 4711"),
    ("not-found", "jobs cancel 4711"),
    ("not-found", "undo"),
    ("not-found", "list --box other"),
    ("configuration-invalid", "list --config /nowhere/farseed.toml"),
    ("conflict", "serve"),
]


def told_code(result):
    """The name and number of a failure that `--json` tells."""
    return json.loads(result.stdout)["error"]["code"], result.returncode


def test_each_mistake_has_its_exit_code(served, tmp_path):
    large = tmp_path / "large.torrent"
    with open(large, "wb") as file:
        file.truncate(17 << 20)
    wrong = []
    for code, line in MISTAKES:
        result = served.run(*line.replace("CONFIG", str(served.config)).replace("LARGE", str(large)).split())
        if result.returncode != CODES.get(code, code) or not result.stderr or result.stdout:
            wrong.append((code, line, result))
    assert not wrong


@pytest.fixture
def no_socks():
    """A port where something listens that speaks no SOCKS: it is an HTTP server."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        def serve():
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                with connection:
                    connection.settimeout(10)
                    connection.recv(100)
                    connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

        thread = threading.Thread(target=serve)
        thread.start()
        yield f"127.0.0.1:{listener.getsockname()[1]}"
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()


#: What may be wrong between home and seedbox: the code's name and what is otherwise in the configuration's tables.
#: The rest is in test_faults.py.
FAULTS = {
    "socks-invalid": {"tor": {"socks": "HTTP", "control": None}},
    "tor-policy": {"box": {"address": "vps.test"}},
    "connection-refused": {"box": {"port": 23}},
}


@pytest.mark.parametrize("name", FAULTS)
def test_each_fault_on_the_way_has_its_exit_code(name, lab, tmp_path, no_socks):
    with make_home(lab, tmp_path, **FAULTS[name]) as home:
        home.config.write_text(home.config.read_text().replace('"HTTP"', f'"{no_socks}"'))
        assert told_code(home.run("list", "--json", timeout=90)) == (name, CODES[name])
        assert home.run("doctor", timeout=90).returncode == CODES[name]


def test_a_tor_that_does_not_run_has_its_exit_code(lab, tmp_path):
    with make_home(lab, tmp_path, own_tor=True, tor={"binary": "/bin/false"}) as home:
        assert home.run("list", timeout=20).returncode == CODES["tor-failed"], "nobody waits for a tor that has ended"
        home.start()
        wait_for("the daemon to know", lambda: home.run("status").returncode == CODES["tor-failed"])
        assert home.run("list", "--patience", "3").returncode == CODES["tor-failed"]


def test_a_key_that_others_can_read_has_its_exit_code(lab, tmp_path):
    key = tmp_path / "key"
    key.write_bytes(pathlib.Path(lab.key_path).read_bytes())
    key.chmod(0o644)
    with make_home(lab, tmp_path, box={"key": str(key)}) as home:
        assert told_code(home.run("list", "--json")) == ("secret-unreadable", CODES["secret-unreadable"])


def test_a_key_that_may_only_read_has_its_exit_code(lab, tmp_path):
    with make_home(lab, tmp_path, box={"key": lab.read_key_path}) as home:
        hash = next(iter(home.torrents()))
        assert told_code(home.run("stop", hash, "--json")) == ("not-permitted", CODES["not-permitted"])


def test_a_missing_client_key_has_its_exit_code(lab, home):
    lab.set_client_auth(False)
    try:
        closed = CODES["onion-authorization-missing"]
        wait_for("the onion service to be closed", lambda: home.run("list", timeout=90).returncode == closed, 90)
    finally:
        lab.set_client_auth(True)
        lab.wait_reachable()


@pytest.mark.parametrize("name, script", [
    ("agent-unexpected", "echo 'Welcome to this machine!'; exec cat > /dev/null"),
    ("agent-failed", "exit 1"),
])
def test_what_is_no_agent_has_its_exit_code(name, script, lab, home, tmp_path):
    other = tmp_path / "other"
    other.write_text(f"#!/bin/sh\n{script}\n")
    other.chmod(0o755)
    lab.set_agent(other)
    try:
        assert told_code(home.run("list", "--json", timeout=90)) == (name, CODES[name])
    finally:
        lab.set_agent(AGENT)


def test_a_faulty_configuration_has_its_exit_code(home):
    home.config.write_text(home.config.read_text() + "\nno such line\n")
    assert home.run("list").returncode == CODES["configuration-invalid"]
    checked = home.run("config", "check")
    assert checked.returncode == 21 and str(len(home.config.read_text().splitlines())) in checked.stderr, checked


#: What tor's SOCKS port answers where the way is not to be had: the code's name, the answer's byte and the address, which
#: is the onion service's where none stands. Such a service gives its tor the general failure where sshd refuses.
ANSWERS = [
    ("tor-not-ready", 0x01, {"address": "vps.test"}), ("connection-refused", 0x01, {}), ("connection-refused", 0x05, {}),
    ("host-unreachable", 0x04, {}), ("onion-unreachable", 0xF2, {}), ("onion-authorization-wrong", 0xF5, {}),
    ("onion-address-invalid", 0xF6, {}),
]


class Socks(socketserver.ThreadingTCPServer):
    """A SOCKS port that takes any password and gives one answer to each request; then what `then` does with it."""

    daemon_threads = True

    def __init__(self, answer, then=lambda connection: None):
        super().__init__(("127.0.0.1", 0), None)
        self.answer, self.then = answer, then
        self.address = f"127.0.0.1:{self.server_address[1]}"

    def finish_request(self, connection, _):
        connection.settimeout(30)
        with connection.makefile("rb") as input:
            input.read(input.read(2)[1])
            connection.sendall(b"\x05\x02")
            input.read(input.read(2)[1])
            input.read(input.read(1)[0])
            connection.sendall(b"\x01\x00")
            # Version, command, reserved, a name; then its length, itself and the port.
            input.read(4)
            input.read(input.read(1)[0] + 2)
            if self.answer is not None:
                connection.sendall(bytes((5, self.answer, 0, 1, 0, 0, 0, 0, 0, 0)))
            self.then(connection)

    def __enter__(self):
        self.thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.05})
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.shutdown()
        self.thread.join()
        self.server_close()


@pytest.mark.parametrize("name, answer, place", ANSWERS)
def test_each_answer_of_tor_has_its_exit_code(name, answer, place, lab, tmp_path):
    with Socks(answer) as socks:
        with make_home(lab, tmp_path, tor={"socks": socks.address, "control": None}, box=place) as home:
            assert told_code(home.run("list", "--json", timeout=90)) == (name, CODES[name])
            assert home.run("doctor", timeout=90).returncode == CODES[name]


def test_a_server_that_breaks_ssh_has_its_exit_code(lab, tmp_path):
    def greet(connection):
        # A packet of four gigabytes.
        connection.sendall(b"SSH-2.0-broken\r\n" + b"\xff" * 64)
        while connection.recv(4096):
            pass

    with Socks(0, greet) as socks, make_home(lab, tmp_path, tor={"socks": socks.address, "control": None}) as home:
        assert told_code(home.run("list", "--json", timeout=90)) == ("ssh-failed", CODES["ssh-failed"])


def test_a_link_that_is_not_there_yet_has_its_exit_code(lab, tmp_path):
    silent = threading.Event()
    with Socks(None, lambda _: silent.wait(90)) as socks:
        with make_home(lab, tmp_path, tor={"socks": socks.address, "control": None}) as home:
            home.start()
            assert home.run("status").returncode == CODES["link-down"]
            refused = home.run("session", "set", "speed_limit_down=2M", "--no-queue", "--json")
            assert told_code(refused) == ("link-down", CODES["link-down"])
            assert json.loads(home.run("jobs", "--json").stdout)["jobs"] == []
            home.stop()
        silent.set()


def test_a_tor_that_is_missing_has_its_exit_code(lab, tmp_path):
    with make_home(lab, tmp_path, own_tor=True) as home:
        hidden = 'mount --bind /dev/null "$(realpath "$(command -v tor)")" && exec "$@"'
        home.start(through=["unshare", "--mount", "sh", "-c", hidden, "sh"])
        wait_for("the daemon to know", lambda: home.run("status").returncode == CODES["tor-missing"])


def test_a_tor_that_is_configured_and_missing_has_its_exit_code(lab, tmp_path):
    with make_home(lab, tmp_path, own_tor=True, tor={"binary": "/nowhere/tor"}) as home:
        for command in ("list", "serve"):
            missing = home.run(command)
            assert missing.returncode == CODES["tor-missing"] and "Install tor" in missing.stderr, missing
        checked = home.run("config", "check")
        assert checked.returncode == CODES["tor-missing"] and "/nowhere/tor" in checked.stderr, checked


def test_a_library_with_a_known_hole_has_its_exit_code(lab, home, tmp_path):
    source, library = tmp_path / "old.c", tmp_path / "old.so"
    source.write_text('const char *libssh2_version(int least) { return least ? 0 : "1.11.1"; }\n')
    subprocess.run(["cc", "-shared", "-fPIC", "-o", library, source], check=True)
    through = ["env", f"LD_PRELOAD={library}"]
    refused = home.run("list", "--json", through=through, timeout=90)
    assert told_code(refused) == ("ssh-library-refused", CODES["ssh-library-refused"])


def test_a_damaged_database_has_its_exit_code(home):
    home.start()
    home.stop()
    database = home.state / "farseed/farseed.db"
    with contextlib.closing(sqlite3.connect(database)) as whole:
        whole.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    with open(database, "r+b") as file:
        file.seek(100)
        file.write(b"\xff" * (database.stat().st_size - 100))
    for command in (("user", "list"), ("serve",)):
        damaged = home.run(*command)
        assert damaged.returncode == CODES["internal"] and "damaged" in damaged.stderr, damaged


def test_an_agent_that_lacks_a_procedure_has_its_exit_code(lab, home, tmp_path):
    older = tmp_path / "older-agent"
    older.write_text(f"""#!/usr/bin/python3
import sys
def frame(kind, call, payload):
    sys.stdout.buffer.write((5 + len(payload)).to_bytes(4, "big") + bytes([kind]) + call + payload)
    sys.stdout.buffer.flush()
def text(word):
    return bytes([0x78, len(word)]) + word.encode()
sys.stdout.buffer.write(b"FARSEED\\n")
frame(1, bytes(4), b"\\xa1" + text("versions") + b"\\x82\\x01\\x01")
sys.stdin.buffer.read(8)
while head := sys.stdin.buffer.read(9):
    sys.stdin.buffer.read(int.from_bytes(head[:4], "big") - 5)
    if head[4] == 2:
        frame(4, head[5:9], b"\\xa2" + text("code") + text("unknown-procedure")
              + text("message") + text("This agent is older and knows no such procedure."))
""")
    older.chmod(0o755)
    lab.set_agent(older)
    try:
        assert told_code(home.run("stats", "--json", timeout=90)) == ("unknown-procedure", CODES["unknown-procedure"])
    finally:
        lab.set_agent(AGENT)


def test_a_controller_of_old_has_its_exit_code(lab, served, tmp_path_factory):
    """Another one has used the seedbox since this one has started."""
    with make_home(lab, tmp_path_factory.mktemp("newer")) as newer:
        newer.start()
        wait_for("the newer link to be live", lambda: link_state(newer) == "live", 90)
        lab.kill_agent()
        outdated = CODES["controller-outdated"]
        wait_for("the older one to be told", lambda: served.run("status").returncode == outdated, 90)
        wait_for("the newer link to be live again", lambda: link_state(newer) == "live", 90)


def test_what_transmission_refuses_has_its_exit_code(served):
    hash = next(iter(served.torrents()))
    refused = served.run("set", hash, "--add-tracker", "no address", "--json")
    assert told_code(refused) == ("transmission-refused", CODES["transmission-refused"])


#: Takes every connection and answers none, as a daemon does that is stopped or waits for its disk.
SILENT = """
import socket
kept = []
listener = socket.create_server(("127.0.0.1", 6881))
while True:
    kept.append(listener.accept())
"""

#: What takes a minute of Transmission's silence here, so that it is tried by hand, and where it is tested in less.
ELSEWHERE = {
    "transmission-busy": ("TransmissionTests", "silence is busy, a closed door is down"),
}

if "FARSEED_SILENCE" in os.environ:
    def test_a_silent_transmission_has_its_exit_code(lab, home):
        lab.spawn("silent", ["python3", "-c", SILENT])
        lab.write_agent_conf(rpc_url="http://127.0.0.1:6881/transmission/rpc")
        try:
            busy = home.run("stats", "--json", timeout=120)
            assert told_code(busy) == ("transmission-busy", CODES["transmission-busy"])
        finally:
            lab.write_agent_conf()
            lab.end("silent")


def test_every_exit_code_has_a_row():
    here = pathlib.Path(__file__)
    sources = "".join(here.with_name(f"test_{name}.py").read_text() for name in ("exit_codes", "faults", "commands"))
    rows = {name for name in CODES
            if any(form in sources for form in (f'("{name}", ', f'"{name}": ', f'CODES["{name}"]'))}
    assert rows == CODES.keys(), CODES.keys() - rows
    for folder, test in ELSEWHERE.values():
        assert any(f"`{test}`" in file.read_text() for file in (ROOT / "Tests" / folder).glob("*.swift")), test
