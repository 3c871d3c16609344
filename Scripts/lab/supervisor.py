"""Process 1 of the lab: starts the parts, answers the host's requests and ends everything when the host is gone.

Requests and replies are JSON lines: {"id": 1, "call": "kill_agent", "arguments": {}} is answered by
{"id": 1, "result": …} or {"id": 1, "error": "…"}; {"progress": "…"} may come in between.
"""

import base64
import concurrent.futures
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import traceback
from pathlib import Path

from .processes import Family, LabError, process_table, until
from .tornet import RELAYS, TorNetwork
from .transmission import Swarm, forget_sessions
from .vps import Vps

#: How often orphaned children are collected, in seconds.
REAP = 1.0
#: How long killed processes may take to disappear, in seconds.
PATIENCE = 5.0


class Laboratory:
    """The parts and the requests that may be made of them: every method without an underscore."""

    def __init__(self, directory, ports, say):
        self._directory = directory
        self._ports = ports
        self._say = say
        self._family = Family(directory / "logs")
        self._net = self._vps = self._swarm = None

    def start(self, delay_ms=0, onions=1, agent=None, password=None, torrents=12, vps=True, environment=None,
              relays=RELAYS, jitter_ms=0):
        """Starts all parts side by side and returns what the host needs to know."""
        socks_port, gate_port = self._ports
        self._net = TorNetwork(self._family, self._directory / "tor", onions, delay_ms,
                               gateway=f"127.0.0.1:{gate_port}", say=self._say, relays=relays, jitter_ms=jitter_ms)
        facts = {"socks_port": socks_port}
        pool = concurrent.futures.ThreadPoolExecutor()
        try:
            parts = [pool.submit(self._start_gate), pool.submit(self._net.start)]
            if vps:
                parts.append(pool.submit(self._start_vps, agent, password, torrents, environment))
            for part in concurrent.futures.as_completed(parts):
                part.result()
        finally:
            # Where one part fails the others are not waited for: the lab ends.
            pool.shutdown(wait=False)
        if vps:
            self._say("waiting for the first answer of sshd through its onion address")
            for i in range(onions):
                self._net.wait_reachable(i)
            self._net.wait_exit()
            facts |= {
                "user": self._vps.user, "host_key_line": self._vps.host_key_line,
                "key_path": str(self._vps.key("control")), "read_key_path": str(self._vps.key("read")),
                "admin_key_path": str(self._vps.key("admin")), "home": str(self._directory / "home"),
                "agent_conf": str(self._vps.directory / "agent.conf"), "hashes": self._swarm.hashes,
                "box_downloads": str(self._swarm.box.downloads), "rpc_url": self._swarm.box.url,
            }
        return facts | {
            "socks_unix": str(self._net.socks_unix), "socks_any_unix": str(self._net.socks_any_unix),
            "control_unix": str(self._net.control_unix), "control_password": self._net.control_password,
            "client_torrc": str(self._net.client_torrc), "client_auth_secret": str(self._net.secret_file),
            "onions": self._net.addresses,
        }

    def _start_gate(self):
        path = self._directory / "gate"
        child = self._family.start("gate", [sys.executable, "-m", "lab.bridge", "gate", path])
        until(lambda: "listening" in child.text(), 30, "The start of the gate", [child])

    def _start_vps(self, agent, password, torrents, environment):
        self._say("starting the seedbox: sshd and three transmission-daemons")
        self._swarm = Swarm(self._family, self._directory / "swarm", password, self._say)
        self._vps = Vps(self._family, self._directory / "vps", self._swarm.box.url, agent, password,
                        environment=environment)
        self._vps.start()
        self._swarm.start(torrents)

    # Breaking and mending.

    def kill_tor_client(self):
        self._family.children["client"].kill()

    def start_tor_client(self):
        self._net.start_client()

    def wait_tor_client(self):
        self._net.wait_client()

    def kill_onion(self, i=0):
        self._family.children[f"onion{i}"].kill()

    def start_onion(self, i=0):
        self._net.start_onion(i)

    def kill_relay(self, i):
        self._family.children[self._net.relays[i]].kill()

    def start_relay(self, i):
        self._family.children[self._net.relays[i]].start()

    def blackhole(self, on):
        self._net.blackhole(on)

    def set_client_auth(self, allowed):
        self._net.set_client_auth(allowed)

    def wait_reachable(self, i=0, seconds=90):
        return self._net.wait_reachable(i, seconds).decode(errors="replace").strip()

    def stop_sshd(self):
        self._vps.stop_sshd()

    def start_sshd(self):
        self._vps.start_sshd()

    def freeze_sshd_listener(self, on):
        self._family.children["sshd"].signal(signal.SIGSTOP if on else signal.SIGCONT)

    def sshd_connections(self):
        return self._vps.connections()

    def kill_sshd_connection(self, oldest=False):
        return self._vps.signal_connections(signal.SIGKILL, oldest)

    def freeze_sshd_connection(self, oldest=False):
        return self._vps.signal_connections(signal.SIGSTOP, oldest)

    def thaw_sshd_connection(self):
        return self._vps.signal_connections(signal.SIGCONT)

    def kill_agent(self):
        return self._vps.signal_agents(signal.SIGKILL)

    def freeze_agent(self):
        return self._vps.signal_agents(signal.SIGSTOP)

    def thaw_agent(self):
        return self._vps.signal_agents(signal.SIGCONT)

    def agents(self):
        return self._vps.agents()

    def set_agent(self, agent):
        self._vps.write_authorized_keys(agent)

    def write_agent_conf(self, overrides):
        return self._vps.write_agent_conf(**overrides)

    def stop_transmission(self, name="box", number=signal.SIGKILL):
        self._swarm.daemons[name].stop(number)

    def freeze_transmission(self, name="box"):
        self._swarm.daemons[name].signal(signal.SIGSTOP)

    def thaw_transmission(self, name="box"):
        self._swarm.daemons[name].signal(signal.SIGCONT)

    def start_transmission(self, name="box"):
        self._swarm.daemons[name].start()

    def set_password(self, password, name="box"):
        self._swarm.daemons[name].set_password(password)

    def connections(self):
        return self._vps.connections()

    # Torrents.

    def rpc(self, method, arguments=None, name="box"):
        return self._swarm.daemons[name].rpc(method, arguments)

    def make_torrent(self, name, size, seeded=True):
        data, info_hash = self._swarm.make(name, size, seeded)
        return {"metainfo": base64.b64encode(data).decode(), "hash": info_hash}

    def moving(self):
        return self._swarm.moving()

    # Other programs inside.

    def run(self, argv, stdin="", timeout=60, env=None, cwd=None):
        done = subprocess.run(argv, input=base64.b64decode(stdin), capture_output=True, timeout=timeout, check=False,
                              env=os.environ | (env or {}), cwd=cwd)
        return {"status": done.returncode, "stdout": base64.b64encode(done.stdout).decode(),
                "stderr": base64.b64encode(done.stderr).decode()}

    def spawn(self, name, argv, env=None, cwd=None):
        child = self._family.start(name, argv, env=os.environ | (env or {}), cwd=cwd)
        return {"pid": child.pid, "log": str(child.log)}

    def end(self, name):
        self._family.children[name].stop()

    def processes(self):
        return sorted(name for _, name, _ in process_table().values())

    def tails(self, lines=15):
        return self._family.tails(lines)


