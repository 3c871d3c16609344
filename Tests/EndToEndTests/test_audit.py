"""The audit log says who did what, when, from where and how it went, also of what was refused."""

import os
import signal
import subprocess
import time

import pytest
from conftest import CODES, FARSEED, wait_for
from rawweb import ABORT, CALL, ERROR, GOODBYE, PUBLISH, REGISTER, RESULT, SUBSCRIBE
from attacked import SAME_SITE, running, stranger


@pytest.fixture(scope="module")
def controller(tmp_path_factory):
    with running(tmp_path_factory.mktemp("audited")) as controller:
        controller.add_user("vera", "viewer")
        yield controller


def entries(controller, action, **wanted):
    """What is written down of an action, the oldest first, once there is something like `wanted`."""
    def found():
        told = controller.audit(action)[::-1]
        return any(wanted.items() <= entry.items() for entry in told) and told

    told = wait_for(f"an entry of {action} with {wanted}", found, 20)
    # When: within this test's minutes.
    assert all(abs(time.time() - entry["at"] / 1000) < 600 for entry in told), told
    return told


def test_what_a_viewer_may_not_do_over_the_web(controller):
    address = stranger()
    cookie = controller.login("vera")
    ticket = controller.ticket(cookie, controller.origin)
    with controller.open(origin=controller.origin, source=address) as socket:
        socket.join("vera", ticket)
        asked = [(CALL, "call", "farseed.vps.torrent.remove"), (CALL, "call", "wamp.session.kill_all"),
                 (SUBSCRIBE, "subscribe", "wamp.session.on_join"), (REGISTER, "register", "farseed.vps.sync"),
                 (PUBLISH, "publish", "farseed.vps.torrents")]
        for number, (kind, _, name) in enumerate(asked, 1):
            socket.send(kind, number, {"acknowledge": True}, name)
            assert socket.receive()[0] == ERROR
        # Who asks for no answer is noticed as well.
        socket.send(PUBLISH, 99, {}, "farseed.link.vps")
        asked.append((PUBLISH, "publish", "farseed.link.vps"))
        for _, action, name in asked:
            told = entries(controller, action, target=name)
            assert {(entry["who"], entry["origin"], entry["outcome"]) for entry in told} \
                == {("vera", address, "not-permitted")}, told
            assert sum(entry["target"] == name for entry in told) == 1, told
        # What is allowed is no entry.
        socket.send(CALL, 100, {}, "farseed.boxes")
        assert socket.receive()[0] == RESULT
    assert not [entry for entry in controller.audit("call") if entry["target"] == "farseed.boxes"]


def test_whose_sessions_an_owner_ended(controller):
    cookie = controller.login("vera")
    with controller.session(cookie, "vera") as first, controller.session(cookie, "vera") as second:
        with controller.session(controller.login()) as owner:
            owner.send(CALL, 1, {}, "wamp.session.kill_by_authid", ["vera"])
            assert owner.receive()[0] == RESULT
            assert first.receive()[0] == second.receive()[0] == GOODBYE
            # Nobody is there any more: nothing happened, and nothing is written down.
            owner.send(CALL, 2, {}, "wamp.session.kill_by_authid", ["vera"])
            assert owner.receive()[0] == RESULT
    told = entries(controller, "session.kill", target="vera, vera")
    assert [(entry["who"], entry["origin"], entry["outcome"]) for entry in told] == [("owner", "127.0.0.1", "ok")]


