"""Every way in which the road can be broken ends in its own sentence and exit code, and shows on the page."""

import base64
import contextlib
import json
import re
import socket
import socketserver
import subprocess
import threading

import pytest

from conftest import AGENT, CODES, Page, free_port, hop, make_home, wait_for

#: How long one attempt may take until it is known to have failed.
ATTEMPT = 90


@pytest.fixture
def refusing_socks():
    """A SOCKS port that refuses every password, as no tor does but other proxies do."""
    class Refuse(socketserver.BaseRequestHandler):
        def handle(self):
            self.request.settimeout(10)
            count = self.request.recv(2)[1]
            self.request.recv(count)
            self.request.sendall(b"\x05\x02")
            self.request.recv(1024)
            self.request.sendall(b"\x01\x01")

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Refuse) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield f"127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


OTHER_HOST_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIFvVZ0lCCZY0wpzLzT4Pv1Lh0kZ6nR0gqVb7w1bN1Y2s"
#: A well-formed version 3 address that nobody serves.
OTHER_ONION = "2gzyxa5ihm7nsggfxnu52rck2vv4rvmdlkiu3zzui5du4xyclen53wid.onion"


def overrides(kind, lab, tmp_path, refusing_socks):
    """What is wrong in the configuration, and the code word it must lead to."""
    if kind == "host-key-mismatch":
        return {"box": {"host-key": OTHER_HOST_KEY}}
    if kind == "login-refused":
        key = tmp_path / "other-key"
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
        return {"box": {"key": str(key)}}
    if kind == "onion-not-found":
        return {"box": {"address": OTHER_ONION}}
    if kind == "socks-unreachable":
        return {"tor": {"socks": f"127.0.0.1:{free_port()}", "control": None}}
    if kind == "socks-refused":
        return {"tor": {"socks": refusing_socks, "control": None}}
    raise AssertionError(kind)


CONFIGURED = {
    "host-key-mismatch": 46, "login-refused": 47, "onion-not-found": 38, "socks-unreachable": 34,
    "socks-refused": 35,
}


#: What each sentence tells to do, in words that no other has, and the hop that is named.
TOLD = {
    "host-key-mismatch": ("ssh-keygen -lf", "ssh"),
    "login-refused": ("into that user's authorized_keys", "ssh"),
    "onion-not-found": ("the hostname file on the VPS", "circuit"),
    "socks-unreachable": ("Start tor", "tor"),
    "socks-refused": ("names tor's own port", "tor"),
    "agent-missing": ("Install farseed-agent there", "agent"),
    "agent-incompatible": ("Bring the older of them up to date", "agent"),
    "transmission-down": ("transmission-daemon is not running there", "transmission"),
    "transmission-unauthorized": ("into a file of mode 0600", "transmission"),
}


@pytest.mark.parametrize("kind", CONFIGURED)
def test_a_wrong_configuration(kind, lab, tmp_path, refusing_socks, chromium):
    with make_home(lab, tmp_path, **overrides(kind, lab, tmp_path, refusing_socks)) as home:
        expect_fault(home, chromium, kind, CONFIGURED[kind])


@pytest.mark.parametrize("kind, code", [
    ("agent-missing", 50), ("agent-incompatible", 52), ("transmission-down", 55), ("transmission-unauthorized", 57),
])
def test_something_wrong_on_the_vps(kind, code, lab, home, chromium, tmp_path):
    with broken(lab, kind, tmp_path):
        expect_fault(home, chromium, kind, code)


@contextlib.contextmanager
def broken(lab, kind, tmp_path):
    """The VPS with one thing wrong."""
    if kind == "agent-missing":
        lab.set_agent("/nowhere/farseed-agent")
    elif kind == "agent-incompatible":
        lab.set_agent(future_agent(tmp_path))
    elif kind == "transmission-down":
        lab.stop_transmission()
    elif kind == "transmission-unauthorized":
        lab.set_password("secret")
    try:
        yield
    finally:
        lab.set_agent(AGENT)
        if kind == "transmission-down":
            lab.start_transmission()
        elif kind == "transmission-unauthorized":
            lab.set_password(None)


