"""The scripts that a newcomer types leave nothing outside of the clone, and say what they miss."""

import hashlib
import re
import shutil
import signal
import subprocess

import pytest

from conftest import AGENT, FARSEED, ROOT, wait_for
from outside import Outside

#: A user without any right.
NOBODY = 65534

#: Leaves what swift and the tests leave: temporary directories, a process that nobody waits for, and the file of a
#: killed transmission-daemon.
UNTIDY = """#!/bin/sh
mkdir -p "$TMPDIR/TemporaryDirectory.abc" && touch "$TMPDIR/TemporaryDirectory.abc/file" /tmp/tr_session_id_abc
setsid sleep 600 &
echo "swift here: $*"
"""

#: Leaves what a test leaves that is killed amid a file system of its own, here with one inside and one hidden.
MOUNTED = r"""#!/bin/bash
place=$TMPDIR/$'a blank, a \134, a \\134,\nпредел'
for path in "$place/in" "$place" "$place" "$place/in"; do
    mkdir -p "$path" && mount -t tmpfs tmpfs "$path" && touch "$path/file"
done
cd "$place/in" && touch /tmp/home/mounted && sleep 600
"""

#: Builds nothing: the programs under test are there.
BUILT = """#!/bin/sh
case "$*" in *--show-bin-path) echo /tmp/programs ;; esac
"""


@pytest.fixture
def outside(tmp_path):
    outside = Outside(tmp_path / "outside")
    yield outside
    outside.end()


@pytest.mark.parametrize("status", [0, 1])
def test_the_tests_leave_nothing_when_they_end(outside, status):
    outside.stand_in("swift", f"{UNTIDY}exit {status}\n")
    assert outside.run("Scripts/test", "--unit") == status, outside.text()
    assert outside.text().count("swift here") == 2 - status
    outside.assert_clean()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_the_tests_leave_nothing_when_they_are_interrupted(outside, number):
    outside.stand_in("swift", f"{UNTIDY}sleep 600\n")
    outside.start("Scripts/test", "--unit").wait_said("swift here")
    assert outside.processes() and outside.listing() > outside.before
    assert outside.interrupt(number) in (128 + number, 128 + signal.SIGTERM), outside.text()
    outside.assert_clean()


def test_the_tests_leave_nothing_mounted(outside):
    outside.stand_in("swift", MOUNTED)
    outside.start("Scripts/test", "--unit").wait_there("mounted")
    outside.watch()
    assert sum("предел" in line for line in outside.mounts()) == 4
    assert outside.interrupt() in (130, 143), outside.text()
    outside.before.add("home/mounted")
    outside.assert_clean()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_tests_leave_nothing_when_they_are_interrupted_amid_a_laboratory(outside, number):
    """With its Tor network, sshd and daemons, a browser, and a controller that a test has just started."""
    outside.stand_in("swift", BUILT)
    outside.copy(FARSEED)
    # A build directory of its own, which has the agent; what is not built is the clone's.
    built = outside.programs / "build"
    for name in ("python", "transmission", "agent/release"):
        (built / name).mkdir(parents=True)
    shutil.copy(AGENT, built / "agent/release/farseed-agent")
    setup = "for name in python transmission; do mount --bind /tmp/clone/.build/$name /tmp/programs/build/$name; done && " \
            "mount --rbind /tmp/programs/build /tmp/clone/.build"
    outside.start("Scripts/test", "--end-to-end", "-k", "test_torrents_move_on_the_page", setup=setup)
    wait_for(lambda: f"a controller in:\n{outside.text()}", lambda: outside.process.poll() is not None
             or any(words.startswith("/tmp/programs/farseed serve") for words in outside.processes().values()), 120)
    assert outside.process.poll() is None, outside.text()
    outside.watch()
    running = " ".join(outside.members().values())
    for name in ("tor --defaults-torrc", "sshd", "transmission-daemon", "chromium", "lab.supervisor"):
        assert name in running, f"no {name} in {running}\n{outside.text()}"
    # Its network is the laboratory's alone.
    assert any(name.startswith("net:") for name in outside.namespaces.values())
    assert outside.interrupt(number) in (130, 143), outside.text()
    outside.assert_clean()


