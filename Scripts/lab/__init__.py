"""A laboratory on one machine: a private Tor network, a VPS with sshd and a seedbox, and torrents that move.

    with Lab(agent="/path/farseed-agent") as lab:
        config = lab.write_config("/path/farseed.toml")
        lab.kill_sshd_connection()
        lab.box.rpc("torrent-get", {"fields": ["name", "percentDone"]})

Everything inside runs in namespaces of its own and ends with the program that made the `Lab`, however that ends.
`python3 Scripts/lab` offers the same over JSON lines for programs in other languages.
"""

import base64
import json
import shutil
import subprocess
import tempfile
import threading
import time
from pathlib import Path

from .processes import LabError
from .tornet import RELAYS
from .transmission import forget_sessions

#: The longest path of a unix socket that Linux takes, less the longest name below the directory.
LONGEST_DIRECTORY = 107 - len("/tor/control-cookie")
#: How long the supervisor may take to remove everything, in seconds.
PATIENCE = 15.0

__all__ = ["Lab", "LabError"]


class Box:
    """The RPC of one of the lab's transmission-daemons, by default the seedbox's."""

    def __init__(self, lab, name="box"):
        self.lab = lab
        self.name = name

    def rpc(self, method, arguments=None):
        """Calls a method and returns the reply's arguments; raises LabError where the daemon refuses."""
        return self.lab.call("rpc", method=method, arguments=arguments, name=self.name)

    def torrents(self, *fields):
        """The rows of torrent-get, by info hash."""
        rows = self.rpc("torrent-get", {"fields": ["hashString", "name", *fields]})["torrents"]
        return {row["hashString"]: row for row in rows}


