"""TLS by certificate files: another certificate is taken without a restart, and a broken one is not taken."""

import signal
import ssl

from conftest import make_certificate, wait_for
from rawweb import EVENT, PING, PONG, SUBSCRIBE, SUBSCRIBED, Connection, frame
from attacked import running

TLS = 'certificate = "tls.pem"\ncertificate-key = "tls.key"'


def replace(directory, name):
    """Puts this certificate and key where the controller reads them."""
    for end in ("pem", "key"):
        (directory / f"new.{end}").write_bytes((directory / f"{name}.{end}").read_bytes())
        (directory / f"new.{end}").chmod(0o600)
        (directory / f"new.{end}").rename(directory / f"tls.{end}")


def secured(controller, certificate):
    """A connection by TLS, to who has this certificate."""
    context = ssl.create_default_context(cafile=certificate)
    made = context.wrap_socket(Connection(controller.port).socket, server_hostname="127.0.0.1")
    return Connection(made=made, host=f"127.0.0.1:{controller.port}")


def test_a_new_certificate_is_taken_at_sighup_and_a_broken_one_is_not(tmp_path):
    for name in ("first", "second"):
        make_certificate(tmp_path, name)
    replace(tmp_path, "first")
    with running(tmp_path, TLS) as controller:
        def served():
            return ssl.get_server_certificate(("127.0.0.1", controller.port), timeout=10)

        first, second = ((tmp_path / f"{name}.pem").read_text() for name in ("first", "second"))
        assert served() == first
        with secured(controller, tmp_path / "first.pem") as before:
            assert before.ask("GET", "/healthz").status == 200
            replace(tmp_path, "second")
            assert served() == first, "nothing changes without being asked for"
            controller.server.send_signal(signal.SIGHUP)
            wait_for("the second certificate", lambda: served() == second, 10)
            assert before.ask("GET", "/healthz").status == 200, "who is there already stays"

        (tmp_path / "tls.pem").write_text("no certificate")
        controller.server.send_signal(signal.SIGHUP)
        wait_for("a word in the log", lambda: "the one before stays" in controller.text(), 10)
        assert served() == second


def test_sighup_without_a_certificate_changes_nothing(tmp_path):
    with running(tmp_path) as controller:
        controller.server.send_signal(signal.SIGHUP)
        wait_for("it to be noted", lambda: "no certificate to read again" in controller.text(), 10)
        assert controller.ask("GET", "/healthz").status == 200


def test_events_and_pongs_come_by_tls(tmp_path):
    """Where plain websockets are written to at once, past all that would encrypt."""
    make_certificate(tmp_path, "first")
    replace(tmp_path, "first")
    with running(tmp_path, TLS) as controller:
        controller.connect = lambda _=None: secured(controller, tmp_path / "first.pem")
        cookie = controller.login()
        with controller.session(cookie) as watcher:
            watcher.send(SUBSCRIBE, 1, {}, "wamp.session.on_join")
            assert watcher.receive()[:2] == [SUBSCRIBED, 1]
            for _ in range(3):
                with controller.session(cookie):
                    assert watcher.receive()[0] == EVENT
                watcher.connection.send(frame(PING, b"here"))
                assert watcher.connection.file.read(6) == bytes([0x80 | PONG, 4]) + b"here"
