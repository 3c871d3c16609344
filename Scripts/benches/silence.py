"""What the link makes of silence: nothing, where it only is slow."""

import statistics
import time

from .watch import Watch


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
