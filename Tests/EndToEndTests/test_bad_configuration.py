"""What is wrong with a configuration is told in one sentence a fault, before anything listens."""

import contextlib
import json
import os
import re
import shutil
import socket
import subprocess

import pytest
from conftest import CODES, free_port, make_certificate
from attacked import Controller

#: What makes each fault of the [web] section, the exit code, and what its sentence must hold.
FAULTS = {
    "unknown key": ('colour = "blue"\n', 21, "`colour`: unknown key"),
    "unknown section": ("[web.colours]\nred = 1\n", 21, "unknown section"),
    "certificate missing": ('certificate = "none.pem"\ncertificate-key = "tls.key"\n', 22, "none.pem cannot be read"),
    "certificate is none": ('certificate = "key.pub"\ncertificate-key = "tls.key"\n', 21, "key.pub holds no certificate"),
    "key missing": ('certificate = "tls.pem"\ncertificate-key = "none.key"\n', 22, "none.key cannot be read"),
    "key is none": ('certificate = "tls.pem"\ncertificate-key = "key"\n', 21, "key holds no private key"),
    "key of another certificate": ('certificate = "tls.pem"\ncertificate-key = "other.key"\n', 21, "other.key is not the"),
    "certificate without key": ('certificate = "tls.pem"\n', 21, "belong together"),
    "key for all to read": ('certificate = "tls.pem"\ncertificate-key = "open.key"\n', 22, "chmod 600"),
    "secret for all to read": ('metrics-token-file = "key.pub"\n', 22, "chmod 600"),
    "secret missing": ('metrics-token-file = "none"\n', 22, "none cannot be read: no such file"),
    "secret is a directory": ('metrics-token-file = "."\n', 22, "no ordinary file"),
    "secret too short": ('metrics-token-file = "short"\n', 21, "has 5 bytes"),
    "tor from everywhere": ('onion-listen = "0.0.0.0:8081"\n', 21, "no address of loopback"),
    "one address twice": ('onion-listen = "127.0.0.1:{page}"\n', 21, "`listen` of [web] has this address"),
    "no such group": ('[control]\ngroup = "no-such-group"\n', 21, 'no group "no-such-group"'),
    "worker's secret too short": ('[worker.one]\nsecret-file = "short"\n', 21, "has 5 bytes"),
    "worker's secret missing": ('[worker.one]\nsecret-file = "none"\n', 22, "none cannot be read"),
    "one address twice, for events": (
        '[ingest]\ntopics = ["com.example."]\nlisten = "127.0.0.1:{page}"\n', 21, "`listen` of [web] has this address"),
}


class Faulty(Controller):
    """A configuration with faults, of whose controller nothing must be seen."""

    def refused(self, through=()):
        """How `serve` ended, after a look at what it left behind; `config check` must say the same."""
        checked = self.run("config", "check", through=through)
        done = self.run("serve", through=through)
        assert done.returncode != 0 and done.stdout == ""
        assert not list(self.state.rglob("*.sock")), "not even the control socket is there"
        assert not list(self.state.rglob("*.db")), "nothing is begun"
        lines = done.stderr.splitlines()
        assert (checked.returncode, checked.stdout) == (done.returncode, ""), checked
        assert [f"farseed: {line}" for line in checked.stderr.splitlines()] == lines, checked
        told = json.loads(self.run("config", "check", "--json", through=through).stdout)["faults"]
        assert len(told) == len(lines) and all(fault["message"] in line for fault, line in zip(told, lines)), told
        return done.returncode, lines

    def untouched(self):
        """Nobody listens at the page's port."""
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", self.page), timeout=5)

    def write(self, more, listen=None):
        """Gives [web] an address, and puts `more` after it."""
        line = f'listen = "{listen or f"127.0.0.1:{self.page}"}"\n{more.replace("{page}", str(self.page))}'
        text, count = re.subn(r"(?m)^listen = .*$", lambda _: line, self.config.read_text())
        assert count == 1
        self.config.write_text(text)


