"""Hostile requests, slow ones and weak handshakes, each test named after the attack that it stops."""

import contextlib
import re
import ssl
import subprocess
import time

import pytest
from attacked import BODY_WITHIN, HEAD_WITHIN, LATE, SAME_SITE, alive, controller, cookie, running
from rawweb import Connection


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


def cipher(port, *options):
    """What a handshake of OpenSSL's own client comes to, as it says itself; `(NONE)` where it is refused."""
    done = subprocess.run(["openssl", "s_client", *options, "-connect", f"127.0.0.1:{port}"],
                          stdin=subprocess.DEVNULL, capture_output=True, timeout=20)
    assert b"CONNECTED" in done.stdout, done
    return re.search(rb"Cipher is (\S+)", done.stdout)[1].decode()


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
            # Nothing old, and of TLS 1.2 nothing without forward secrecy and authenticated encryption.
            for options in (["-tls1_1", "-cipher", "DEFAULT@SECLEVEL=0"], ["-tls1_2", "-cipher", "AES128-GCM-SHA256"],
                            ["-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-SHA256:ECDHE-ECDSA-AES128-SHA"]):
                assert cipher(controller.port, *options) == "(NONE)", options
            assert re.fullmatch("ECDHE-ECDSA-.*(GCM-SHA\\d+|POLY1305)", cipher(controller.port, "-tls1_2", "-cipher", "ALL"))
            assert cipher(controller.port, "-tls1_3") in ("TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384",
                                                          "TLS_CHACHA20_POLY1305_SHA256")
            for connection in (silent, slow):
                assert connection.ended(began + HEAD_WITHIN + LATE - time.monotonic()) is not None
