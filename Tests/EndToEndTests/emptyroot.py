"""Runs the static agent in a root with nothing but itself, its configuration, a state directory and /proc.

Run inside the lab:  python3 emptyroot.py AGENT ROOT RPC-URL RESIDENT   prints as JSON what it serves, twice connected.
"""

import json
import shlex
import shutil
import struct
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / ".build" / "python"))

import cbor2  # noqa: E402

CALL, REPLY, FAILURE, EVENT, HELLO, GOODBYE = 2, 3, 4, 5, 1, 12


class Agent:
    """One connection to an agent, over its standard streams."""

    def __init__(self, root):
        inside = f"mount -t proc proc {shlex.quote(str(root / 'proc'))} && exec chroot {shlex.quote(str(root))} " \
                 "/farseed-agent serve --config /agent.conf"
        self.process = subprocess.Popen(["unshare", "--mount", "sh", "-c", inside], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, env={})
        self.process.stdin.write(b"FARSEED\n")
        self.send(HELLO, 0, {"versions": [1, 1]})

    def send(self, kind, call, payload):
        """Writes a frame."""
        data = cbor2.dumps(payload)
        self.process.stdin.write(struct.pack(">IBI", len(data) + 5, kind, call) + data)
        self.process.stdin.flush()

    def read(self):
        """The next frame: its type, its call and its payload."""
        head = self.process.stdout.read(9)
        if len(head) < 9:
            raise SystemExit(f"the agent ended with {self.process.wait()}")
        length, kind, call = struct.unpack(">IBI", head)
        return kind, call, cbor2.loads(self.process.stdout.read(length - 5))

    def session(self):
        """Asks for its status and watches until all torrents and the host are told."""
        if self.process.stdout.read(8) != b"FARSEED\n":
            raise SystemExit("no preamble")
        self.send(CALL, 1, {"procedure": "status", "arguments": None})
        self.send(CALL, 2, {"procedure": "watch", "arguments": {}})
        found = {"torrents": 0}
        while not {"status", "host", "whole"} <= found.keys():
            kind, call, payload = self.read()
            if kind in (FAILURE, GOODBYE):
                raise SystemExit(f"the agent failed: {payload}")
            if kind == REPLY and call == 1:
                found["status"] = payload
            if kind == EVENT and payload["kind"] == "host":
                found["host"] = sorted(payload["figures"])
            if kind == EVENT and payload["kind"] == "snapshot":
                found["torrents"] += len(payload["rows"])
                found["epoch"] = payload["epoch"]
                if payload["part"] == payload["parts"] - 1:
                    found["whole"] = True
        self.process.stdin.close()
        found["ended"] = self.process.wait(30)
        return found


def main():
    """Fills the root, and connects twice."""
    agent, root, url, resident = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], sys.argv[4]
    (root / "proc").mkdir(parents=True)
    shutil.copy(agent, root / "farseed-agent")
    (root / "state").mkdir(mode=0o700)
    (root / "agent.conf").write_text(f"rpc-url {url}\nstate-directory /state\nresident {resident}\n")
    print(json.dumps([Agent(root).session(), Agent(root).session()]))


if __name__ == "__main__":
    main()
