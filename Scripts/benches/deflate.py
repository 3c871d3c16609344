"""`bench deflate`: what permessage-deflate would save and cost on the events that a page gets from a busy seedbox."""

import hashlib
import itertools
import json
import statistics
import time
import zlib

from lab import Lab, processes

from . import home, page

#: The seedbox's torrents, about half of which move, and how many deltas are taken, one every 2 s.
TORRENTS, DELTAS, QUICK_DELTAS = 20, 45, 4
#: How zlib is set: its level, and the bits of its window and of its memory.
SETTINGS = {
    "level 6, window 32 KiB": (6, 15, 8),
    "level 1, window 2 KiB": (1, 11, 4),
    "level 1, window 512 bytes": (1, 9, 1),
}
#: Seconds over which the time of one setting is taken.
SECONDS, QUICK_SECONDS = 1, 0.1
#: What a name says that nobody else shall know: what is known of it, and what is guessed digit by digit.
KNOWN, SECRET = "Surname-Divorce-", "4711"
#: What stands behind a guess in each of its tries.
FILLING = ["", "~", "~!", "~!^", "~!^`"]
#: What every message's end has of its own, and is left out (RFC 7692, 7.2.1).
TAIL = 4


def run(directory, options, table, say):
    """One lab, one page that looks for a while."""
    say("starting a lab")
    with processes.Family(directory / "logs", bound=True) as family, \
            Lab(directory / "lab", agent=options.agent, torrents=TORRENTS) as lab, \
            home.Home(directory, "home", lab, family, options.farseed) as controller:
        wanted = QUICK_DELTAS if options.quick else DELTAS
        say(f"taking {wanted} deltas")
        session = page.Page(controller.run("user", "login", "owner"))
        events = list(itertools.islice(session.events("farseed.vps.torrents"), 1 + wanted))
    say("compressing them")
    tell(table, events, QUICK_SECONDS if options.quick else SECONDS)
    for name, setting in SETTINGS.items():
        table.add("digits of a name told by lengths, of 4", name, guessed(setting), "digits", len(FILLING))


def tell(table, events, seconds):
    """The rows of a state and the deltas after it."""
    state, deltas = events[0], events[1:]
    table.add("a delta, median", "as it is", statistics.median(map(len, deltas)), "bytes", len(deltas))
    table.add("the state", "as it is", len(state), "bytes", 1)
    for name, setting in SETTINGS.items():
        for kept in True, False:
            case = f"{name}, {'with' if kept else 'without'} take-over"
            sizes, used = compressed(events, setting, kept, seconds)
            table.add(case, "deltas smaller by", sum(map(len, deltas)) / sum(sizes[1:]), "times", len(deltas))
            table.add(case, "the state smaller by", len(state) / sizes[0], "times", 1)
            # Shared by all where nothing is kept; else each subscriber's own.
            table.add(case, "CPU of a delivery" if kept else "CPU of an event", used * 1e6, "us", len(deltas))
            table.add(case, "memory of a subscriber", memory(setting) / 1024 if kept else 0, "KiB", 1)


def compressed(events, setting, kept, seconds):
    """The size of each event, and the CPU seconds of one delta on the average."""
    level, window, memory_level = setting

    def machine():
        return zlib.compressobj(level, zlib.DEFLATED, -window, memory_level)

    sizes, rounds, used = [], 0, 0.0
    while rounds == 0 or used < seconds:
        current, sizes, rounds = machine(), [], rounds + 1
        for number, event in enumerate(events):
            began = time.process_time()
            if not kept:
                current = machine()
            size = len(current.compress(event)) + len(current.flush(zlib.Z_SYNC_FLUSH)) - TAIL
            if number > 0:
                used += time.process_time() - began
            sizes.append(size)
    return sizes, used / rounds / (len(events) - 1)


def memory(setting):
    """What zlib takes to compress one stream, in bytes, as zlib.h tells it."""
    _, window, memory_level = setting
    return (1 << window + 2) + (1 << memory_level + 9)


def guessed(setting):
    """How many digits of a torrent's name who can add one and sees lengths finds out, without take-over.

    The attacker's torrent bears what is known and a guess for the next digit; of ten the right one shall be the shortest,
    over a few tries with something else behind it.
    """
    right = 0
    for place, digit in enumerate(SECRET):
        known = KNOWN + SECRET[:place]
        sizes = {guess: sum(compressed([state(known + guess + more)] * 2, setting, False, 0)[0][0] for more in FILLING)
                 for guess in "0123456789"}
        right += [guess for guess, size in sizes.items() if size == min(sizes.values())] == [digit]
    return right


def state(name):
    """A state of four torrents: the attacker's, whose secret is wanted, and two of others."""
    names = ["debian-12.7.0-amd64-netinst.iso", f"{KNOWN}{SECRET}.pdf", name, "big_buck_bunny_1080p_h264.mov"]
    torrents = {
        hashlib.sha1(str(number).encode()).hexdigest(): {
            "name": name, "status": "seeding", "progress": 1, "size": 662_700_032 + number * 7_919, "ratio": 1.25,
            "down": 0, "up": 1_000 * number, "peers": number, "labels": [],
        } for number, name in enumerate(names)}
    return json.dumps([36, 7, 9, {"retained": True}, [], {"epoch": 1, "seq": 0, "full": torrents}]).encode()
