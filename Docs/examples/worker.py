#!/usr/bin/env python3
"""A worker: offers the procedure `farseed.worker.summary`, and publishes each answer to `farseed.worker.summaries`.

    worker.py ws://127.0.0.1:8080/ws reporter --secret-file reporter.secret
    worker.py ws://127.0.0.1:8080/ws reporter --key-file reporter.key

It needs autobahn (`pip install autobahn`, and `pynacl` for keys), and in the controller's farseed.toml:

    [worker.reporter]
    role = "viewer"                         # so that it may call farseed.<box>.sync
    secret-file = "reporter.secret"         # or: public-key = "64 hex digits"
    procedures = ["farseed.worker."]
    topics = ["farseed.worker."]

A secret is made by `openssl rand -hex 32`, a key by `worker.py --new-key reporter.key`, which prints the public one.
It connects again by itself for as long as it runs.
"""

import argparse
import os
import pathlib
import secrets
from collections import Counter

from autobahn.asyncio.component import Component, run
from autobahn.wamp import cryptosign
from autobahn.wamp.types import PublishOptions


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("url", nargs="?", help="where the controller listens, as ws://127.0.0.1:8080/ws")
    parser.add_argument("name", nargs="?", help="the worker's name in farseed.toml")
    proof = parser.add_mutually_exclusive_group(required=True)
    proof.add_argument("--secret-file", type=pathlib.Path, help="file with the secret that the controller knows too")
    proof.add_argument("--key-file", type=pathlib.Path, help="file with 64 hex digits, an ed25519 private key")
    proof.add_argument("--new-key", type=pathlib.Path, help="make such a file, and print its public key")
    options = parser.parse_args()
    if options.new_key:
        return make_key(options.new_key)
    if not options.name:
        parser.error("url and name are needed")

    if options.secret_file:
        method, how = "wampcra", {"secret": options.secret_file.read_text().strip()}
    else:
        method, how = "cryptosign", {"privkey": options.key_file.read_text().strip()}
    component = Component(
        transports=[{"type": "websocket", "url": options.url, "serializers": ["cbor"], "max_retries": -1}],
        realm="farseed",
        authentication={method: {"authid": options.name} | how},
    )
    component.on_join(joined)
    run([component])


def make_key(path):
    """Writes a new private key, readable by its owner alone."""
    seed = secrets.token_bytes(32)
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(seed.hex() + "\n")
    print(cryptosign.CryptosignKey.from_bytes(seed).public_key())


async def joined(session, details):
    """Called whenever the worker has entered, also after the connection was lost."""

    async def summary(box):
        state = (await session.call(f"farseed.{box}.sync")).kwresults
        torrents = state["full"].values()
        answer = {
            "box": box,
            "count": len(torrents),
            "size": sum(torrent.get("size") or 0 for torrent in torrents),
            "states": dict(Counter(torrent.get("status") or "unknown" for torrent in torrents)),
        }
        await session.publish("farseed.worker.summaries", answer, options=PublishOptions(acknowledge=True))
        return answer

    await session.register(summary, "farseed.worker.summary")
    print(f"{details.authid} is there, by {details.authmethod}", flush=True)


if __name__ == "__main__":
    main()
