"""Agent and controller are killed again and again while commands come in: none is lost, and none is done twice."""

import base64
import dataclasses
import hashlib
import json
import os
import random
import secrets
import signal
import subprocess
import time

import pytest

from conftest import DEADLINE, FARSEED, link_state, wait_for

#: How often something is killed.
KILLS = int(os.environ.get("FARSEED_KILLS", "100"))
#: The moments of the kills are drawn from this seed, so a failure can be had again.
SEED = int(os.environ.get("FARSEED_KILLS_SEED", "7"))
#: The latest moment of a kill after a round's commands have begun, in seconds: most of them last shorter.
LATEST = 0.6


def metainfo(number):
    """A .torrent of one small piece that nobody has, and its hash."""
    info = b"d6:lengthi9e4:name%d:%s12:piece lengthi16384e6:pieces20:%se" % (
        len(name := b"kills-%04d" % number), name, hashlib.sha1(name).digest())
    return b"d4:info" + info + b"e", hashlib.sha1(info).hexdigest()


@dataclasses.dataclass
class Command:
    """A command under a key of its own: given again until the controller has said that it is on disk."""

    home: object
    key: str
    arguments: tuple
    #: Its job's number; none where it met no controller and went to the agent by itself, which is done when it ends.
    job: int | None = None
    given: int = 0
    process: subprocess.Popen = None

    def give(self):
        self.given += 1
        self.process = subprocess.Popen(
            [FARSEED, *self.arguments, "--no-wait", "--json", "--key", self.key], env=self.home.environment,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )

    def accepted(self):
        """Waits for the answer: whether the controller has it on disk, or it was carried out without one."""
        output, errors = self.process.communicate(timeout=DEADLINE)
        self.errors = f"{self.arguments} ended with {self.process.returncode}: {errors}"
        if self.process.returncode != 0:
            return False
        told = json.loads(output)
        self.job = told["job"]["id"] if "job" in told else None
        assert self.job or told["state"] == "done", told
        return True


@pytest.fixture
def ballast(lab):
    """As many torrents as there will be rounds, by turns stopped and started; what the test adds goes as well."""
    hashes = []
    known = set(lab.box.torrents())
    for number in range(KILLS):
        data, hash = metainfo(number)
        lab.box.rpc("torrent-add", {"metainfo": base64.b64encode(data).decode(), "paused": number % 2 == 0})
        hashes.append(hash)
    yield hashes
    lab.box.rpc("torrent-remove", {"ids": [hash for hash in lab.box.torrents() if hash not in known]})


def kill_controller(home):
    home.stop(signal.SIGKILL)
    home.start()


def test_no_command_is_lost_or_doubled(served, lab, ballast, tmp_path):
    chance = random.Random(SEED)
    begun = time.monotonic()
    # The last in the queue: each of its steps up counts, so one that is lost or doubled shows in its place.
    data, climber = metainfo(9_999)
    lab.box.rpc("torrent-add", {"metainfo": base64.b64encode(data).decode(), "paused": True})
    wait_for("the torrents at home", lambda: {climber, *ballast} <= served.torrents().keys())
    place = lab.box.torrents("queuePosition")[climber]["queuePosition"]
    assert place >= KILLS

    commands, added, killed = [], {}, {"agent": 0, "controller": 0}
    for number, still in enumerate(ballast):
        data, hash = metainfo(1_000 + number)
        added[hash] = tmp_path / f"{number}.torrent"
        added[hash].write_bytes(data)
        lines = [
            ("add", str(added[hash]), "--paused", "--label", f"added-{number}"),
            ("set", still, "--label", f"label-{number}"),
            ("queue", "up", climber),
            ("start" if number % 2 == 0 else "stop", still),
        ]
        chance.shuffle(lines)
        open_commands = [Command(served, secrets.token_hex(16), line) for line in lines]
        commands += open_commands
        victim = chance.choice(sorted(killed))
        moment = time.monotonic() + chance.uniform(0, LATEST)
        for command in open_commands:
            command.give()
        time.sleep(max(0.0, moment - time.monotonic()))
        if victim == "controller":
            kill_controller(served)
        else:
            # Where the last kill is not over yet there is no agent: then the next one.
            wait_for("an agent to kill", lab.kill_agent, pause=0.02)
        killed[victim] += 1
        end = time.monotonic() + DEADLINE
        while open_commands := [command for command in open_commands if not command.accepted()]:
            assert time.monotonic() < end, (number, victim, [command.errors for command in open_commands])
            # As a script does that wants it done.
            time.sleep(0.2)
            for command in open_commands:
                command.give()

    def jobs(*options):
        told = served.run("jobs", "--json", "--limit", str(2 * len(commands)), *options).stdout
        return {job["id"]: job for job in json.loads(told)["jobs"]}

    wait_for("the link to be live", lambda: link_state(served) == "live", 90)
    wait_for("all jobs to have ended", lambda: not jobs("--open"), 90)
    ended = jobs()
    print(f"{killed}, {len(commands)} commands, {sum(c.given - 1 for c in commands)} given again,",
          f"{sum(c.job is None for c in commands)} without a controller,",
          f"{sum(job['attempts'] - 1 for job in ended.values())} attempts beyond the first,",
          f"{time.monotonic() - begun:.0f} s")
    assert [job for job in ended.values() if job["state"] != "done"] == []
    keys = [job["key"] for job in ended.values()]
    assert len(keys) == len(set(keys)) and set(keys) <= {command.key for command in commands}
    assert {command.job for command in commands if command.job} <= ended.keys(), "a job was lost"

    rows = lab.box.torrents("labels", "queuePosition", "status")
    assert {hash: rows[hash]["labels"] for hash in added} == {
        hash: [f"added-{number}"] for number, hash in enumerate(added)}
    assert [rows[hash]["labels"] for hash in ballast] == [[f"label-{number}"] for number in range(KILLS)]
    assert place - rows[climber]["queuePosition"] == KILLS, "a step up was lost or done twice"
    assert [rows[hash]["status"] != 0 for hash in ballast] == [number % 2 == 0 for number in range(KILLS)]
