"""`bench agent`: what watching a seedbox costs the agent, the wire and the daemon, beside transmission-remote -l."""

import base64
import contextlib
import json
import shlex
import signal
import statistics
import subprocess
import sys
import time
import zlib
from pathlib import Path

from lab import Lab, LabError, content, processes

from . import home

SIZES, QUICK_SIZES = [100, 1000, 5000, 10000], [100]
#: How long one watching lasts, and how often a listing is asked for meanwhile by the peer, in seconds.
WINDOW, QUICK_WINDOW, INTERVAL = 30, 6, 2
#: The torrents that change all the time: their size, and their rate in kB/s.
MOVING, MOVING_SIZE, MOVING_RATE = 3, 24_000_000, 20
RESTING_SIZE = 40_000
#: How long an agent may take to settle at a new number of torrents, and a torrent to find its peer, in seconds.
SETTLE, PATIENCE = 120, 180
#: After so many seconds without a peer, a torrent is started anew.
TRY = 20
#: What was started within a minute is "recently active" to Transmission.
REST = 62
#: `--day`: so many times as fast as life, with so many torrents. It is over when the daemon has got a day's requests, a
#: connection each: what moves, all torrents' cold fields, all of all, and two for the session, by their intervals in
#: seconds; or after so many times as long as that should take.
LAPSE, DAY_TORRENTS, DAY, DAY_PATIENCE = 100, 5000, 86_400, 5
REQUESTS = {2: 1, 45: 1, 300: 1, 30: 2}
#: The rate of what changes then, so that it lasts.
DAY_RATE = 8
#: Other clients, and how often they ask for all torrents while someone looks, in seconds; see ask.py.
CLIENTS, ASKED = {"Flood": 2, "TrguiNG": 5}, 5
HERE = Path(__file__).resolve().parent


def run(directory, options, table, say):
    """One lab, filled more and more."""
    say("starting a lab")
    with processes.Family(directory / "logs", bound=True) as family, \
            Lab(directory / "lab", agent=options.agent, torrents=0) as lab:
        Measure(directory, options, lab, family, table, say).run()


