"""The configurations that the tors of the private network have in common."""

import hashlib
import secrets

#: Seconds from one consensus to the next, and for exchanging votes and signatures before the first one.
VOTE_INTERVAL, VOTE_DELAY, DIST_DELAY = 300, 2, 2

#: For every tor here and for those that join. sshd's port 22 must not ask for relays with a long uptime: on a network
#: of this age it is chance whether the exit counts as one. On loopback tor would learn after a hundred circuits to give
#: up on those that take 50 ms, and an onion service then fails to meet its clients whenever the machine is busy.
COMMON = """\
LongLivedPorts 1
TestingTorNetwork 1
PathsNeededToBuildCircuits 0.67
TestingClientMaxIntervalWithoutRequest 1
ConfluxEnabled 0
LearnCircuitBuildTimeout 0
CircuitBuildTimeout 30
"""

LOCAL = """\
RunAsDaemon 0
ShutdownWaitLength 0
AvoidDiskWrites 1
SafeLogging 0
Log notice stdout
"""

RELAY = """\
SocksPort 0
Address 127.0.0.1
AssumeReachable 1
ServerDNSDetectHijacking 0
ServerDNSTestAddresses
ServerDNSAllowBrokenConfig 1
V3AuthNIntervalsValid 12
"""

AUTHORITY = f"""\
AuthoritativeDirectory 1
V3AuthoritativeDirectory 1
TestingDirAuthVoteGuardIsStrict 1
TestingDirAuthVoteHSDir *
TestingMinExitFlagThreshold 0
TestingV3AuthInitialVotingInterval {VOTE_INTERVAL}
TestingV3AuthInitialVoteDelay {VOTE_DELAY}
TestingV3AuthInitialDistDelay {DIST_DELAY}
V3AuthVotingInterval {VOTE_INTERVAL}
V3AuthVoteDelay 20
V3AuthDistDelay 20
"""

#: All relays are on loopback, in a country that no real one is.
GEOIP = f"{0x7F000000},{0x7FFFFFFF},XA\n"


def hashed(password):
    """The password as HashedControlPassword has it: RFC 2440's iterated and salted SHA-1 of 65536 bytes."""
    salt = secrets.token_bytes(8)
    block = salt + password.encode()
    text = (block * (65536 // len(block) + 1))[:65536]
    return "16:" + (salt + b"\x60" + hashlib.sha1(text, usedforsecurity=False).digest()).hex().upper()
