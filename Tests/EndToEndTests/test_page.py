"""The page changes torrents: adds, starts, stops, edits and removes them; what waits, fails or may not be."""

import base64
import json

from selenium.webdriver.common.keys import Keys

from conftest import Page, hop, wait_for
from pagework import (  # noqa: F401
    ALONE, LINK, WATCH, choose, chosen, click, ends, find, inject, jobs, press, put, shown, shows, some, spare,
    status, take_down,
)
from test_accounts import PASSWORD, add, log_in
from test_hostile_names import FORBIDDEN, NAMES


def test_adding_by_link_and_by_file_and_by_drop(page, lab, spare, tmp_path):
    """A magnet link, a picked file and a dropped one, stopped and with labels; each is a change that is told as done."""
    magnet = "magnet:?xt=urn:btih:" + "5eed" * 10 + "&dn=by+link"
    picked, picked_hash = spare("picked.iso")
    dropped, dropped_hash = spare("dropped.iso")
    file = tmp_path / "picked.torrent"
    file.write_bytes(picked)
    try:
        click(page, "#add")
        find(page, "#add-form [name=links]").send_keys(magnet)
        find(page, "#add-form [name=files]").send_keys(str(file))
        find(page, "#add-form [name=labels]").send_keys("one, two")
        click(page, "#add-form [name=paused]")
        click(page, "#add-form [type=submit]")
        ends(page, "Add by link")
        ends(page, "Add picked.torrent")
        shows(page, "5eed" * 10, picked_hash)
        # What is new is checked before it stands.
        wait_for("it to stand", lambda: lab.box.torrents("status")[picked_hash]["status"] == 0)
        assert set(lab.box.torrents("labels")[picked_hash]["labels"]) == {"one", "two"}

        page.script("""
            const bytes = Uint8Array.from(atob(arguments[0]), (letter) => letter.charCodeAt(0));
            const dataTransfer = new DataTransfer();
            dataTransfer.items.add(new File([bytes], 'dropped.torrent'));
            for (const type of ['dragover', 'drop']) {
              document.body.dispatchEvent(new DragEvent(type, { dataTransfer, bubbles: true, cancelable: true }));
            }""", base64.b64encode(dropped).decode())
        assert "dropped.torrent" in wait_for("the dropped file", lambda: find(page, "#add-files").text)
        click(page, "#add-form [name=paused]")
        click(page, "#add-form [type=submit]")
        shows(page, dropped_hash)
    finally:
        lab.box.rpc("torrent-remove", {"ids": ["5eed" * 10]})


def test_a_file_that_is_too_large_for_one_message_goes_in_parts(page, lab, tmp_path):
    """1.5 MB of piece hashes."""
    metainfo, hash = lab.make_torrent("large-on-the-page.img", size=20_000_000_000, seeded=False)
    assert 1_400_000 < len(metainfo) < 8 << 20
    file = tmp_path / "large.torrent"
    file.write_bytes(metainfo)
    try:
        click(page, "#add")
        find(page, "#add-form [name=files]").send_keys(str(file))
        click(page, "#add-form [name=paused]")
        click(page, "#add-form [type=submit]")
        ends(page, "Add large.torrent")
        assert lab.box.torrents("totalSize")[hash]["totalSize"] == 20_000_000_000
    finally:
        lab.box.rpc("torrent-remove", {"ids": [hash]})


def test_what_cannot_be_added_is_told_and_nothing_is_sent(page):
    click(page, "#add")
    find(page, "#add-form [name=links]").send_keys("javascript:alert(1)")
    click(page, "#add-form [type=submit]")
    assert "no magnet link" in find(page, "#add-problem").text
    press(page, Keys.ESCAPE)
    assert not shown(page, "#add-dialog") and not jobs(page)


def test_stop_start_undo_and_remove_with_a_second_question(page, lab, spare):
    first, second = put(lab, spare, "one.iso", "two.iso")
    shows(page, first, second)
    choose(page, first, second)
    click(page, "[data-verb='torrent.start']")
    ends(page, "Start 2 torrents")
    wait_for("both to run", lambda: all(status(page, hash) != "stopped" for hash in (first, second)))
    click(page, "[data-verb='torrent.stop']")
    ends(page, "Stop 2 torrents")
    wait_for("both to stand", lambda: {status(page, hash) for hash in (first, second)} == {"stopped"})
    click(page, "#jobs-list button[aria-label='Undo: Stop 2 torrents']")
    wait_for("both to run again", lambda: all(status(page, hash) != "stopped" for hash in (first, second)))

    choose(page, first)
    click(page, "#remove")
    assert "one.iso" in find(page, "#remove-question").text and not shown(page, "#remove-sure")
    click(page, "#remove-data")
    assert "cannot be brought back" in find(page, "#remove-loss").text and not shown(page, "#remove-keep")
    assert page.script("return document.activeElement.id") == "remove-back", "Enter must not delete"
    click(page, "#remove-back")
    click(page, "#remove-keep")
    ends(page, "Remove one.iso")
    wait_for("it to be gone", lambda: first not in page.hashes())

    choose(page, second)
    click(page, "#remove")
    click(page, "#remove-data")
    assert second in lab.box.torrents(), "nothing happens before the second answer"
    click(page, "#remove-sure")
    ends(page, "Remove two.iso with data")
    wait_for("it to be gone", lambda: second not in page.hashes())


