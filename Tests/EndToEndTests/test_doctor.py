"""`farseed doctor` and what tor says of itself: versions, countries, the clock, passwords, and one hop after the other."""

import json
import re
import socketserver
import threading

import pytest

from conftest import CODES, FARSEED, Page, free_port, link_state, make_home, status, wait_for
from faketor import ControlPort, program
from terminal import Terminal
from test_faults import CONFIGURED, OTHER_ONION, broken, overrides, refusing_socks  # noqa: F401

HOPS = ["configuration", "tor", "socks", "bootstrap", "descriptor", "tcp", "host-key", "login", "forced-command", "agent",
        "transmission", "disk"]
#: Where the laboratory's GeoIP file puts loopback.
COUNTRY = "XA"
ATTEMPT = 90
RELAY = "AB" * 20


def walk(home, code=0):
    """The walk for programs; it ended with `code`."""
    done = home.run("doctor", "--json", timeout=2 * ATTEMPT)
    assert done.returncode == code, done
    return json.loads(done.stdout)


def test_every_hop_has_its_line_and_its_time(lab, home):
    walked = walk(home)
    assert walked["ok"] and [hop["hop"] for hop in walked["hops"]] == HOPS, walked
    hops = {hop["hop"]: hop for hop in walked["hops"]}
    assert {hop["state"] for hop in hops.values()} == {"up"} and "warnings" not in walked, walked
    # Tor times no descriptor that it had already.
    assert all("ms" in hop for name, hop in hops.items() if name != "descriptor"), walked
    assert hops["descriptor"]["detail"] in ("found", "tor had it already")
    assert re.match(r"0\.4\.", hops["tor"]["detail"]) and hops["bootstrap"]["detail"] == "100 %"
    assert re.search(r"farseed-agent .*, role control, round trip \d+ ms", hops["agent"]["detail"]), hops
    told = home.run("doctor", timeout=ATTEMPT)
    assert told.returncode == 0, told
    for name, line in zip(HOPS, told.stdout.splitlines()):
        assert re.match(rf"✓  {name.replace('-', ' ')} ", line), told.stdout


def test_without_a_control_port_the_walk_says_what_is_not_told(lab, tmp_path):
    with make_home(lab, tmp_path, tor={"control": None}) as home:
        walked = walk(home)
        hops = {hop["hop"]: hop for hop in walked["hops"]}
        assert list(hops) == HOPS and {hop["state"] for hop in hops.values()} == {"up"}, walked
        assert "`control`" in hops["tor"]["detail"] and "ms" not in hops["tor"]
        for name in ("bootstrap", "descriptor"):
            assert "without a control port" in hops[name]["detail"] and "ms" not in hops[name], hops


#: The hop at which each wrong configuration ends the walk.
ENDS = {"host-key-mismatch": "host-key", "login-refused": "login", "onion-not-found": "descriptor",
        "socks-unreachable": "socks", "socks-refused": "socks"}


@pytest.mark.parametrize("kind", ENDS)
def test_a_wrong_configuration_ends_the_walk_at_its_hop(kind, lab, tmp_path, refusing_socks):  # noqa: F811
    with make_home(lab, tmp_path, **overrides(kind, lab, tmp_path, refusing_socks)) as home:
        expect_end(walk(home, CONFIGURED[kind]), kind, ENDS[kind])


@pytest.mark.parametrize("kind, hop", [
    ("agent-missing", "forced-command"), ("agent-incompatible", "agent"), ("transmission-down", "transmission"),
])
def test_what_is_wrong_on_the_vps_ends_the_walk_at_its_hop(kind, hop, lab, home, tmp_path):
    with broken(lab, kind, tmp_path):
        expect_end(walk(home, CODES[kind]), kind, hop)
    assert walk(home)["ok"], "what is in order again is told so at once"


def expect_end(walked, code, hop):
    """All hops before `hop` are up, and with it the walk has ended."""
    assert walked["problem"]["code"] == code and not walked["ok"], walked
    *before, last = walked["hops"]
    assert (last["hop"], last["state"]) == (hop, "down"), walked
    assert last["detail"] == code.replace("-", " "), walked
    assert [one["hop"] for one in before] == HOPS[:HOPS.index(hop)], walked
    assert "down" not in {one["state"] for one in before}, walked


