"""The servers of `bench fanout`, each as a `with` block: Farseed, crossbar, nchan, and the bare C loop."""

import contextlib
import json
import os
import re
import secrets
import socket
import subprocess
from pathlib import Path

from lab import LabError, packages, processes

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
#: An own Python for crossbar, beside the build: it brings eighty packages, of which nothing else shall know.
CROSSBAR, VERSION = ROOT / ".build" / "crossbar", "crossbar==26.10.1"
#: How long a server may take to start, and crossbar to be installed, in seconds.
START, INSTALL = 60, 600
#: Sessions of one name, as in fanout_client.c; Farseed takes 256 of a user.
PER_NAME = 200


class Server:
    """One server that is up: where it is, and what it costs."""

    def __init__(self, name, child, port, subscribe="/ws", publish="/ws", secret=None):
        self.name, self.child, self.port = name, child, port
        self.subscribe, self.publish, self.secret = subscribe, publish, secret

    @property
    def pids(self):
        """All its processes."""
        return [self.child.pid, *processes.descendants(self.child.pid)]

    def cpu(self):
        """CPU seconds that it has used, user and system."""
        return processes.cpu(self.pids)

    def resident(self):
        """Its resident memory, in kilobytes."""
        return sum(map(processes.memory, self.pids)) / 1024


def compile_c(directory, name, *libraries):
    """Compiles one of the bench's own C programs and returns its path."""
    program = directory / name
    processes.run(["cc", "-O2", "-Wall", "-o", program, HERE / f"{name}.c", *libraries])
    return program


def free_port():
    """A port of loopback that nobody uses now."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def names(subscribers):
    """What the client calls its sessions."""
    return ["publisher", *(f"bench{number}" for number in range(-(-subscribers // PER_NAME)))]


@contextlib.contextmanager
def running(name, family, argv, port=None, **places):
    """Starts a server and waits until it listens."""
    child = family.start(name, argv, env=places.pop("env", None))
    try:
        if port is None:
            found = processes.until(lambda: re.search(r"http://127.0.0.1:(\d+)/", child.text()), START,
                                    f"The start of {name}", [child])
            port = int(found[1])
        processes.until(lambda: processes.listening(port), START, f"The start of {name}", [child])
        yield Server(name, child, port, **places)
    finally:
        child.stop()


@contextlib.contextmanager
def farseed(directory, family, options, subscribers):
    """`farseed serve` without a seedbox: the events are a worker's, which publishes as any program may."""
    secret = secrets.token_hex(16)
    file = directory / "secret"
    file.write_text(secret)
    file.chmod(0o600)
    (directory / "state").mkdir(mode=0o700)
    lines = ['[web]\nlisten = "127.0.0.1:0"', f'[tor]\nsocks = "unix:{directory}/none"']
    lines += [f'[worker.{name}]\nrole = "viewer"\nsecret-file = "{file}"\ntopics = ["com.example."]'
              for name in names(subscribers)]
    config = directory / "farseed.toml"
    config.write_text("\n".join(lines) + "\n")
    environment = {"PATH": os.environ["PATH"], "HOME": str(directory), "LANG": "C.UTF-8",
                   "FARSEED_CONFIG": str(config), "XDG_STATE_HOME": str(directory / "state")}
    with running("farseed", family, [options.farseed, "serve"], env=environment, secret=secret) as server:
        yield server


@contextlib.contextmanager
def crossbar(directory, family, _, subscribers):
    """A crossbar node with one router worker, as its own documents begin."""
    secret, port = secrets.token_hex(16), free_port()
    users = {name: {"secret": secret, "role": "bench"} for name in names(subscribers)}
    allowed = {"call": False, "register": False, "publish": True, "subscribe": True}
    permission = {"uri": "com.example.", "match": "prefix", "allow": allowed, "cache": True}
    transport = {"type": "websocket", "endpoint": {"type": "tcp", "interface": "127.0.0.1", "port": port,
                                                   "backlog": 1024},
                 "serializers": ["json"], "auth": {"wampcra": {"type": "static", "users": users}}}
    realm = {"name": "farseed", "roles": [{"name": "bench", "permissions": [permission]}]}
    worker = {"type": "router", "realms": [realm], "transports": [transport]}
    (directory / "config.json").write_text(json.dumps({"version": 2, "workers": [worker]}))
    argv = [CROSSBAR / "bin/python", CROSSBAR / "bin/crossbar", "start", "--cbdir", directory, "--loglevel", "warn"]
    environment = {"PATH": os.environ["PATH"], "HOME": str(directory), "LANG": "C.UTF-8"}
    with running("crossbar", family, argv, port, env=environment, secret=secret) as server:
        yield server


@contextlib.contextmanager
def nchan(directory, family, _, __):
    """nginx with its module for publishing, one worker as crossbar and the C loop have one."""
    port = free_port()
    config = directory / "nginx.conf"
    config.write_text(f"""\
load_module /usr/lib/nginx/modules/ngx_nchan_module.so;
daemon off;
worker_processes 1;
worker_rlimit_nofile 16384;
pid {directory}/nginx.pid;
error_log stderr;
events {{ worker_connections 8192; }}
http {{
    access_log off;
    client_body_temp_path {directory}/body;
    proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/fastcgi;
    uwsgi_temp_path {directory}/uwsgi;
    scgi_temp_path {directory}/scgi;
    server {{
        listen 127.0.0.1:{port} backlog=1024;
        location = /sub {{ nchan_subscriber websocket; nchan_channel_id bench; nchan_subscriber_first_message newest; }}
        location = /pub {{ nchan_publisher websocket; nchan_channel_id bench; }}
    }}
}}
""")
    argv = ["nginx", "-c", config, "-p", directory, "-e", "stderr"]
    with running("nchan", family, argv, port, subscribe="/sub", publish="/pub") as server:
        yield server


@contextlib.contextmanager
def loop(directory, family, _, __):
    """The bare C loop: what is left where nothing is done but to send."""
    port = free_port()
    argv = [compile_c(directory, "fanout_loop"), port]
    with running("loop", family, argv, port, subscribe="/sub", publish="/pub") as server:
        yield server


SERVERS = {"farseed": farseed, "loop": loop, "nchan": nchan, "crossbar": crossbar}
#: What the rows call them.
SUBJECTS = {"farseed": "farseed serve", "loop": "C loop", "nchan": "nchan", "crossbar": "crossbar"}


def ensure(wanted, say):
    """Installs what the servers need."""
    packages.ensure(packages.FANOUT, say)
    if "crossbar" not in wanted or (CROSSBAR / VERSION).exists():
        return
    say(f"installing {VERSION} and what it needs into {CROSSBAR}, which takes some minutes once")
    try:
        subprocess.run(["/usr/bin/python3", "-m", "venv", "--clear", CROSSBAR], check=True, timeout=INSTALL)
        subprocess.run([CROSSBAR / "bin/python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check",
                        VERSION], check=True, timeout=INSTALL, stdin=subprocess.DEVNULL)
    except (OSError, subprocess.SubprocessError) as error:
        raise LabError(f"{VERSION} was not installed from PyPI: {error}. Leave it out by --peer.") from error
    (CROSSBAR / VERSION).touch()
