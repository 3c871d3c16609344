"""The torrent side of the lab: a tracker, the seedbox's transmission-daemon and the ones it trades with."""

import base64
import concurrent.futures
import json
import signal
import sys
import urllib.error
import urllib.request
from pathlib import Path

from . import content
from .processes import LabError, until

#: name: (address for peers, peer port, RPC port). Transmission refuses peers on 127.0.0.0/8, hence 10.99.
DAEMONS = {
    "box": ("10.99.0.1", 51413, 9091),
    "seed": ("10.99.0.2", 51414, 9092),
    "peer": ("10.99.0.3", 51415, 9093),
}
TRACKER = ("10.99.0.1", 6969)
ANNOUNCE = f"http://{TRACKER[0]}:{TRACKER[1]}/announce"
USER = "farseed"
PATIENCE = 60
#: Transmission's numbers of two states.
DOWNLOADING, SEEDING = 4, 6


def forget_sessions(directory):
    """Removes the files that killed daemons of the swarm in `directory` have left in /tmp."""
    for path in Path(directory).glob("*/sessions"):
        for session in path.read_text(encoding="ascii").split():
            if session.isalnum():
                Path("/tmp", f"tr_session_id_{session}").unlink(missing_ok=True)


class Daemon:
    """One transmission-daemon with its directories and its RPC."""

    def __init__(self, family, name, directory, password=None):
        self.family = family
        self.name = name
        self.directory = Path(directory) / name
        self.address, self.peer_port, self.rpc_port = DAEMONS[name]
        self.password = password
        self.downloads = self.directory / "downloads"
        self.session = ""

    @property
    def url(self):
        return f"http://127.0.0.1:{self.rpc_port}/transmission/rpc"

    def start(self):
        """Starts the daemon and waits until its RPC answers."""
        self.downloads.mkdir(parents=True, exist_ok=True)
        settings = self.directory / "settings.json"
        if not settings.exists():
            settings.write_text(json.dumps(self._settings(), indent=4))
        child = self.family.start(self.name, [
            "transmission-daemon", "--foreground", "--log-info", "--config-dir", self.directory,
        ])
        # The RPC answers before the torrents of an earlier run are loaded.
        known = len(list((self.directory / "torrents").glob("*.torrent")))
        until(lambda: self._count() >= known, PATIENCE, f"The start of transmission-daemon {self.name}", [child])

    def stop(self, number=signal.SIGKILL):
        """Ends the daemon; by default at once, as if it had crashed."""
        self.family.children[self.name].stop(number)

    def signal(self, number):
        """Sends one signal, for example SIGSTOP or SIGCONT."""
        self.family.children[self.name].signal(number)

    def set_password(self, password):
        """Restarts the daemon so that its RPC demands this password, or none."""
        self.stop()
        self.password = password
        path = self.directory / "settings.json"
        settings = json.loads(path.read_text()) | {"rpc-authentication-required": bool(password)}
        if password:
            settings |= {"rpc-username": USER, "rpc-password": password}
        path.write_text(json.dumps(settings, indent=4))
        self.start()

    def rpc(self, method, arguments=None):
        """Calls the daemon's RPC and returns the reply's arguments."""
        body = json.dumps({"method": method, "arguments": arguments or {}}).encode()
        headers = {"X-Transmission-Session-Id": self.session, "Content-Type": "application/json"}
        if self.password:
            headers["Authorization"] = "Basic " + base64.b64encode(f"{USER}:{self.password}".encode()).decode()
        for attempt in (1, 2):
            headers["X-Transmission-Session-Id"] = self.session
            try:
                with urllib.request.urlopen(urllib.request.Request(self.url, body, headers), timeout=30) as reply:
                    answer = json.loads(reply.read())
                break
            except urllib.error.HTTPError as error:
                if error.code != 409 or attempt == 2:
                    raise LabError(f"transmission-daemon {self.name} refused {method}: HTTP {error.code}") from error
                self._remember_session(error.headers["X-Transmission-Session-Id"])
        if answer["result"] != "success":
            raise LabError(f"transmission-daemon {self.name} refused {method}: {answer['result']}")
        return answer["arguments"]

    def add(self, data, paused=False, labels=(), down=0, up=0):
        """Adds a torrent from its metainfo, with limits in kB/s where not 0; returns the reply's row."""
        reply = self.rpc("torrent-add", {"metainfo": base64.b64encode(data).decode(), "paused": True})
        row = reply.get("torrent-added") or reply["torrent-duplicate"]
        self.rpc("torrent-set", {
            "ids": [row["hashString"]], "labels": list(labels), "downloadLimit": down, "downloadLimited": down > 0,
            "uploadLimit": up, "uploadLimited": up > 0,
        })
        if not paused:
            self.rpc("torrent-start-now", {"ids": [row["hashString"]]})
        return row

    def _remember_session(self, session):
        """Notes the session id, of which a killed daemon leaves a file in /tmp."""
        self.session = session
        with open(self.directory / "sessions", "a", encoding="ascii") as file:
            file.write(session + "\n")

    def _count(self):
        """How many torrents the daemon has, -1 while it does not answer."""
        try:
            return len(self.rpc("torrent-get", {"fields": ["id"]})["torrents"])
        except (OSError, ValueError):
            return -1

    def _settings(self):
        secured = {"rpc-username": USER, "rpc-password": self.password} if self.password else {}
        return {
            "bind-address-ipv4": self.address, "bind-address-ipv6": "::1", "peer-port": self.peer_port,
            "rpc-bind-address": "127.0.0.1", "rpc-port": self.rpc_port, "rpc-whitelist": "127.0.0.1",
            "rpc-authentication-required": bool(self.password), **secured,
            "download-dir": str(self.downloads), "incomplete-dir-enabled": False, "rename-partial-files": False,
            "dht-enabled": False, "lpd-enabled": False, "utp-enabled": False, "port-forwarding-enabled": False,
            "pex-enabled": True, "encryption": 1, "blocklist-enabled": False, "download-queue-enabled": False,
            "seed-queue-enabled": False, "cache-size-mb": 2, "umask": 63, "start-added-torrents": True,
        }


