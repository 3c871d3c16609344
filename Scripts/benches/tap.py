"""Stands between sshd and the agent: counts the bytes of the agent's output, plain and as SSH compresses them.

Run by sshd in place of the agent:  python3 tap.py LOG AGENT ARGUMENT …
Every line of LOG holds the two sums until then.
"""

import os
import subprocess
import sys
import zlib


def main():
    """Copies until the agent closes its output; exits as it does."""
    log = open(sys.argv[1], "a", buffering=1, encoding="ascii")
    agent = subprocess.Popen(sys.argv[2:], stdout=subprocess.PIPE)
    source, target = agent.stdout.fileno(), sys.stdout.fileno()
    # zlib@openssh.com: one stream at level 6, flushed after every packet.
    stream = zlib.compressobj(6)
    plain = compressed = 0
    while data := os.read(source, 32768):
        compressed += len(stream.compress(data)) + len(stream.flush(zlib.Z_PARTIAL_FLUSH))
        plain += len(data)
        # Before the bytes themselves, so that whoever has seen them finds them counted.
        log.write(f"{plain} {compressed}\n")
        while data:
            data = data[os.write(target, data):]
    return agent.wait()


if __name__ == "__main__":
    sys.exit(main())