def test_the_tests_leave_nothing_when_packages_are_being_looked_for(outside):
    outside.stand_in("dpkg-query", "#!/bin/sh\ntouch /tmp/programs/looking\nexec sleep 600\n")
    outside.start("Scripts/test", "--unit")
    wait_for("the search to begin", (outside.programs / "looking").exists)
    outside.interrupt()
    outside.assert_clean()


def test_swift_keeps_its_caches_beside_the_build(outside):
    """The real one, on a package of one file."""
    package = outside.directory / "package"
    (package / "Sources/one").mkdir(parents=True)
    (package / "Package.swift").write_text(
        '// swift-tools-version: 6.0\nimport PackageDescription\n'
        'let package = Package(name: "one", targets: [.target(name: "one")])\n')
    (package / "Sources/one/one.swift").write_text("import Foundation\n")
    # Its own copy of the script, for caches of its own: they hold for one path of a clone.
    (package / "Scripts").mkdir()
    shutil.copy(ROOT / "Scripts/swift", package / "Scripts")
    status = outside.run("../package/Scripts/swift", "build", "--package-path", "/tmp/package", deadline=180)
    assert status == 0, outside.text()
    assert (package / ".build/debug/Modules/one.swiftmodule").exists()
    assert (package / ".build/cache/swiftpm").is_dir()
    shutil.rmtree(package)
    outside.before -= {name for name in outside.before if name.startswith("package")}
    outside.assert_clean()


@pytest.mark.parametrize("script", ["Scripts/demo", "Scripts/test"])
@pytest.mark.parametrize("python", ["with Python", "without Python"])
def test_without_rights_it_prints_the_one_command(tmp_path, script, python):
    """As a user who may not install; packages look missing, and on a bare machine Python is missing too."""
    outside = Outside(tmp_path / "outside", user=NOBODY)
    outside.stand_in("dpkg-query", "#!/bin/sh\nexit 1\n")
    outside.stand_in("sudo", "#!/bin/sh\necho 'sudo: a password is required' >&2; exit 1\n")
    for name in ("apt-get", "swift"):
        outside.stand_in(name, "#!/bin/sh\necho 'not to be called'\n")
    gone = ': > /tmp/gone; mount --bind /tmp/gone "$(readlink -f /usr/bin/python3)"'
    setup = gone if python == "without Python" else ""
    assert outside.run(script, setup=setup) == 3, outside.text()
    command = re.search(r"^    (sudo apt-get install --no-install-recommends .*)$", outside.text(), re.M)[1]
    words = command.split()[4:]
    assert {"tor", "transmission-daemon", "libssh2-1-dev"} <= set(words), command
    assert ("python3" in words) == (python == "without Python")
    assert ("python3-pytest" in words) == (script == "Scripts/test")
    assert "not to be called" not in outside.text()
    assert outside.text().count("apt-get install") == 1


@pytest.mark.parametrize("user", [0, NOBODY])
def test_who_may_installs_what_is_missing_and_starts_no_service(tmp_path, user):
    """As root, or by a sudo that asks for no password."""
    outside = Outside(tmp_path / "outside", user=user)
    # Missing until apt-get has brought them.
    outside.stand_in("dpkg-query", '#!/bin/sh\n[ -e /tmp/home/calls ] || exit 1\nshift 3\n'
                                   'for name; do echo "$name $name ii"; done\n')
    outside.stand_in("apt-get", '#!/bin/sh\n/usr/sbin/policy-rc.d; echo "policy: $?"\necho "$*" >> /tmp/home/calls\n')
    outside.stand_in("sudo", '#!/bin/sh\necho "sudo here: $*"\nshift\nexec "$@"\n')
    outside.stand_in("systemctl", "#!/bin/sh\n")
    # The real folder of the policy is not to be touched.
    setup = "mount -t tmpfs -o mode=1777 tmpfs /usr/sbin"
    assert outside.run("Scripts/need", "build", "lab", setup=setup) == 0, outside.text()
    call = (outside.directory / "home/calls").read_text()
    assert {"tor", "libssh2-1-dev", "openssh-server"} <= set(call.split(" install ")[1].split()), call
    assert "policy: 101" in outside.text()
    assert ("sudo here: -n env DEBIAN_FRONTEND" in outside.text()) == bool(user), outside.text()


