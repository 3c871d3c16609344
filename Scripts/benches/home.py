"""The home side of a bench: a configuration, the command line and a running controller."""

import json
import os
import subprocess
from pathlib import Path

from lab import LabError, processes

#: Deadlines in seconds: one command, a controller's start, a live link.
COMMAND, SERVE, LIVE = 180, 60, 180


def agents(lab):
    """The pids, on the host, of the seedbox's agent: its gates and its resident, which bears another name."""
    found = []
    for pid in processes.descendants(lab.process.pid):
        try:
            words = Path("/proc", str(pid), "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if words[0].endswith(b"farseed-agent") and words[1:2] in ([b"gate"], [b"serve"], [b"resident"]):
            found.append(pid)
    return found


class Home:
    """One home side; `overrides` are those of `Lab.write_config`."""

    def __init__(self, directory, name, lab, family, farseed, **overrides):
        self.directory = directory / name
        (self.directory / "state").mkdir(parents=True, mode=0o700)
        self.name, self.family, self.farseed = name, family, str(farseed)
        #: Whether the seedbox is reached at its onion service, not by an exit.
        self.by_onion = "address" not in overrides.get("box", {})
        config = lab.write_config(self.directory / "farseed.toml", **overrides)
        self.environment = {
            "PATH": os.environ["PATH"], "HOME": str(self.directory), "LANG": "C.UTF-8",
            "FARSEED_CONFIG": str(config), "XDG_STATE_HOME": str(self.directory / "state"),
        }
        self.server = None

    def argv(self, *words):
        """The argument vector of a farseed command."""
        return [self.farseed, *map(str, words)]

    def call(self, *words, timeout=COMMAND):
        """Runs a command to its end, whatever its exit status."""
        return subprocess.run(self.argv(*words), env=self.environment, stdin=subprocess.DEVNULL, capture_output=True,
                              text=True, errors="replace", timeout=timeout, check=False)

    def run(self, *words):
        """Runs a command that must succeed and returns its output."""
        done = self.call(*words)
        if done.returncode != 0:
            raise LabError(f"farseed {words[0]} ended with {done.returncode}: {done.stderr.strip()[-300:]}")
        return done.stdout

    def __enter__(self):
        self.server = self.family.start(f"serve-{self.name}", self.argv("serve"), env=self.environment)
        processes.until(lambda: self.link().get("state") == "live", LIVE, "A live link", [self.server], 0.2)
        return self

    def __exit__(self, *_):
        self.server.stop()

    def link(self):
        """What `farseed status --json` tells of the link; empty without a controller."""
        try:
            return json.loads(self.call("status", "--json").stdout)["boxes"][0]["link"]
        except (ValueError, LookupError):
            return {}

    def rtt(self):
        """The link's smoothed round trip, in seconds."""
        return processes.until(lambda: self.link().get("rtt_ms"), LIVE, "A measured round trip") / 1000
