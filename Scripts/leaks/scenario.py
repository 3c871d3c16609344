"""What is run under strace, with faults, and what it has reached."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

from lab import processes

from .home import COMMAND, SERVE, Home
from .ledger import Ledger

#: How long a link may take to come back, and how often the links' states are asked for, in seconds.
LIVE, POLL = 120, 0.3
#: How long `farseed watch` watches, in seconds.
WATCH = 2
#: Exit codes from here on say that the link is down, see Docs/Operations.md; `status` gives them too.
LINK_DOWN = range(30, 60)
TIMED_OUT = 18
#: A connection at the start and one after each of the four faults.
LEAST_ATTEMPTS = 5

#: What is no leak although the rules say so, and why: {(program, destination): reason}. It is shown, never hidden.
_NUMERIC = "getaddrinfo of the page's own numeric listen address asks only this machine"
_OWNER = "GRDB has Foundation look at the database's log, which also looks up its owner among this machine's users"
EXCUSED = {
    ("controller", "NETLINK"): _NUMERIC,
    ("controller", "NETLINK RAW socket"): _NUMERIC,
    ("controller", "unix /var/run/nscd/socket"): f"{_NUMERIC}; {_OWNER}",
    ("commands", "unix /var/run/nscd/socket"): _OWNER,
}

#: Tries everything that must not happen, inside the empty namespace: the check that sees no fault here is blind.
CANARY = """
import socket
from socket import AF_INET, AF_INET6, AF_UNIX, SOCK_DGRAM, SOCK_STREAM
tries = [(AF_INET, SOCK_STREAM, ("192.0.2.1", 443)), (AF_INET, SOCK_DGRAM, ("198.51.100.1", 53)),
         (AF_INET6, SOCK_STREAM, ("2001:db8::1", 22)), (AF_INET, SOCK_STREAM, ("127.0.0.1", 53)),
         (AF_INET, SOCK_DGRAM, ("127.0.0.53", 53)), (AF_UNIX, SOCK_STREAM, "/run/nobody/resolver")]
for family, kind, place in tries:
    for call in ("connect", "sendto"):
        try:
            with socket.socket(family, kind) as stream:
                stream.connect(place) if call == "connect" else stream.sendto(b"x", place)
        except OSError:
            pass
with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW) as stream:
    stream.bind((0, 0))
with socket.socket() as stream:
    stream.bind(("0.0.0.0", 0))