def test_failed_logins_and_misused_tickets(controller):
    address = stranger()
    assert controller.try_login(address, user="vera", password="not hers").status == 401
    assert controller.try_login(address, user="hunter2 is my password", password="x").status == 401
    assert controller.try_login(address, token=os.urandom(32).hex()).status == 401
    told = [entry for entry in entries(controller, "login", origin=address, target="link") if entry["origin"] == address]
    assert [(entry["who"], entry["target"], entry["outcome"]) for entry in told] == [
        ("vera", "password", "not-permitted"), ("-", "password", "not-permitted"), ("-", "link", "not-permitted")], told

    cookie = controller.login("vera")
    ticket = controller.ticket(cookie, controller.origin)
    for name, who in (("owner", "owner"), ("vera", "vera"), ("nobody at all", "-")):
        with controller.open(origin=controller.origin, source=address) as socket:
            assert socket.join(name, ticket)[0] == ABORT
        told = entries(controller, "ticket", who=who, origin=address)
        assert {entry["outcome"] for entry in told} == {"refused"}, told

    assert controller.ask("POST", "/api/logout", SAME_SITE, cookie).status == 204
    assert entries(controller, "logout", who="vera")


def test_changes_of_users(controller):
    password = "a dozen words or so of it"
    for arguments in (("add", "carl", "--role", "viewer"), ("passwd", "carl")):
        assert controller.run("user", *arguments, input=password + "\n").returncode == 0
    for arguments in (("role", "carl", "operator"), ("login", "carl"), ("remove", "carl")):
        assert controller.run("user", *arguments).returncode == 0
    assert controller.run("user", "remove", "carl").returncode == CODES["not-found"]
    for action, outcomes in (("user.add", ["ok"]), ("user.passwd", ["ok"]), ("user.role", ["ok"]),
                             ("user.remove", ["ok", "not-found"]), ("user.login", ["ok"])):
        told = [entry for entry in entries(controller, action) if "carl" in entry["target"]]
        assert [entry["outcome"] for entry in told] == outcomes, told
        assert {entry["who"] for entry in told} == {"owner"}, told
    assert password not in controller.run("user", "audit").stdout


def test_commands_and_what_was_taken_back(controller):
    secret = "passkey-0123456789"
    job = controller.run("session", "set", "speed_limit_down=2M", "--no-wait", "--json")
    assert job.returncode == 0, job
    told = entries(controller, "session.set")[-1]
    assert (told["who"], told["origin"], told["outcome"]) == ("owner", "control socket", "ok"), told
    number = told["target"].split("job ")[1]
    wait_for("the job to wait", lambda: '"waiting"' in controller.run("jobs", "--json").stdout)
    for code in (0, CODES["conflict"]):
        assert controller.run("jobs", "cancel", number).returncode == code
    assert [(entry["who"], entry["target"], entry["origin"], entry["outcome"])
            for entry in entries(controller, "job.cancel", outcome="conflict")] == [
        ("owner", f"job {number}", "control socket", "ok"), ("owner", f"job {number}", "control socket", "conflict")]

    # Of a program its name, and of its arguments their number. The link is down, and that is written down too.
    ended = controller.run("exec", "--patience", "1", "-n", "--", "transmission-remote", "-a", f"https://t.example/{secret}")
    assert ended.returncode >= 30, ended
    told = entries(controller, "exec", outcome=next(name for name, code in CODES.items() if code == ended.returncode))
    assert [(entry["who"], entry["target"]) for entry in told] == 2 * [("owner", "vps, transmission-remote, 2 arguments")]
    assert told[0]["outcome"] == "ok" and secret not in str(told)
    assert secret.encode() not in b"".join(path.read_bytes() for path in controller.database.parent.glob("farseed.db*"))


def test_an_exec_is_written_down_before_it_ends(controller):
    before = len(controller.audit("exec"))
    with subprocess.Popen([FARSEED, "exec", "--patience", "60", "-n", "--", "/bin/true"], env=controller.environment,
                          stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as running:
        try:
            wait_for("the entry", lambda: len(controller.audit("exec")) == before + 1, 20)
            assert running.poll() is None
        finally:
            running.send_signal(signal.SIGINT)
            running.wait(20)


def test_an_entry_outlives_the_controller(controller):
    told = controller.audit("login")
    assert told
    controller.stop(signal.SIGKILL)
    controller.start()
    assert controller.audit("login")[-len(told):] == told
    assert "transmission-remote" in controller.run("user", "audit").stdout