def fake_answers(version="0.4.8.10"):
    """Of a tor that has a circuit of ours with one known relay in Germany and one that it knows no place of."""
    path = f"${RELAY}~first,${'CD' * 20}~second"
    circuit = f'4 BUILT {path} PURPOSE=HS_CLIENT_REND SOCKS_USERNAME="farseed-vps" SOCKS_PASSWORD="commands"'
    return {
        "GETINFO version": f"250-version={version}\r\n"
                           '250-status/bootstrap-phase=NOTICE BOOTSTRAP PROGRESS=100 TAG=done SUMMARY="Done"\r\n'
                           f"250+circuit-status=\r\n{circuit}\r\n.\r\n250 OK",
        f"GETINFO ns/id/{RELAY}": f"250+ns/id/{RELAY}=\r\nr first id digest 2038-01-01 00:00:00 192.0.2.7 9001 0\r\n"
                                  "s Fast Guard\r\n.\r\n250 OK",
        "GETINFO ip-to-country/192.0.2.7": "250-ip-to-country/192.0.2.7=de\r\n250 OK",
    }


def test_an_old_tor_a_wrong_clock_and_the_countries_are_told_everywhere(lab, tmp_path, chromium):
    with ControlPort(fake_answers()) as tor, make_home(lab, tmp_path, tor={"control": tor.address}) as home:
        tor.say("STATUS_GENERAL WARN CLOCK_SKEW SKEW=-7200 SOURCE=OR:192.0.2.7:9001")
        walked = walk(home)
        hops = {hop["hop"]: hop for hop in walked["hops"]}
        assert hops["tor"]["detail"] == "0.4.8.10, older than 0.4.9.11: update it", hops
        assert hops["tcp"]["detail"] == "first (DE) → second", hops
        assert [one["code"] for one in walked["warnings"]] == ["tor-outdated", "clock-skew"], walked
        assert home.run("doctor", timeout=ATTEMPT).stdout.count("\n! ") == 2

        home.start()
        wait_for("the link to be live", lambda: link_state(home) == "live", ATTEMPT)
        link = status(home)["boxes"][0]["link"]
        assert link["hops"][0]["detail"] == "0.4.8.10, outdated", link
        assert link["warnings"] == walked["warnings"], link
        said = home.run("status").stdout
        assert "! This tor is 0.4.8.10." in said and "clock is 2 h behind" in said, said
        page = Page(chromium, home.url).wait_live()
        shown = wait_for("the page's warning", lambda: page.script(
            "const w = document.querySelector('#warning'); return w.hidden ? null : [w.dataset.codes, w.textContent]"))
        assert shown[0] == "tor-outdated clock-skew" and "2 h behind: set it" in shown[1], shown

        # A clock that was set is no news any more.
        tor.say("STATUS_GENERAL WARN CLOCK_JUMPED TIME=7200 IDLE=0")
        wait_for("the clock to be right", lambda: [one["code"] for one in status(home)["boxes"][0]["link"]["warnings"]]
                 == ["tor-outdated"])


def test_what_keeps_tor_from_going_on_is_told_in_its_words(lab, tmp_path):
    nothing_yet = {"GETINFO version": "250-version=0.4.9.11\r\n250 OK"}
    # Whoever tried all the same would find no SOCKS port.
    with ControlPort(nothing_yet) as tor, make_home(lab, tmp_path, tor={
        "socks": f"127.0.0.1:{free_port()}", "control": tor.address,
    }) as home:
        tor.say("STATUS_GENERAL WARN CLOCK_SKEW SKEW=86400 SOURCE=CONSENSUS")
        tor.say('STATUS_CLIENT WARN BOOTSTRAP PROGRESS=10 TAG=conn_done SUMMARY="Connected to a relay" '
                'WARNING="No route to host" REASON=NOROUTE COUNT=12 RECOMMENDATION=warn HOSTID="00" HOSTADDR="192.0.2.1:9"')
        home.start()
        link = wait_for("the reason", lambda: (link := status(home)["boxes"][0]["link"])["state"] == "bootstrapping" and link)
        assert link["problem"]["code"] == "tor-not-ready", link
        assert "at 10 %: No route to host (NOROUTE). Tor says" in link["problem"]["message"], link
        assert "24 h ahead" in link["problem"]["message"] and [w["code"] for w in link["warnings"]] == ["clock-skew"], link


def test_a_terminal_shows_what_the_walk_waits_for(lab, tmp_path):
    with ControlPort({"GETINFO version": "250-version=0.4.9.11\r\n250 OK"}) as tor, make_home(
            lab, tmp_path, tor={"control": tor.address}) as home, Terminal(
            tmp_path, [FARSEED, "doctor"], home.environment | {"TERM": "xterm-256color"}) as terminal:
        for percent in (10, 45):
            tor.say(f'STATUS_CLIENT NOTICE BOOTSTRAP PROGRESS={percent} TAG=x SUMMARY="Step {percent}"')
            terminal.wait("the progress", lambda screen: screen.strip() == f"Tor's bootstrap: {percent} %, Step {percent}…")
        terminal.keys("C-c")


def test_the_relays_of_a_circuit_have_their_country(home):
    """The real tor, with the laboratory's GeoIP file."""
    home.start()
    wait_for("the link to be live", lambda: link_state(home) == "live", ATTEMPT)

    def detail():
        return status(home)["boxes"][0]["link"]["hops"][1]["detail"]

    wait_for("the countries", lambda: detail().count(f" ({COUNTRY})") == len(detail().split(" → ")) >= 3)


