"""Stands between sshd and the agent: counts the bytes of the agent's output, plain, as SSH compresses and as it packs them.

Run by sshd in place of the agent:  python3 tap.py LOG AGENT ARGUMENT …
Every line of LOG holds the three sums until then, and the number of packets.
"""

import os
import subprocess
import sys
import zlib

#: RFC 4253 and 4254: length and padding length before a packet's payload, the least
#: padding, the block of aes-ctr and the mark of hmac-sha2-256.
BEFORE, PADDING, BLOCK, MARK = 5, 4, 16, 32


def packed(size):
    """The bytes on the connection of a packet with a compressed payload of this size."""
    return -(-(BEFORE + size + PADDING) // BLOCK) * BLOCK + MARK


def main():
    """Copies until the agent closes its output; exits as it does."""
    log = open(sys.argv[1], "a", buffering=1, encoding="ascii")
    agent = subprocess.Popen(sys.argv[2:], stdout=subprocess.PIPE)
    source, target = agent.stdout.fileno(), sys.stdout.fileno()
    # zlib@openssh.com: one stream at level 6, flushed after every packet.
    stream = zlib.compressobj(6)
    plain = compressed = framed = packets = 0
    while data := os.read(source, 32768):
        # A channel's number and the length go into the same stream.
        head = b"\x5e\0\0\0\0" + len(data).to_bytes(4, "big")
        payload = len(stream.compress(head + data)) + len(stream.flush(zlib.Z_PARTIAL_FLUSH))
        compressed += payload
        framed += packed(payload)
        plain += len(data)
        packets += 1
        # Before the bytes themselves, so that whoever has seen them finds them counted.
        log.write(f"{plain} {compressed} {framed} {packets}\n")
        while data:
            data = data[os.write(target, data):]
    return agent.wait()


if __name__ == "__main__":
    sys.exit(main())
