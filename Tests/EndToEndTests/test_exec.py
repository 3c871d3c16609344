"""`farseed exec` is as `ssh host command`: what it costs on a slow link, how it streams, and how it is interrupted."""

import os
import select
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from conftest import CODES, FARSEED, ROOT, free_port, make_home, wait_for, wait_mirrored

#: What each direction of the slow link takes, in milliseconds, and a round trip, in seconds.
DELAY = 500
ROUND_TRIP = 2 * DELAY / 1000


@pytest.fixture
def far(lab, tmp_path):
    """A controller whose way to tor is slow, its link live; the agent allows a shell."""
    near, beyond = free_port(), lab.expose_socks_tcp().split(":")[1]
    delay = subprocess.Popen([sys.executable, "-m", "lab.delay", str(DELAY), "0", f"{near}:{beyond}"], text=True,
                             stdout=subprocess.PIPE, env=os.environ | {"PYTHONPATH": str(ROOT / "Scripts")})
    try:
        assert delay.stdout.readline() == "listening\n"
        with Allowed(lab), make_home(lab, tmp_path, tor={"socks": f"127.0.0.1:{near}", "control": None}) as home:
            home.start()
            wait_mirrored(home, 90)
            yield home
    finally:
        delay.kill()
        delay.communicate()


class Allowed:
    """The agent takes a shell and cat meanwhile."""

    def __init__(self, lab):
        self.lab = lab

    def __enter__(self):
        self.lab.write_agent_conf(allow_exec="/bin/sh\nallow-exec /bin/cat")
        self.lab.kill_agent()

    def __exit__(self, *_):
        self.lab.write_agent_conf()
        self.lab.kill_agent()


def seconds(home, *words):
    """How long a command lasts that must succeed."""
    begun = time.monotonic()
    done = home.run("exec", "-n", "--", *words)
    assert done.returncode == 0, done
    return time.monotonic() - begun


def test_one_warm_exec_costs_one_round_trip(far):
    """With two it would last two of them; the least of a few, as this machine may be busy for a moment."""
    local = min(measured(lambda: far.run("status", "--oneline")) for _ in range(3))
    quickest = min(seconds(far, "/bin/sh", "-c", "echo; echo apart >&2; exit 0") for _ in range(5))
    assert ROUND_TRIP < quickest < 1.7 * ROUND_TRIP + local, (quickest, local)


def measured(command):
    begun = time.monotonic()
    command()
    return time.monotonic() - begun


def test_fifty_at_once_wait_for_each_other_no_longer_than_one_by_one_would(far, lab):
    """Each sleeps as long as a round trip: one after the other they would last a hundred seconds. All use one connection."""
    connections = set()

    def counted(number):
        code = far.run("exec", "-n", "--", "/bin/sh", "-c", f"sleep {ROUND_TRIP}; exit {number}").returncode
        connections.update(lab.connections())
        return code

    before = lab.connections()
    begun = time.monotonic()
    with ThreadPoolExecutor(50) as threads:
        codes = list(threads.map(counted, range(50)))
    assert codes == list(range(50))
    assert time.monotonic() - begun < 50 * 2 * ROUND_TRIP / 3
    assert before and connections == set(before)


def test_input_is_streamed_and_output_comes_as_it_is_written(far):
    with subprocess.Popen([FARSEED, "exec", "--", "/bin/sh", "-c", "while read line; do echo \"got $line\"; done"],
                          env=far.environment, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as running:
        for word in ("one", "two", "three"):
            begun = time.monotonic()
            print(word, file=running.stdin, flush=True)
            assert running.stdout.readline() == f"got {word}\n"
            # The first waits for the program too.
            assert time.monotonic() - begun < 2.7 * ROUND_TRIP
        running.stdin.close()
        assert running.wait(30) == 0
    # More than any window or buffer, both ways at once, byte by byte what it was.
    data = os.urandom(1 << 20) * 3
    done = subprocess.run([FARSEED, "exec", "--", "/bin/cat"], env=far.environment, input=data, capture_output=True,
                          timeout=120)
    assert done.returncode == 0 and done.stdout == data and done.stderr == b""


def test_an_interrupt_ends_the_program_there(far, tmp_path):
    mark = tmp_path / "alive"
    script = f"trap 'echo ended >&2; rm {mark}; exit 9' INT TERM; touch {mark}; echo begun; while :; do sleep 0.1; done"
    with subprocess.Popen([FARSEED, "exec", "-n", "--", "/bin/sh", "-c", script], env=far.environment, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE) as running:
        assert running.stdout.readline() == "begun\n" and mark.exists()
        running.send_signal(signal.SIGINT)
        _, errors = running.communicate(timeout=30)
        # What it says at its end is still heard, and nobody is told that it has ended before it has.
        assert running.returncode == 128 + signal.SIGINT and errors.endswith("ended\n") and not mark.exists(), errors
    # And where nobody waits for it any more.
    with subprocess.Popen([FARSEED, "exec", "-n", "--", "/bin/sh", "-c", script], env=far.environment, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as running:
        assert running.stdout.readline() == "begun\n" and mark.exists()
        running.kill()
        running.wait(30)
    wait_for("the program to end", lambda: not mark.exists())


def test_a_reader_that_has_gone_ends_the_program(far):
    with subprocess.Popen([FARSEED, "exec", "-n", "--", "/bin/sh", "-c", "while :; do echo y; done"], env=far.environment,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE) as running:
        assert select.select([running.stdout], [], [], 30)[0] and running.stdout.read(2) == b"y\n"
        running.stdout.close()
        assert running.wait(60) != 0
    assert far.run("exec", "-n", "--", "/bin/cat").returncode == 0
    assert far.run("exec", "-n", "--", "/bin/false").returncode == CODES["not-permitted"]
