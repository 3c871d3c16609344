"""A home side whose programs all run under strace."""

import json
import re
import signal
import subprocess
from pathlib import Path

from lab import processes

from .ledger import Ledger

#: Deadlines in seconds: a traced command, the start of a controller, a controller's end.
COMMAND, SERVE, END = 120, 60, 30

#: What is watched. io_uring could do all of it unseen, so its use is a fault of its own.
CALLS = "socket,connect,bind,sendto,sendmsg,sendmmsg,execve,execveat,io_uring_setup"
#: -Y and -yy name programs and sockets; no payload is written down.
STRACE = ["strace", "-f", "--seccomp-bpf", "-Y", "-yy", "-s", "0", "-qq", "-e", "signal=none", "-e", f"trace={CALLS}"]


class Home:
    """A place to run `farseed` from, with a state, a configuration and a ledger of its own."""

    def __init__(self, check, name, prefix=(), **config):
        self.check = check
        self.name = name
        self.prefix = list(prefix)
        self.directory = check.directory / name.replace(" ", "-")
        self.state = self.directory / "state"
        self.state.mkdir(mode=0o700, parents=True)
        self.config = check.lab.write_config(self.directory / "farseed.toml", **config)
        self.environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": str(self.directory), "LANG": "C.UTF-8",
                            "FARSEED_CONFIG": str(self.config), "XDG_STATE_HOME": str(self.state)}
        own = self.state / "farseed"
        self.ledger = Ledger(name, {
            "the SOCKS socket": Path(check.lab.socks_unix),
            "the SOCKS socket for any name": Path(check.lab.socks_any_unix),
            "tor's control socket": Path(check.lab.control_unix),
            "the controller's control socket": own / "control.sock",
            "the own tor's sockets": own / "tor",
            "the SOCKS port on loopback": check.lab.socks_tcp,
        })
        self.number = 0
        self.traces = []
        self.server = None

    def argv(self, subject, words):
        """A traced command line."""
        self.number += 1
        trace = self.directory / f"{self.number}.trace"
        self.traces.append((trace, subject))
        return [*self.prefix, *STRACE, "-o", str(trace), *map(str, words)]

    def start(self, *words):
        """Starts a traced command; `finish` waits for it."""
        argv = self.argv("commands", words)
        return subprocess.Popen(["setpriv", "--pdeathsig", "TERM", "--", *argv], env=self.environment,
                                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                text=True, errors="replace", process_group=0)

    def serve(self):
        """Starts the traced controller."""
        child = self.check.family.start(f"serve-{self.directory.name}",
                                        self.argv("controller", [self.check.farseed, "serve"]), env=self.environment)
        self.server = child
        found = processes.until(lambda: re.search(r"^(http://[^/\s]+)/", child.text(), re.MULTILINE), SERVE,
                                f"The start of the controller in the home “{self.name}”", [child])
        return found[1]

    def live(self):
        """Whether the controller says that its link is live; asked untraced, by its control socket."""
        done = subprocess.run([self.check.farseed, "status", "--json"], env=self.environment, capture_output=True,
                              stdin=subprocess.DEVNULL, timeout=COMMAND, check=False)
        try:
            return json.loads(done.stdout)["boxes"][0]["link"]["state"] == "live"
        except (ValueError, KeyError, IndexError):
            return False

    def end(self):
        """Ends the controller as a service manager does, so that its end is in the trace too."""
        processes.send(processes.descendants(self.server.pid, self.check.farseed.name), signal.SIGTERM)
        processes.until(lambda: not self.server.running, END, f"The end of the controller in “{self.name}”")
        return self.server.popen.returncode