class Measure:
    """The agent and the daemon at several numbers of torrents."""

    def __init__(self, directory, options, lab, family, table, say):
        self.options, self.lab, self.table, self.say = options, lab, table, say
        self.listing = QUICK_WINDOW if options.quick else WINDOW
        self.window = options.window or self.listing
        self.log = directory / "tap.log"
        tap = directory / "tap"
        words = [sys.executable, str(HERE / "tap.py"), str(self.log), str(options.agent)]
        tap.write_text(f'#!/bin/sh\nexec {shlex.join(words)} "$@"\n')
        tap.chmod(0o755)
        lab.set_agent(tap)
        self.home = home.Home(directory, "home", lab, family, options.farseed)
        self.moving, self.resting = [], 0

    def run(self):
        """Fills the box step by step and measures at each."""
        if self.options.day:
            self.lab.write_agent_conf(time_lapse=self.options.lapse)
        # What it finds at its start shall rest.
        self.lab.box.rpc("session-set", {"start-added-torrents": False})
        rate = DAY_RATE if self.options.day else MOVING_RATE
        for number in range(MOVING):
            data, info_hash = self.lab.make_torrent(f"moving-{number}.iso", MOVING_SIZE)
            self.lab.box.rpc("torrent-add", {"metainfo": base64.b64encode(data).decode(), "paused": True})
            self.lab.box.rpc("torrent-set", {"ids": [info_hash], "downloadLimit": rate, "downloadLimited": True})
            self.moving.append(info_hash)
        with self.home:
            if self.options.day:
                self._day((self.options.torrents or [DAY_TORRENTS])[0])
                return
            for size in self.options.torrents or (QUICK_SIZES if self.options.quick else SIZES):
                self.say(f"{size} torrents: adding them")
                self._fill(size)
                self.say(f"{size} torrents: {MOVING} of them begin to change")
                self._move()
                rested = time.monotonic() + (0 if self.options.quick else REST)
                self.say(f"{size} torrents: what others ask")
                self._listed(f"{size} torrents")
                for client, interval in CLIENTS.items():
                    self._asked(f"{size} torrents", client, interval)
                time.sleep(max(0, rested - time.monotonic()))
                self.say(f"{size} torrents: farseed watch for {self.window} s")
                self._watched(f"{size} torrents")

    def _day(self, size):
        """As many looks as a day has, one soon after the other."""
        self.say(f"{size} torrents: adding them")
        self._fill(size)
        self._move()
        case, day = f"{size} torrents, a day", DAY * self.options.share
        requests = sum(int(day / interval) * count for interval, count in REQUESTS.items())
        deadline = time.monotonic() + DAY_PATIENCE * day / self.options.lapse + SETTLE
        with self._watching():
            agents, daemon = home.agents(self.lab), self._daemon()
            before, began = (processes.cpu(agents), processes.cpu(daemon), self._tapped()), time.monotonic()
            first, made, resident = connections(daemon[0]), 0, []
            while made < requests:
                if time.monotonic() > deadline:
                    raise LabError(f"The daemon has got {made} requests; a day has {requests}.")
                resident.append((sum(map(processes.memory, agents)), sum(map(processes.share, agents))))
                time.sleep(1)
                made = connections(daemon[0]) - first
                if len(resident) % 60 == 0:
                    self.say(f"{made} of {requests} requests, {resident[-1][0] / 1e6:.1f} MB")
            passed, tapped = time.monotonic() - began, self._tapped()
            mine, theirs = processes.cpu(agents) - before[0], processes.cpu(daemon) - before[1]
        tenth = max(1, len(resident) // 10)
        add = self.table.add
        add(case, "requests", made, "requests", 1)
        add(case, "time that they took", passed, "s", 1)
        add(case, "agent, CPU", mine, "s", 1)
        add(case, "agent, CPU of one core, spread over the day", 100 * mine / day, "%", 1)
        add(case, "daemon, CPU of one core, spread over the day", 100 * theirs / day, "%", 1)
        for number, what in enumerate(("all its processes", "pages of several processes once")):
            sizes = [each[number] / 1e6 for each in resident]
            add(case, f"agent, resident, {what}, at most", max(sizes), "MB", len(sizes))
            add(case, f"agent, resident, {what}, first tenth", statistics.median(sizes[:tenth]), "MB", tenth)
            add(case, f"agent, resident, {what}, last tenth", statistics.median(sizes[-tenth:]), "MB", tenth)
        packets = tapped[3] - before[2][3]
        add(case, "agent, packet of SSH", (tapped[2] - before[2][2]) / max(1, packets), "bytes", packets)

    def _fill(self, size):
        """Makes the daemon start with more torrents, which is sooner done than to add each."""
        # Those who send too, so that neither remembers the other as one that it could not reach.
        for name in ("box", "seed"):
            self.lab.call("stop_transmission", name=name, number=signal.SIGTERM)
        torrents = self.lab.directory / "swarm/box/torrents"
        for number in range(self.resting, size - MOVING):
            data, info_hash = content.unseeded(f"resting torrent {number}", RESTING_SIZE)
            # Under this name the daemon takes it for one of its own; any other it would verify, ten a second.
            (torrents / f"{info_hash}.torrent").write_bytes(data)
        self.resting = size - MOVING
        for name in ("seed", "box"):
            self.lab.start_transmission(name)
        self.lab.box.rpc("torrent-stop", {"ids": self.moving})

        def known():
            return len(json.loads(self.home.run("list", "--json"))["torrents"]) == size

        processes.until(known, SETTLE, f"A list of {size} torrents", interval=1)

    def _move(self):
        """Starts the downloads, one after the other: the daemon drops a peer while it greets another.

        Their peers let them have data within ten seconds, all at once.
        """
        for figure in ("peersConnected", "rateDownload"):
            for info_hash in self.moving:
                deadline = time.monotonic() + PATIENCE
                while not self._starts(info_hash, figure):
                    if time.monotonic() > deadline:
                        raise LabError(f"The download of a torrent did not begin within {PATIENCE} s.")

    def _starts(self, info_hash, figure):
        """Whether a download begins soon; where it does not, it is stopped, so that the next try finds its peer."""
        row = {"ids": [info_hash], "fields": [figure]}
        self.lab.box.rpc("torrent-start-now", {"ids": [info_hash]})
        try:
            return processes.until(lambda: self.lab.box.rpc("torrent-get", row)["torrents"][0][figure],
                                   TRY, "The download of a torrent")
        except LabError:
            self.lab.box.rpc("torrent-stop", {"ids": [info_hash]})
            return 0

    # What is measured.

    def _daemon(self):
        """The seedbox's daemon; the lab runs others of the same name."""
        return [pid for pid in processes.descendants(self.lab.process.pid, "transmission-daemon")
                if b"/swarm/box" in Path("/proc", str(pid), "cmdline").read_bytes()]

    def _tapped(self):
        """Bytes of the agent's output until now, plain, compressed, and packed by SSH, and its packets."""
        return [int(word) for word in self.log.read_text().splitlines()[-1].split()]

    @contextlib.contextmanager
    def _watching(self):
        """Somebody looks."""
        watch = subprocess.Popen(self.home.argv("watch", "--json"), env=self.home.environment,
                                 stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            # The first seconds hold the full table, which is no part of an interval.
            time.sleep(3 * INTERVAL)
            yield
        finally:
            watch.terminate()
            watch.wait(PATIENCE)

    def _watched(self, case):
        with self._watching():
            agents, daemon = home.agents(self.lab), self._daemon()
            before = processes.cpu(agents), processes.cpu(daemon), self._tapped(), time.monotonic()
            resident, shared = [], []
            while time.monotonic() < before[3] + self.window:
                resident.append(sum(map(processes.memory, agents)))
                shared.append(sum(map(processes.share, agents)))
                time.sleep(1)
            passed = time.monotonic() - before[3]
            mine, theirs, tapped = processes.cpu(agents) - before[0], processes.cpu(daemon) - before[1], self._tapped()
        intervals = passed / INTERVAL
        add = self.table.add
        add(case, "agent, CPU of one core", 100 * mine / passed, "%", 1)
        add(case, "agent, resident, all its processes", max(resident) / 1e6, "MB", len(resident))
        add(case, "agent, resident, pages of several processes once", max(shared) / 1e6, "MB", len(shared))
        add(case, "agent, output per 2 s", (tapped[0] - before[2][0]) / intervals, "bytes", 1)
        add(case, "agent, output per 2 s, compressed", (tapped[1] - before[2][1]) / intervals, "bytes", 1)
        add(case, "agent, output per 2 s, packed by SSH", (tapped[2] - before[2][2]) / intervals, "bytes", 1)
        add(case, "agent, packets per 2 s", (tapped[3] - before[2][3]) / intervals, "packets", 1)
        add(case, "daemon while the agent watches, CPU", 100 * theirs / passed, "%", 1)

    def _listed(self, case):
        daemon, sizes = self._daemon(), []
        before, began = processes.cpu(daemon), time.monotonic()
        replies = zlib.compressobj(6)
        compressed = []
        while time.monotonic() < began + self.listing:
            turn = time.monotonic()
            output = self.lab.run_in_namespace(["transmission-remote", "-l"]).stdout
            sizes.append(len(output))
            compressed.append(len(replies.compress(output)) + len(replies.flush(zlib.Z_PARTIAL_FLUSH)))
            time.sleep(max(0, turn + INTERVAL - time.monotonic()))
        passed = time.monotonic() - began
        used = processes.cpu(daemon) - before
        debug = self.lab.run_in_namespace(["transmission-remote", "--debug", "-l"])
        add = self.table.add
        add(case, "transmission-remote -l, output", statistics.median(sizes), "bytes", len(sizes))
        add(case, "transmission-remote -l, output, compressed", statistics.median(compressed), "bytes", len(sizes))
        add(case, "transmission-remote -l, RPC reply", len(debug.stderr), "bytes", 1)
        add(case, "daemon while -l is run every 2 s, CPU", 100 * used / passed, "%", 1)

    def _asked(self, case, client, interval):
        """The requests of another client, whose cost does not depend on how often it asks."""
        daemon = self._daemon()
        before = processes.cpu(daemon)
        done = self.lab.run_in_namespace([sys.executable, HERE / "ask.py", self.lab.rpc_url, client, ASKED])
        used = (processes.cpu(daemon) - before) / ASKED
        plain, compressed = map(int, done.stdout.split())
        add = self.table.add
        add(case, f"{client}, RPC reply every {interval} s", plain, "bytes", ASKED)
        add(case, f"{client}, RPC reply compressed", compressed, "bytes", ASKED)
        add(case, f"daemon while {client} asks, CPU", 100 * used / interval, "%", ASKED)


def connections(pid):
    """How many connections were taken so far in the network of a process."""
    names, values = (line.split() for line in Path("/proc", str(pid), "net/snmp").read_text().splitlines()
                     if line.startswith("Tcp:"))
    return int(values[names.index("PassiveOpens")])
