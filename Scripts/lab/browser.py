"""A headless Chromium that looks at the status page, for the demo's check and the browser tests."""

import os
import time
from pathlib import Path

from .processes import LabError

#: Sizes of the screenshots: a laptop's window and a phone.
DESKTOP = (1280, 900)
PHONE = (390, 844)
#: How often a wait looks again, in seconds.
POLL = 0.25

#: What the page promises its tests: its state, each torrent's progress by info hash, and the link's round trip.
SNAPSHOT = """
const progress = {};
for (const row of document.querySelectorAll('tr[data-hash]')) {
  const bar = row.querySelector('progress[data-field=progress]');
  progress[row.dataset.hash] = bar ? bar.value : null;
}
const rtt = document.querySelector('#rtt');
return {state: document.documentElement.dataset.state || '', progress, rtt: rtt ? rtt.textContent : ''};
"""


def environment(directory):
    """What makes Chromium keep everything in `directory`: besides its profile it writes certificates, fonts, caches."""
    mine = {name: value for name, value in os.environ.items() if not name.startswith("XDG_")}
    return mine | {"HOME": str(directory), "TMPDIR": str(directory)}


class Browser:
    """Chromium by Debian's chromedriver; its profile lives in `directory` and dies with it."""

    def __init__(self, directory):
        from selenium import webdriver
        from selenium.webdriver.chrome.service import Service

        directory = Path(directory)
        directory.mkdir(parents=True, exist_ok=True)
        options = webdriver.ChromeOptions()
        options.binary_location = "/usr/bin/chromium"
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        for argument in (
            "--headless=new", f"--user-data-dir={directory / 'profile'}", "--disable-dev-shm-usage", "--disable-gpu",
            "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync",
            # Names resolve to nothing: the page must not need anything from outside.
            "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost",
        ):
            options.add_argument(argument)
        if os.geteuid() == 0:
            options.add_argument("--no-sandbox")
        service = Service("/usr/bin/chromedriver", log_path=str(directory / "chromedriver.log"),
                          env=environment(directory))
        self.driver = webdriver.Chrome(service=service, options=options)
        self.driver.set_page_load_timeout(60)
        self.resize(DESKTOP)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.driver.quit()

    def resize(self, size, scale=1):
        """Gives the page exactly this many pixels, also fewer than a window may have."""
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", {
            "width": size[0], "height": size[1], "deviceScaleFactor": scale, "mobile": size == PHONE,
        })

    def open(self, url):
        """Opens a page."""
        self.driver.get(url)

    def snapshot(self):
        """The page's state, {info hash: progress value} and the round trip as it is shown."""
        return self.driver.execute_script(SNAPSHOT)

    def wait(self, condition, seconds, what, alive=lambda: True):
        """Waits until `condition(snapshot)` is true and returns that snapshot; gives up when `alive()` is false."""
        deadline = time.monotonic() + seconds
        while True:
            seen = self.snapshot()
            if condition(seen):
                return seen
            if not alive():
                raise LabError(f"{what} did not happen: the controller has ended.")
            if time.monotonic() > deadline:
                raise LabError(f"{what} did not happen within {seconds:g} s. The page's state is "
                               f"'{seen['state']}', it shows {len(seen['progress'])} torrents.\n{self.account()}")
            time.sleep(POLL)

    def wait_live(self, rows, seconds, alive=lambda: True):
        """Waits until the page is live and shows at least `rows` torrents."""
        return self.wait(lambda seen: seen["state"] == "live" and len(seen["progress"]) >= rows, seconds,
                         f"A live page with {rows} torrents", alive)

    def wait_moving(self, bars, seconds, alive=lambda: True):
        """Waits until the values of at least `bars` progress bars have risen since now."""
        before = self.snapshot()["progress"]

        def risen(seen):
            return sum(1 for name, value in seen["progress"].items()
                       if value is not None and before.get(name) is not None and value > before[name]) >= bars

        return self.wait(risen, seconds, f"The movement of {bars} progress bars", alive)

    def screenshot(self, path, size=DESKTOP, scale=1):
        """Saves what a window of this size shows."""
        self.resize(size, scale)
        self.driver.save_screenshot(str(path))
        self.resize(DESKTOP)

    def console(self):
        """The lines of the browser's console since the last call."""
        return [f"{entry['level']} {entry['message']}" for entry in self.driver.get_log("browser")]

    def account(self):
        """The page's text and console, for a person who has to find out what failed."""
        text = self.driver.execute_script("return document.body ? document.body.innerText : ''")
        return "\n".join(["--- page", text[:2000], "--- console", *self.console()])
