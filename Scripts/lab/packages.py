"""Finds out which packages of Debian and PyPI are missing and installs them, or says how."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

#: What the laboratory itself needs.
LAB = ["tor", "openssh-server", "openssh-client", "transmission-daemon", "transmission-cli", "iproute2", "util-linux"]
#: What a build of the package needs besides Swift.
BUILD = ["libssh2-1-dev", "libssl-dev", "libsqlite3-dev", "zlib1g-dev", "pkg-config"]
#: What the browser checks need; the fonts are for the torrents' names in screenshots.
BROWSER = ["chromium", "chromium-driver", "python3-selenium", "fonts-dejavu-core", "fonts-droid-fallback",
           "fonts-noto-color-emoji"]

#: What the end-to-end tests need besides.
TEST = ["python3-pytest", "python3-yaml", "python3-pip", "python3-zmq", "tmux", "strace", "zsh", "fish", "man-db",
        "groff"]
#: What the reverse-proxy tests need: one of each kind that Deploy/ has a configuration for.
PROXIES = ["apache2", "nginx-light", "caddy", "openssl"]
#: What `Scripts/bench` compares with.
BENCH = ["torsocks", "netcat-openbsd"]
#: What `Scripts/bench fanout` compiles with, and what it compares with besides crossbar, which has an own Python.
FANOUT = ["gcc", "libc6-dev", "libssl-dev", "nginx-light", "libnginx-mod-nchan", "python3-venv"]
#: What a group needs of PyPI: autobahn is the WAMP client that most users have; Debian's own is of another age.
PYPI = {"test": [
    "autobahn==24.4.2", "txaio==23.1.1", "hyperlink==21.0.0", "idna==3.10", "setuptools==75.6.0",
    "cryptography==44.0.0", "pyOpenSSL==24.3.0", "PyNaCl==1.5.0", "cffi==1.17.1", "pycparser==2.22",
    "msgpack==1.1.0", "cbor2==5.6.5",
]}
#: Where they are put: beside the build, nothing of the machine's own Python is touched.
PYTHON = Path(__file__).resolve().parents[2] / ".build" / "python"
GROUPS = {"build": BUILD, "lab": LAB, "browser": BROWSER, "test": TEST, "proxies": PROXIES, "bench": BENCH, "fanout": FANOUT}

#: Exit status of a script that had to stop because packages are missing.
MISSING = 3


def missing(packages):
    """The packages of the list that are not installed."""
    query = subprocess.run(
        ["dpkg-query", "-W", "-f", "${binary:Package} ${Package} ${db:Status-Abbrev}\n", *packages],
        capture_output=True, text=True, check=False,
    )
    rows = [line.split() for line in query.stdout.splitlines()]
    installed = {name for row in rows if row[-1].startswith("ii") for name in row[:-1]}
    return [package for package in packages if package not in installed]


def ensure(packages, say=print):
    """Installs what is missing as root or by sudo; where neither works prints the command and exits with 3."""
    if shutil.which("dpkg-query") is None:
        sys.exit("This machine has no dpkg-query: the scripts know only Debian. Install by hand: " + " ".join(packages))
    absent = missing(packages)
    if not absent:
        return
    prefix = privilege()
    if prefix is None:
        print("Debian packages are missing. Install them with this command, then start again:\n\n"
              f"    sudo apt-get install --no-install-recommends {' '.join(absent)}\n", file=sys.stderr)
        sys.exit(MISSING)
    say(f"installing {' '.join(absent)}")
    install(prefix, absent)
    absent = missing(packages)
    if absent:
        print(f"apt-get did not install {' '.join(absent)}. Its messages are above; install them by hand:\n\n"
              f"    sudo apt-get install --no-install-recommends {' '.join(absent)}\n", file=sys.stderr)
        sys.exit(MISSING)


def privilege():
    """The words that make a command run as root, or None where that would need a password."""
    if os.geteuid() == 0:
        return []
    sudo = ["sudo", "-n"]
    allowed = shutil.which("sudo") and subprocess.run([*sudo, "true"], capture_output=True, check=False).returncode == 0
    return sudo if allowed else None


def install(prefix, packages):
    """Runs apt-get, without questions, and so that nothing it brings runs as a service."""
    # Debian's packages ask this file whether they may start tor, sshd, transmission and the proxies; the lab and the
    # tests run their own.
    policy = Path("/usr/sbin/policy-rc.d")
    is_ours = not policy.exists()
    if is_ours:
        script = f"printf '#!/bin/sh\\nexit 101\\n' > {policy} && chmod 755 {policy}"
        subprocess.run([*prefix, "sh", "-c", script], check=True)
    try:
        _apt_install(prefix, packages)
    finally:
        if is_ours:
            subprocess.run([*prefix, "rm", "-f", policy], check=False)
    if Path("/run/systemd/system").exists():
        _disable_services(prefix, packages)


def ensure_pypi(requirements, say=print):
    """Installs exactly these packages of PyPI into `PYTHON`, where they are not there yet."""
    if not requirements:
        return
    stamp = PYTHON / "requirements.txt"
    if stamp.exists() and stamp.read_text().split() == requirements:
        return
    say(f"installing {requirements[0]} and what it needs into {PYTHON}")
    # Made beside it and put in place whole: what is there is complete.
    making = PYTHON.with_name(f"python-{os.getpid()}")
    making.parent.mkdir(exist_ok=True)
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps",
               "--root-user-action=ignore", "--only-binary=:all:", "--target", making, *requirements]
    try:
        if subprocess.run(command, stdin=subprocess.DEVNULL, stdout=sys.stderr, check=False).returncode:
            print("pip did not install what the tests need of PyPI. Its messages are above; it needs a way to PyPI or "
                  "a mirror of it.", file=sys.stderr)
            sys.exit(MISSING)
        (making / stamp.name).write_text("\n".join(requirements) + "\n")
        shutil.rmtree(PYTHON, ignore_errors=True)
        making.rename(PYTHON)
    finally:
        shutil.rmtree(making, ignore_errors=True)


def _disable_services(prefix, packages):
    """Keeps the services of newly installed packages from starting at the next boot."""
    units = set()
    for package in packages:
        files = subprocess.run(["dpkg-query", "-L", package], capture_output=True, text=True, check=False).stdout.split()
        units |= {Path(file).name for file in files if "/systemd/system/" in file and file.endswith(".service")}
    if units:
        print(f"not started and not enabled: {' '.join(sorted(units))}", file=sys.stderr)
        subprocess.run([*prefix, "systemctl", "disable", *sorted(units)], stdin=subprocess.DEVNULL,
                       stdout=sys.stderr, stderr=subprocess.DEVNULL, check=False)


def _apt_install(prefix, packages):
    apt = [*prefix, "env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-q"]
    options = ["-o", "DPkg::Lock::Timeout=120", "install", "-y", "--no-install-recommends"]
    # Old package lists are the usual reason for a failure, so it is tried once more with new ones.
    if subprocess.run([*apt, *options, *packages], stdin=subprocess.DEVNULL, stdout=sys.stderr, check=False).returncode:
        subprocess.run([*apt, "update"], stdin=subprocess.DEVNULL, stdout=sys.stderr, check=False)
        subprocess.run([*apt, *options, *packages], stdin=subprocess.DEVNULL, stdout=sys.stderr, check=False)


if __name__ == "__main__":
    ensure([package for group in sys.argv[1:] for package in GROUPS[group]])
    ensure_pypi([package for group in sys.argv[1:] for package in PYPI.get(group, [])])
    if "test" in sys.argv[1:]:
        import transmissions

        transmissions.ensure()
