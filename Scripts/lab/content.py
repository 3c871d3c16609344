"""Torrents to move: their names, sizes and speeds, and the files and metainfo behind them.

The data is a name at the beginning and then zeros in sparse files, so that gigabytes cost no time to make; the
daemons exchange and verify every byte of it like any other. Metainfo is written here rather than by
transmission-create because tests need names that no file system would take.
"""

import dataclasses
import hashlib

MIB = 1 << 20
#: Bytes of a piece of a torrent that nobody has.
PIECE = 16 << 10


def on_disk(name):
    """The file name that transmission-daemon 3.00 makes of a name in a torrent; found by trying them all."""
    return "".join("_" if character < " " or character in '<>:"/\\|?*' else character for character in name).strip(" ")


@dataclasses.dataclass(frozen=True)
class Torrent:
    """One torrent of the lab. `files` is empty for a single file, else {path: bytes}."""

    name: str
    size: int
    speed: int = 0
    labels: tuple = ()
    state: str = "downloading"
    done: float = 0.0
    files: tuple = ()
    piece: int = 256 << 10

    @property
    def parts(self):
        """(relative path on disk, length) of every file, the torrent's own folder included."""
        folder = on_disk(self.name)
        if not self.files:
            return [(folder, self.size)]
        return [(f"{folder}/{on_disk(path)}", length) for path, length in self.files]


def album(name, tracks, each, **more):
    """A torrent of several files of about equal length."""
    files = tuple((track, (each + i * 37) * 10_000) for i, track in enumerate(tracks))
    return Torrent(name, sum(length for _, length in files), files=files, **more)


CHAPTERS = [f"{i:02} - Moby Dick, chapters {8 * i - 7}-{8 * i}.mp3" for i in range(1, 13)]
CHOPIN = ["Nocturnes.flac", "Préludes.flac", "Études.flac", "Ballades.flac", "Mazurkas.flac"]
REELS = ["Night of the Living Dead (1968).mkv", "Night of the Living Dead (1968).en.srt", "poster.jpg"]

#: What the demo shows. Speeds are in kB/s, `done` is what the box has at the start: a few finish within two minutes,
#: six take more than ten, so that something still moves for who comes back to the page.
DOZEN = [
    Torrent("debian-13.2.0-amd64-netinst.iso", 48 * MIB, 700, ("linux",)),
    Torrent("月世界旅行 (1902) 🌙.mkv", 30 * MIB, 320, ("film",), done=0.15),
    Torrent("Big Buck Bunny (2008) 🐰 2160p.mp4", 72 * MIB, 450, ("film", "open movie"), done=0.4),
    Torrent("debian-13.2.0-arm64-DVD-1.iso", 210 * MIB, 110, ("linux",), done=0.12),
    Torrent("Metropolis (1927) restored.mkv", 150 * MIB, 75, ("film",), done=0.55),
    Torrent("Броненосец «Потёмкин» (1925).mkv", 110 * MIB, 120, ("film",), done=0.3),
    Torrent("Nosferatu, eine Symphonie des Grauens (1922).mkv", 96 * MIB, 140, ("film",), done=0.08),
    Torrent("archlinux-2026.11.01-x86_64.iso", 84 * MIB, 30, ("linux",), done=0.72),
    album("Night of the Living Dead (1968)", REELS, 4_000, speed=120, labels=("film",), done=0.22),
    album("LibriVox - Moby-Dick (audiobook)", CHAPTERS, 600, labels=("audio",), state="seeding", speed=90),
    album("Musopen 🎻 Chopin – complete works", CHOPIN, 1_500, labels=("audio",), state="seeding", speed=130),
    Torrent("wikipedia_en_simple_all_2026-10.zim", 120 * MIB, 200, ("reference",), "paused", done=0.34),
    Torrent("netherlands-latest.osm.pbf", 64 * MIB, 150, ("reference",), "paused"),
]


def bencode(value):
    """Bencodes integers, strings, bytes, lists and dictionaries."""
    if isinstance(value, int):
        return b"i%de" % value
    if isinstance(value, str):
        value = value.encode()
    if isinstance(value, bytes):
        return b"%d:%s" % (len(value), value)
    if isinstance(value, list):
        return b"l" + b"".join(map(bencode, value)) + b"e"
    items = sorted((key.encode(), item) for key, item in value.items())
    return b"d" + b"".join(bencode(key) + bencode(item) for key, item in items) + b"e"


def head(torrent):
    """The bytes that the first file begins with: they make every torrent's data its own."""
    return (torrent.name.encode() * 4)[: min(512, torrent.parts[0][1])]


def metainfo(torrent, announce):
    """The content of the .torrent file and the info hash in hex."""
    size, piece = torrent.size, torrent.piece
    whole = hashlib.sha1(bytes(piece)).digest()
    first = min(piece, size)
    pieces = [hashlib.sha1(head(torrent).ljust(first, b"\0")).digest()]
    if size > piece:
        pieces += [whole] * (size // piece - 1)
        if size % piece:
            pieces.append(hashlib.sha1(bytes(size % piece)).digest())
    info = {"name": torrent.name, "piece length": piece, "pieces": b"".join(pieces)}
    if torrent.files:
        info["files"] = [{"length": length, "path": path.split("/")} for path, length in torrent.files]
    else:
        info["length"] = size
    encoded = bencode(info)
    data = b"d" + bencode("announce") + bencode(announce) + bencode("info") + encoded + b"e"
    return data, hashlib.sha1(encoded).hexdigest()


def unseeded(name, size=9):
    """A .torrent by hand, of any name, whose data nobody has, and its info hash in hex."""
    pieces = -(-size // PIECE) * hashlib.sha1(name.encode()).digest()
    encoded = bencode({"length": size, "name": name, "piece length": PIECE, "pieces": pieces})
    return b"d4:info" + encoded + b"e", hashlib.sha1(encoded).hexdigest()


def write_files(torrent, directory, share=1.0):
    """Creates the torrent's data below `directory` as sparse files: the first `share` of it."""
    left = int(torrent.size * share)
    for number, (path, length) in enumerate(torrent.parts):
        if left <= 0:
            return
        target = directory / path
        target.parent.mkdir(parents=True, exist_ok=True)
        with open(target, "wb") as file:
            if number == 0:
                file.write(head(torrent))
            file.truncate(min(length, left))
        left -= length
