"""How the page looks into torrents: details, keys, groups, many tabs, many torrents, narrow windows."""

import pytest
from selenium.webdriver.common.keys import Keys

from conftest import Page, wait_for
from pagework import (  # noqa: F401
    ALONE, BROKEN, WATCH, choose, chosen, click, ends, find, inject, press, put, shown, shows, some, spare,
)

#: Applying a delta to 5,000 torrents, drawing included, may take this long, in milliseconds: one frame of sixty a second
#: on a machine of one's own, and something for a loaded one.
FRAME = 40


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


@pytest.mark.parametrize("guard, paused, told", [
    ("ok", 0, "1.50 GB"), ("low", 0, "1.50 GB, below the reserve"),
    ("paused", 1, "1.50 GB, 1 download paused for want of space"),
    ("paused", 3, "1.50 GB, 3 downloads paused for want of space"),
    ("paused", None, "1.50 GB, downloads paused for want of space"), ("constructor", 1, "1.50 GB")])
def test_the_disk_line_says_what_the_guard_does(page, guard, paused, told):
    # Read where it is written: the seedbox's next figures replace it.
    text, is_low = page.driver.execute_async_script("""
        const [guard, paused, done] = arguments;
        import('/tools.js').then(({ showDisk }) => {
          const disk = { directory: '/downloads', total: 9e9, free: 1.5e9, low: guard === 'low' };
          showDisk({ disks: [disk], disk_guard: guard, disk_paused: paused });
          const line = document.querySelector('#disk');
          done([line.querySelector('dd').textContent, line.classList.contains('low')]);
        });""", guard, paused)
    assert text == told
    assert is_low == (guard in ("low", "paused"))


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
def test_it_fits_the_window_and_is_quiet(page, lab, size):
    """No sideways scrolling, nothing in the console, with everything open that can be."""
    driver = page.driver
    try:
        driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", {
            "width": size[0], "height": size[1], "deviceScaleFactor": 1, "mobile": size[0] < 500})
        hash = some(page, lab)
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
