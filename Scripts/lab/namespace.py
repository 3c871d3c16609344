"""The lab's own namespaces: processes that end together, a loopback of its own, and no way out but unix sockets.

`enter` runs on the host. It starts unshare(1), which runs this module as process 1 of a new process namespace:
when that process ends, the kernel kills everything in it. This module makes the network and the mounts private and
then becomes the supervisor. Without root the same happens inside a user namespace, and a second one restores the uid.
"""

import ctypes
import json
import os
import socket
import subprocess
import sys
from pathlib import Path

from .processes import LabError

CLONE_NEWNET = 0x40000000
ADDRESSES = ["10.99.0.1/32", "10.99.0.2/32", "10.99.0.3/32"]
SCRIPTS = Path(__file__).resolve().parent.parent


def enter(directory):
    """Starts the supervisor in new namespaces; returns the unshare process and the socket to talk over."""
    ours, theirs = socket.socketpair()
    user = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
    argv = ["unshare", *user, "--pid", "--fork", "--kill-child", "--mount", "--mount-proc", "--",
            sys.executable, "-m", "lab.namespace", str(theirs.fileno()), str(directory),
            str(os.getuid()), str(os.getgid())]
    with theirs, open(Path(directory, "supervisor.log"), "ab") as log:
        # A session of its own: a terminal's Ctrl-C is for the person's program, which then ends the lab in order.
        process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
                                   pass_fds=[theirs.fileno()], env=environment())
    return process, ours


def environment():
    """The environment of everything in the lab: little, and able to find this package."""
    kept = {name: os.environ[name] for name in ("PATH", "TMPDIR") if name in os.environ}
    kept["PATH"] = "/usr/sbin:/sbin:" + kept.get("PATH", "/usr/bin:/bin")
    return kept | {"PYTHONPATH": str(SCRIPTS), "PYTHONDONTWRITEBYTECODE": "1", "LANG": "C.UTF-8"}


def main():
    """Process 1: prepares the namespaces and becomes the supervisor."""
    channel, directory, uid, gid = int(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
    try:
        ports = start_bridge(directory)
        private_network()
        private_files(directory, uid)
    except (OSError, subprocess.CalledProcessError, LabError) as error:
        text = f"The lab cannot make its namespaces: {error}. It needs root, or unprivileged user namespaces."
        os.write(channel, json.dumps({"fatal": text}).encode() + b"\n")
        sys.exit(text)
    argv = [sys.executable, "-m", "lab.supervisor", str(channel), str(directory), *map(str, ports)]
    if uid != 0:
        argv = ["unshare", "--user", f"--map-user={uid}", f"--map-group={gid}", "--", *argv]
    os.set_inheritable(channel, True)
    os.execvp(argv[0], argv)


def start_bridge(directory):
    """Starts the forwarder while this process still has the host's loopback; returns its two ports."""
    tor = directory / "tor"
    listeners = []
    for _ in range(2):
        listener = socket.socket()
        listener.bind(("127.0.0.1", 0))
        listener.listen(64)
        listeners.append(listener)
    paths = [tor / "socks", directory / "gate"]
    routes = [f"{listener.fileno()}:{path}" for listener, path in zip(listeners, paths)]
    subprocess.Popen([sys.executable, "-m", "lab.bridge", "forward", *routes], stdin=subprocess.DEVNULL,
                     pass_fds=[listener.fileno() for listener in listeners])
    return [listener.getsockname()[1] for listener in listeners]


def private_network():
    """Leaves the host's network for an empty one with a loopback that has the torrent daemons' addresses."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWNET) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"unshare of the network: {os.strerror(number)}")
    commands = ["link set lo up"] + [f"address add {address} dev lo" for address in ADDRESSES]
    subprocess.run(["ip", "-batch", "-"], input="\n".join(commands), text=True, check=True)
    # Lets sshd have port 22 without root; the setting belongs to this network only.
    Path("/proc/sys/net/ipv4/ip_unprivileged_port_start").write_text("0")


def private_files(directory, uid):
    """Gives sshd a /run/sshd, a plain login shell and an empty home, seen only inside the lab."""
    home = directory / "home"
    home.mkdir(exist_ok=True)
    etc = directory / "etc"
    etc.mkdir(mode=0o700, exist_ok=True)
    rows, found = [], False
    for line in Path("/etc/passwd").read_text().splitlines():
        fields = line.split(":")
        if not found and fields[2] == str(uid):
            found = True
            fields[5:7] = [str(home), "/bin/sh"]
        rows.append(":".join(fields))
    if not found:
        raise LabError(f"no user with id {uid} in /etc/passwd")
    overlay(etc / "passwd", Path("/etc/passwd"), "\n".join(rows) + "\n", 0o644)
    if uid != 0:
        return
    # sshd without PAM refuses accounts whose password is locked with "!".
    shadow = Path("/etc/shadow").read_text()
    overlay(etc / "shadow", Path("/etc/shadow"), shadow.replace(":!", ":*"), 0o600)
    if not Path("/run/sshd").is_dir():
        if Path("/run") in directory.parents:
            raise LabError(f"{directory} is below /run, which the lab hides; set TMPDIR to another place")
        subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", "/run"], check=True)
        Path("/run/sshd").mkdir(mode=0o755)


def overlay(path, target, text, mode):
    """Bind-mounts a file with other content over `target`."""
    path.touch(mode=mode)
    path.write_text(text)
    subprocess.run(["mount", "--bind", str(path), str(target)], check=True)


if __name__ == "__main__":
    main()
