"""The remote machine: sshd with one forced-command key per role, an administrator's, and the agent's configuration."""

import getpass
import os
import shlex
import signal
from pathlib import Path

from .processes import descendants, listening, program, run, send, until
from .transmission import USER

ROLES = ("control", "read")
#: The key that opens a shell; its line stands in the account's own file, which a person may edit.
ADMIN = "admin"
PATIENCE = 30


class Vps:
    """sshd on loopback and what its keys lead to."""

    def __init__(self, family, directory, rpc_url, agent=None, password=None, port=22, environment=None):
        self.family = family
        self.directory = Path(directory)
        self.rpc_url = rpc_url
        self.agent = agent
        self.password = password
        self.port = port
        self.environment = environment or {}
        self.user = getpass.getuser()
        self.host_key_line = ""

    def start(self):
        """Makes keys and configuration, then starts sshd."""
        self.directory.mkdir(parents=True, exist_ok=True)
        for name in ("host", *ROLES, ADMIN):
            run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", f"farseed-lab-{name}", "-f", self.key(name)])
        kind, blob = self.key("host").with_suffix(".pub").read_text().split()[:2]
        self.host_key_line = f"{kind} {blob}"
        self.write_agent_conf()
        self.write_authorized_keys()
        own = self.directory.parent / "home" / ".ssh"
        own.mkdir(mode=0o700, exist_ok=True)
        (own / "authorized_keys").write_text(self.key(ADMIN).with_suffix(".pub").read_text())
        self._sshd_config().write_text(f"""\
Port {self.port}
ListenAddress 127.0.0.1
HostKey {self.key('host')}
PidFile none
UsePAM no
StrictModes no
AuthorizedKeysFile {self.directory / 'authorized_keys'} .ssh/authorized_keys
PermitRootLogin prohibit-password
PasswordAuthentication no
KbdInteractiveAuthentication no
AuthenticationMethods publickey
AllowTcpForwarding no
X11Forwarding no
PermitUserEnvironment no
PrintMotd no
PrintLastLog no
UseDNS no
LogLevel VERBOSE
""")
        self.start_sshd()

    def key(self, name):
        """The private key file of "host", of a role or of the administrator."""
        return self.directory / f"{name}_ed25519"

    def write_agent_conf(self, **overrides):
        """Writes the agent's configuration; overrides use underscores for the keywords' hyphens, None omits one."""
        state = self.directory / "agent-state"
        state.mkdir(exist_ok=True)
        values = {"rpc-url": self.rpc_url, "state-directory": state,
                  "transmission-remote": "/usr/bin/transmission-remote"}
        if self.password:
            secret = self.directory / "rpc-auth"
            secret.touch(mode=0o600)
            secret.write_text(f"{USER}:{self.password}\n")
            values["rpc-auth-file"] = secret
        values |= {name.replace("_", "-"): value for name, value in overrides.items()}
        path = self.directory / "agent.conf"
        path.write_text("".join(f"{name} {value}\n" for name, value in values.items() if value is not None))
        return str(path)

    def write_authorized_keys(self, agent=None):
        """Binds each role's key to the agent's gate; without an agent, to a dummy that echoes its input."""
        self.agent = agent or self.agent
        lines = []
        for role in ROLES:
            public = self.key(role).with_suffix(".pub").read_text().strip()
            lines.append(f'restrict,command="{self._command(role)}" {public}\n')
        (self.directory / "authorized_keys").write_text("".join(lines))

    def _command(self, role):
        if self.agent is None:
            return f"echo farseed-lab {role}; exec cat"
        words = [self.agent, "gate", "--role", role, "--config", self.directory / "agent.conf"]
        settings = [f"{name}={value}" for name, value in self.environment.items()]
        prefix = ["env", *settings] if settings else []
        return shlex.join([*prefix, *map(str, words)]).replace('"', '\\"')

    def _sshd_config(self):
        return self.directory / "sshd_config"

    # Breaking and mending.

    def start_sshd(self):
        """Starts the listener."""
        child = self.family.start("sshd", ["/usr/sbin/sshd", "-D", "-e", "-f", self._sshd_config()])
        until(lambda: listening(self.port), PATIENCE, "The start of sshd", [child])

    def stop_sshd(self):
        """Ends the listener and all its connections."""
        connections = self.connections()
        self.family.children["sshd"].kill()
        send(connections, signal.SIGKILL)

    def connections(self):
        """The pids of sshd's per-connection processes."""
        listener = self.family.children["sshd"].pid
        return [pid for pid in descendants(os.getpid(), "sshd") if pid != listener]

    def oldest_connection(self):
        """The pids of the connection that was made first: sshd has one process or two for each."""
        first = min(pid for pid in descendants(self.family.children["sshd"].pid, "sshd"))
        return [first, *descendants(first, "sshd")]

    def agents(self):
        """The pids of the agents (or dummies) that sshd's connections have started, and of their resident."""
        name = Path(self.agent).name if self.agent else "cat"
        # The resident is started by way of /proc/self/exe and so has another name in the process table.
        return [pid for pid in descendants(os.getpid()) if program(pid) == name]

    def signal_connections(self, number, oldest=False):
        """Sends a signal to every connection's sshd, or to the oldest; returns how many there were."""
        return len(send(self.oldest_connection() if oldest else self.connections(), number))

    def signal_agents(self, number):
        """Sends a signal to every agent; returns how many there were."""
        return len(send(self.agents(), number))
