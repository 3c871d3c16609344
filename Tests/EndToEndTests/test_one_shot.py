"""Commands without a daemon: a session each, on a circuit that one command leaves to the next, and jobs that outlive them."""
import base64
import binascii
import json
import os
import secrets
import socket
import subprocess
from pathlib import Path

import pytest
from conftest import CODES, FARSEED, audit, bounded, make_home, wait_for, wait_mirrored
from test_exec import Allowed
from test_kills import metainfo

#: A way that is broken is known to be after some seconds.
ATTEMPT = 90


def circuits(lab):
    """Ids of the home tor's built circuits that carry commands, as its control port tells them."""
    cookie = binascii.hexlify(Path(lab.control_unix).with_name("control-cookie").read_bytes()).decode()
    with socket.socket(socket.AF_UNIX) as control:
        control.settimeout(10)
        control.connect(str(lab.control_unix))
        control.sendall(f"AUTHENTICATE {cookie}\r\nGETINFO circuit-status\r\nQUIT\r\n".encode())
        answer = b"".join(iter(lambda: control.recv(65_536), b"")).decode()
    assert "250 closing connection" in answer, answer
    rows = [line.split() for line in answer.splitlines() if 'SOCKS_PASSWORD="commands"' in line]
    return {row[0].removeprefix("250+circuit-status=") for row in rows if row[1] == "BUILT"}


def test_a_command_uses_the_circuit_of_the_command_before_it(lab, home):
    first = home.run("list", "--json")
    assert first.returncode == 0, first.stderr
    before = circuits(lab)
    assert before, "the first command left no circuit"
    second = home.run("list", "--json")
    assert second.returncode == 0, second.stderr
    assert {torrent["hash"] for torrent in json.loads(second.stdout)["torrents"]} == lab.box.torrents().keys()
    assert circuits(lab) == before


@pytest.fixture
def spare(lab):
    """A stopped torrent at the end of the queue that only this test uses."""
    data, hash = metainfo(int.from_bytes(secrets.token_bytes(3)) + 10_000)
    lab.box.rpc("torrent-add", {"metainfo": base64.b64encode(data).decode(), "paused": True})
    yield hash
    lab.box.rpc("torrent-remove", {"ids": [hash]})


def jobs(home, *options):
    """The jobs that are kept, the oldest first."""
    told = home.run("jobs", "--json", *options)
    assert told.returncode == 0, told
    return json.loads(told.stdout)["jobs"][::-1]


def row(lab, hash, *fields):
    return lab.box.torrents(*fields)[hash]


def test_a_change_is_a_job_and_is_written_down(lab, home, spare):
    absent = home.run("jobs")
    assert absent.returncode == CODES["controller-absent"] and not list(home.state.rglob("*.db")), absent
    told = json.loads(home.run("set", spare, "--label", "one", "--json").stdout)
    assert (told["state"], told["job"]["state"], told["job"]["id"]) == ("done", "done", 1), told
    assert home.run("set", spare[:12], "--label", "two").stdout.startswith(f"set {spare[:8]} kills-")
    assert row(lab, spare, "labels")["labels"] == ["two"]
    undone = home.run("undo")
    assert (undone.returncode, undone.stdout) == (0, "job 2 was taken back by job 3\n"), undone
    assert row(lab, spare, "labels")["labels"] == ["one"]
    # The same key is the same job, and another command of the same key none.
    key = ("--key", secrets.token_hex(16))
    for line, code in (("start", 0), ("start", 0), ("stop", CODES["conflict"])):
        assert home.run(line, spare, *key).returncode == code
    assert [(job["verb"], job["state"], job["attempts"]) for job in jobs(home)] == [
        ("torrent.set", "done", 1)] * 3 + [("torrent.start", "done", 1)]
    where = f"command line of user {os.getuid()}"
    assert {(job["who"], job["from"]) for job in jobs(home)} == {("owner", where)}
    assert home.run("jobs", "cancel", "4").returncode == CODES["conflict"]
    assert home.run("exec", "-n", "--", "transmission-remote", "--version").returncode == 0
    assert home.run("exec", "-n", "--", "sh", "-c", "secret").returncode == CODES["not-permitted"]
    assert [(entry["who"], entry["origin"], entry["action"], entry["target"], entry["outcome"]) for entry in audit(home)] == [
        ("owner", where, action, target, outcome) for action, target, outcome in (
            ("torrent.set", "vps, job 1", "ok"), ("torrent.set", "vps, job 2", "ok"), ("torrent.set", "vps, job 3", "ok"),
            ("torrent.start", "vps, job 4", "ok"), ("job.cancel", "job 4", "conflict"),
            ("exec", "vps, transmission-remote, 1 arguments", "ok"), ("exec", "vps, sh, 2 arguments", "ok"),
            ("exec", "vps, sh, 2 arguments", "not-permitted"))]


