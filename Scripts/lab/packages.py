"""Finds out which packages of Debian and PyPI are missing and installs them, or says how."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

#: The groups' packages, from the list that scripts read too where there is no Python yet.
GROUPS = {name: words.split() for name, colon, words in
          (line.partition(":") for line in Path(__file__).with_name("packages.list").read_text().splitlines())
          if colon and not name.startswith("#")}
BUILD, LAB, BROWSER, BENCH, FANOUT = (GROUPS[name] for name in ("build", "lab", "browser", "bench", "fanout"))
#: What a group needs of PyPI: autobahn is the WAMP client that most users have; Debian's own is of another age. Then other
#: WAMP clients with what they need; the crossbar of this age is here for the autobahn.js that it carries.
PYPI = {"test": [
    "autobahn==24.4.2", "txaio==23.1.1", "hyperlink==21.0.0", "idna==3.10", "setuptools==75.6.0",
    "cryptography==44.0.0", "pyOpenSSL==24.3.0", "PyNaCl==1.5.0", "cffi==1.17.1", "pycparser==2.22",
    "msgpack==1.1.0", "cbor2==5.6.5",
    "wampproto==0.4.0", "websockets==15.0.1",
    "swampyer==3.1.20260922", "websocket-client==1.8.0", "certifi==2025.1.31",
    "wampy==1.1.0", "gevent==24.11.1", "greenlet==3.1.1", "zope.event==5.0", "zope.interface==7.2", "six==1.17.0",
    "simplejson==3.19.3", "attrs==25.1.0", "eventlet==0.39.0", "dnspython==2.7.0",
    "crossbar==17.12.1",
]}
#: Where they are put: beside the build, nothing of the machine's own Python is touched.
PYTHON = Path(__file__).resolve().parents[2] / ".build" / "python"
#: What pip has fetched.
PIP_CACHE = PYTHON.parent / "cache" / "pip"

#: What asks a script to end.
STOPS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
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
        if _run([*prefix, "sh", "-c", script]):
            sys.exit(f"{policy} cannot be written, and without it new services would start. Nothing was installed.")
    try:
        _apt_install(prefix, packages)
    finally:
        if is_ours:
            _run([*prefix, "rm", "-f", policy])
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
               "--root-user-action=ignore", "--only-binary=:all:", "--cache-dir", PIP_CACHE, "--target", making,
               *requirements]
    try:
        # Pip asks rustc for its version, and a rustc of rustup's writes into HOME that it was asked.
        environment = os.environ | {"RUSTUP_HOME": str(PIP_CACHE.with_name("rustup"))}
        if subprocess.run(command, env=environment, stdin=subprocess.DEVNULL, stdout=sys.stderr, check=False).returncode:
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
    if _run([*apt, *options, *packages]):
        _run([*apt, "update"])
        _run([*apt, *options, *packages])


def _run(argv):
    """Runs a command to its end and returns its status; one that is interrupted is asked to end, and waited for."""
    # In a group of its own: a terminal's Ctrl-C amid dpkg's work would leave packages half installed.
    child = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=sys.stderr, process_group=0)
    try:
        return child.wait()
    except BaseException:
        with contextlib.suppress(PermissionError):
            child.send_signal(signal.SIGINT)
        child.wait()
        raise


def stop(number, _):
    """Ends the program in order, once."""
    for other in STOPS:
        signal.signal(other, signal.SIG_IGN)
    sys.exit(128 + number)


if __name__ == "__main__":
    for asked in STOPS:
        signal.signal(asked, stop)
    ensure([package for group in sys.argv[1:] for package in GROUPS[group]])
    ensure_pypi([package for group in sys.argv[1:] for package in PYPI.get(group, [])])
    if "test" in sys.argv[1:]:
        import transmissions

        transmissions.ensure()
