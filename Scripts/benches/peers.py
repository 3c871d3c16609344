"""What people use today: torsocks ssh, ssh with nc as ProxyCommand, OpenSSH's ControlMaster, and autossh."""

import contextlib
import os
import re
import subprocess
import sys
from pathlib import Path

from lab import LabError, processes

SCRIPTS = Path(__file__).resolve().parent.parent
#: How long one command of a peer may take, in seconds.
COMMAND = 180
#: More than sshd allows by default, in the peers' favour: with 10, most of fifty sessions at once are refused.
SSHD = "MaxSessions 100\nMaxStartups 200\n"
#: ssh gives up after so many seconds without an answer: as many as Farseed waits, where the manuals' examples take 90.
ALIVE = ["-o", "ServerAliveInterval=15", "-o", "ServerAliveCountMax=3"]


class Peers:
    """OpenSSH as it is used with Tor, to the lab's sshd, with a key that may run any command."""

    def __init__(self, directory, lab, family):
        self.directory = directory / "peers"
        self.directory.mkdir()
        self.lab, self.family = lab, family
        self.key = self.directory / "key"
        self.config = self.directory / "ssh_config"
        self.control = self.directory / "control"
        self.ports = {}
        self._prepare()

    def _prepare(self):
        processes.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "peer", "-f", self.key])
        vps = self.lab.directory / "vps"
        with open(vps / "authorized_keys", "a", encoding="ascii") as file:
            file.write(self.key.with_suffix(".pub").read_text())
        with open(vps / "sshd_config", "a", encoding="ascii") as file:
            file.write(SSHD)
        self.lab.stop_sshd()
        self.lab.start_sshd()
        known = self.directory / "known_hosts"
        known.write_text(f"vps {self.lab.host_key_line}\n")
        self.config.write_text(f"""\
User {self.lab.user}
IdentityFile {self.key}
IdentitiesOnly yes
HostKeyAlias vps
UserKnownHostsFile {known}
GlobalKnownHostsFile /dev/null
StrictHostKeyChecking yes
BatchMode yes
Compression yes
LogLevel ERROR
""")

    def port(self, way, fresh=False):
        """The SOCKS port on loopback for a way, "onion" or "exit"."""
        name = f"forward-{way}" + ("-fresh" if fresh else "")
        if name not in self.ports:
            path = self.lab.socks_unix if way == "onion" else self.lab.socks_any_unix
            child = self.family.start(name, [sys.executable, "-m", "benches.forward", path, *(["fresh"] * fresh)],
                                      env=os.environ | {"PYTHONPATH": str(SCRIPTS), "PYTHONDONTWRITEBYTECODE": "1"})
            found = processes.until(lambda: re.search(r"port (\d+)", child.text()), 30, "The SOCKS forwarder", [child])
            self.ports[name] = found[1]
        return self.ports[name]

    def torsocks(self, way, *words):
        """The argument vector of `torsocks ssh host …`, on a circuit that Tor may share."""
        host = self.lab.onion if way == "onion" else "192.0.2.1"
        return ["torsocks", "-a", "127.0.0.1", "-P", self.port(way), "ssh", "-F", str(self.config), host, *words]

    def proxied(self, way, *words, fresh=False):
        """The argument vector of ssh with nc as its ProxyCommand."""
        host = self.lab.onion if way == "onion" else "vps.test"
        proxy = f"ProxyCommand=nc -X 5 -x 127.0.0.1:{self.port(way, fresh)} %h %p"
        return ["ssh", "-F", str(self.config), "-o", proxy, host, *words]

    def shared(self, way, *words):
        """The argument vector of ssh through a running ControlMaster."""
        return [*self.proxied(way)[:-1], "-o", f"ControlPath={self.control}", "-o", "ControlMaster=no",
                self.proxied(way)[-1], *words]

    @contextlib.contextmanager
    def master(self, way):
        """A ControlMaster that runs for the time of a `with`."""
        argv = [*self.proxied(way)[:-1], "-o", f"ControlPath={self.control}", "-MN", self.proxied(way)[-1]]
        child = self.family.start("master", argv)
        try:
            processes.until(self.control.exists, COMMAND, "The start of the ControlMaster", [child])
            yield
        finally:
            child.stop()
            self.control.unlink(missing_ok=True)

    @contextlib.contextmanager
    def autossh(self, way):
        """A ControlMaster that autossh starts again whenever it has ended, for the time of a `with`."""
        argv = ["autossh", "-M", "0", *self.proxied(way)[1:-1], "-o", f"ControlPath={self.control}", *ALIVE,
                "-o", "ControlMaster=yes", "-N", self.proxied(way)[-1]]
        child = self.family.start("autossh", argv, env=os.environ | {"AUTOSSH_GATETIME": "0"})
        try:
            processes.until(self.is_kept, COMMAND, "The start of autossh's ssh", [child])
            yield
        finally:
            child.stop()
            self.control.unlink(missing_ok=True)

    def is_kept(self):
        """Whether a command succeeds by way of the ControlMaster, and by no connection of its own."""
        argv = ["ssh", "-F", str(self.config), "-o", "ProxyCommand=false", "-o", f"ControlPath={self.control}", "vps", "true"]
        try:
            return subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, timeout=COMMAND,
                                  check=False).returncode == 0
        except subprocess.TimeoutExpired:
            return False

    def run(self, argv):
        """Runs a command to its end; raises LabError where it fails."""
        done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace",
                              timeout=COMMAND, check=False)
        if done.returncode != 0:
            raise LabError(f"{' '.join(argv[:2])} … ended with {done.returncode}: {done.stderr.strip()[-300:]}")
        return done.stdout
