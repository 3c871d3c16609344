"""`bench link`: what a command, a start, a change and a loss take over Tor, beside torsocks ssh and ControlMaster."""

import os
import subprocess
import time

from lab import Lab, LabError, processes
from lab.tornet import ENOUGH_RELAYS, RELAYS

from . import recovery, silence
from .home import Home
from .peers import Peers
from .watch import Watch

#: The lab's delay of every Tor link in ms, and the ways measured there. An onion round trip crosses 14 links, one by
#: the exit 6: 21 makes 300 ms by the onion, 50 makes 300 by the exit and 700 by the onion, 117 makes 700 by the exit.
PLAN = [(0, ["onion", "exit"]), (21, ["onion"]), (50, ["exit", "onion"]), (117, ["exit"])]
WARM = "one command"
COMMAND = ["transmission-remote", "-si"]
LIST = ["transmission-remote", "-l"]
AT_ONCE = 50
#: The cases, as --only names them.
CASES = ["cold", "warm", "together", "changes", "failover", "recovery", "autossh", "alarms"]
#: Those that take long and are measured only where they are named.
LONG_CASES = ["alarms"]
#: How long all of the commands at once may take, in seconds.
CROWD = 240
#: The seconds between two crowds, in which the seedbox tells what the last one has changed.
PAUSE = 1
#: From this round trip on, in seconds, it is the measure of everything else.
LONG = 0.1


class Counts:
    """How often each measurement is repeated."""

    def __init__(self, quick, runs=None):
        self.warm, self.login, self.cold, self.changes = (5, 2, 2, 3) if quick else (15, 7, 7, 10)
        self.at_once = 10 if quick else AT_ONCE
        self.together = 1 if quick else 9
        self.recovery = runs or (1 if quick else 3)


def run(directory, options, table, say):
    """Every lab of the plan, one after the other."""
    plan = [(0, ["onion"])] if options.quick else PLAN
    if options.delay is not None:
        plan = [(options.delay, ["onion"] if options.quick else ["onion", "exit"])]
    if options.way:
        plan = [(delay, [options.way]) for delay, ways in plan if options.way in ways or options.delay is not None]
    for delay, ways in plan:
        place = directory / f"delay-{delay}"
        place.mkdir()
        say(f"starting a lab with {delay} ms per Tor link")
        # Where relays are killed, one of them must not be missed.
        with processes.Family(place / "logs", bound=True) as family, \
                Lab(place / "lab", delay_ms=delay, jitter_ms=options.jitter, agent=options.agent, torrents=3,
                    relays=ENOUGH_RELAYS if breaks(options, delay) and not options.quick else RELAYS) as lab:
            peers = Peers(place, lab, family)
            for way in ways:
                Measure(place, options, lab, family, peers, way, table, say).run(delay)


def breaks(options, delay):
    """Whether the link is broken there, which takes long: with delay only where that is named."""
    return bool({"recovery", "autossh"} & set(options.only)) if options.only else delay == 0


def timed(action):
    """The seconds that an action takes."""
    began = time.monotonic()
    action()
    return time.monotonic() - began


