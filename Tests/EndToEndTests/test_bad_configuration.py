"""What is wrong with a configuration is told in one sentence a fault, before anything listens."""

import re
import socket

import pytest
from conftest import free_port, make_certificate
from test_attacks import Controller

#: What makes each fault of the configuration's text, the exit code, and what its sentence must hold.
FAULTS = {
    "unknown key": ('colour = "blue"\n', 21, "`colour`: unknown key"),
    "unknown section": ("[web.colours]\nred = 1\n", 21, "unknown section"),
    "certificate missing": ('certificate = "none.pem"\ncertificate-key = "key"\n', 22, "none.pem cannot be read"),
    "certificate is none": ('certificate = "key.pub"\ncertificate-key = "key"\n', 21, "key.pub"),
    "key is none": ('certificate = "tls.pem"\ncertificate-key = "key"\n', 21, "key"),
    "key of another certificate": ('certificate = "tls.pem"\ncertificate-key = "other.key"\n', 21, "other.key"),
    "secret for all to read": ('metrics-token-file = "key.pub"\n', 22, "chmod 600"),
    "secret too short": ('metrics-token-file = "short"\n', 21, "has 5 bytes"),
    "tor from everywhere": ('onion-listen = "0.0.0.0:8081"\n', 21, "no address of loopback"),
}


class Faulty(Controller):
    """A configuration with faults, of whose controller nothing must be seen."""

    def refused(self):
        """How `serve` ended, after a look at what it left behind."""
        done = self.run("serve")
        assert done.returncode != 0 and done.stdout == ""
        assert not list(self.state.rglob("*.sock")), "not even the control socket is there"
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", self.page), timeout=5)
        return done.returncode, done.stderr.splitlines()


@pytest.fixture
def faulty(tmp_path):
    page = free_port()
    for name in ("tls", "other"):
        make_certificate(tmp_path, name)
    (tmp_path / "short").write_text("short")
    (tmp_path / "short").chmod(0o600)
    faulty = Faulty(tmp_path)
    faulty.page = page
    return faulty


def write(faulty, web, listen):
    text, count = re.subn(r'(?m)^listen = .*$', f'listen = "127.0.0.1:{listen}"\n{web}', faulty.config.read_text())
    assert count == 1
    faulty.config.write_text(text)


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_one_sentence_before_anything_listens(faulty, fault):
    web, code, words = FAULTS[fault]
    write(faulty, web, faulty.page)
    ended, lines = faulty.refused()
    assert ended == code and len(lines) == 1, lines
    assert words in lines[0] and re.match(r"farseed: .*[.:] ", lines[0]), lines


def test_every_fault_has_a_sentence_of_its_own(faulty):
    write(faulty, 'colour = "blue"\nshape = 1\nmetrics-token-file = "key.pub"\n', "nowhere")
    ended, lines = faulty.refused()
    assert ended == 21 and len(lines) == 4, lines
    for words in ("`colour`", "`shape`", "chmod 600", "`listen`:"):
        assert sum(words in line for line in lines) == 1, (words, lines)


def test_a_key_that_others_may_read_is_refused(faulty):
    (faulty.directory / "key").chmod(0o640)
    write(faulty, "", faulty.page)
    ended, lines = faulty.refused()
    assert ended == 22 and len(lines) == 1 and "chmod 600" in lines[0] and "mode 640" in lines[0], lines
