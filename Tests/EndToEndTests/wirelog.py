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
    assert stream.startswith(PREAMBLE)
    at, found = len(PREAMBLE), []
    while at + 9 <= len(stream):
        length, kind = struct.unpack_from(">IB", stream, at)
        if at + 4 + length > len(stream):
            break
        found.append((TYPES[kind], 4 + length))
        at += 4 + length
    return found


@contextlib.contextmanager
def recording(lab, directory):
    """A folder in which agents that start meanwhile have their standard input as `in.PID` and their output as `out.PID`."""
    log = directory / "wire"
    log.mkdir(mode=0o777)
    recorder = directory / "recorder"
    recorder.write_text(f'#!/bin/sh\ntee "{log}/in.$$" | {AGENT} "$@" | tee "{log}/out.$$"\n')
    recorder.chmod(0o755)
    lab.set_agent(recorder)
    try:
        yield log
    finally:
        lab.set_agent(AGENT)