class Lab:
    """Starts the lab on entering and removes it on leaving; its attributes are the names in `start`'s reply.

    socks_unix, socks_any_unix (without OnionTrafficOnly, for vps.test), socks_tcp, control_unix, control_password,
    client_torrc, client_auth_secret, onions, onion, and with `vps`: user, home, host_key_line, key_path, read_key_path,
    admin_key_path, agent_conf, hashes, box_downloads, rpc_url.
    """

    def __init__(self, directory=None, delay_ms=0, agent=None, onions=1, password=None, torrents=12, vps=True,
                 environment=None, say=None, relays=RELAYS, jitter_ms=0):
        self.directory = Path(directory) if directory else None
        self.options = {
            "delay_ms": delay_ms, "agent": str(agent) if agent else None, "onions": onions, "password": password,
            "torrents": torrents, "vps": vps, "environment": environment, "relays": relays, "jitter_ms": jitter_ms,
        }
        self.say = say or (lambda text: None)
        self.process = None
        self.lock = threading.Lock()
        self.number = 0
        self.box, self.seed, self.peer = Box(self), Box(self, "seed"), Box(self, "peer")

    # Life.

    def start(self):
        """Starts everything; returns when sshd answers through every onion address."""
        if self.directory is None:
            self.directory = Path(tempfile.mkdtemp(prefix="farseed-lab-"))
        self.directory = self.directory.resolve()
        self.directory.mkdir(parents=True, exist_ok=True)
        if len(str(self.directory)) > LONGEST_DIRECTORY:
            raise LabError(f"The path {self.directory} is too long for unix sockets; set TMPDIR to a shorter one.")
        # Here, since the same module is the main program of process 1 inside.
        from . import namespace

        self.process, self.socket = namespace.enter(self.directory)
        self.reader = self.socket.makefile("r", encoding="utf-8")
        try:
            self.facts = self.call("start", **self.options)
        except BaseException:
            self.stop()
            raise
        self.facts["onion"] = self.facts["onions"][0] if self.facts["onions"] else None
        self.facts["socks_tcp"] = f"127.0.0.1:{self.facts['socks_port']}"
        return self

    def stop(self):
        """Ends every process of the lab and removes its directory."""
        if self.process is None:
            return
        self.reader.close()
        self.socket.close()
        try:
            self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process = None
        forget_sessions(self.directory / "swarm")
        # Also here, for the case that the supervisor was killed before it could do it.
        for _ in range(20):
            shutil.rmtree(self.directory, ignore_errors=True)
            if not self.directory.exists():
                break
            time.sleep(0.05)

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.stop()

    def __getattr__(self, name):
        facts = self.__dict__.get("facts", {})
        if name in facts:
            return facts[name]
        raise AttributeError(f"The lab has no {name}, or it has not been started")

    # Requests to the supervisor.

    def call(self, name, /, **arguments):
        """Makes one request of the supervisor and waits for its answer."""
        with self.lock:
            self.number += 1
            request = {"id": self.number, "call": name, "arguments": arguments}
            try:
                self.socket.sendall(json.dumps(request).encode() + b"\n")
                return self._answer()
            except (OSError, ValueError) as error:
                raise LabError(f"The lab's supervisor is gone during {name}: {error}") from error

    def _answer(self):
        for line in self.reader:
            message = json.loads(line)
            if "progress" in message:
                self.say(message["progress"])
            elif "fatal" in message:
                raise LabError(message["fatal"])
            elif message["id"] == self.number:
                if "error" in message:
                    raise LabError(message["error"])
                return message["result"]
        log = self.directory / "supervisor.log"
        text = log.read_text(errors="replace") if log.exists() else ""
        raise LabError(f"The lab's supervisor ended without an answer.\n{text[-2000:]}")

    def run_in_namespace(self, argv, stdin=b"", timeout=60, env=None, cwd=None):
        """Runs a program inside the lab and returns its CompletedProcess, with bytes as output."""
        reply = self.call("run", argv=[str(word) for word in argv], stdin=base64.b64encode(stdin).decode(),
                          timeout=timeout, env=env, cwd=cwd)
        output, errors = (base64.b64decode(reply[name]) for name in ("stdout", "stderr"))
        return subprocess.CompletedProcess(argv, reply["status"], output, errors)

    def spawn(self, name, argv, env=None, cwd=None):
        """Starts a program inside the lab that runs until `end(name)`; returns its pid there and its log."""
        return self.call("spawn", name=name, argv=[str(word) for word in argv], env=env, cwd=cwd)

    def end(self, name):
        """Ends what `spawn` started."""
        self.call("end", name=name)

    def tails(self, lines=15):
        """The tails of all logs inside the lab."""
        return self.call("tails", lines=lines)

    def make_torrent(self, name, size, seeded=True):
        """A new torrent's (metainfo bytes, info hash), seeded inside but not yet on the box."""
        reply = self.call("make_torrent", name=name, size=size, seeded=seeded)
        return base64.b64decode(reply["metainfo"]), reply["hash"]

    def moving(self):
        """How many of the box's torrents have exchanged data."""
        return self.call("moving")

    # Breaking and mending: each returns when it is done; the counts say how many processes were reached.

    def kill_tor_client(self):
        self.call("kill_tor_client")

    def start_tor_client(self, wait=False):
        self.call("start_tor_client")
        if wait:
            self.call("wait_tor_client")

    def kill_onion(self, i=0):
        self.call("kill_onion", i=i)

    def start_onion(self, i=0):
        self.call("start_onion", i=i)

    def kill_relay(self, i):
        self.call("kill_relay", i=i)

    def start_relay(self, i):
        self.call("start_relay", i=i)

    def blackhole(self, on=True):
        """Lets the Tor network swallow everything, connections staying open, or go on again."""
        self.call("blackhole", on=on)

    def set_client_auth(self, allowed):
        """Gives Tor's client the onion services' key or takes it away (SOCKS then answers F4)."""
        self.call("set_client_auth", allowed=allowed)

    def wait_reachable(self, i=0, seconds=90):
        """Waits until sshd answers through onion address `i`; returns its banner."""
        return self.call("wait_reachable", i=i, seconds=seconds)

    def stop_sshd(self):
        self.call("stop_sshd")

    def start_sshd(self):
        self.call("start_sshd")

    def freeze_sshd_listener(self, on=True):
        """Lets no new connection come to be, or go on again."""
        self.call("freeze_sshd_listener", on=on)

    def sshd_connections(self):
        """The pids of sshd's processes for connections, as the seedbox sees them."""
        return self.call("sshd_connections")

    def kill_sshd_connection(self, oldest=False):
        return self.call("kill_sshd_connection", oldest=oldest)

    def freeze_sshd_connection(self, oldest=False):
        return self.call("freeze_sshd_connection", oldest=oldest)

    def thaw_sshd_connection(self):
        return self.call("thaw_sshd_connection")

    def kill_agent(self):
        return self.call("kill_agent")

    def freeze_agent(self):
        return self.call("freeze_agent")

    def thaw_agent(self):
        return self.call("thaw_agent")

    def set_agent(self, agent):
        """Binds the keys to another agent, from the next connection on; a missing path is allowed."""
        self.call("set_agent", agent=str(agent))

    def write_agent_conf(self, **overrides):
        """Rewrites the agent's configuration for its next start, for example rpc_auth_file=None."""
        return self.call("write_agent_conf", overrides={k: str(v) if v is not None else None
                                                        for k, v in overrides.items()})

    def stop_transmission(self, name="box"):
        self.call("stop_transmission", name=name)

    def freeze_transmission(self, name="box"):
        """Lets the daemon answer nothing, its port staying open."""
        self.call("freeze_transmission", name=name)

    def thaw_transmission(self, name="box"):
        self.call("thaw_transmission", name=name)

    def start_transmission(self, name="box"):
        self.call("start_transmission", name=name)

    def set_password(self, password, name="box"):
        """Restarts a daemon so that its RPC demands this password, or none; the agent is not told."""
        self.call("set_password", password=password, name=name)

    def connections(self):
        """The pids, inside, of sshd's processes for its connections."""
        return self.call("connections")

    def expose_socks_tcp(self):
        """The address of the SOCKS port on the host's loopback: a forwarder to the unix socket."""
        return self.socks_tcp

    # Configuration of the controller.

    def write_config(self, path, web=None, tor=None, link=None, box=None, control=None, name="vps",
                     own_tor=False):
        """Writes a farseed.toml for this lab and returns its path; None as a value leaves that line out.

        `own_tor` makes the controller start its own tor child, which joins the lab's network.
        """
        reach = {"include": self.client_torrc} if own_tor else {
            "socks": f"unix:{self.socks_unix}", "control": f"unix:{self.control_unix}"}
        place = {"address": self.onions[0]} if len(self.onions) == 1 else {"addresses": self.onions}
        tables = {
            "control": control or {},
            "web": {"listen": "127.0.0.1:0"} | (web or {}),
            "tor": reach | (tor or {}),
            "link": link or {},
            f"box.{name}": place | {
                "port": 22, "user": self.user, "key": self.key_path, "host-key": self.host_key_line,
                "client-auth": self.client_auth_secret,
            } | (box or {}),
        }
        lines = []
        for table, values in tables.items():
            lines.append(f"[{table}]")
            # JSON's strings, numbers, booleans and arrays are written alike in TOML.
            lines += [f"{key} = {json.dumps(value, ensure_ascii=False)}"
                      for key, value in values.items() if value is not None]
            lines.append("")
        Path(path).write_text("\n".join(lines), encoding="utf-8")
        return Path(path)