"""
CANARY_MUST_SHOW = ["TCP 192.0.2.1:443", "UDP 198.51.100.1:53", "TCP [2001:db8::1]:22", "TCP 127.0.0.1:53",
                    "UDP 127.0.0.53:53", "unix /run/nobody/resolver", "NETLINK", "TCP 0.0.0.0"]


class Check:
    """The scenario and what it found."""

    def __init__(self, directory, options, lab, family, say):
        self.directory, self.lab, self.family, self.say = directory / "homes", lab, family, say
        # A copy, so that a build meanwhile does not change it.
        self.farseed = Path(shutil.copy2(options.farseed, directory / "farseed"))
        self.agent = options.agent
        self.failures = []
        self.homes = []
        self.host = self.empty = None
        self.ran = set()

    def run(self):
        """All of it, in order."""
        empty = self._namespace()
        self.host = Home(self, "host")
        self.empty = Home(self, "empty namespace", self._enter(empty))
        self.own = Home(self, "own tor", own_tor=True)
        self.served = [self.host, self.empty, self.own]
        by_exit = Home(self, "name by exit", tor={"socks": f"unix:{self.lab.socks_any_unix}"},
                       box={"address": "vps.test"})
        by_tcp = Home(self, "SOCKS by TCP", tor={"socks": self.lab.socks_tcp, "control": None})
        self.homes = [*self.served, by_exit, by_tcp]
        self.canary = Ledger("canary", {})
        self._canary()
        self.say("commands with sessions of their own")
        alone = [self.host, self.empty, by_exit, by_tcp]
        for words in (["list"], ["exec", "--", "transmission-remote", "-si"], ["doctor"]):
            self.together([(home, words) for home in alone])
        self.together([(home, ["status"]) for home in alone], (0, 24, *LINK_DOWN))
        # For the page to listen on, where nobody can come by.
        subprocess.run([*self._enter(empty), "ip", "address", "add", "127.0.0.1/8", "dev", "lo"], check=True)
        for home in self.served:
            # In turn: the agent serves the newest controller only.
            self._life(home)
        self._still_empty()

    def _life(self, home):
        """A controller from its start to its end."""
        self.say(f"{home.name}: starting the controller")
        page = home.serve()
        self.wait_live(home)
        spare = self._main_job(home)
        if home is self.host:
            self._page(page)
        if home is not self.own:
            self._every_command(home, spare)
        self._faults(home, spare)
        if (code := home.end()) != 0:
            self.failures.append(f"the controller in the home “{home.name}” ended with {code}")

    def _namespace(self):
        """Makes a network namespace in which no interface is up, not even loopback; returns the process that holds it."""
        user = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
        holder = self.family.start("namespace", ["unshare", *user, "--net", "--", "sleep", "infinity"])
        ours, theirs = Path("/proc/self/ns/net"), Path(f"/proc/{holder.pid}/ns/net")
        processes.until(lambda: theirs.readlink() != ours.readlink(), SERVE, "The empty namespace", [holder])
        return holder.pid

    def _still_empty(self):
        """Makes sure that no interface of the namespace has come up meanwhile."""
        links = subprocess.run([*self.empty.prefix, "ip", "-json", "link"], capture_output=True, text=True, check=True)
        up = [link["ifname"] for link in json.loads(links.stdout) if "UP" in link["flags"]]
        if up:
            self.failures.append(f"the empty namespace has interfaces that are up: {', '.join(up)}")

    def _enter(self, pid):
        user = [] if os.geteuid() == 0 else ["--user", "--preserve-credentials"]
        return ["nsenter", "--target", str(pid), *user, "--net", "--"]

    def _canary(self):
        """Makes sure that what must not happen would be seen."""
        self.finish(self.empty, "canary", self.empty.start("/usr/bin/python3", "-I", "-c", CANARY), (0,))
        trace, subject = self.empty.traces.pop()
        self.canary.read(trace, subject)
        seen = [destination for _, destination, allowed in self.canary.rows if not allowed]
        for shown in CANARY_MUST_SHOW:
            if not any(destination.startswith(shown) for destination in seen):
                self.failures.append(f"the check is blind: it did not see the deliberate fault {shown}")

    # Running commands.

    def finish(self, home, what, process, codes):
        """Waits for a command and checks how it ended."""
        try:
            output, errors = process.communicate(timeout=COMMAND)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
            self.failures.append(f"{what} in the home “{home.name}” did not end within {COMMAND} s")
            return ""
        if process.returncode not in codes:
            text = errors.strip().splitlines()[-1:] or ["without a word"]
            self.failures.append(f"{what} in the home “{home.name}” ended with {process.returncode}: {text[0]}")
        return output

    def together(self, commands, codes=(0,)):
        """Runs commands, pairs of a home and its words, at once."""
        started = [(home, words, home.start(self.farseed, *words)) for home, words in commands]
        self.ran |= {words[0] for _, words in commands}
        for home, words, process in started:
            self.finish(home, " ".join(map(str, words[:2])), process, codes)

    def wait_live(self, home):
        """Waits until a home's link is live."""
        processes.until(home.live, LIVE, f"A live link in the home “{home.name}”", [home.server], POLL)

    # The scenario.

    def _page(self, url):
        """Asks the controller's web server, which answers on loopback."""
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        for path in ("/", "/healthz"):
            with opener.open(url + path, timeout=COMMAND) as reply:
                reply.read()

    def _torrent(self, name):
        metainfo, info_hash = self.lab.make_torrent(name, 200_000, seeded=False)
        file = self.directory / f"{info_hash}.torrent"
        file.write_bytes(metainfo)
        return file, info_hash

    def _main_job(self, home):
        """Looking and changing by way of the controller; returns a torrent for more of it."""
        self.say(f"{home.name}: looking and changing")
        file, spare = self._torrent(f"leaks-{home.directory.name}.iso")
        looking = (["list"], ["status"], ["exec", "--", "transmission-remote", "-l"])
        self.together([(home, words) for words in looking])
        for words in (["add", file], ["stop", spare], ["start", spare]):
            self.together([(home, words)])
        return spare

    def _every_command(self, home, spare):
        """Every other command once; names in web addresses and magnets tempt it to resolve them."""
        self.say(f"{home.name}: every command")
        watching = home.start("timeout", "-s", "INT", str(WATCH), self.farseed, "watch", "--json")
        self.together([(home, words) for words in (
            ["show", spare], ["files", spare], ["peers", spare], ["trackers", spare], ["stats"], ["free"], ["boxes"],
            ["config", "check"], ["config", "paths"], ["doctor"], ["session"], ["user", "list"], ["user", "audit"])])
        self.finish(home, "watch", watching, (0, 124, 130))
        magnet = f"magnet:?xt=urn:btih:{home.directory.name.encode().hex():a<40.40}&tr=http%3A%2F%2Ftracker.invalid%2Fannounce"
        new = home.directory / "new.toml"
        self.together([(home, words) for words in (
            ["session", "set", "alt_speed_enabled=false"], ["verify", spare], ["reannounce", spare],
            ["set", spare, "--label", "leaks"], ["queue", "top", spare], ["add", magnet, "--paused"],
            ["add", "http://leak.invalid/file.torrent", "--no-wait"],
            ["init", "--config", new, "--name", "other", "--address", self.lab.onion, "--user", "leaks",
             "--host-key", self.lab.host_key_line, "--key", new.with_suffix(".key")],
            ["deploy-agent", f"{self.lab.user}@{self.lab.onion}", "--key", self.lab.admin_key_path,
             "--agent", self.agent])])
        for words in (["rename", spare, f"{home.directory.name}.iso"],
                      ["move", spare, "--to", f"{self.lab.box_downloads}/{home.directory.name}"],
                      ["remove", spare, "--yes"], ["undo"], ["jobs"]):
            self.together([(home, words)])
        told = subprocess.run([self.farseed, "--help"], capture_output=True, text=True, check=True).stdout
        known = set(re.findall(r"^  ([a-z][a-z-]*) {2,}\S", told.split("SUBCOMMANDS:", 1)[1], re.MULTILINE))
        for name in sorted(known - self.ran - {"serve", "watch"}):
            self.failures.append(f"the command {name} was not run: add it to this script")

    def _faults(self, home, spare):
        """Breaks the link in each way, asks meanwhile, and waits until it is live again."""
        lab = self.lab
        faults = [("sshd's connection killed", lab.kill_sshd_connection, lambda: None),
                  ("the agent killed", lab.kill_agent, lambda: None),
                  ("tor killed", lab.kill_tor_client, lab.start_tor_client),
                  ("sshd stopped", lab.stop_sshd, lab.start_sshd)]
        for name, breaks, mends in faults:
            if home is self.own and name == "tor killed":
                continue  # That is another tor than its own.
            self.say(f"{home.name}: {name}")
            breaks()
            try:
                self.together([(home, words) for words in (
                    ["list"], ["status"], ["stop", spare, "--no-wait"], ["start", spare, "--no-queue"])],
                    (0, TIMED_OUT, *LINK_DOWN))
            finally:
                mends()
            self.wait_live(home)
            self.together([(home, ["exec", "--", "transmission-remote", "-si"])])

    # The result.

    def rows(self):
        """Reads the traces and returns an object per destination."""
        for home in self.homes:
            for trace, subject in home.traces:
                home.ledger.read(trace, subject)
            if not home.ledger.calls:
                self.failures.append(f"nothing was traced in the home “{home.name}”")
            attempts = home.ledger.rows["controller", "the SOCKS socket", True]["connect"]
            if home in (self.host, self.empty) and attempts < LEAST_ATTEMPTS:
                self.failures.append(f"the controller in the home “{home.name}” connected only {attempts} times: "
                                     "the faults did not break its link")
        rows = []
        for home in self.homes:
            for (who, destination, allowed), calls in sorted(home.ledger.rows.items()):
                excuse = None if allowed else EXCUSED.get((who, destination))
                verdict = "ok" if allowed else "excused" if excuse else "LEAK"
                if verdict == "LEAK":
                    self.failures.append(f"{who} in the home “{home.name}” reached {destination}")
                rows.append({"check": "leaks", "case": home.name, "subject": who, "destination": destination,
                             "count": calls.total(), "calls": dict(calls), "verdict": verdict, "reason": excuse,
                             "ok": verdict != "LEAK"})
        return rows

    def report(self, as_json):
        """Prints a line per destination and the verdict; returns the exit status."""
        for row in self.rows():
            if as_json:
                print(json.dumps(row))
            else:
                reason = f" ({row['reason']})" if row["reason"] else ""
                print(f"{row['verdict']:<8}{row['case']:<16} {row['subject']:<11} {row['count']:>6}  "
                      f"{row['destination']}{reason}")
        # With --json standard output holds the objects alone.
        output = sys.stderr if as_json else sys.stdout
        for failure in self.failures:
            print(f"fault: {failure}", file=output)
        print(f"{'FAIL' if self.failures else 'PASS'}: {sum(len(home.traces) for home in self.homes)} traced programs, "
              f"{sum(home.ledger.calls for home in self.homes)} calls, {len(self.failures)} faults", file=output)
        return 1 if self.failures else 0