class Measure:
    """All cases of one way through one lab."""

    def __init__(self, directory, options, lab, family, peers, way, table, say):
        self.lab, self.peers, self.way, self.table, self.say = lab, peers, way, table, say
        self.counts = Counts(options.quick, options.runs)
        self.options, self.directory, self.family = options, directory, family
        overrides = {} if way == "onion" else {
            "tor": {"socks": f"unix:{lab.socks_any_unix}", "control": f"unix:{lab.control_unix}"},
            "box": {"address": "vps.test"}}
        self.home = Home(directory, f"home-{way}", lab, family, options.farseed, **overrides)

    def run(self, delay):
        """Measures; what fails is said and leaves its rows out."""
        self.place, self.starts = f"{self.way} +{delay} ms", {}
        self.attempt("cold", self.cold)
        if self.way == "onion" and delay:
            self.attempt("failover", self.failover)
        with self.home:
            self.attempt("warm", self.warm)
            self.attempt("together", self.together)
            self.attempt("changes", self.changes)
            self.attempt("alarms", self.alarms)
            if breaks(self.options, delay) and (self.options.only or self.way == "onion"):
                for fault in self.options.fault or (recovery.QUICK if self.options.quick else recovery.FAULTS):
                    self.attempt("recovery", lambda fault=fault: self.recovery(fault))
                    if fault in recovery.PEERS and not self.options.quick:
                        self.attempt("autossh", lambda fault=fault: self.autossh(fault))

    def attempt(self, what, action):
        """Runs one case, if it is wanted."""
        if what not in self.options.only if self.options.only else what in LONG_CASES:
            return
        self.say(f"{self.place}: {what}")
        try:
            action()
        except (LabError, OSError, subprocess.SubprocessError) as error:
            self.say(f"{self.place}: {what} failed: {error}")

    def series(self, case, subject, runs, action, unit="ms"):
        """The median of some runs, one after the other; a run that fails is said and not counted."""
        seconds = []
        for _ in range(runs):
            try:
                seconds.append(timed(action))
            except (LabError, subprocess.SubprocessError) as error:
                self.say(f"{self.place}: {subject}: {error}")
        middle = self.table.median(f"{self.place}: {case}", subject, seconds, unit)
        if seconds and case == WARM:
            # What a machine that does nothing else would give, or nearly.
            self.table.add(f"{self.place}: {case}", f"{subject}, fastest", min(seconds) * 1000, "ms", len(seconds))
        return middle

    # The cases.

    def cold(self):
        """Tor is up, nothing else: to the end of a first list."""
        runs, case, peers, way = self.counts.cold, "cold start to a list", self.peers, self.way
        subjects = {
            "farseed list": lambda: self.home.run("list"),
            "ssh with nc, shared circuit": lambda: peers.run(peers.proxied(way, *LIST)),
            "ssh with nc, new circuit": lambda: peers.run(peers.proxied(way, *LIST, fresh=True)),
        }
        self.starts = {subject: self.series(case, subject, runs, action) for subject, action in subjects.items()}

    def warm(self):
        """One command with everything up."""
        case, peers, way = WARM, self.peers, self.way
        self.home.run("exec", "--", *COMMAND)
        mine = self.series(case, "farseed exec", self.counts.warm, lambda: self.home.run("exec", "--", *COMMAND))
        rtt = self.home.rtt()
        self.table.add(f"{self.place}: {case}", "round trip of the link", rtt * 1000, "ms", 1)
        self.series(case, "farseed status, a command without link", self.counts.warm, self.home.link)
        for subject, seconds in self.starts.items():
            if seconds and rtt > LONG:
                self.table.add(f"{self.place}: cold start to a list", f"{subject} / round trip", seconds / rtt, "RTT",
                               self.counts.cold)
        self.remote(case, 1)
        with peers.master(way):
            shared = self.series(case, "ssh with ControlMaster", self.counts.warm,
                                 lambda: peers.run(peers.shared(way, *COMMAND)))
        login = self.series(case, "torsocks ssh", self.counts.login,
                            lambda: peers.run(peers.torsocks(way, *COMMAND)))
        if mine:
            self.table.add(f"{self.place}: {case}", "farseed exec / round trip", mine / rtt, "RTT", self.counts.warm)
            for name, other in (("ControlMaster", shared), ("torsocks ssh", login)):
                if other:
                    self.table.add(f"{self.place}: {case}", f"{name} / farseed exec", other / mine, "times",
                                   self.counts.warm)

    def remote(self, case, count):
        """What so many of the command take on the seedbox itself, timed there."""
        program = f"import subprocess,time\nb=time.monotonic()\n" \
                  f"a=[subprocess.Popen({COMMAND!r},stdout=-3) for _ in range({count})]\n" \
                  "for p in a: p.wait()\nprint(time.monotonic()-b)"
        seconds = [float(self.lab.run_in_namespace(["/usr/bin/python3", "-c", program]).stdout) for _ in range(5)]
        self.table.median(f"{self.place}: {case}", "the program itself on the seedbox", seconds)

    def together(self):
        """Many commands started at once, until the last has ended."""
        case, peers, way, runs = f"{self.counts.at_once} commands at once", self.peers, self.way, self.counts.together
        self.crowd(case, "farseed exec", runs, self.home.argv("exec", "--", *COMMAND), self.home.environment)
        # How much of it is the starting of processes, of which the link knows nothing.
        self.crowd(case, "farseed --version, no link", runs, self.home.argv("--version"), self.home.environment)
        self.remote(case, self.counts.at_once)
        with peers.master(way):
            self.crowd(case, "ssh with ControlMaster", runs, peers.shared(way, *COMMAND))
        if not self.options.quick:
            self.crowd(case, "torsocks ssh", 1, peers.torsocks(way, *COMMAND))

    def crowd(self, case, subject, runs, argv, environment=None):
        """Starts a command many times at once; failures are counted in a row of their own."""
        seconds, failed = [], 0
        for _ in range(runs):
            time.sleep(PAUSE)
            began = time.monotonic()
            started = [subprocess.Popen(argv, env=environment or os.environ, stdin=subprocess.DEVNULL,
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
                       for _ in range(self.counts.at_once)]
            try:
                failed += sum(1 for process in started if process.wait(max(0, began + CROWD - time.monotonic())) != 0)
            finally:
                for process in started:
                    if process.poll() is None:
                        process.kill()
                        process.wait()
            seconds.append(time.monotonic() - began)
        self.table.median(f"{self.place}: {case}", subject, seconds)
        if failed:
            self.table.add(f"{self.place}: {case}", f"{subject}, failed", failed, "commands", runs)

    def recovery(self, fault):
        """The link is broken in one way and comes back."""
        self.say(f"{self.place}: {fault}")
        recovery.measure(self.home, self.lab, fault, self.counts.recovery, self.table, self.place)

    def autossh(self, fault):
        """The same for an ssh that is started again whenever it ends."""
        recovery.measure_peer(self.home, self.lab, fault, self.counts.recovery, self.peers, self.table, self.place)

    def changes(self):
        """A torrent stops or starts on the seedbox, until `farseed watch` prints it."""
        chosen = next(iter(self.lab.hashes.values()))
        watch = Watch(self.home)
        try:
            watch.wait(lambda event: chosen in event.get("full", {}))
            seconds = []
            for turn in range(self.counts.changes):
                method = ("torrent-stop", "torrent-start-now")[turn % 2]
                watch.forget()
                self.lab.box.rpc(method, {"ids": [chosen]})
                began = time.monotonic()
                seen = watch.wait(lambda event: "status" in event.get("set", {}).get(chosen, {}))
                seconds.append(seen - began)
                # Not in step with the agent's interval of 2 s.
                time.sleep(0.37 * (turn % 5))
        finally:
            watch.end()
        self.table.median(f"{self.place}: change to controller", "farseed watch", seconds)

    def failover(self):
        """The session in use falls silent, and the one that stands by takes over."""
        link = {"standby": True, "probe-after": 1, "suspect-after": silence.SUSPECT}
        with Home(self.directory, "home-standby", self.lab, self.family, self.options.farseed, link=link) as home:
            silence.failover(home, self.lab, self.counts.changes, self.table, self.place)

    def alarms(self):
        """Nothing is wrong but that the link is slow and unsteady."""
        silence.alarms(self.home, self.options.minutes, self.table, self.place)
