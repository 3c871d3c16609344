"""X25519 key pairs for onion client authorization (RFC 7748), since Python's library has none.

Not constant-time: good for keys that live as long as a test, for nothing else.
"""

import base64
import secrets

PRIME = 2**255 - 19


def multiply(scalar, u=9):
    """The Montgomery ladder of RFC 7748, section 5: scalar times the point with coordinate `u`."""
    number = int.from_bytes(scalar, "little") & ~7 & ~(128 << 248) | (64 << 248)
    x2, z2, x3, z3 = 1, 0, u, 1
    swapped = 0
    for position in reversed(range(255)):
        bit = number >> position & 1
        if swapped ^ bit:
            x2, x3, z2, z3 = x3, x2, z3, z2
        swapped = bit
        a, b, c, d = x2 + z2, x2 - z2, x3 + z3, x3 - z3
        da, cb = d * a % PRIME, c * b % PRIME
        x3, z3 = (da + cb) ** 2 % PRIME, u * (da - cb) ** 2 % PRIME
        aa, bb = a * a % PRIME, b * b % PRIME
        e = aa - bb
        x2, z2 = aa * bb % PRIME, e * (aa + 121665 * e) % PRIME
    if swapped:
        x2, z2 = x3, z3
    return (x2 * pow(z2, PRIME - 2, PRIME) % PRIME).to_bytes(32, "little")


def key_pair():
    """A new (secret, public) pair of 32 bytes each."""
    secret = secrets.token_bytes(32)
    return secret, multiply(secret)


def base32(key):
    """The unpadded form that tor's files use."""
    return base64.b32encode(key).decode().rstrip("=")


def decode(text):
    """The bytes of what `base32` made."""
    return base64.b32decode(text + "=" * (-len(text) % 8))
