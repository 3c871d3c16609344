"""`farseed deploy-agent` through Tor to an account that has nothing but an administrator's key."""

import json
import os
import pathlib
import select
import shutil
import signal
import subprocess

import pytest

from conftest import AGENT, CODES, DEADLINE, FARSEED, make_home, wait_for

BAD_REQUEST, NOT_PERMITTED, NOT_FOUND, INCOMPATIBLE, UNEXPECTED, LOGIN_REFUSED = (
    CODES[code] for code in ("bad-request", "not-permitted", "not-found", "agent-incompatible", "agent-unexpected",
                             "login-refused")
)
#: Lines that are somebody else's, in a form that a careless editor would mend.
OTHERS = b"# mine\r\n\nssh-rsa AAAA not-a-key\ncommand=\"echo \\\"ssh-ed25519\\\"\" ssh-ed25519 AAAA x"


class Account:
    """The account on the VPS, as its owner finds it."""

    def __init__(self, lab):
        self.home = pathlib.Path(lab.home)
        self.place = self.home / ".local/lib/farseed"
        self.keys = self.home / ".ssh/authorized_keys"

    def empty(self, lab):
        """Nothing but the administrator's key, the others' lines, and what Transmission demands."""
        for name in (".local", ".config"):
            shutil.rmtree(self.home / name, ignore_errors=True)
        self.admin = pathlib.Path(lab.admin_key_path + ".pub").read_bytes()
        self.keys.write_bytes(self.admin + OTHERS)
        self.keys.chmod(0o640)
        conf = self.home / ".config/farseed/agent.conf"
        conf.parent.mkdir(parents=True)
        lines = pathlib.Path(lab.agent_conf).read_text().splitlines(keepends=True)
        conf.write_text("".join(line for line in lines if not line.startswith("state-directory")))

    def version(self, link="current"):
        path = self.place / link
        return path.readlink().name if path.is_symlink() else None

    def unfinished(self):
        return list(self.place.glob("*/incoming.*"))


@pytest.fixture
def account(lab):
    account = Account(lab)
    account.empty(lab)
    return account


@pytest.fixture
def fresh(lab, tmp_path):
    """A home side whose key nobody on the VPS knows yet."""
    key = tmp_path / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
    with make_home(lab, tmp_path, box={"key": str(key)}) as home:
        yield home


def deploy(home, lab, *arguments, code=0, key=None):
    """Runs the command as user@address; its report."""
    done = home.run("deploy-agent", f"{lab.user}@{lab.onion}", "--key", str(key or lab.admin_key_path), "--json",
                    *map(str, arguments), timeout=3 * DEADLINE)
    assert done.returncode == code, done
    return json.loads(done.stdout)


def serves(home, lab):
    return set(home.torrents()) == set(lab.box.torrents())


def other_agent(path, padding=b"another version"):
    """The same program in a file of another digest: what follows an ELF file's end is not looked at."""
    path.write_bytes(AGENT.read_bytes() + padding)
    path.chmod(0o755)
    return path


def script(path, body):
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)
    return path


def test_a_fresh_installation_serves_and_a_second_run_changes_nothing(account, fresh, lab):
    assert fresh.run("list").returncode == LOGIN_REFUSED
    dry = deploy(fresh, lab, "--agent", AGENT, "--dry-run")
    assert dry["planned"] == ["copy", "switch", "authorize"] and dry["done"] == [] and not account.place.exists()

    report = deploy(fresh, lab, "--agent", AGENT)
    assert report["ok"] and report["done"] == ["copy", "switch", "authorize"], report
    assert [hop["hop"] for hop in report["hops"]][-3:] == ["agent", "transmission", "disk"], report
    assert account.version() == report["version"] and account.version("previous") is None
    installed = account.place / "current/farseed-agent"
    assert installed.read_bytes() == AGENT.read_bytes() and not account.unfinished()
    assert serves(fresh, lab)

    text, mode = account.keys.read_bytes(), account.keys.stat().st_mode & 0o777
    added = text.removeprefix(account.admin + OTHERS + b"\n")
    assert text != added and added.count(b"\n") == 1 and mode == 0o640, text
    assert added.startswith(f'restrict,command="{installed} gate --role control" ssh-ed25519 '.encode()), added
    assert list(account.keys.parent.iterdir()) == [account.keys]

    before = (account.keys.stat(), installed.stat(), (account.place / "current").lstat())
    done = fresh.run("deploy-agent", "--box", "vps", "--key", lab.admin_key_path, "--agent", str(AGENT))
    assert done.returncode == 0 and "nothing was changed" in done.stdout, done
    assert before == (account.keys.stat(), installed.stat(), (account.place / "current").lstat())


def test_the_one_command_that_init_tells_lets_its_key_in(account, fresh, lab):
    written = fresh.directory / "new" / "farseed.toml"
    told = fresh.run(
        "init", "--config", str(written), "--address", lab.onion, "--user", lab.user, "--host-key", lab.host_key_line,
        "--client-auth", lab.client_auth_secret, "--socks", f"unix:{lab.socks_unix}", "--listen", "127.0.0.1:0",
    )
    assert told.returncode == 0, told
    assert fresh.run("list", "--config", str(written)).returncode == LOGIN_REFUSED
    command, = (line.strip() for line in told.stdout.splitlines() if "authorized_keys" in line)
    (account.home / "bin").mkdir(exist_ok=True)
    shutil.copy(AGENT, account.home / "bin" / "farseed-agent")
    before = account.keys.read_bytes()
    # Whatever the login shell.
    for shell in ("bash", "fish"):
        account.keys.write_bytes(before)
        done = lab.run_in_namespace([shell, "-c", command], env={"HOME": str(account.home), "PATH": os.environ["PATH"]})
        assert done.returncode == 0 and not done.stdout, done
        assert account.keys.read_bytes().startswith(before + b"\n"), "the others' lines stay as they were"
        assert fresh.run("list", "--config", str(written), "--format", "{hash}").returncode == 0, shell