def future_agent(tmp_path):
    """A program that greets as an agent of a protocol that does not exist yet."""
    software = b"\x68software\x6afarseed 99"
    hello = b"\xa2" + software + b"\x68versions\x82\x18\x62\x18\x63"
    frame = (5 + len(hello)).to_bytes(4, "big") + b"\x01" + bytes(4) + hello
    agent = tmp_path / "farseed-agent"
    text = base64.b64encode(b"FARSEED\n" + frame).decode()
    agent.write_text(f"#!/bin/sh\nprintf %s {text} | base64 -d\nexec cat > /dev/null\n")
    agent.chmod(0o755)
    return agent


def expect_fault(home, chromium, kind, code):
    """The command line without a controller, then with one, then the page."""
    # An agent that nobody watched may notice what befell Transmission only at its next look.
    seen = []

    def fails_so():
        seen.append(home.run("list", timeout=ATTEMPT))
        return seen[-1].returncode == code

    wait_for(f"exit code {code}", fails_so, deadline=ATTEMPT, pause=1)
    result = seen[-1]
    sentence = result.stderr.strip()
    assert sentence.startswith("farseed: ") and sentence.endswith(".") and len(sentence.splitlines()) == 1, sentence
    assert len(sentence) > 40, "a sentence says what happened, what it means and what to do"
    assert [name for name, (words, _) in TOLD.items() if words in sentence] == [kind], sentence

    answer = home.run("list", "--json", timeout=ATTEMPT)
    assert answer.returncode == code
    assert json.loads(answer.stdout)["error"]["code"] == kind

    home.start()
    page = Page(chromium, home.url)
    wait_for(f"the page to say {kind}", lambda: (page.problem() or {}).get("code") == kind, ATTEMPT)
    words, broken = TOLD[kind]
    assert words in page.problem()["text"], page.problem()
    wait_for(f"the page to call {broken} down", lambda: page.hops()[broken] == "down", ATTEMPT, pause=0.02)
    wait_for("farseed status to do so, too", lambda: hop(home, broken) == "down", ATTEMPT)
    served = home.run("list", timeout=ATTEMPT)
    # An agent that knew Transmission's torrents has told them: then the last data are shown, with their age and the reason.
    shows_last = kind.startswith("transmission") and served.returncode == 0 and " old: " in served.stderr
    assert served.returncode == code or shows_last, (served.returncode, served.stderr)
    assert home.stop() == 0


def test_wrong_usage_has_its_own_code(home):
    assert home.run("list", "--no-such-option").returncode == 64


def test_a_port_that_is_taken_has_its_own_code(home):
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = f'listen = "127.0.0.1:{other.getsockname()[1]}"'
        text, count = re.subn(r'(?m)^listen = .*$', taken, home.config.read_text())
        assert count == 1
        home.config.write_text(text)
        result = home.run("serve")
    assert result.returncode == CODES["port-in-use"], result
    assert "choose another port" in result.stderr and result.stderr.startswith("farseed: "), result.stderr


def test_a_bad_configuration_names_every_fault_with_its_line(home):
    home.config.write_text('[web]\nlisten = "nowhere"\ncolour = "blue"\n[box.vps]\nport = 99999\n')
    result = home.run("serve")
    assert result.returncode == 21
    for part in (":2", ":3", ":5", "listen", "colour", "port"):
        assert part in result.stderr, result.stderr


def test_an_address_with_a_slip_is_found_before_anything_is_dialled(lab, tmp_path):
    with make_home(lab, tmp_path, box={"address": OTHER_ONION.replace("2", "3", 1)}) as home:
        for command in ("list", "serve"):
            result = home.run(command)
            assert result.returncode == 21 and "checksum" in result.stderr, result


def test_a_second_controller_on_the_same_state_is_refused(served):
    result = served.run("serve")
    assert result.returncode != 0 and "Another farseed" in result.stderr, result.stderr
