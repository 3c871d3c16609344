"""What may be tried with forged addresses, from loopback and from circuits of an onion service."""

import contextlib
import os
import socket
import time

import pytest
from attacked import FAILED_LOGINS, HEAD_WITHIN, LATE, PER_ADDRESS, SAME_SITE, controller, cookie, running, stranger
from conftest import free_port, wait_for
from rawweb import Connection


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


def circuit(number):
    """The line that tor writes before a client's first byte."""
    return f"PROXY TCP6 fc00:dead:beef:4dad::{number >> 16:x}:{number & 0xffff:x} ::1 65535 42\r\n".encode()


@pytest.fixture(scope="module")
def onion(tmp_path_factory):
    port = free_port()
    with running(tmp_path_factory.mktemp("onion"), f'onion-listen = "127.0.0.1:{port}"\n'
                 'trusted-proxies = ["127.0.0.1"]\nallowed-hosts = ["page.onion"]') as controller:
        controller.onion_port = port
        # Its own door is open when the page's is, or a moment later.
        wait_for("the onion service's door", lambda: is_open(port))
        yield controller


def is_open(port):
    """Whether anything listens on a port of this machine."""
    with contextlib.suppress(ConnectionRefusedError), socket.create_connection(("127.0.0.1", port)):
        return True
    return False


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
