"""The configurations that the tors of the private network have in common."""

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
