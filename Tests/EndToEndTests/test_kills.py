"""Agent and controller are killed again and again while commands come in: none is lost, and none is done twice."""

import base64
import dataclasses
import json
import os
import random
import secrets
import signal
import subprocess
import time

import pytest

from conftest import DEADLINE, FARSEED, link_state, wait_for
from lab import content

#: How often something is killed: in each round the agent and the controller, each at a moment of its own.
KILLS = int(os.environ.get("FARSEED_KILLS", "100"))
ROUNDS = KILLS // 2
#: Torrents that may be removed, an even number. They come first in the queue, so that each of them leads all others up.
REMOVED = 2 * (ROUNDS // 10 + 1)
#: The moments of the kills are drawn from this seed, so a failure can be had again.
SEED = int(os.environ.get("FARSEED_KILLS_SEED", "7"))
#: The latest moment of a kill after a round's commands have begun, in seconds: most of them last shorter.
LATEST = 0.6
#: Commands that may be open when the next round begins: what one kill has hit meets the next as well.
MOST_OPEN = 8
#: As a script does that wants it done.
GIVEN_AGAIN_AFTER = 0.2


def metainfo(number):
    """A .torrent of one small piece that nobody has, and its hash."""
    return content.unseeded(f"kills-{number:04}")


@dataclasses.dataclass
class Command:
    """A command under a key of its own: given again until it has been told that it is on disk."""

    home: object
    arguments: tuple
    key: str | None
    #: Its job's number, once that is told.
    job: int | None = None
    given: int = 0
    process: subprocess.Popen = None
    again: float = 0

    def give(self):
        self.given += 1
        options = ("--no-wait", "--key", self.key) if self.key else ()
        self.process = subprocess.Popen(
            [FARSEED, *self.arguments, *options, "--json"], env=self.home.environment,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )

    def accepted(self):
        """Whether it has ended and was accepted; where it failed it is given again after a moment."""
        if self.process is None:
            if time.monotonic() >= self.again:
                self.give()
            return False
        if self.process.poll() is None:
            return False
        output, errors = self.process.communicate()
        code = self.process.returncode
        self.errors = f"{self.arguments} ended with {code}: {errors}"
        if code == 0:
            told = json.loads(output)
            self.job = (told.get("job") or told)["id"]
            return True
        # Taking back has no key: what was accepted unheard says so.
        if self.arguments[0] == "undo" and "was undone already, by job" in errors:
            self.job = int(errors.rsplit("job ", 1)[1].rstrip(".\n"))
            return True
        assert "cannot be undone" not in errors, self.errors
        self.process, self.again = None, time.monotonic() + GIVEN_AGAIN_AFTER
        return False


@pytest.fixture
def ballast(lab):
    """Torrents by turns stopped and started: those to be removed, and two for each round. What the test adds goes as well."""
    hashes = []
    known = set(lab.box.torrents())
    for number in range(REMOVED + 2 * ROUNDS):
        data, hash = metainfo(number)
        lab.box.rpc("torrent-add", {"metainfo": base64.b64encode(data).decode(), "paused": number % 2 == 0})
        hashes.append(hash)
    before = lab.box.rpc("session-get")["alt-speed-down"]
    yield hashes
    lab.box.rpc("session-set", {"alt-speed-down": before})
    lab.box.rpc("torrent-remove", {"ids": [hash for hash in lab.box.torrents() if hash not in known]})


def settle(commands, at_most, what):
    """The commands that are still open, once they are no more than that."""
    end = time.monotonic() + DEADLINE
    while len(commands := [command for command in commands if not command.accepted()]) > at_most:
        assert time.monotonic() < end, (what, [command.errors for command in commands])
        time.sleep(0.01)
    return commands


def test_no_command_is_lost_or_doubled(served, lab, ballast, tmp_path):
    chance = random.Random(SEED)
    begun = time.monotonic()
    # The last in the queue: each of its steps up counts, so one that is lost or doubled shows in its place.
    data, climber = metainfo(9_999)
    lab.box.rpc("torrent-add", {"metainfo": base64.b64encode(data).decode(), "paused": True})
    wait_for("the torrents at home", lambda: {climber, *ballast} <= served.torrents().keys())
    place = lab.box.torrents("queuePosition")[climber]["queuePosition"]
    assert place >= ROUNDS
    elsewhere = f"{lab.box_downloads}/kills"

    commands, open_commands, labelled, added, undone = [], [], [], {}, {}
    removed, moved, renamed, killed = [], [], {}, {"agent": 0, "controller": 0}

    def kill_agent():
        # Where the last kill is not over yet there is no agent: then the next one.
        wait_for("an agent to kill", lab.kill_agent, pause=0.02)
        killed["agent"] += 1

    def kill_controller():
        served.stop(signal.SIGKILL)
        killed["controller"] += 1
        served.start()

    for number, (still, other) in enumerate(zip(ballast[REMOVED::2], ballast[REMOVED + 1::2], strict=True)):
        data, hash = metainfo(1_000 + number)
        added[hash] = tmp_path / f"{number}.torrent"
        added[hash].write_bytes(data)
        lines = [
            ("add", str(added[hash]), "--paused", "--label", f"added-{number}"),
            ("set", still, "--label", f"label-{number}"),
            ("queue", "up", climber),
            ("start", still) if number % 2 == 0 else ("stop", other),
        ]
        match number % 5:
            case 0:
                removed.append(ballast[number // 5])
                lines.append(("remove", removed[-1]))
            case 1:
                lines.append(("move", other, "--to", elsewhere))
                moved.append(other)
            case 2:
                lines.append(("rename", other, f"renamed-{number}"))
                renamed[other] = f"renamed-{number}"
            case 3:
                lines.append(("session", "set", f"alt_speed_down={1000 * (number + 1)}"))
        chance.shuffle(lines)
        new = [Command(served, line, secrets.token_hex(16)) for line in lines]
        if number % 5 == 4 and labelled:
            # The labels of an earlier round, whose job has a number by now; its undoing is a job like others.
            target = labelled.pop(0)
            if target.job:
                undone[target.arguments[1]] = target
                new.append(Command(served, ("undo", str(target.job)), None))
        labelled += [command for command in new if command.arguments[0] == "set"]
        commands += new
        kills = [(chance.uniform(0, LATEST), kill) for kill in (kill_agent, kill_controller)]
        moment = time.monotonic()
        for command in new:
            command.give()
        for after, kill in sorted(kills, key=lambda pair: pair[0]):
            time.sleep(max(0.0, moment + after - time.monotonic()))
            kill()
        open_commands = settle(open_commands + new, MOST_OPEN, number)
    settle(open_commands, 0, "the end")

    def jobs(*options):
        told = served.run("jobs", "--json", "--limit", str(2 * len(commands)), *options).stdout
        return {job["id"]: job for job in json.loads(told)["jobs"]}

    wait_for("the link to be live", lambda: link_state(served) == "live", 90)
    wait_for("all jobs to have ended", lambda: not jobs("--open"), 90)
    ended = jobs()
    print(f"{killed}, {len(commands)} commands, {sum(c.given - 1 for c in commands)} given again,",
          f"{sum('command line' in job['from'] for job in ended.values())} kept without a controller,",
          f"{sum(job['attempts'] - 1 for job in ended.values())} attempts beyond the first,",
          f"{time.monotonic() - begun:.0f} s")
    assert sum(killed.values()) == KILLS
    assert [job for job in ended.values() if job["state"] != "done"] == []
    assert {command.job for command in commands} == ended.keys() and len(ended) == len(commands), "lost or doubled"
    assert {job["key"] for job in ended.values() if "undoes" not in job} == {c.key for c in commands if c.key}

    rows = lab.box.torrents("labels", "queuePosition", "status", "downloadDir", "name")
    assert {hash: rows[hash]["labels"] for hash in added} == {
        hash: [f"added-{number}"] for number, hash in enumerate(added)}
    labels = {c.arguments[1]: [] if c.arguments[1] in undone else [c.arguments[3]]
              for c in commands if c.arguments[0] == "set"}
    assert {hash: rows[hash]["labels"] for hash in labels} == labels and len(undone) >= ROUNDS // 10
    assert place - rows[climber]["queuePosition"] == ROUNDS + len(removed), "a step up was lost or done twice"
    assert not rows.keys() & set(removed) and set(ballast) - set(removed) <= rows.keys()
    assert {rows[hash]["downloadDir"] for hash in moved} == {elsewhere}
    assert {hash: rows[hash]["name"] for hash in renamed} == renamed
    assert all((rows[c.arguments[1]]["status"] != 0) == (c.arguments[0] == "start")
               for c in commands if c.arguments[0] in ("start", "stop"))
    last = max((c for c in commands if c.arguments[:2] == ("session", "set")), key=lambda command: command.job)
    assert lab.box.rpc("session-get")["alt-speed-down"] * 1000 == int(last.arguments[2].split("=")[1])