class Channel:
    """The socket to the host; answers may come from several threads."""

    def __init__(self, number):
        self.socket = socket.socket(fileno=number)
        self.lock = threading.Lock()

    def send(self, **message):
        with self.lock:
            try:
                self.socket.sendall(json.dumps(message).encode() + b"\n")
            except OSError:
                pass

    def answer(self, laboratory, request):
        """Carries out one request."""
        try:
            if request["call"].startswith("_"):
                raise LabError(f"The lab has no call {request['call']}.")
            result = getattr(laboratory, request["call"])(**request.get("arguments", {}))
            self.send(id=request["id"], result=result)
        except Exception as error:  # Every failure is the caller's to see.
            traceback.print_exc()
            text = str(error) if isinstance(error, LabError) else f"{type(error).__name__}: {error}"
            self.send(id=request["id"], error=text)


def reap(family, stop):
    """Collects the orphans that process 1 inherits; the family's own children are left to it."""
    while not stop.wait(REAP):
        own = {child.popen.pid for child in family.children.values() if child.popen}
        for pid, (parent, _, state) in process_table().items():
            if parent == os.getpid() and state == "Z" and pid not in own:
                try:
                    os.waitpid(pid, os.WNOHANG)
                except ChildProcessError:
                    pass


def end(directory):
    """Kills everything in the namespace, removes the directory and exits."""
    deadline = time.monotonic() + PATIENCE
    while os.getpid() == 1 and time.monotonic() < deadline:
        # More than once, since another thread may be starting a process right now.
        try:
            os.kill(-1, signal.SIGKILL)
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        except (ProcessLookupError, ChildProcessError):
            break
        time.sleep(0.02)
    forget_sessions(directory / "swarm")
    shutil.rmtree(directory, ignore_errors=True)
    os._exit(0)


def main():
    """Serves the host until it closes the socket."""
    number, directory, *ports = sys.argv[1:]
    directory = Path(directory)
    signal.signal(signal.SIGTERM, lambda *_: end(directory))
    channel = Channel(int(number))
    laboratory = Laboratory(directory, [int(port) for port in ports], lambda text: channel.send(progress=text))
    threading.Thread(target=reap, args=(laboratory._family, threading.Event()), daemon=True).start()
    try:
        for line in channel.socket.makefile("r", encoding="utf-8"):
            arguments = (laboratory, json.loads(line))
            threading.Thread(target=channel.answer, args=arguments, daemon=True).start()
    except (OSError, ValueError):
        traceback.print_exc()
    end(directory)


if __name__ == "__main__":
    main()