def test_an_old_program_is_named_before_it_runs(lab, tmp_path):
    body = f'echo >> {tmp_path}/starts; echo "[err] It is broken."; exit 1'
    old = program(tmp_path / "tor", "0.4.8.10", body)
    with make_home(lab, tmp_path, own_tor=True, tor={"binary": str(old)}) as home:
        walked = walk(home, CODES["tor-failed"])
        expect_end(walked, "tor-failed", "tor")
        assert "It is broken." in walked["problem"]["message"], walked
        assert [one["code"] for one in walked["warnings"]] == ["tor-outdated"], walked


def test_a_tor_that_dies_at_once_is_started_again_with_growing_pauses(lab, tmp_path):
    times = tmp_path / "times"
    dying = program(tmp_path / "tor", "0.4.9.11", f"date +%s.%N >> {times}; exit 1")
    with make_home(lab, tmp_path, own_tor=True, tor={"binary": str(dying)}) as home:
        home.start()
        wait_for("three starts", lambda: times.exists() and len(times.read_text().split()) >= 3, 30)
        first, second, third = map(float, times.read_text().split()[:3])
        assert second - first > 0.9 and third - second > 1.9, (first, second, third)
        assert home.run("status").returncode == CODES["tor-failed"]
        assert home.stop() == 0
        count = len(times.read_text().split())
    assert len(times.read_text().split()) == count


@pytest.fixture
def control_by_tcp(lab):
    """The laboratory tor's own control port by TCP on this side: what passes is kept."""
    import socket

    passed = []

    class Pass(socketserver.BaseRequestHandler):
        def handle(self):
            with socket.socket(socket.AF_UNIX) as inside:
                inside.connect(str(lab.control_unix))
                back = threading.Thread(target=self.copy, args=(inside, self.request), daemon=True)
                back.start()
                self.copy(self.request, inside, passed)

        @staticmethod
        def copy(one, other, kept=None):
            try:
                while data := one.recv(65536):
                    if kept is not None:
                        kept.append(data)
                    other.sendall(data)
                other.shutdown(socket.SHUT_WR)
            except OSError:
                pass

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True

    with Server(("127.0.0.1", 0), Pass) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield f"127.0.0.1:{server.server_address[1]}", passed
        server.shutdown()
        thread.join()


def test_the_control_port_by_tcp_with_its_cookie_and_with_its_password(lab, tmp_path, control_by_tcp):
    address, passed = control_by_tcp
    for name, password in (("cookie", None), ("password", lab.control_password), ("wrong", "not the password")):
        directory = tmp_path / name
        directory.mkdir()
        file = directory / "password"
        file.write_text(f"{password}\n")
        file.chmod(0o600)
        passed.clear()
        with make_home(lab, directory, tor={
            "control": address, "control-password-file": str(file) if password else None,
        }) as home:
            walked = walk(home)
            hops = {hop["hop"]: hop["detail"] for hop in walked["hops"]}
            method = b'AUTHENTICATE "' if password else b"AUTHCHALLENGE SAFECOOKIE "
            assert any(method in data for data in passed), passed
            if name == "wrong":
                assert "version" in hops["tor"] and [one["code"] for one in walked["warnings"]] == ["tor-control"], walked
                assert "Check its credentials" in walked["warnings"][0]["message"]
            else:
                assert re.match(r"0\.4\.", hops["tor"]) and "warnings" not in walked, walked
            assert password is None or password not in json.dumps(walked)
            home.start("--verbose")
            wait_for("the link to be live", lambda: link_state(home) == "live", ATTEMPT)
            link = status(home)["boxes"][0]["link"]
            assert [one["code"] for one in link.get("warnings", [])] == (["tor-control"] if name == "wrong" else []), link
            assert home.stop() == 0
            assert password is None or password not in home.log.read_text()


def test_a_control_port_that_does_not_answer_keeps_nothing_from_working(lab, tmp_path):
    with make_home(lab, tmp_path, tor={"control": f"127.0.0.1:{free_port()}"}) as home:
        walked = walk(home)
        assert [one["code"] for one in walked["warnings"]] == ["tor-control"], walked
        assert "does not answer" in walked["warnings"][0]["message"]


def test_of_two_addresses_the_first_may_be_dead(lab, tmp_path):
    with make_home(lab, tmp_path, box={"address": None, "addresses": [OTHER_ONION, lab.onion]}) as home:
        assert home.run("exec", "--", "transmission-remote", "-si", timeout=ATTEMPT).returncode == 0
        home.start()
        wait_for("the link to be live", lambda: link_state(home) == "live", ATTEMPT)
