"""A private Tor network on loopback: authorities, relays, an exit, a client and onion services.

It runs inside the lab's network namespace, so ports are fixed and nothing can leave the machine. `delay_ms` is
the extra one-way time on every link between two tors, `jitter_ms` by how much that changes to either side. A
connection to an onion service crosses seven links, so its round trip grows by about 14 times the delay; one through
the exit crosses three: 6 times. 50 ms gives the 0.7 s and 0.3 s that people see on the real network.
"""

import concurrent.futures
import re
import secrets
import signal
import sys
import time
import urllib.request
from pathlib import Path

from . import curve25519, socks
from .processes import LabError, listening, run, until
from .torrc import AUTHORITY, COMMON, DIST_DELAY, GEOIP, LOCAL, RELAY, VOTE_DELAY, VOTE_INTERVAL, hashed

AUTHORITIES = 3
RELAYS = 3
#: So many relays that one of them is not missed: an onion service keeps to a few for its second hop.
ENOUGH_RELAYS = 18
#: Port bases; +i for authority i. A relay's public port is 5000+n, the one behind the delay proxy 6000+n.
OR_BASE, LISTEN_BASE, DIR_BASE = 5000, 6000, 7000
SOCKS_TCP = 9050

#: Seconds from telling the authorities when to vote to the moment they begin; a busy machine needs more of them.
VOTE_LEAD = 1
#: How many votes may fail before the start is given up.
VOTES = 6

#: The bootstrap percentage at which a tor knows the network.
ENOUGH = 75
#: How long one connection may take on a network without delay, in seconds.
ATTEMPT = 8
#: How long each phase may take, in seconds; generous, since test machines are busy.
PATIENCE = 90


