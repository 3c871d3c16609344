"""Writes down what goes over the link: what the agent reads and writes, in whole frames of Docs/Wire.md."""

import contextlib
import struct

from conftest import AGENT

#: Frame types of Docs/Wire.md.
TYPES = {1: "hello", 2: "call", 3: "reply", 4: "failure", 5: "event", 6: "data", 7: "end", 8: "credit", 9: "cancel",
         10: "ping", 11: "pong", 12: "goodbye"}
PREAMBLE = b"FARSEED\n"


def frames(log):
    """The types of the whole frames in a recorded stream, in order, each with its size."""
    stream = log.read_bytes()
    assert stream.startswith(PREAMBLE) or PREAMBLE.startswith(stream)
    at, found = len(PREAMBLE), []
    while at + 9 <= len(stream):
        length, kind = struct.unpack_from(">IB", stream, at)
        if at + 4 + length > len(stream):
            break
        found.append((TYPES[kind], 4 + length))
        at += 4 + length
    return found


class Wire:
    """What went over the link, of all agents together: attempts that came to nothing, on a busy machine, leave files too."""

    def __init__(self, log):
        self.log = log

    def mark(self):
        """How many frames each agent has read and written so far."""
        return {path: len(frames(path)) for path in self.log.iterdir()}

    def since(self, mark):
        """The frames to the VPS and those from it that came after the mark."""
        return [[frame for path in self.log.glob(f"{way}.*") for frame in frames(path)[mark.get(path, 0):]]
                for way in ("in", "out")]


#: A link that begins no second session beside the first because a busy machine keeps it waiting.
PATIENT = {"suspect-after": 120, "dead-after": 300}


@contextlib.contextmanager
def recording(lab, directory):
    """A `Wire` with each agent that starts meanwhile: its standard input is in `in.PID`, its output in `out.PID`."""
    log = directory / "wire"
    log.mkdir(mode=0o777)
    recorder = directory / "recorder"
    recorder.write_text(f'#!/bin/sh\ntee "{log}/in.$$" | {AGENT} "$@" | tee "{log}/out.$$"\n')
    recorder.chmod(0o755)
    lab.set_agent(recorder)
    try:
        yield Wire(log)
    finally:
        lab.set_agent(AGENT)