def test_what_the_dead_link_kept_is_carried_out_by_the_next_command(lab, home, spare):
    # Whom the agent was not told of it finds at its next look.
    wait_for("the torrent to be seen", lambda: spare in home.torrents())
    lab.stop_sshd()
    try:
        kept = home.run("set", spare, "--label", "kept", timeout=ATTEMPT)
        assert kept.returncode == 0 and kept.stdout.startswith("accepted as job 1; no daemon runs: "), kept
        late = home.run("queue", "top", spare, "--timeout", "1", timeout=ATTEMPT)
        assert late.returncode == CODES["timed-out"] and "kept as job 2" in late.stderr, late
        refused = home.run("start", spare, "--no-queue", timeout=ATTEMPT)
        assert refused.returncode == CODES["connection-refused"], refused
        # Who does not wait needs no way at all.
        at_once = json.loads(home.run("verify", spare, "--no-wait", "--json").stdout)
        assert (at_once["state"], at_once["job"]["state"]) == ("pending", "accepted"), at_once
        assert home.run("jobs", "cancel", "3").stdout == "cancelled job 3\n"
    finally:
        lab.start_sshd()
    lab.wait_reachable()
    assert row(lab, spare, "labels")["labels"] == []
    assert home.run("start", spare[:12], timeout=ATTEMPT).returncode == 0
    assert [(job["verb"], job["state"]) for job in jobs(home)] == [
        ("torrent.set", "done"), ("torrent.queue", "done"), ("torrent.verify", "cancelled"), ("torrent.start", "done")]
    assert row(lab, spare, "labels", "queuePosition") | {"labels": ["kept"], "queuePosition": 0} \
        == row(lab, spare, "labels", "queuePosition")


def test_a_command_that_waits_for_a_state_waits_for_the_way_first(lab, home, spare):
    lab.stop_sshd()
    waiting = subprocess.Popen([FARSEED, "stop", spare, "--wait", "stopped"], env=home.environment, text=True,
                               stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        try:
            wait_for("its job to be kept", lambda: home.run("jobs").returncode == 0)
            # An attempt that has begun later is over.
            assert home.run("list", timeout=ATTEMPT).returncode == CODES["connection-refused"]
            assert waiting.poll() is None, waiting.communicate()
        finally:
            lab.start_sshd()
        output, errors = waiting.communicate(timeout=ATTEMPT)
    finally:
        waiting.kill()
    assert waiting.returncode == 0 and output.startswith(f"stopped {spare[:8]}"), (output, errors)
    assert [(job["verb"], job["state"]) for job in jobs(home)] == [("torrent.stop", "done")]


def test_commands_at_the_same_time_each_do_their_own_once(lab, home, spare):
    """Steps up the queue, because each counts; one command may carry out another's job, which is then not sent again."""
    place = row(lab, spare, "queuePosition")["queuePosition"]
    steps = [subprocess.Popen([FARSEED, "queue", "up", spare], env=home.environment, stdin=subprocess.DEVNULL,
                              stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) for _ in range(4)]
    for step in steps:
        errors = step.communicate(timeout=ATTEMPT)[1]
        assert step.returncode == 0, errors
    assert [job["state"] for job in jobs(home)] == ["done"] * 4
    assert place - row(lab, spare, "queuePosition")["queuePosition"] == 4


@pytest.mark.parametrize("daemon", [False, True])
def test_a_stream_whose_session_falls_silent_ends_with_a_sentence(lab, tmp_path, daemon):
    with Allowed(lab), make_home(lab, tmp_path, link={"probe-after": 1, "dead-after": 4}) as home:
        if daemon:
            home.start()
            wait_mirrored(home)
        with subprocess.Popen([FARSEED, "exec", "--", "/bin/cat"], env=home.environment, stdin=subprocess.PIPE,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE) as running:
            running.stdin.write(b"so far\n")
            running.stdin.flush()
            with bounded(running):
                assert running.stdout.readline() == b"so far\n"
            assert lab.freeze_sshd_connection()
            try:
                errors = running.communicate(timeout=ATTEMPT)[1].decode()
            finally:
                lab.thaw_sshd_connection()
            assert running.returncode == CODES["connection-lost"], errors
            assert "has not answered for" in errors and "Whether the program has run to its end is not known" in errors, errors
            if not daemon:
                assert "the circuit is dead" in errors, errors


def test_a_command_that_is_killed_amid_is_carried_out_once(lab, home, spare):
    place = row(lab, spare, "queuePosition")["queuePosition"]
    lab.freeze_transmission()
    try:
        amid = subprocess.Popen([FARSEED, "queue", "up", spare], env=home.environment, stdin=subprocess.DEVNULL,
                                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            wait_for("the command to be sent", lambda: list(home.state.rglob("farseed.db"))
                     and [job["state"] for job in jobs(home)] == ["sent"])
        finally:
            amid.kill()
            amid.wait()
    finally:
        lab.thaw_transmission()
    home.start()
    wait_mirrored(home)
    wait_for("the job to be settled", lambda: [job["state"] for job in jobs(home)] == ["done"])
    assert place - row(lab, spare, "queuePosition")["queuePosition"] == 1
    assert jobs(home)[0]["attempts"] > 1


def test_of_another_user_nothing_is_changed(lab, home, spare):
    state = home.state / "farseed"
    state.mkdir(mode=0o700)
    os.chown(state, 65534, 65534)
    for line in (("start", spare), ("jobs",), ("exec", "-n", "--", "transmission-remote", "--version")):
        refused = home.run(*line)
        assert refused.returncode == CODES["not-permitted"] and "those of user 65534" in refused.stderr, refused
    assert not list(state.iterdir()) and row(lab, spare, "status")["status"] == 0
