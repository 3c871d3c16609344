"""Unpacks newer Transmissions than the machine's own beside the build, for the agent's tests."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

#: Beside the build; nothing of them is installed.
HOME = Path(__file__).resolve().parents[2] / ".build" / "transmission"
#: Releases of Debian that have one: the last before JSON-RPC, and one that speaks it.
RELEASES = {"4.1-beta": "trixie", "4.1": "trixie-backports"}
PROGRAMS = ["transmission-daemon", "transmission-remote"]
#: Packages that the programs need to run, by how their names begin; the rest is for a system.
NEEDED = ("transmission-", "lib", "zlib1g")
KEYS = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
#: They bring their own C library, which the machine's loader cannot load.
WRAPPER = """#!/bin/sh
here=$(dirname "$(readlink -f "$0")")
set -- "$here/usr/bin/$(basename "$0")" "$@"
for libraries in "$here"/usr/lib/*-linux-*; do break; done
for loader in "$libraries"/ld-linux-*.so.* "$here"/usr/lib/ld-linux-*.so.*; do [ -x "$loader" ] && break; done
exec "$loader" --library-path "$libraries" "$@"
"""


class Missing(Exception):
    """One of them cannot be had; says why."""


def ensure(say=print):
    """Fetches what is not there yet."""
    absent = [name for name in RELEASES if not all((HOME / name / program).exists() for program in PROGRAMS)]
    if not absent:
        return
    say(f"unpacking Transmission {' and '.join(absent)} into {HOME}")
    making = HOME.with_name(f"transmission-{os.getpid()}")
    try:
        apt = _apt(making)
        _run(apt, ["apt-get", "-q", "update"])
        HOME.mkdir(exist_ok=True)
        for name in absent:
            _unpack(apt, making, name)
    except Missing as fault:
        print(f"{fault}\nThe tests against Transmission {' and '.join(absent)} need them from Debian's mirror; "
              "apt's messages are above.", file=sys.stderr)
        sys.exit(3)
    finally:
        shutil.rmtree(making, ignore_errors=True)


def _apt(making):
    """The environment of an apt that knows these releases and no installed package."""
    for part in ("lists/partial", "archives/partial"):
        (making / part).mkdir(parents=True)
    keys = f"[signed-by={KEYS}] " if KEYS.exists() else ""
    mirror = _mirror()
    (making / "sources.list").write_text(
        "".join(f"deb {keys}{mirror} {release} main\n" for release in RELEASES.values()))
    (making / "status").touch()
    (making / "apt.conf").write_text(
        f'Dir::State "{making}"; Dir::State::Lists "{making}/lists"; Dir::State::status "{making}/status";\n'
        f'Dir::Cache "{making}"; Dir::Etc::sourcelist "{making}/sources.list"; Dir::Etc::sourceparts "/dev/null";\n'
        f'Dir::Etc::preferences "/dev/null"; Dir::Etc::preferencesparts "/dev/null";\n'
        f'APT::Sandbox::User ""; Debug::NoLocking "true";\n')
    return os.environ | {"APT_CONFIG": str(making / "apt.conf")}


def _mirror():
    """Where this machine gets its Debian from."""
    codename = next((line.partition("=")[2].strip('"') for line in Path("/etc/os-release").read_text().splitlines()
                     if line.startswith("VERSION_CODENAME=")), "")
    lines = subprocess.run(
        ["apt-get", "indextargets", "--format", "$(REPO_URI) $(RELEASE)", "Created-By: Packages", "Component: main"],
        capture_output=True, text=True, check=False).stdout.splitlines()
    for line in lines:
        address, _, release = line.partition(" ")
        if release == codename:
            return address
    raise Missing(f"apt has no mirror with {codename} main.")


def _unpack(apt, making, name):
    archives, root = making / "archives", making / name
    for archive in archives.glob("*.deb"):
        archive.unlink()
    _run(apt, ["apt-get", "-q", "-y", "--no-install-recommends", "--download-only", "-t", RELEASES[name], "install",
               "transmission-daemon", "transmission-cli"])
    for archive in archives.glob("*.deb"):
        if archive.name.startswith(NEEDED):
            _run(apt, ["dpkg-deb", "--extract", str(archive), str(root)])
    for part in ("etc", "var", "usr/share"):
        shutil.rmtree(root / part, ignore_errors=True)
    for program in PROGRAMS:
        (root / program).write_text(WRAPPER)
        (root / program).chmod(0o755)
        _run(apt, [str(root / program), "--version"])
    shutil.rmtree(HOME / name, ignore_errors=True)
    root.rename(HOME / name)


def _run(environment, argv):
    done = subprocess.run(argv, env=environment, stdin=subprocess.DEVNULL, stdout=sys.stderr, check=False)
    if done.returncode:
        raise Missing(f"{' '.join(argv[:2])} ended with {done.returncode}.")