def test_labels_priority_and_limits(page, lab, spare):
    first, second = put(lab, spare, "one.iso", "two.iso")
    lab.box.rpc("torrent-set", {"ids": [first], "labels": ["old"]})
    shows(page, first, second)
    choose(page, first, second)
    click(page, "#edit")
    labels = find(page, "#edit-form [name=labels]")
    assert labels.get_attribute("placeholder").startswith("differ")
    find(page, "#edit-form [name=down_limit]").send_keys("300")
    find(page, "#edit-form [name=priority]").send_keys("high")
    click(page, "#edit-form [type=submit]")
    ends(page, "Change 2 torrents")
    seen = lab.box.torrents("labels", "downloadLimit", "downloadLimited", "bandwidthPriority")
    for hash in (first, second):
        assert (seen[hash]["downloadLimit"], seen[hash]["downloadLimited"], seen[hash]["bandwidthPriority"]) == (300, True, 1)
    assert seen[first]["labels"] == ["old"], "what was not touched is not sent"


def fill(page, name, value):
    field = find(page, f"#edit-form [name={name}]")
    field.clear()
    field.send_keys(value)


def test_moving_renaming_and_the_queue(page, lab, spare):
    first, second = put(lab, spare, "one.iso", "two.iso")
    shows(page, first, second)
    seen = lab.box.torrents("downloadDir", "queuePosition")
    place, last = seen[first]["downloadDir"], len(seen) - 1
    assert seen[second]["queuePosition"] == last
    choose(page, first)
    click(page, "#edit")
    assert find(page, "#edit-form [name=name]").get_attribute("value") == "one.iso"
    assert find(page, "#edit-form [name=directory]").get_attribute("value") == place
    # What is no absolute path is not sent.
    fill(page, "directory", "elsewhere")
    click(page, "#edit-form [type=submit]")
    assert shown(page, "#edit-dialog")
    fill(page, "directory", f"{place}/moved")
    fill(page, "name", "renamed.iso")
    click(page, "#edit-form [type=submit]")
    ends(page, "Move one.iso")
    ends(page, "Rename one.iso")
    row = wait_for("it to be there", lambda: (row := lab.box.torrents("downloadDir", "name")[first])["name"] == "renamed.iso"
                   and row)
    assert row["downloadDir"] == f"{place}/moved"
    wait_for("its name on the page", lambda: "renamed.iso" in page.cell(first, "name"))

    choose(page, first, second)
    click(page, "#edit")
    assert not find(page, "#edit-form [name=name]").is_enabled()
    assert find(page, "#edit-form [name=directory]").get_attribute("placeholder").startswith("differ")
    find(page, "#edit-form [name=queue]").send_keys("to the top")
    click(page, "#edit-form [type=submit]")
    ends(page, "Queue 2 torrents")
    seen = lab.box.torrents("downloadDir", "queuePosition")
    assert {seen[hash]["queuePosition"] for hash in (first, second)} == {0, 1}
    assert seen[second]["downloadDir"] == place, "what was not touched is not sent"


def test_changes_wait_visibly_while_the_link_is_down_and_are_done_without_a_reload(served, page, lab, spare):
    (hash,) = put(lab, spare, "waits.iso")
    shows(page, hash)
    page.script("window.farseedTestMark = 1")
    take_down(served, lab)
    try:
        wait_for("the page to know", lambda: page.state == "stale", LINK)
        choose(page, hash)
        click(page, "[data-verb='torrent.start']")
        wait_for("the change to wait", lambda: ["Start waits.iso", "waiting", "waiting for the link"] in jobs(page))
        click(page, "[data-verb='torrent.verify']")
        cancel = "#jobs-list button[aria-label='Cancel: Verify waits.iso']"
        wait_for("a second change", lambda: shown(page, cancel))
        click(page, cancel)
        ends(page, "Verify waits.iso", "cancelled")
        assert hop(served, "ssh") != "up"
    finally:
        lab.start_sshd()
    wait_for(lambda: f"the change to be done: {jobs(page)}",
             lambda: ["Start waits.iso", "done", "done"] in jobs(page), LINK, pause=0.05)
    wait_for("it to run", lambda: status(page, hash) != "stopped")
    assert page.script("return window.farseedTestMark") == 1, "the page was reloaded"


