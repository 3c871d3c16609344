"""How long the link takes to be live again after a fault, a command answered included, and what became of commands."""

import dataclasses
import random
import signal
import subprocess
import time
from typing import Callable

from lab import LabError, processes

from .home import agents
from .steps import Steps

#: How long a recovery may take, in seconds: silence of 45 s, and tries of a busy Tor network.
PATIENCE = 180
POLL = 0.1
BLACKHOLE = 60
#: The latest moment of a fault after commands have been given, in seconds: they last hardly longer.
LATEST = 0.15
#: The moments are drawn from this seed.
SEED = 3


@dataclasses.dataclass
class Fault:
    """One way to break the link."""

    strike: Callable[[], object]
    #: How long it lasts, and what ends it: recovery is measured from there.
    lasts: float = 0
    end: Callable[[], object] | None = None
    #: What is mended once all is well again.
    afterwards: Callable[[], object] | None = None


def reset_ssh(lab, _home):
    """sshd's processes of the link die, and their connection with them."""
    return Fault(lab.kill_sshd_connection)


def kill_agent(lab, _home):
    """The agent dies with all of its processes."""
    return Fault(lambda: processes.send(agents(lab), signal.SIGKILL))


def restart_tor(lab, _home):
    """Tor dies and is started again at once, as a service manager does."""
    return Fault(lab.kill_tor_client, end=lab.start_tor_client)


def relay_of(lab, home):
    """The number of a relay on the link's circuit behind its first; where it has only authorities there is another circuit."""
    def behind():
        link = home.link()
        circuit = next((hop["detail"] for hop in link.get("hops", []) if hop["hop"] == "circuit"), "")
        # Without their countries.
        names = [relay.partition(" (")[0] for relay in circuit.split(" → ")[1:]]
        found = [name for name in names if name.startswith("relay")]
        if names and not found and link["state"] == "live":
            lab.kill_sshd_connection()
        return found

    return int(processes.until(behind, PATIENCE, "A circuit with relays to kill", interval=1)[0][len("relay"):])


def renew_onion(lab, home):
    """The onion service's tor begins anew, where the link goes by it.

    It makes 28 circuits to introduction points in five minutes and then none, and a relay that dies costs it up to ten
    of them: in a network this small most of its circuits go by any one. Seldom dies a real relay so often.
    """
    if home.by_onion:
        lab.kill_onion()
        lab.start_onion()
        lab.wait_reachable(seconds=PATIENCE)


def kill_relay(lab, home):
    """The link's circuit loses a relay, which stays away until all is well."""
    number = relay_of(lab, home)

    def mend():
        lab.start_relay(number)
        renew_onion(lab, home)

    return Fault(lambda: lab.kill_relay(number), afterwards=mend)


def restart_relay(lab, home):
    """The same, and the relay is started again at once."""
    number = relay_of(lab, home)
    return Fault(lambda: lab.kill_relay(number), end=lambda: lab.start_relay(number),
                 afterwards=lambda: renew_onion(lab, home))


def freeze_sshd(lab, _home):
    """sshd's process of the link stops: the connection stays open and silent."""
    return Fault(lab.freeze_sshd_connection, afterwards=lab.thaw_sshd_connection)


def blackhole(lab, _home):
    """The Tor network swallows everything for a minute."""
    return Fault(lab.blackhole, BLACKHOLE, lambda: lab.blackhole(False))


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
#: Those that a peer without an agent has, too; which relays it goes by, no program tells.
PEERS = ["SSH connection reset", "tor killed and restarted", "sshd frozen", "blackhole of 60 s"]


def measure(home, lab, fault, runs, table, place):
    """Breaks the link some times; the time is that until a command that needs the link has succeeded."""
    chance, case = random.Random(SEED), f"{place}: recovery, {fault}"
    steps = Steps(home, lab)

    def give_and_strike(broken):
        steps.give()
        time.sleep(chance.uniform(0, LATEST))
        broken.strike()
        steps.give()

    try:
        seconds, late = series(home, lab, fault, runs, lambda: works(home), give_and_strike, steps.settle)
    finally:
        steps.end()
    report(table, case, "farseed", seconds, late)
    table.add(case, "farseed, commands lost", steps.lost, "commands", runs)
    table.add(case, "farseed, commands doubled", steps.doubled, "commands", runs)


def measure_peer(home, lab, fault, runs, peers, table, place):
    """The same faults for an ssh that autossh keeps running; a new one each time, as it waits longer after each loss."""
    seconds, late = [], 0
    for _ in range(runs):
        with peers.autossh("onion"):
            one, missed = series(home, lab, fault, 1, peers.is_kept, lambda broken: broken.strike(), lambda: None)
        seconds += one
        late += missed
    report(table, f"{place}: recovery, {fault}", "ssh with autossh", seconds, late)


def series(home, lab, fault, runs, is_back, strike, settle):
    """The seconds of each recovery that came in time, and how many did not."""
    seconds, late = [], 0
    for _ in range(runs):
        broken = FAULTS[fault](lab, home)
        try:
            strike(broken)
            time.sleep(broken.lasts)
        finally:
            if broken.end:
                broken.end()
        began = time.monotonic()
        try:
            processes.until(is_back, PATIENCE, f"A recovery after “{fault}”", [home.server], POLL)
            seconds.append(time.monotonic() - began)
        except LabError:
            if not home.server.running:
                raise
            late += 1
        finally:
            if broken.afterwards:
                broken.afterwards()
        processes.until(is_back, PATIENCE, "A recovery after the fault was mended", [home.server], POLL)
        processes.until(lambda: home.link().get("state") == "live", PATIENCE, "A live link", [home.server], POLL)
        settle()
    return seconds, late


def report(table, case, subject, seconds, late):
    """The rows of one subject's recoveries."""
    if seconds:
        table.median(case, f"{subject}, median", seconds, "s")
        table.add(case, f"{subject}, longest", max(seconds), "s", len(seconds))
    if late:
        table.add(case, f"{subject}, not within {PATIENCE} s", late, "recoveries", len(seconds) + late)


def works(home):
    """Whether a new command succeeds and the controller calls its link live afterwards."""
    try:
        if home.call("exec", "--", "transmission-remote", "-si", timeout=PATIENCE).returncode != 0:
            return False
    except subprocess.TimeoutExpired:
        return False
    return home.link().get("state") == "live"