@pytest.fixture
def faulty(tmp_path):
    page = free_port()
    for name in ("tls", "other"):
        make_certificate(tmp_path, name)
    shutil.copy(tmp_path / "tls.key", tmp_path / "open.key")
    (tmp_path / "open.key").chmod(0o644)
    (tmp_path / "short").write_text("short")
    (tmp_path / "short").chmod(0o600)
    faulty = Faulty(tmp_path)
    faulty.page = page
    return faulty


@pytest.fixture
def taken():
    """The port of another program that listens."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        yield other.getsockname()[1]


def sentence(lines, *words):
    """The one line that has all these words, and the place in the file."""
    of = [line for line in lines if all(word in line for word in words)]
    assert len(of) == 1, (words, lines)
    assert re.match(r"farseed: /.*farseed\.toml:\d+: \[\w+(\.\w+)?\] ", of[0]), of
    return of[0]


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_one_sentence_before_anything_listens(faulty, fault):
    more, code, words = FAULTS[fault]
    faulty.write(more)
    ended, lines = faulty.refused()
    assert ended == code and len(lines) == 1, lines
    sentence(lines, words)
    faulty.untouched()


#: What listens where another program does: the section, and the key in it.
DOORS = {
    "the page": ("", "listen"),
    "the onion service": ('onion-listen = "127.0.0.1:{taken}"\n', "onion-listen"),
    "events": ('[ingest]\ntopics = ["com.example."]\nlisten = "127.0.0.1:{taken}"\n', "listen"),
}


@pytest.mark.parametrize("door", DOORS)
def test_a_port_in_use_is_found_before_anything_listens(faulty, taken, door):
    more, key = DOORS[door]
    faulty.write(more.replace("{taken}", str(taken)), f"127.0.0.1:{taken}" if door == "the page" else None)
    ended, lines = faulty.refused()
    assert ended == CODES["port-in-use"] and len(lines) == 1, lines
    sentence(lines, f"`{key}`: another program listens on 127.0.0.1 port {taken}", "choose another port")
    faulty.untouched()


def test_every_port_in_use_has_a_sentence_of_its_own(faulty, taken):
    with socket.create_server(("127.0.0.1", 0)) as other:
        second = other.getsockname()[1]
        faulty.write(f'[ingest]\ntopics = ["com.example."]\nlisten = "127.0.0.1:{second}"\n', f"127.0.0.1:{taken}")
        ended, lines = faulty.refused()
    assert ended == CODES["port-in-use"] and len(lines) == 2, lines
    sentence(lines, "[web]", str(taken))
    sentence(lines, "[ingest]", str(second))


def test_an_address_that_is_not_this_machine_s(faulty):
    for address, words in (("192.0.2.1:8080", "this machine has no address 192.0.2.1"),
                           ("no-such-name.invalid:8080", 'no address is known for the name "no-such-name.invalid"')):
        text = faulty.config.read_text()
        faulty.write("", address)
        ended, lines = faulty.refused()
        assert ended == 21 and len(lines) == 1, lines
        sentence(lines, words)
        faulty.config.write_text(text)


def test_what_listens_on_the_same_port_elsewhere_is_in_nobody_s_way(faulty):
    with socket.create_server(("127.0.0.2", faulty.page)):
        faulty.write("")
        assert faulty.run("config", "check").returncode == 0


def test_the_daemon_s_own_port_is_no_fault_while_it_runs(faulty):
    faulty.write("")
    faulty.start()
    try:
        assert faulty.run("config", "check").returncode == 0
        second = faulty.run("serve")
        assert second.returncode == CODES["conflict"] and "Another farseed" in second.stderr, second
    finally:
        faulty.stop()
    # Nor are the connections that are over only lately.
    assert faulty.run("config", "check").returncode == 0
    faulty.start().stop()


def test_every_fault_has_a_sentence_of_its_own(faulty, taken):
    (faulty.directory / "key").chmod(0o644)
    faulty.write('colour = "blue"\nshape = 1\nmetrics-token-file = "key.pub"\ncertificate = "key.pub"\n'
                 f'certificate-key = "key.pub"\nonion-listen = "127.0.0.1:{taken}"\n'
                 '[worker.one]\nsecret-file = "none"\n', "nowhere")
    ended, lines = faulty.refused()
    assert ended == 21, lines
    for words in (("`colour`",), ("`shape`",), ("`metrics-token-file`", "chmod 600"), ("`listen`:", "nowhere"),
                  ("`certificate`", "no certificate"), ("`certificate-key`", "chmod 600"),
                  ("`certificate-key`", "no private key"), ("`onion-listen`", "choose another port"),
                  ("[worker.one]", "cannot be read"), ("[box.vps]", "chmod 600")):
        sentence(lines, *words)
    assert len(lines) == 10, lines
    faulty.untouched()


@pytest.mark.parametrize("content, code, words", [
    (None, 22, "cannot be read"), ("nothing of a key", 22, "is not an ed25519 key"),
    ("RSA", 22, "is not an ed25519 key"), ("LOCKED", 22, "locked with a passphrase"), ("OPEN", 22, "mode 640"),
])
def test_a_login_key_that_cannot_be_used(faulty, content, code, words):
    key = faulty.directory / "key"
    if content == "OPEN":
        key.chmod(0o640)
    else:
        key.unlink()
        if content in ("RSA", "LOCKED"):
            kind = ["rsa", "-b", "2048", "-N", ""] if content == "RSA" else ["ed25519", "-N", "a passphrase"]
            subprocess.run(["ssh-keygen", "-q", "-f", key, "-t", *kind], check=True, timeout=60)
        elif content is not None:
            key.write_text(content)
            key.chmod(0o600)
    faulty.write("")
    ended, lines = faulty.refused()
    assert ended == code and len(lines) == 1, lines
    sentence(lines, "[box.vps] `key`", words)
    faulty.untouched()


def test_a_configuration_that_cannot_be_read(faulty):
    whole = faulty.config.read_bytes()
    for text, words in ((b"\xff\xfe", "not UTF-8"), (b"# " + b"x" * (1 << 20) + b"\n" + whole, "larger than 1 MiB"),
                        (whole + b"\nno such line\n", "not valid TOML"), (None, "cannot be read: no such file")):
        faulty.config.unlink()
        if text is not None:
            faulty.config.write_bytes(text)
        done = faulty.run("serve")
        assert done.returncode == 21 and done.stdout == "" and len(done.stderr.splitlines()) == 1, done
        assert words in done.stderr, done
        faulty.config.write_bytes(whole)


def test_a_control_socket_whose_directory_is_missing(faulty):
    faulty.write(f'[control]\nsocket = "{faulty.directory}/nowhere/control.sock"\n')
    done = faulty.run("serve")
    assert done.returncode == 21 and done.stdout == "", done
    assert len(done.stderr.splitlines()) == 1 and "no such file or directory" in done.stderr, done
    faulty.untouched()


def test_a_group_that_the_daemon_s_user_is_not_in(faulty):
    """Told before there is a socket that strangers could find."""
    faulty.write('[control]\ngroup = "daemon"\n')
    subprocess.run(["chown", "-R", "nobody", faulty.directory], check=True)
    with contextlib.ExitStack() as stack:
        for directory in (faulty.directory, *faulty.directory.parents):
            if not os.stat(directory).st_mode & 0o001 and directory != faulty.directory:
                stack.callback(directory.chmod, os.stat(directory).st_mode)
                directory.chmod(os.stat(directory).st_mode | 0o011)
        through = ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups"]
        done = faulty.run("serve", through=through)
    assert done.returncode == 21 and len(done.stderr.splitlines()) == 1 and 'not in the group "daemon"' in done.stderr, done
    assert not list(faulty.directory.rglob("*.sock"))
    faulty.untouched()
