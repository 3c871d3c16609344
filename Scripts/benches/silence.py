"""What the link makes of silence: none where it only is slow, and how long the session that stands by takes to step in."""

import statistics
import time

from lab import processes

from .watch import Watch

#: Seconds without an answer after which a session is suspect.
SUSPECT = 2
#: How long a session may take to stand by, to be suspected, or to be replaced, in seconds.
PATIENCE = 120


def failover(home, lab, runs, table, place):
    """From the suspicion of a frozen session until the one that stood by is in use."""
    seconds, round_trips = [], []
    watch = Watch(home)
    try:
        for _ in range(runs):
            processes.until(lambda: stands_by(home), PATIENCE, "A session that stands by", [home.server])
            round_trips.append(home.rtt())
            watch.forget()
            lab.freeze_sshd_connection(oldest=True)
            try:
                suspected = watch.wait(lambda event: state(event) == "suspect", seconds=PATIENCE)
                live = watch.wait(lambda event: state(event) == "live", suspected, PATIENCE)
            finally:
                lab.thaw_sshd_connection()
            seconds.append(live - suspected)
    finally:
        watch.end()
    case = f"{place}: failover to the standby"
    middle = table.median(case, "farseed, from suspect to live", seconds)
    table.add(case, "farseed / round trip", middle / statistics.median(round_trips), "RTT", runs)


def stands_by(home):
    """Whether a second session is warm, and the first one in use."""
    link = home.link()
    details = {hop["hop"]: hop.get("detail", "") for hop in link.get("hops", [])}
    return link.get("state") == "live" and "stands by" in details.get("ssh", "")


def state(event):
    """The link's state where an event tells of it."""
    return event["link"]["state"] if event.get("kind") == "link" else None


def alarms(home, minutes, table, place):
    """How often the link is held for suspect or lost in so many minutes, and the round trips of that time."""
    watch = Watch(home)
    try:
        watch.wait(lambda event: state(event) == "live")
        watch.forget()
        time.sleep(60 * minutes)
        told = watch.states()
    finally:
        watch.end()
    case = f"{place}: {minutes} min without a fault"
    smoothed = [link["rtt_ms"] for link in told if "rtt_ms" in link]
    table.add(case, "link not live", sum(link["state"] != "live" for link in told), "alarms", 1)
    for what, choice in (("least", min), ("median", statistics.median), ("greatest", max)):
        if smoothed:
            table.add(case, f"round trip, smoothed, {what}", choice(smoothed), "ms", len(smoothed))
