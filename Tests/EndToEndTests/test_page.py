"""The page as somebody uses it: adds, changes and removes torrents, looks into them, by mouse and keys, in many tabs."""

import base64
import json

import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from conftest import Page, hop, link_state, wait_for
from test_accounts import PASSWORD, add, log_in
from test_hostile_names import FORBIDDEN, NAMES, metainfo_of

#: A lost link is noticed and set up again within this, in seconds.
LINK = 90

#: Applying a delta to 5,000 torrents, drawing included, may take this long, in milliseconds: one frame of sixty a second
#: on a machine of one's own, and something for a loaded one.
FRAME = 40

#: Counts the page's own websockets and what it calls over them; with `alone` there is no shared worker.
WATCH = """
%s
window.sockets = 0;
window.calls = [];
const Real = window.WebSocket;
window.WebSocket = class extends Real {
  constructor(...args) { super(...args); window.sockets += 1; }
  send(data) {
    const message = JSON.parse(data);
    if (message[0] === 48) window.calls.push(message[3]);
    super.send(data);
  }
};
"""
ALONE = "window.SharedWorker = undefined;"
BROKEN = "window.SharedWorker = class { port = {}; constructor() { setTimeout(() => this.onerror(new Event('error'))); } };"


@pytest.fixture
def inject(chromium):
    """Runs a script in each new document before the page's own."""
    added = []

    def inject(source):
        added.append(chromium.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": source}))

    yield inject
    for script in added:
        chromium.execute_cdp_cmd("Page.removeScriptToEvaluateOnNewDocument", script)


@pytest.fixture
def spare(lab):
    """Makes torrents of our own, as metainfo and hash; they are gone from the seedbox afterwards."""
    hashes = []

    def make(name):
        metainfo, hash = metainfo_of(name)
        hashes.append(hash)
        return metainfo, hash

    yield make
    lab.box.rpc("torrent-remove", {"ids": hashes, "delete-local-data": True})


def find(page, selector):
    return page.driver.find_element(By.CSS_SELECTOR, selector)


def click(page, selector):
    find(page, selector).click()


def shown(page, selector):
    """Whether one of these can be seen."""
    return any(element.is_displayed() for element in page.driver.find_elements(By.CSS_SELECTOR, selector))


def press(page, *keys):
    page.driver.switch_to.active_element.send_keys(*keys)


def choose(page, *hashes):
    """Chooses exactly these torrents, by their boxes."""
    while shown(page, "#unchoose"):
        click(page, "#unchoose")
    for hash in hashes:
        box = find(page, f"tr[data-hash='{hash}'] .pick input")
        # Away from what lies over the bottom of the window.
        page.script("arguments[0].scrollIntoView({ block: 'center' })", box)
        box.click()
    assert chosen(page) == set(hashes)


def chosen(page):
    return set(page.script(
        "return [...document.querySelectorAll('tr[aria-selected=true]')].map(row => row.dataset.hash)"))


def jobs(page):
    """The lines of changes that are shown: `[title, state, text]`, the newest first."""
    return page.script(
        "return [...document.querySelectorAll('#jobs:not([hidden]) #jobs-list li')].map(line =>"
        " [line.querySelector('.what').textContent, line.dataset.state, line.querySelector('.how').textContent])")


def ends(page, title, state="done"):
    wait_for(lambda: f"'{title}' to be {state}: {jobs(page)}",
             lambda: [line for line in jobs(page) if line[0] == title and line[1] == state])


def status(page, hash):
    return page.cell(hash, "status")


def put(lab, spare, *names):
    """Adds stopped torrents on the seedbox itself; their hashes."""
    hashes = []
    for name in names:
        metainfo, hash = spare(name)
        lab.box.rpc("torrent-add", {"metainfo": base64.b64encode(metainfo).decode(), "paused": True})
        hashes.append(hash)
    return hashes


def shows(page, *hashes):
    wait_for("the torrents on the page", lambda: set(hashes) <= set(page.hashes()))


def take_down(served, lab):
    lab.stop_sshd()
    lab.kill_sshd_connection()
    wait_for("the link to be down", lambda: link_state(served) != "live", LINK)


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
        seen = lab.box.torrents("labels", "status")
        assert set(seen[picked_hash]["labels"]) == {"one", "two"} and seen[picked_hash]["status"] == 0

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


def test_changes_wait_visibly_while_the_link_is_down_and_are_done_without_a_reload(served, page, lab, spare):
    (hash,) = put(lab, spare, "waits.iso")
    shows(page, hash)
    page.script("window.farseedTestMark = 1")
    take_down(served, lab)
    try:
        wait_for("the page to know", lambda: page.state == "stale", LINK)
        choose(page, hash)
        click(page, "[data-verb='torrent.start']")
        line = wait_for("the change", lambda: [line for line in jobs(page) if line[0] == "Start waits.iso"])
        wait_for("the change to wait", lambda: jobs(page)[0][1:] == ["waiting", "waiting for the link"])
        click(page, "[data-verb='torrent.verify']")
        cancel = "#jobs-list button[aria-label='Cancel: Verify waits.iso']"
        wait_for("a second change", lambda: shown(page, cancel))
        click(page, cancel)
        ends(page, "Verify waits.iso", "cancelled")
        assert line and hop(served, "ssh") != "up"
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


def test_details_are_asked_for_only_while_they_are_open(served, chromium, inject, lab):
    inject(WATCH % ALONE)
    page = Page(chromium, served.url).wait_live()
    asked = "return window.calls.filter(call => call === 'farseed.vps.torrent.get').length"
    moving = wait_for("a torrent that moves", lambda: page.script(
        "return [...document.querySelectorAll('tr[data-mood=downloading]')].find(row =>"
        " row.querySelector('[data-field=down]').textContent)?.dataset.hash"))
    assert page.script(asked) == 0
    click(page, f"tr[data-hash='{moving}'] [data-field=name] > bdi")
    wait_for("its files", lambda: page.script("return document.querySelectorAll('#details-list li select').length") >= 1)
    assert page.script("return document.querySelector('#details-list progress').value") < 1
    click(page, "#tab-peers")
    wait_for("its peers", lambda: "Transmission" in find(page, "#details-list").text)
    click(page, "#tab-trackers")
    wait_for("its tracker", lambda: "http://" in find(page, "#details-list").text)
    assert "announce" not in find(page, "#details-list").text, "paths of trackers may be secrets"
    many = page.script(asked)
    wait_for("being asked again as the torrent moves", lambda: page.script(asked) > many)

    press(page, Keys.ESCAPE)
    assert not shown(page, "#details")
    many = page.script(asked)
    before = page.cell(moving, "progress")
    wait_for("the torrent to move on", lambda: page.cell(moving, "progress") > before)
    wait_for("the torrent to move on", lambda: page.cell(moving, "progress") > before + 0.002)
    assert page.script(asked) == many


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


def test_a_viewer_sees_no_buttons_and_the_server_refuses_all_the_same(served, chromium, inject):
    add(served, "vera", "viewer")
    base = served.url.split("#")[0]
    inject(WATCH % ALONE)
    chromium.get(base)
    chromium.delete_all_cookies()
    page = Page(chromium, base)
    wait_for("the login form", lambda: page.state == "login")
    log_in(page, "vera", PASSWORD)
    page.wait_live()
    hash = wait_for("rows", page.hashes)[0]
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


def test_the_keyboard(page, lab, spare):
    names = ["aaa keys 1.iso", "aaa keys 2.iso", "aaa keys 3.iso"]
    hashes = put(lab, spare, *names)
    shows(page, *hashes)
    find(page, "body").send_keys("/")
    assert page.script("return document.activeElement.id") == "filter"
    press(page, "AAA keys")
    wait_for("the filter", lambda: page.hashes() == hashes)
    assert find(page, "[data-total=count]").text.startswith("3 of ")
    press(page, Keys.ARROW_DOWN)
    assert page.script("return document.activeElement.id") == "torrents" and chosen(page) == {hashes[0]}
    press(page, Keys.ARROW_DOWN)
    wait_for("the second row", lambda: chosen(page) == {hashes[1]})
    assert page.script("return document.querySelector('#torrents').getAttribute('aria-activedescendant')") == f"row-{hashes[1]}"
    press(page, Keys.SHIFT + Keys.ARROW_DOWN)
    wait_for("two rows", lambda: chosen(page) == set(hashes[1:]))
    press(page, Keys.HOME, " ")
    wait_for("none", lambda: not chosen(page))
    press(page, Keys.ENTER)
    wait_for("details", lambda: find(page, "#details-name").text == names[0])
    press(page, Keys.ARROW_DOWN)
    wait_for("details that follow", lambda: find(page, "#details-name").text == names[1])
    press(page, Keys.ESCAPE)
    wait_for("details to close", lambda: not shown(page, "#details"))
    press(page, Keys.DELETE)
    assert names[1] in find(page, "#remove-question").text
    press(page, Keys.ESCAPE)
    press(page, Keys.ESCAPE)
    wait_for("nothing chosen", lambda: not chosen(page))
    find(page, "body").send_keys("/")
    press(page, Keys.ESCAPE)
    wait_for("all rows again", lambda: len(page.hashes()) > 3)


def test_groups_have_counts_and_columns_sort(page, lab):
    states = [row["status"] for row in lab.box.torrents("status").values()]
    wait_for("the count of stopped ones", lambda: find(page, "[data-group=stopped] .count").text == str(states.count(0)))
    click(page, "[data-group=stopped]")
    wait_for("stopped ones only", lambda: len(page.hashes()) == states.count(0))
    click(page, "[data-group=all]")
    click(page, "th[data-column=size] button")
    assert find(page, "th[data-column=size]").get_attribute("aria-sort") == "descending"
    sizes = {hash: row["totalSize"] for hash, row in lab.box.torrents("totalSize").items()}
    wait_for("the largest first", lambda: [sizes.get(hash) for hash in page.hashes()] == sorted(sizes.values(), reverse=True))
    click(page, "th[data-column=name] button")
    assert find(page, "#disk").text.startswith("free")


def test_a_second_tab_shares_the_connection_and_outlives_the_first(served, chromium, inject, lab, spare):
    inject(WATCH % "")
    first = chromium.current_window_handle
    page = Page(chromium, served.url).wait_live()
    assert page.script("return window.sockets") == 0
    try:
        chromium.switch_to.new_window("tab")
        # What was injected belongs to the first tab.
        chromium.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": WATCH % ""})
        second = Page(chromium, served.url.split("#")[0]).wait_live()
        assert second.script("return window.sockets") == 0
        workers = [target for target in chromium.execute_cdp_cmd("Target.getTargets", {})["targetInfos"]
                   if target["type"] == "shared_worker" and target["url"].startswith(served.url.split("#")[0])]
        assert len(workers) == 1, workers
        own = chromium.current_window_handle
        chromium.switch_to.window(first)
        chromium.get("about:blank")
        chromium.switch_to.window(own)
        (hash,) = put(lab, spare, "second tab.iso")
        shows(second, hash)
        choose(second, hash)
        click(second, "[data-verb='torrent.start']")
        ends(second, "Start second tab.iso")
        assert second.script("return window.sockets") == 0
    finally:
        for handle in chromium.window_handles:
            if handle != first:
                chromium.switch_to.window(handle)
                chromium.close()
        chromium.switch_to.window(first)


@pytest.mark.parametrize("obstacle", [ALONE, BROKEN])
def test_without_a_shared_worker_a_tab_has_its_own_connection(served, chromium, inject, obstacle):
    inject(WATCH % obstacle)
    page = Page(chromium, served.url).wait_live()
    assert page.script("return window.sockets") == 1


def test_a_browser_without_websockets_is_told_so(served, chromium, inject):
    inject("delete window.WebSocket;")
    page = Page(chromium, served.url.split("#")[0])
    assert "lacks websockets" in wait_for("the sentence", lambda: find(page, "#unsupported").text)


def test_five_thousand_torrents_stay_fluid(page):
    """The page's own table with 5,000 made-up torrents: few rows in the document, a delta within a frame."""
    figures = page.driver.execute_async_script("""
        const done = arguments[arguments.length - 1];
        (async () => {
          const { Table } = await import('/table.js');
          const { apply } = await import('/delta.js');
          const element = document.createElement('table');
          element.createTHead().insertRow();
          element.createTBody();
          document.querySelector('#status').prepend(element);
          const table = new Table(element);
          const hash = (index) => index.toString(16).padStart(40, '0');
          const torrents = new Map();
          for (let index = 0; index < 5000; index += 1) {
            torrents.set(hash(index), { name: `Torrent ${(index * 7919) % 5000}`, status: 'downloading', progress: 0.5,
              size: index * 1e6, down: index % 50 ? 0 : index, up: 0, labels: ['x'] });
          }
          const frame = () => new Promise((resolve) => requestAnimationFrame(() => setTimeout(resolve)));
          table.replace(torrents);
          await frame();
          const times = [];
          for (let round = 0; round < 40; round += 1) {
            table.sort(round % 2 ? 'name' : 'down', 1);
            await frame();
            const changed = {};
            for (let index = 0; index < 100; index += 1) {
              changed[hash((index * 37 + round) % 5000)] = { down: (index * 7907 + round) % 99991, progress: round / 40 };
            }
            // The table draws in the frame between these two.
            let frameBegun = 0;
            requestAnimationFrame(() => { frameBegun = performance.now(); });
            const begun = performance.now();
            apply(torrents, changed, []);
            table.update(changed, []);
            const applied = performance.now() - begun;
            times.push(applied + await new Promise((resolve) => requestAnimationFrame(() => {
              element.getBoundingClientRect();
              resolve(performance.now() - frameBegun);
            })));
          }
          times.sort((a, b) => a - b);
          const rows = element.querySelectorAll('tr[data-hash]').length;
          element.remove();
          done({ rows, median: times[20], worst: times[39] });
        })().catch((error) => done({ error: String(error) }));""")
    print(figures)
    assert "error" not in figures, figures
    assert figures["rows"] < 100
    assert figures["median"] < FRAME, figures


@pytest.mark.parametrize("size", [(1280, 900), (390, 844)])
def test_it_fits_the_window_and_is_quiet(page, size):
    """No sideways scrolling, nothing in the console, with everything open that can be."""
    driver = page.driver
    try:
        driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", {
            "width": size[0], "height": size[1], "deviceScaleFactor": 1, "mobile": size[0] < 500})
        hash = wait_for("rows", page.hashes)[0]
        click(page, f"tr[data-hash='{hash}'] .pick input")
        click(page, "#open-details")
        wait_for("its files", lambda: page.script("return document.querySelectorAll('#details-list li').length"))
        assert page.script("return document.documentElement.scrollWidth <= window.innerWidth")
        assert page.script("const box = document.querySelector('#details').getBoundingClientRect();"
                           "return box.left >= 0 && box.right <= window.innerWidth")
        unnamed = page.script("""
            return [...document.querySelectorAll('button, input, select, textarea')].filter((element) =>
              !(element.textContent.trim() || element.getAttribute('aria-label') || element.labels?.length
                || element.title)).map((element) => element.outerHTML)""")
        assert unnamed == []
        origin = page.script("return location.origin")
        assert not [entry for entry in driver.get_log("browser") if entry["level"] == "SEVERE" and origin in entry["message"]]
    finally:
        driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
