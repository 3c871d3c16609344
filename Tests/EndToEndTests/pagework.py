"""The page in the hands of tests: what somebody does with it, and what it shows then."""

import base64

import pytest
from selenium.webdriver.common.by import By

from conftest import link_state, wait_for
from lab.content import unseeded

#: A lost link is noticed and set up again within this, in seconds.
LINK = 90

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


def some(page, lab):
    """One of the laboratory's own torrents on the page; others may be left there that have no files yet."""
    return wait_for("rows", lambda: sorted(set(page.hashes()) & set(lab.hashes.values())))[0]


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
        metainfo, hash = unseeded(name)
        hashes.append(hash)
        return metainfo, hash

    yield make
    lab.box.rpc("torrent-remove", {"ids": hashes, "delete-local-data": True})


def find(page, selector):
    return page.driver.find_element(By.CSS_SELECTOR, selector)


def drawn(page):
    """Waits for the frame in which the page draws what has just been done."""
    page.driver.execute_async_script("const done = arguments[0]; requestAnimationFrame(() => setTimeout(done));")


def click(page, selector):
    find(page, selector).click()
    drawn(page)


def shown(page, selector):
    """Whether one of these can be seen."""
    return any(element.is_displayed() for element in page.driver.find_elements(By.CSS_SELECTOR, selector))


def press(page, *keys):
    page.driver.switch_to.active_element.send_keys(*keys)
    drawn(page)


def choose(page, *hashes):
    """Chooses exactly these torrents, by their boxes."""
    while shown(page, "#unchoose"):
        click(page, "#unchoose")
    for hash in hashes:
        box = find(page, f"tr[data-hash='{hash}'] .pick input")
        # Away from what lies over the bottom of the window.
        page.script("arguments[0].scrollIntoView({ block: 'center' })", box)
        box.click()
        drawn(page)
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
