"""Commands that change something, given while the link breaks: whether each was carried out, and not twice."""

import base64
import json
import secrets
import subprocess

from lab import LabError, content, processes

#: Commands of one fault: half before it strikes, half afterwards.
COUNT = 6
#: Places of the queue for each of them: a torrent that is moved, and others that let it pass.
APART = 4
#: How long a command may take to be on the controller's disk, and all of them to have ended, in seconds.
ACCEPTED, ENDED = 60, 180


def lost_and_doubled(way, before, after):
    """How many of the torrents have not moved this way, and how many by more than one place."""
    sign = 1 if way == "up" else -1
    moved = [sign * (before[mover] - place) for mover, place in after.items()]
    return sum(steps < 1 for steps in moved), sum(steps > 1 for steps in moved)


class Steps:
    """Torrents that a command each moves by one place in the seedbox's queue: there it shows how often it was done.

    No two commands move the same torrent, so that one that is lost does not hide another that is done twice.
    """

    def __init__(self, home, lab):
        self.home, self.lab = home, lab
        self.way, self.lost, self.doubled = "down", 0, 0
        self.given, self.places = [], {}
        made = [content.unseeded(f"step-{number:04}") for number in range(COUNT * APART)]
        for data, _ in made:
            lab.box.rpc("torrent-add", {"metainfo": base64.b64encode(data).decode(), "paused": True})
        self.movers = [found for _, found in made[APART // 2::APART]]
        processes.until(lambda: set(self.movers) <= self.known(), ENDED, "The mirroring of torrents", [home.server], 0.5)

    def known(self):
        """The hashes of the torrents that the controller knows."""
        return {torrent["hash"] for torrent in json.loads(self.home.run("list", "--json"))["torrents"]}

    def queue(self):
        """The places of those that are moved."""
        rows = self.lab.box.torrents("queuePosition")
        return {mover: rows[mover]["queuePosition"] for mover in self.movers}

    def give(self):
        """Starts the next half of the commands; the controller has them on its disk as soon as they end."""
        if not self.given:
            self.way = "up" if self.way == "down" else "down"
            self.places = self.queue()
        for mover in self.movers[len(self.given):len(self.given) + COUNT // 2]:
            words = self.home.argv("queue", self.way, mover, "--no-wait", "--key", secrets.token_hex(16))
            self.given.append(subprocess.Popen(words, env=self.home.environment, stdin=subprocess.DEVNULL,
                                               stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True))

    def settle(self):
        """Waits until all that was given has ended, and counts what was not done once."""
        for process in self.given:
            _, errors = process.communicate(timeout=ACCEPTED)
            if process.returncode != 0:
                raise LabError(f"A command was refused: {errors.strip()[-300:]}")
        self.given = []
        processes.until(lambda: not json.loads(self.home.run("jobs", "--json", "--open"))["jobs"], ENDED,
                        "The end of all commands", [self.home.server], 0.2)
        lost, doubled = lost_and_doubled(self.way, self.places, self.queue())
        self.lost += lost
        self.doubled += doubled

    def end(self):
        """Ends what has not ended by itself."""
        for process in self.given:
            process.kill()
            process.communicate()
        self.given = []
