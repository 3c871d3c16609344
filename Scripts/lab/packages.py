"""Finds out which Debian packages are missing and installs them, or says how."""

import os
import shutil
import subprocess
import sys

#: What the laboratory itself needs.
LAB = ["tor", "openssh-server", "openssh-client", "transmission-daemon", "transmission-cli", "iproute2", "util-linux"]
#: What a build of the package needs besides Swift.
BUILD = ["libssh2-1-dev", "libssl-dev", "libsqlite3-dev", "zlib1g-dev", "pkg-config"]
#: What the browser checks need; the fonts are for the torrents' names in screenshots.
BROWSER = ["chromium", "chromium-driver", "python3-selenium", "fonts-dejavu-core", "fonts-droid-fallback",
           "fonts-noto-color-emoji"]

#: What the end-to-end tests need besides.
TEST = ["python3-pytest", "python3-yaml", "tmux", "strace"]
#: What the reverse-proxy tests need: one of each kind that Deploy/ has a configuration for.
PROXIES = ["apache2", "nginx-light", "caddy", "openssl"]
GROUPS = {"build": BUILD, "lab": LAB, "browser": BROWSER, "test": TEST, "proxies": PROXIES}

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
    """Runs apt-get, without questions."""
    # RUNLEVEL=1 asks the packages not to start tor, sshd, transmission and the proxies as services; the lab and the
    # tests run their own.
    apt = [*prefix, "env", "DEBIAN_FRONTEND=noninteractive", "RUNLEVEL=1", "apt-get", "-q"]
    options = ["-o", "DPkg::Lock::Timeout=120", "install", "-y", "--no-install-recommends"]
    # Old package lists are the usual reason for a failure, so it is tried once more with new ones.
    if subprocess.run([*apt, *options, *packages], stdin=subprocess.DEVNULL, stdout=sys.stderr, check=False).returncode:
        subprocess.run([*apt, "update"], stdin=subprocess.DEVNULL, stdout=sys.stderr, check=False)
        subprocess.run([*apt, *options, *packages], stdin=subprocess.DEVNULL, stdout=sys.stderr, check=False)


if __name__ == "__main__":
    ensure([package for group in sys.argv[1:] for package in GROUPS[group]])
