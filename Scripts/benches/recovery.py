"""How long the link takes to be live again after a fault, a command answered included."""

import signal
import subprocess
import time

from lab import processes

from .home import agents

#: How long a recovery may take, in seconds: silence of 45 s, and tries of a busy Tor network.
PATIENCE = 180
POLL = 0.1
BLACKHOLE = 60


def reset_ssh(lab, _home):
    """sshd's processes of the link die, and their connection with them."""
    lab.kill_sshd_connection()


def kill_agent(lab, _home):
    """The agent dies with all of its processes."""
    processes.send(agents(lab), signal.SIGKILL)


def restart_tor(lab, _home):
    """Tor dies and is started again at once, as a service manager does."""
    lab.kill_tor_client()
    lab.start_tor_client()


def kill_relay(lab, home):
    """The link's circuit loses a relay behind its first; returns what starts that relay again."""
    def behind():
        circuit = next((hop["detail"] for hop in home.link().get("hops", []) if hop["hop"] == "circuit"), "")
        return [name for name in circuit.split(" → ")[1:] if name.startswith("relay")]

    number = int(processes.until(behind, PATIENCE, "A circuit with relays to kill", interval=POLL)[0][len("relay"):])
    lab.kill_relay(number)
    return lambda: lab.start_relay(number)


def restart_relay(lab, home):
    """The same, and the relay is started again at once."""
    kill_relay(lab, home)()


def freeze_sshd(lab, _home):
    """sshd's process of the link stops: the connection stays open and silent."""
    lab.freeze_sshd_connection()
    return lab.thaw_sshd_connection


def blackhole(lab, _home):
    """The Tor network swallows everything for a minute; measured from its end."""
    lab.blackhole()
    time.sleep(BLACKHOLE)
    lab.blackhole(False)


#: Each breaks the link and returns what mends it afterwards, if anything.
FAULTS = {
    "SSH connection reset": reset_ssh,
    "agent killed": kill_agent,
    "tor killed and restarted": restart_tor,
    "relay killed and restarted": restart_relay,
    "relay killed for good": kill_relay,
    "sshd frozen": freeze_sshd,
    "blackhole of 60 s": blackhole,
}
QUICK = ["SSH connection reset"]


def measure(home, lab, fault, runs, table, place):
    """Breaks the link some times; the time is that until a command that needs the link has succeeded."""
    seconds = []
    for _ in range(runs):
        mends = FAULTS[fault](lab, home)
        began = time.monotonic()
        try:
            processes.until(lambda: works(home), PATIENCE, f"A recovery after “{fault}”", [home.server], POLL)
            seconds.append(time.monotonic() - began)
        finally:
            if mends:
                mends()
        processes.until(lambda: home.link().get("state") == "live", PATIENCE, "A live link", [home.server], POLL)
    table.median(f"{place}: recovery, {fault}", "farseed, median", seconds, "s")
    table.add(f"{place}: recovery, {fault}", "farseed, longest", max(seconds), "s", len(seconds))


def works(home):
    """Whether a new command succeeds and the controller calls its link live afterwards."""
    try:
        if home.call("exec", "--", "transmission-remote", "-si", timeout=PATIENCE).returncode != 0:
            return False
    except subprocess.TimeoutExpired:
        return False
    return home.link().get("state") == "live"
