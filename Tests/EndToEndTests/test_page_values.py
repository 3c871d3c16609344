"""What the page shows is so: every cell of a row beside Transmission's own answer, and the link line hop by hop."""

import re
import time

import pytest

from conftest import status, wait_for

#: The RPC fields behind the cells.
FIELDS = ["name", "status", "percentDone", "metadataPercentComplete", "recheckProgress", "isStalled", "sizeWhenDone",
          "rateDownload", "rateUpload", "uploadRatio", "eta", "peersConnected"]
#: The cells of a torrent that moves were true at most so long ago, in seconds: a look of the agent, the way, the drawing
#: and the time between two looks of this test.
FRESH = 8
STATUS = ["stopped", "check queued", "checking", "queued", "downloading", "seed queued", "seeding"]

#: Every cell of a row as it is read.
ROW = """
const row = document.querySelector(`tr[data-hash='${arguments[0]}']`);
if (!row) return null;
const shown = Object.fromEntries([...row.querySelectorAll("td[data-field]")].map(cell => [cell.dataset.field, cell.textContent]));
shown.name = row.querySelector("[data-field=name] > bdi").textContent;
const bar = row.querySelector("td.progress progress");
shown.bar = bar.value;
shown.percent = row.querySelector("td.progress").textContent;
return shown;
"""


def amount(count):
    """Bytes with three figures, as the page writes them."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 999.5:
            break
        count /= 1000
    digits = 0 if unit == "B" or count >= 99.95 else 1 if count >= 9.995 else 2
    return f"{count:.{digits}f} {unit}"


def duration(s):
    if s < 60:
        return f"{s} s"
    if s < 600:
        return f"{s // 60} min {s % 60} s"
    if s < 3600:
        return f"{s // 60} min"
    if s < 86400:
        return f"{s // 3600} h {s % 3600 // 60} min"
    return f"{s // 86400} d {s % 86400 // 3600} h" if s < 86400 * 365 else "over a year"


def ratio(value):
    if value < 0:
        return "∞" if value == -2 else "–"
    return f"{value:.{2 if value < 10 else 1 if value < 100 else 0}f}"


def percent(fraction):
    return "100 %" if fraction >= 1 else f"{int(fraction * 1000) / 10:.1f} %"


def cells(row):
    """What the page must show of an RPC row."""
    word = STATUS[row["status"]]
    if word == "checking":
        word += f" {percent(row['recheckProgress'])}"
    elif word == "downloading" and row["metadataPercentComplete"] < 1:
        word = f"metadata {percent(row['metadataPercentComplete'])}"
    elif word == "downloading" and row["isStalled"]:
        word = "stalled"
    eta = "" if row["percentDone"] >= 1 or row["eta"] == -1 else "∞" if row["eta"] == -2 else duration(row["eta"])
    return {
        "name": row["name"], "status": word, "bar": row["percentDone"], "percent": percent(row["percentDone"]),
        "size": amount(row["sizeWhenDone"]), "ratio": ratio(row["uploadRatio"]), "eta": eta,
        "down": f"{amount(row['rateDownload'])}/s" if row["rateDownload"] else "",
        "up": f"{amount(row['rateUpload'])}/s" if row["rateUpload"] else "",
        "peers": str(row["peersConnected"] or ""),
    }


def assert_true(page, lab, hash):
    """Waits for a moment at which every cell is one that Transmission has just told."""
    samples, wrong = [], {}

    def are_true():
        now = time.monotonic()
        samples.append((now, cells(lab.box.torrents(*FIELDS)[hash])))
        samples[:] = [sample for sample in samples if now - sample[0] < FRESH]
        shown = page.script(ROW, hash) or {}
        wrong.clear()
        for field in samples[0][1]:
            told = [sample[field] for _, sample in samples]
            is_told = any(abs(shown[field] - value) < 0.0001 for value in told) if field == "bar" and shown else \
                shown.get(field) in told
            if not is_told:
                wrong[field] = (shown.get(field), told)
        return not wrong

    wait_for(lambda: f"true cells, not {wrong}", are_true, pause=0.3)


@pytest.mark.parametrize("kind", ["downloading", "whole", "stopped"])
def test_every_cell_of_a_row_is_what_transmission_says(kind, page, lab):
    def find():
        rows = [(hash, row) for hash, row in lab.box.torrents(*FIELDS).items() if row["name"].isascii()]
        good = {
            "downloading": lambda row: row["rateDownload"] > 0 and row["peersConnected"] > 0 and row["eta"] > 0,
            "whole": lambda row: row["percentDone"] == 1 and row["status"] == 6,
            "stopped": lambda row: row["status"] == 4 and row["rateDownload"] > 0,
        }[kind]
        return next((hash for hash, row in rows if good(row)), None)

    hash = wait_for(f"a torrent for {kind}", find)
    if kind == "stopped":
        lab.box.rpc("torrent-stop", {"ids": [hash]})
    try:
        if kind == "stopped":
            # Transmission lets the rates of a stopped torrent fade for some seconds.
            wait_for("the row to stand", lambda: cells(lab.box.torrents(*FIELDS)[hash])["down"] == "" and
                     page.script(ROW, hash)["status"] == "stopped" and page.script(ROW, hash)["down"] == "")
        assert_true(page, lab, hash)
    finally:
        if kind == "stopped":
            lab.box.rpc("torrent-start", {"ids": [hash]})


def test_the_link_line_tells_every_hop_the_round_trip_and_the_age(served, page):
    told = wait_for("a measured round trip", lambda: re.fullmatch(
        r"(\d+) ms", page.script("return document.querySelector('#rtt').textContent")))
    assert 0 < int(told[1]) < 10_000
    wait_for("every hop", lambda: page.hops() == dict.fromkeys(["tor", "circuit", "ssh", "agent", "transmission"], "up"))
    details = page.script("return Object.fromEntries([...document.querySelectorAll('#link li[data-hop]')]"
                          ".map(item => [item.dataset.hop, item.querySelector('.detail').textContent]))")
    assert re.match(r"0\.4\.\d", details["tor"]), details
    # Tor does not tell the relays of a circuit that it had in store.
    assert details["circuit"] == "" or len(details["circuit"].split(" → ")) >= 3, details
    assert details["agent"].startswith("farseed-agent ") and re.match(r"[34]\.", details["transmission"]), details
    link = status(served)["boxes"][0]["link"]
    assert {hop["hop"]: hop["detail"] for hop in link["hops"]} == details
    age = int(page.script("return document.querySelector('#age').textContent"))
    assert abs(time.time() - link["data_at"] / 1000 - age) < 5 and age < 15