def test_a_failed_change_says_why_until_it_is_dismissed(page):
    click(page, "#add")
    # The laboratory's daemon reaches no such place, and says so.
    find(page, "#add-form [name=links]").send_keys("http://127.0.0.1:9/nothing.torrent")
    click(page, "#add-form [type=submit]")
    ends(page, "Add nothing.torrent", "failed")
    (line,) = [line for line in jobs(page) if line[0] == "Add nothing.torrent"]
    assert line[2].startswith("failed: ") and line[2].endswith(".")
    click(page, "#jobs-list button[aria-label='Dismiss: Add nothing.torrent']")
    wait_for("it to go", lambda: not [line for line in jobs(page) if line[0] == "Add nothing.torrent"])
    click(page, "#jobs-all")
    ends(page, "Add nothing.torrent", "failed")


def test_a_file_is_left_out_and_wanted_again(page, lab):
    hash, row = next((hash, row) for hash, row in lab.box.torrents("name", "files", "percentDone").items()
                     if len(row["files"]) > 1)
    click(page, f"tr[data-hash='{hash}'] [data-field=name] > bdi")
    wait_for("its files", lambda: page.script("return document.querySelectorAll('#details-list select').length") > 1)
    try:
        find(page, "#details-list li:nth-child(2) select").send_keys("do not")
        wait_for("the file to be left out", lambda: not lab.box.torrents("wanted")[hash]["wanted"][1])
        wait_for("the page to show it", lambda: page.script(
            "return document.querySelector('#details-list li:nth-child(2)').dataset.wish") == "skip")
    finally:
        lab.box.rpc("torrent-set", {"ids": [hash], "files-wanted": []})


def test_hostile_names_in_details_and_changes(page, lab, spare):
    hashes = put(lab, spare, *NAMES.values())
    shows(page, *hashes)
    for hash in hashes:
        choose(page, hash)
        click(page, "#open-details")
        wait_for("its files", lambda: page.script("return document.querySelectorAll('#details-list li').length"))
        click(page, "[data-verb='torrent.reannounce']")
        click(page, "#edit")
        press(page, Keys.ESCAPE)
        click(page, "#remove")
        for selector in ("#details", "#chosen", "#remove-dialog", "#edit-what"):
            text = page.script("return document.querySelector(arguments[0]).textContent", selector)
            assert not (FORBIDDEN - {"\n"}) & set(text), selector
        press(page, Keys.ESCAPE)
    wait_for("a change of each", lambda: len([line for line in jobs(page) if line[0].startswith("Reannounce")]) >= 4)
    assert not any((FORBIDDEN & set("".join(line))) for line in jobs(page))
    assert any("<img src=x" in name for name in page.script(
        "return [...document.querySelectorAll('td[data-field=name]')].map(cell => cell.textContent)"))
    assert page.script("return window.pwned") is None
    assert page.script("return document.querySelectorAll('main img, main script').length") == 0
    assert page.script("return document.documentElement.scrollWidth <= window.innerWidth")


def test_a_viewer_sees_no_buttons_and_the_server_refuses_all_the_same(served, lab, chromium, inject):
    add(served, "vera", "viewer")
    base = served.url.split("#")[0]
    inject(WATCH % ALONE)
    chromium.get(base)
    chromium.delete_all_cookies()
    page = Page(chromium, base)
    wait_for("the login form", lambda: page.state == "login")
    log_in(page, "vera", PASSWORD)
    page.wait_live()
    hash = some(page, lab)
    click(page, f"tr[data-hash='{hash}'] [data-field=status]")
    assert chosen(page) == {hash}
    for selector in ("#add", "#actions", "#actions button", "#jobs", "td.pick"):
        assert not shown(page, selector), selector
    press(page, Keys.DELETE)
    assert not shown(page, "#remove-dialog")
    press(page, Keys.ENTER)
    wait_for("its files", lambda: page.script("return document.querySelectorAll('#details-list li').length"))
    assert not shown(page, "#details-list select")
    answer = page.driver.execute_async_script("""
        const [hash, done] = arguments;
        (async () => {
          const { Feed } = await import('/feed.js');
          const feed = new Feed();
          const isUp = new Promise((resolve) => feed.addEventListener('state', () => feed.state === 'up' && resolve()));
          feed.start();
          await isUp;
          const calls = [['vps.torrent.stop', { hashes: [hash] }], ['job.undo', { id: 1 }], ['job.cancel', { id: 1 }]];
          done(await Promise.all(calls.map(([verb, words]) =>
            feed.call(`farseed.${verb}`, words).then(() => 'let in', (error) => error.uri))));
        })();""", hash)
    assert answer == ["wamp.error.not_authorized"] * 3
    assert json.loads(served.run("jobs", "--json").stdout)["jobs"] == []