class TorNetwork:
    """The network's processes and the paths others connect to."""

    def __init__(self, family, directory, onions=1, delay_ms=0, target="127.0.0.1:22", gateway=None, say=print,
                 relays=RELAYS, jitter_ms=0):
        self.family = family
        self.directory = Path(directory)
        self.delay_ms = delay_ms
        self.jitter_ms = jitter_ms
        self.onions = onions
        self.target = target
        self.gateway = gateway
        self.say = say
        self.authorities = [f"auth{i}" for i in range(AUTHORITIES)]
        self.relays = [f"relay{i}" for i in range(relays)] + ["exit"]
        self.dir_authorities = ""
        self.addresses = []
        self.socks_unix = self.directory / "socks"
        self.socks_any_unix = self.directory / "socks-any"
        self.control_unix = self.directory / "control"
        self.client_torrc = self.directory / "join.torrc"
        self.secret_file = self.directory / "client-auth"
        self.geoip = self.directory / "geoip"
        self.control_password = secrets.token_hex(16)
        self.public_key = ""

    # Starting, in phases: each waits for what the next one needs.

    def start(self):
        """Brings the whole network up; returns when the client has bootstrapped and the services are published."""
        self.directory.mkdir(parents=True, exist_ok=True)
        self.directory.chmod(0o700)
        (self.directory / "resolv.conf").touch()
        (self.directory / "defaults").touch()
        self.geoip.write_text(GEOIP)
        self.say("making the authorities' keys")
        self._make_client_auth()
        self._make_authorities()
        self.say("starting Tor's authorities and relays")
        self._start_delay()
        self._schedule_vote(VOTE_INTERVAL // 2)
        for name in self.authorities:
            self._run_tor(name)
        self._start_together()
        for i, name in enumerate(self.authorities):
            until(lambda i=i: self._fetch(DIR_BASE + i, "/tor/server/authority"), PATIENCE,
                  f"The start of Tor authority {name}", [self.family.children[name]])
        for name in self.relays:
            self._tor(name, self._relay_torrc(name))
        for i in range(self.onions):
            self.start_onion(i)
        self._vote()
        self.say("waiting for the relays to learn of each other")
        waiting = self.relays + [f"onion{i}" for i in range(self.onions)]
        for name in waiting:
            if not self._bootstrapped(name, ENOUGH):
                # A HUP resets the back-off after downloads that failed before there was a consensus.
                self.family.children[name].signal(signal.SIGHUP)
        for name in waiting:
            # Enough to relay and to publish; the exit itself may never find a circuit with an exit other than itself.
            self._wait_bootstrap(name, ENOUGH)
        self.say("starting Tor's client")
        self.addresses = [self._hostname(i) for i in range(self.onions)]
        self._write_client_auth()
        self._first_client()
        for i in range(self.onions):
            self.wait_onion(i)

    def _first_client(self):
        """Starts the client; one that picked relays which are not ready yet is given a second chance."""
        for attempt in (1, 2, 3):
            self.start_client()
            try:
                self._wait_bootstrap("client", seconds=PATIENCE / 3)
                return
            except LabError:
                if attempt == 3:
                    raise
                self.family.children["client"].kill()

    def _start_together(self):
        """Holds each authority back until all of them listen.

        A relay that failed to connect to another refuses to extend circuits to it for a minute.
        """
        base = LISTEN_BASE if self.delay_ms else OR_BASE
        held = set()

        def all_listen():
            for i, name in enumerate(self.authorities):
                if name not in held and listening(base + i):
                    self.family.children[name].signal(signal.SIGSTOP)
                    held.add(name)
            return len(held) == len(self.authorities)

        children = [self.family.children[name] for name in self.authorities]
        until(all_listen, PATIENCE, "The start of Tor's authorities", children, 0.01)
        for child in children:
            child.signal(signal.SIGCONT)

    def _vote(self):
        """Lets the authorities agree on a first consensus once all of them know every relay."""
        children = [self.family.children[name] for name in self.authorities]
        everyone = len(self.authorities + self.relays)
        for i, child in enumerate(children):
            until(lambda i=i: self._fetch(DIR_BASE + i, "/tor/server/all").count(b"\nrouter-signature") >= everyone,
                  PATIENCE, f"The relays' registration with {child.name}", [child])
        self.say("waiting for the authorities' first consensus")
        for attempt in range(VOTES):
            period = VOTE_LEAD + attempt + VOTE_DELAY + DIST_DELAY
            self._schedule_vote(period)
            for child in children:
                child.signal(signal.SIGHUP)
            try:
                for i, child in enumerate(children):
                    until(lambda i=i: self._consensus(i), period + 3, f"The first consensus of {child.name}", [child])
                return
            except LabError:
                if attempt == VOTES - 1:
                    raise

    def _schedule_vote(self, seconds):
        """Writes the authorities' configurations so that the next consensus falls `seconds` from now."""
        offset = int(time.time() + 0.999 + seconds) % VOTE_INTERVAL
        # All but the exit: a client whose only guards include the one exit often cannot build an exit circuit.
        known = self._fingerprints()
        guards = ",".join(known[name] for name in known if name != "exit")
        lines = f"TestingV3AuthVotingStartOffset {offset}\nTestingDirAuthVoteGuard {guards}\n"
        # New relays advertise next to no bandwidth, and some none: then too few remain that are ever chosen.
        bandwidths = self.directory / "bandwidths"
        bandwidths.write_text(f"{int(time.time())}\n" + "".join(f"node_id=${key} bw=1000\n" for key in known.values()))
        lines += f"V3BandwidthsFile {bandwidths}\n"
        for name in self.authorities:
            self._write_torrc(name, self._relay_torrc(name) + AUTHORITY + lines)

    def _fingerprints(self):
        """The identities of the authorities, and of the relays that have started, by name."""
        paths = {name: self.directory / name / "fingerprint" for name in self.authorities + self.relays}
        return {name: path.read_text().split()[1] for name, path in paths.items() if path.exists()}

    def start_client(self):
        """Starts the client again, or for the first time."""
        self._forget_log("client")
        self._tor("client", f"""\
{COMMON}{LOCAL}{self.dir_authorities}
ClientOnly 1
SafeSocks 1
MapAddress vps.test 127.0.0.1
SocksPort unix:{self.socks_unix} OnionTrafficOnly KeepAliveIsolateSOCKSAuth ExtendedErrors
SocksPort unix:{self.socks_any_unix} KeepAliveIsolateSOCKSAuth ExtendedErrors
SocksPort 127.0.0.1:{SOCKS_TCP} KeepAliveIsolateSOCKSAuth ExtendedErrors
ControlPort unix:{self.control_unix}
CookieAuthentication 1
CookieAuthFile {self.directory / 'control-cookie'}
HashedControlPassword {hashed(self.control_password)}
GeoIPFile {self.geoip}
ClientOnionAuthDir {self.directory / 'onion-auth'}
""", common=False)
        # Another tor, such as the controller's own child, joins the network by including this file.
        gateway = f"Socks5Proxy {self.gateway}\n" if self.gateway else ""
        self.client_torrc.write_text(f"{COMMON}{self.dir_authorities}{gateway}GeoIPFile {self.geoip}\n")

    def wait_client(self):
        """Waits until the client can build circuits."""
        self._wait_bootstrap("client")

    def start_onion(self, i):
        """Starts onion service `i`, a tor of its own."""
        name = f"onion{i}"
        service = self.directory / name / "service"
        clients = service / "authorized_clients"
        clients.mkdir(parents=True, exist_ok=True)
        service.chmod(0o700)
        (clients / "home.auth").write_text(f"descriptor:x25519:{self.public_key}\n")
        self._forget_log(name)
        self._tor(name, f"""\
SocksPort 0
HiddenServiceDir {service}
HiddenServicePort 22 {self.target}
Log [rend]info file {self.directory / name / 'rend.log'}
""")

    def wait_onion(self, i):
        """Waits until descriptor uploads of service `i` have succeeded."""
        log = self.directory / f"onion{i}" / "rend.log"
        child = self.family.children[f"onion{i}"]
        until(lambda: log.exists() and log.read_text().count("finished with status 200") >= 2, PATIENCE,
              f"The publication of onion service {i}", [child])

    def wait_reachable(self, i=0, seconds=PATIENCE):
        """Waits until service `i` answers through the client's SOCKS port; returns its first bytes."""
        return self._wait_answer(self.socks_unix, self.addresses[i], seconds)

    def wait_exit(self, seconds=PATIENCE):
        """Waits until the target answers under the name vps.test, by way of the exit."""
        return self._wait_answer(self.socks_any_unix, "vps.test", seconds)

    def _wait_answer(self, server, host, seconds):
        attempts = []
        # Tor itself would try for two minutes; new credentials, and with them new circuits, are sooner there.
        patience = ATTEMPT + 0.1 * self.delay_ms

        def answer():
            attempts.append(None)
            try:
                user = f"lab{len(attempts)}"
                with socks.connect(f"unix:{server}", host, 22, user, timeout=patience) as stream:
                    return stream.recv(64)
            except OSError as error:
                attempts[-1] = error
                print(f"attempt {len(attempts)} to reach {host[:8]}: {error}", flush=True)
                return None

        try:
            return until(answer, seconds, f"An answer of sshd at {host}", [self.family.children["client"]], 0.2)
        except LabError as error:
            raise LabError(f"{error}\nLast of {len(attempts)} attempts: {attempts[-1]}") from None

    # Breaking things, for tests.

    def set_client_auth(self, allowed):
        """Gives the client the key of the onion services, or takes it away."""
        if allowed:
            self._write_client_auth()
        else:
            for path in self._auth_files():
                path.unlink(missing_ok=True)
        # A restart rather than a HUP: the client remembers descriptors that it has already decrypted.
        self.family.children["client"].kill()
        self.start_client()
        self.wait_client()

    def blackhole(self, on):
        """Makes the network swallow everything while connections stay open, or lets it go on."""
        names = ["delay"] if self.delay_ms else self.authorities + self.relays
        for name in names:
            self.family.children[name].signal(signal.SIGSTOP if on else signal.SIGCONT)

    # Configuration and keys.

    def _tor(self, name, torrc, common=True):
        self._write_torrc(name, torrc, common)
        self._run_tor(name)

    def _write_torrc(self, name, torrc, common=True):
        data = self.directory / name
        data.mkdir(exist_ok=True)
        data.chmod(0o700)
        text = (COMMON + LOCAL + self.dir_authorities if common else "") + torrc + f"DataDirectory {data}\n"
        (self.directory / f"{name}.torrc").write_text(text)

    def _run_tor(self, name):
        torrc = self.directory / f"{name}.torrc"
        return self.family.start(name, ["tor", "--defaults-torrc", self.directory / "defaults", "-f", torrc])

    def _relay_torrc(self, name):
        number = self._number(name)
        lines = [RELAY, f"Nickname {name}", f"ServerDNSResolvConfFile {self.directory / 'resolv.conf'}"]
        if self.delay_ms:
            lines += [f"ORPort 127.0.0.1:{OR_BASE + number} NoListen",
                      f"ORPort 127.0.0.1:{LISTEN_BASE + number} NoAdvertise"]
        else:
            lines += [f"ORPort 127.0.0.1:{OR_BASE + number}"]
        if name in self.authorities:
            lines += [f"DirPort 127.0.0.1:{DIR_BASE + number}"]
        if name == "exit":
            # To everywhere, or it gets no Exit flag; in this namespace there is nothing but loopback.
            lines += ["ExitRelay 1", "ExitPolicyRejectPrivate 0", "ExitPolicy accept *:*"]
        else:
            lines += ["ExitRelay 0", "ExitPolicy reject *:*"]
        return "\n".join(lines) + "\n"

    def _number(self, name):
        return (self.authorities + self.relays).index(name)

    def _make_authorities(self):
        with concurrent.futures.ThreadPoolExecutor() as pool:
            lines = list(pool.map(self._make_authority, self.authorities))
        self.dir_authorities = "".join(lines)

    def _make_authority(self, name):
        """Makes one authority's keys and returns the DirAuthority line that names it."""
        number = self._number(name)
        keys = self.directory / name / "keys"
        keys.mkdir(parents=True)
        keys.parent.chmod(0o700)
        keys.chmod(0o700)
        certificate = keys / "authority_certificate"
        run(["tor-gencert", "--create-identity-key", "--passphrase-fd", "0", "-m", "12",
             "-a", f"127.0.0.1:{DIR_BASE + number}", "-i", keys / "authority_identity_key",
             "-s", keys / "authority_signing_key", "-c", certificate], "lab\n")
        identity = field(certificate.read_text(), "fingerprint ")
        listed = run(["tor", "--defaults-torrc", self.directory / "defaults", "--ignore-missing-torrc",
                      "-f", keys.parent / "no-torrc", "--quiet", "--list-fingerprint", "--orport", "1",
                      "--nickname", name, "--datadirectory", keys.parent, "--shutdownwaitlength", "0",
                      "--dirauthority", f"none 127.0.0.1:1 {'f' * 40}"])
        fingerprint = listed.strip().splitlines()[-1].split(" ", 1)[1].replace(" ", "")
        return (f"DirAuthority {name} orport={OR_BASE + number} no-v2 v3ident={identity} "
                f"127.0.0.1:{DIR_BASE + number} {fingerprint}\n")

    def _make_client_auth(self):
        secret, public = curve25519.key_pair()
        self.public_key = curve25519.base32(public)
        self.secret_file.touch(mode=0o600)
        self.secret_file.write_text(curve25519.base32(secret) + "\n")

    def _auth_files(self):
        return [self.directory / "onion-auth" / f"onion{i}.auth_private" for i in range(self.onions)]

    def _write_client_auth(self):
        secret = self.secret_file.read_text().strip()
        for path, address in zip(self._auth_files(), self.addresses):
            path.parent.mkdir(mode=0o700, exist_ok=True)
            path.write_text(f"{address.removesuffix('.onion')}:descriptor:x25519:{secret}\n")

    # Watching.

    def _bootstrapped(self, name, percent=100):
        """Whether a tor has come so far since its log was emptied; it may skip the phases between."""
        seen = re.findall(r"Bootstrapped (\d+)%", self.family.children[name].text())
        return any(int(reached) >= percent for reached in seen)

    def _wait_bootstrap(self, name, percent=100, seconds=PATIENCE):
        until(lambda: self._bootstrapped(name, percent), seconds, f"The bootstrap of Tor's {name}",
              [self.family.children[name]])

    def _start_delay(self):
        if self.delay_ms:
            routes = [f"{OR_BASE + n}:{LISTEN_BASE + n}" for n in range(AUTHORITIES + len(self.relays))]
            child = self.family.start("delay", [sys.executable, "-m", "lab.delay", self.delay_ms, self.jitter_ms, *routes])
            until(lambda: "listening" in child.text(), PATIENCE, "The start of the delay proxy", [child])

    def _fetch(self, port, path):
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as reply:
                return reply.read()
        except OSError:
            return b""

    def _consensus(self, i):
        """True when authority `i` has a consensus that names all relays as running."""
        text = self._fetch(DIR_BASE + i, "/tor/status-vote/current/consensus")
        return text.count(b" Running ") >= len(self.authorities + self.relays)

    def _hostname(self, i):
        path = self.directory / f"onion{i}" / "service" / "hostname"
        until(path.exists, PATIENCE, f"The key of onion service {i}", [self.family.children[f"onion{i}"]])
        return until(lambda: path.read_text().strip(), PATIENCE, f"The address of onion service {i}")

    def _forget_log(self, name):
        """Empties the logs that a wait looks at, so that a restarted tor is waited for anew."""
        for path in (self.family.logs / f"{name}.log", self.directory / name / "rend.log"):
            if path.exists():
                path.write_text("")


def field(text, start):
    """The rest of the first line that begins with `start`."""
    return next(line for line in text.splitlines() if line.startswith(start))[len(start):].strip()
