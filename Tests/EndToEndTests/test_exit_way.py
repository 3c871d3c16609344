"""A seedbox without an onion service, reached by an exit of Tor."""

from conftest import link_state, make_home, status, wait_for


def relays(home):
    """The nicknames of the relays on the link's circuit, as the status tells them."""
    hops = {hop["hop"]: hop for hop in status(home)["boxes"][0]["link"]["hops"]}
    return [relay.partition(" (")[0] for relay in hops["circuit"].get("detail", "").split(" → ") if relay]


def test_the_circuit_of_each_session_is_told(lab, tmp_path):
    """The first may be built for us; after that tor mostly has one to an exit in stock, which it names without us."""
    tor = {"socks": f"unix:{lab.socks_any_unix}", "control": f"unix:{lab.control_unix}"}
    with make_home(lab, tmp_path, tor=tor, box={"address": "vps.test"}) as home:
        home.start()
        before = set()
        for _ in range(3):
            wait_for("a session of its own", lambda: set(lab.sshd_connections()) - before and link_state(home) == "live")
            wait_for("the relays of its circuit", lambda: len(relays(home)) == 3)
            assert len(set(relays(home))) == 3, relays(home)
            before |= set(lab.sshd_connections())
            lab.kill_sshd_connection()
        assert home.run("exec", "--", "transmission-remote", "-si").returncode == 0