class Swarm:
    """The tracker and all daemons, filled with torrents."""

    def __init__(self, family, directory, password=None, say=print):
        self.family = family
        self.directory = Path(directory)
        self.say = say
        self.daemons = {name: Daemon(family, name, self.directory, password if name == "box" else None)
                        for name in DAEMONS}
        self.box = self.daemons["box"]
        self.hashes = {}
        #: Which daemon trades a torrent with the box, by the torrent's name; "seed" those that are made later.
        self.partners = {}

    def start(self, torrents):
        """Starts everything and adds the first `torrents` of the dozen."""
        self.directory.mkdir(parents=True, exist_ok=True)
        table = [f"{port}={address}" for address, port, _ in DAEMONS.values()]
        tracker = self.family.start("tracker", [sys.executable, "-m", "lab.tracker", *map(str, TRACKER), *table])
        until(lambda: "listening" in tracker.text(), PATIENCE, "The start of the tracker", [tracker])
        for daemon in self.daemons.values():
            daemon.start()
        chosen = content.DOZEN[:torrents]
        self.say(f"adding {len(chosen)} torrents to the seedbox" if chosen else "leaving the seedbox empty")
        for number, torrent in enumerate(chosen):
            self.partners[torrent.name] = "peer" if torrent.state == "seeding" or number % 2 else "seed"
        # First everywhere else, so that the box finds its peers with its first announce.
        made = [(torrent, *self._offer(torrent)) for torrent in chosen]
        self.hashes = {torrent.name: info_hash for torrent, _, info_hash in made}
        with concurrent.futures.ThreadPoolExecutor() as pool:
            for done in [pool.submit(self._fill, name, made) for name in ("seed", "peer")]:
                done.result()

    def _fill(self, partner, made):
        """Adds to the box what it trades with this daemon."""
        for torrent, data, info_hash in made:
            if self.partners[torrent.name] != partner:
                continue
            self._wait_announced(torrent, info_hash)
            self._add(torrent, data)
            # One after the other: Transmission drops a peer that comes while it greets another of the same address,
            # and they would try again only after minutes.
            if torrent.state != "paused":
                self._wait_connected(torrent, info_hash)

    def _partner(self, torrent):
        return self.daemons[self.partners.get(torrent.name, "seed")]

    def _wait_connected(self, torrent, info_hash):
        """Waits until the box trades the torrent with its peer."""
        arguments = {"ids": [info_hash], "fields": ["peersConnected", "percentDone"]}

        def connected():
            row = self.box.rpc("torrent-get", arguments)["torrents"][0]
            return row["peersConnected"] or torrent.state == "downloading" and row["percentDone"] == 1

        until(connected, PATIENCE, f"The first peer of “{torrent.name}”", [self.family.children[name] for name in DAEMONS])

    def _offer(self, torrent):
        """Gives a torrent to the daemon that trades it with the box; returns its metainfo and info hash."""
        data, info_hash = content.metainfo(torrent, ANNOUNCE)
        partner = self._partner(torrent)
        if torrent.state != "seeding":
            content.write_files(torrent, partner.downloads)
        partner.add(data)
        return data, info_hash

    def _add(self, torrent, data):
        """Adds a torrent to the box, with as much of its data as it is to begin with."""
        seeding = torrent.state == "seeding"
        content.write_files(torrent, self.box.downloads, share=1.0 if seeding else torrent.done)
        limit = {"up" if seeding else "down": torrent.speed}
        self.box.add(data, paused=torrent.state == "paused", labels=torrent.labels, **limit)

    def _wait_announced(self, torrent, info_hash):
        """Waits until the daemon that trades the torrent has verified what it has and told the tracker of it."""
        daemon = self._partner(torrent)
        arguments = {"ids": [info_hash], "fields": ["status", "trackerStats"]}

        def announced():
            rows = daemon.rpc("torrent-get", arguments)["torrents"]
            # While it verifies, it turns peers away.
            return (rows and rows[0]["status"] in (DOWNLOADING, SEEDING)
                    and any(tracker["lastAnnounceSucceeded"] for tracker in rows[0]["trackerStats"]))

        until(announced, PATIENCE, f"The announce of a torrent by {daemon.name}",
              [self.family.children[daemon.name]])

    def make(self, name, size, seeded=True):
        """Metainfo of a new torrent, not yet on the box; `seeded` gives its data to the seed daemon."""
        torrent = content.Torrent(name, size)
        if not seeded:
            return content.metainfo(torrent, ANNOUNCE)
        data, info_hash = self._offer(torrent)
        self._wait_announced(torrent, info_hash)
        return data, info_hash

    def moving(self):
        """How many torrents of the box have received or sent data."""
        rows = self.box.rpc("torrent-get", {"fields": ["downloadedEver", "uploadedEver"]})["torrents"]
        return sum(1 for row in rows if row["downloadedEver"] + row["uploadedEver"] > 0)
