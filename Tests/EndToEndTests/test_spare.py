"""A second session on another circuit: begun in doubt, standing by, or replacing one that has carried much."""

import os
import re
import subprocess
from concurrent.futures import ThreadPoolExecutor

import pytest

from conftest import DEADLINE, FARSEED, hop, link_state, make_home, status, wait_for

#: A session is suspect after a ping a second and three seconds without an answer, and not dead for long.
WATCHFUL = {"probe-after": 1, "suspect-after": 3}
#: What comes of the doubt must come before the session counts as dead, after 45 seconds.
NOTICE = 40
STANDBY = WATCHFUL | {"standby": True}
#: Bytes that no compression makes fewer; both ways more than the MiB after which the session is replaced, and less than
#: the two after which it is ended whatever is still on it.
MUCH = 3 << 18


@pytest.fixture
def watchful(lab, tmp_path):
    """A home side that soon doubts its one session."""
    with make_home(lab, tmp_path, link=WATCHFUL) as home:
        home.start()
        wait_for("the link to be live", lambda: link_state(home) == "live")
        yield home


class Told:
    """The states of the link that the controller's log tells of from now on, in order."""

    def __init__(self, home):
        self.log = home.log
        self.before = len(self.all())

    def all(self):
        return re.findall(r"tunnel\.state=(\S+)", self.log.read_text())

    @property
    def states(self):
        return self.all()[self.before:]

    @property
    def is_undisturbed(self):
        """Whether the link was in doubt at most, once or, where a busy machine kept an answer waiting, more often."""
        return set(self.states) <= {"suspect", "live"}

    @property
    def is_recovered(self):
        """Whether it was in doubt and is live."""
        return self.states[-2:] == ["suspect", "live"] and self.is_undisturbed


def test_a_frozen_session_is_replaced_by_a_second_one(watchful, lab):
    told, before = Told(watchful), set(lab.sshd_connections())
    # Those that are there now: what comes later is not frozen.
    assert lab.freeze_sshd_connection()
    try:
        wait_for("another session in use", lambda: told.is_recovered, NOTICE)
        assert set(lab.sshd_connections()) - before
        done = watchful.run("exec", "-n", "--", "transmission-remote", "-si")
        assert done.returncode == 0, done.stderr
    finally:
        lab.thaw_sshd_connection()
    wait_for("the first one to be closed", lambda: not before & set(lab.sshd_connections()))
    assert told.is_undisturbed, told.states


def test_a_session_that_answers_again_in_time_stays_and_the_second_one_is_closed(watchful, lab):
    told, before = Told(watchful), set(lab.sshd_connections())
    lab.freeze_sshd_listener()
    try:
        assert lab.freeze_sshd_connection()
        wait_for("the second one to have reached sshd", lambda: hop(watchful, "ssh") == "waiting", NOTICE)
        lab.thaw_sshd_connection()
        wait_for("the link to be live", lambda: told.is_recovered, NOTICE)
    finally:
        lab.thaw_sshd_connection()
        lab.freeze_sshd_listener(False)
    done = watchful.run("exec", "-n", "--", "transmission-remote", "-si")
    assert done.returncode == 0, done.stderr
    wait_for("the second one to be closed", lambda: not set(lab.sshd_connections()) - before)
    assert told.is_undisturbed, told.states


def hops_text(home):
    """What `farseed status` says of all hops."""
    answer = status(home)
    return " ".join(each.get("detail", "") for each in answer["boxes"][0]["link"]["hops"]) if answer else ""


@pytest.fixture
def standing_by(lab, tmp_path):
    """A home side with a spare session that is warm."""
    with make_home(lab, tmp_path, link=STANDBY) as home:
        home.start()
        wait_for("a session that stands by", lambda: stands_by(home))
        yield home


def stands_by(home):
    """Whether the link line tells of a spare."""
    return "stands by" in hops_text(home)


def test_a_frozen_session_is_replaced_by_the_one_that_stands_by(standing_by, lab):
    lab.freeze_sshd_listener()
    try:
        assert lab.freeze_sshd_connection(oldest=True)
        # No new session can be made: it is the spare that goes on, and none stands by any more.
        wait_for("the spare to be taken", lambda: not stands_by(standing_by), NOTICE)
        wait_for("the spare to go on", lambda: link_state(standing_by) == "live", NOTICE)
        done = standing_by.run("exec", "-n", "--", "transmission-remote", "-si")
        assert done.returncode == 0, done.stderr
    finally:
        lab.freeze_sshd_listener(False)
        lab.thaw_sshd_connection()
    wait_for("another session that stands by", lambda: stands_by(standing_by))


def test_a_session_that_ends_is_replaced_at_once(standing_by, lab):
    assert lab.kill_sshd_connection(oldest=True)
    done = standing_by.run("exec", "-n", "--", "transmission-remote", "-si")
    # 48 where the call was on the session that died.
    assert done.returncode in (0, 48), done.stderr
    wait_for("another session that stands by", lambda: stands_by(standing_by))


def test_a_session_is_replaced_after_much_data_and_no_call_is_lost(lab, tmp_path):
    lab.write_agent_conf(allow_exec="/bin/cat")
    try:
        with make_home(lab, tmp_path, link={"recycle-after": 1, "probe-after": 1}) as home:
            home.start()
            wait_for("the link to be live", lambda: link_state(home) == "live")
            lab.kill_agent()
            cat = [FARSEED, "exec", "--", "/bin/cat"]
            wait_for("an agent that allows it", lambda: home.run("exec", "-n", "--", "/bin/cat").returncode == 0)
            before = set(lab.sshd_connections())
            with subprocess.Popen(cat, env=home.environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as running:
                much = os.urandom(MUCH)
                with ThreadPoolExecutor(1) as writer:
                    written = writer.submit(lambda: (running.stdin.write(much), running.stdin.flush()))
                    first = running.stdout.read(MUCH)
                    written.result(DEADLINE)
                wait_for("a new session beside the old", lambda: set(lab.sshd_connections()) - before)
                wait_for("the link to be live", lambda: link_state(home) == "live")
                for _ in range(5):
                    assert home.run("exec", "-n", "--", "/bin/cat").returncode == 0
                assert before & set(lab.sshd_connections()), "the old session stays while a call is on it"
                rest, _ = running.communicate(b"the end", timeout=60)
            assert running.returncode == 0 and first == much and rest == b"the end"
            wait_for("the old session to be closed", lambda: not before & set(lab.sshd_connections()))
            assert link_state(home) == "live"
    finally:
        lab.write_agent_conf()
        lab.kill_agent()