@pytest.mark.parametrize("script", [["Scripts/need", "lab"], ["Scripts/demo", "--no-build"]])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_installation_that_is_interrupted_ends_in_order(outside, script, number):
    """apt-get is asked to end, as a terminal's Ctrl-C amid dpkg's work must not; what kept services off goes."""
    outside.stand_in("dpkg-query", "#!/bin/sh\nexit 1\n")
    outside.stand_in("apt-get", "#!/bin/bash\ntrap 'kill $!; sleep 0.5; echo in order; exit 130' INT\n"
                                "trap 'echo too early' TERM\nsleep 600 & touch /tmp/home/running; wait\n")
    sbin = outside.directory / "home/sbin"
    sbin.mkdir()
    outside.start(*script, setup="mount --bind /tmp/home/sbin /usr/sbin")
    outside.wait_there("running")
    assert (sbin / "policy-rc.d").exists()
    assert outside.interrupt(number) in (128 + number, 128 + signal.SIGTERM), outside.text()
    assert "in order" in outside.text() and "too early" not in outside.text() and "Traceback" not in outside.text()
    outside.before.add("home/running")
    outside.assert_clean()


def test_the_agent_is_told_of_with_its_digest(tmp_path):
    """Which is compared with what is on the seedbox."""
    place = tmp_path / ".build/agent/release/farseed-agent"
    place.parent.mkdir(parents=True)
    shutil.copy(AGENT, place)
    done = subprocess.run([ROOT / "Scripts/build-agent", "--built", "--package", tmp_path],
                          capture_output=True, text=True, timeout=60)
    data = place.read_bytes()
    assert (done.returncode, done.stdout) == (0, f"{place}\n"), done
    digest = hashlib.sha256(data).hexdigest()
    assert f"build-agent: {len(data)} bytes, SHA-256 {digest}" in done.stderr.splitlines(), done


def test_the_list_of_packages_has_a_group_on_each_line():
    """Two programs read it, in two languages."""
    for line in (ROOT / "Scripts/lab/packages.list").read_text().splitlines():
        assert not line or re.fullmatch(r"#.*|[a-z]+: [a-z0-9.+-]+( [a-z0-9.+-]+)*", line), line


def test_faults_of_documents_and_scripts_are_found(tmp_path):
    subprocess.run(["git", "init", "-q", tmp_path], check=True, timeout=30)
    (tmp_path / "Docs").mkdir()
    (tmp_path / "Docs/Good.md").write_text("# One `name`, two\n[back](../README.md) [here](#one-name-two)\n")
    (tmp_path / "README.md").write_text(
        "[a](Docs/Good.md) [b](https://example.org/x) `Docs/Good.md`\n[c](Docs/Gone.md)\n[d](Docs/Good.md#three)\n"
        "`Scripts/gone`\n")
    host = ".".join(["pypi", "org"])
    (tmp_path / "tool").write_text(f"#!/bin/sh\n{'x' * 131}\necho \n# {host}\n")
    done = subprocess.run([ROOT / "Scripts/check-text", tmp_path], capture_output=True, text=True, timeout=30)
    assert (done.returncode, done.stdout.splitlines()) == (1, [
        "README.md:2: the link Docs/Gone.md points nowhere",
        "README.md:3: there is no heading for Docs/Good.md#three",
        "README.md:4: there is no Scripts/gone",
        "tool:2: 131 columns, more than 130",
        "tool:3: blanks at the end",
        f"tool:4: names a registry's host: {host}",
    ]), done