def test_a_terminal_shows_how_far_the_copy_is(account, fresh, lab):
    ours, theirs = os.openpty()
    process = subprocess.Popen(
        [FARSEED, "deploy-agent", "--key", lab.admin_key_path, "--agent", AGENT], env=fresh.environment,
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=theirs,
    )
    os.close(theirs)
    told = b""
    try:
        while select.select([ours], [], [], DEADLINE)[0]:
            try:
                told += os.read(ours, 4096)
            except OSError:  # The other end is closed.
                break
        assert process.wait(timeout=DEADLINE) == 0, told
    finally:
        process.kill()
        process.wait()
        os.close(ours)
    assert b"Copying: " in told and b", 100 %" in told and told.endswith(b"\r\x1b[K"), told


def test_upgrade_and_rollback(account, fresh, lab, tmp_path):
    first = deploy(fresh, lab, "--agent", AGENT)["version"]
    assert deploy(fresh, lab, "--rollback", code=NOT_FOUND)["error"]["code"] == "not-found"
    report = deploy(fresh, lab, "--agent", other_agent(tmp_path / "second"))
    assert report["done"] == ["copy", "switch"] and report["before"] == first, report
    assert account.version() == report["version"] != first and account.version("previous") == first
    assert serves(fresh, lab)
    assert deploy(fresh, lab, "--rollback", "--dry-run")["planned"] == ["switch"]
    assert deploy(fresh, lab, "--rollback")["version"] == first
    assert account.version() == first and serves(fresh, lab)
    # The newer one is kept, and need not be copied again.
    assert deploy(fresh, lab, "--agent", tmp_path / "second")["done"] == ["switch"]


@pytest.mark.parametrize("body, code", [
    ("exit 1", INCOMPATIBLE),
    ("echo farseed-agent 0.0.1", INCOMPATIBLE),
    ('[ "$1" = version ] && exec {agent} version; echo something else', UNEXPECTED),
])
def test_a_broken_agent_is_taken_back(account, fresh, lab, tmp_path, body, code):
    first = deploy(fresh, lab, "--agent", AGENT)["version"]
    keys = account.keys.read_bytes()
    broken = script(tmp_path / "broken", body.format(agent=AGENT))
    report = deploy(fresh, lab, "--agent", broken, code=code)
    assert not report["ok"] and report["rolled_back"] == (code == UNEXPECTED), report
    assert account.version() == first and account.version("previous") is None
    assert account.keys.read_bytes() == keys and not account.unfinished()
    assert serves(fresh, lab)


def test_a_first_installation_that_fails_leaves_the_account_as_it_was(account, fresh, lab, tmp_path):
    body = f'[ "$1" = gate ] || exec {AGENT} "$@"; echo something else'
    report = deploy(fresh, lab, "--agent", script(tmp_path / "broken", body), code=UNEXPECTED)
    assert report["done"] == ["copy", "switch", "authorize"] and report["rolled_back"], report
    assert account.version() is None and account.keys.read_bytes() == account.admin + OTHERS
    assert account.keys.stat().st_mode & 0o777 == 0o640


def test_a_key_that_opens_no_shell_is_refused(account, fresh, lab, tmp_path):
    stranger = tmp_path / "stranger"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", stranger], check=True)
    assert deploy(fresh, lab, "--agent", AGENT, key=stranger, code=LOGIN_REFUSED)["error"]
    assert deploy(fresh, lab, "--agent", AGENT, key=lab.key_path, code=NOT_PERMITTED)["error"]
    assert deploy(fresh, lab, "--agent", AGENT, key=tmp_path / "key", code=BAD_REQUEST)["error"]
    assert not account.place.exists() and account.keys.read_bytes() == account.admin + OTHERS


def test_a_copy_that_is_interrupted_leaves_the_old_version(account, fresh, lab, tmp_path):
    first = deploy(fresh, lab, "--agent", AGENT)["version"]
    # Large, and of what cannot be compressed, so that it is still under way when it is looked at.
    with open("/dev/urandom", "rb") as noise:
        large = other_agent(tmp_path / "large", noise.read(48_000_000))
    for how in (signal.SIGKILL, signal.SIGINT):
        process = subprocess.Popen(
            [FARSEED, "deploy-agent", "--key", lab.admin_key_path, "--agent", large], env=fresh.environment,
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
        )
        try:
            wait_for("the copy to begin", lambda: any(path.stat().st_size for path in account.unfinished()), pause=0.01)
            process.send_signal(how)
            _, errors = process.communicate(timeout=DEADLINE)
        finally:
            process.kill()
            process.wait()
        assert process.returncode == (-how if how == signal.SIGKILL else 19), errors
        wait_for("the half file to be gone", lambda: not account.unfinished())
        assert account.version() == first and [path.name for path in account.place.glob("*-*")] == [first]
        assert serves(fresh, lab)
