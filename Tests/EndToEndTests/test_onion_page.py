"""The page as an onion service of the private Tor network: page, login and websocket through Tor on both sides."""

import os
import re

import pytest
from conftest import DEADLINE, ROOT, Page, audit, browser_environment, free_port, make_home, wait_for, wait_mirrored
from lab import socks
from lab.processes import Child
from rawweb import ABORT, CALL, EVENT, GOODBYE, RESULT, SUBSCRIBE, SUBSCRIBED, WELCOME, Connection, WebSocket


class OnionPage:
    """A controller whose page is an onion service, and clients that come to it through the laboratory's tor."""

    def __init__(self, lab, address, home):
        self.lab, self.address, self.home = lab, address, home
        self.origin = f"http://{address}"
        self.attempts = 0

    def connect(self, client=None):
        """A connection through new circuits, or through those that this client has."""
        self.attempts += 1
        client = client or f"page{self.attempts}"
        made = socks.connect(f"unix:{self.lab.socks_unix}", self.address, 80, client, timeout=20)
        return Connection(made=made, host=self.address)

    def ask(self, *request, **more):
        with self.connect() as connection:
            return connection.ask(*request, **more)

    def post(self, path, *fields, **more):
        return self.ask("POST", path, ("X-Farseed", "1"), ("Origin", self.origin), *fields, **more)

    def answers(self):
        try:
            return self.ask("GET", "/healthz").status == 200
        except OSError:
            # Its descriptor is not published yet, or a circuit was bad.
            return False


@pytest.fixture(scope="module")
def onion(lab, tmp_path_factory):
    """A tor at home with the shipped configuration that joins the laboratory's network, and a controller behind it."""
    directory = tmp_path_factory.mktemp("onion")
    (directory / "service").mkdir(mode=0o700)
    (directory / "data").mkdir(mode=0o700)
    port = free_port()
    shipped = (ROOT / "Deploy" / "torrc").read_text()
    for pattern, here in {r"/var/lib/tor/farseed-page": directory / "service", r"127\.0\.0\.1:8081": f"127.0.0.1:{port}",
                          r"(?m)^Log notice syslog$": "Log notice stdout"}.items():
        shipped, count = re.subn(pattern, str(here), shipped)
        assert count, pattern
    (directory / "torrc").write_text(f"%include {lab.client_torrc}\nDataDirectory {directory / 'data'}\n{shipped}")
    tor = Child("tor", ["tor", "--defaults-torrc", "/dev/null", "-f", directory / "torrc"], directory / "tor.log",
                bound=True).start()
    try:
        name = directory / "service" / "hostname"
        wait_for("the service's address", lambda: name.exists() and name.read_text().strip())
        address = name.read_text().strip()
        with make_home(lab, directory, web={"onion-listen": f"127.0.0.1:{port}", "allowed-hosts": [address]}) as home:
            home.start()
            wait_mirrored(home)
            page = OnionPage(lab, address, home)
            wait_for("the page to answer through Tor", page.answers, 3 * DEADLINE)
            yield page
            assert tor.running, tor.tail()
    finally:
        tor.stop()


@pytest.fixture(scope="module")
def browser(onion, tmp_path_factory):
    """A browser that resolves and connects through the laboratory's tor alone, logged in by the one-time link."""
    from selenium import webdriver
    from selenium.webdriver.chrome.options import Options
    from selenium.webdriver.chrome.service import Service

    options = Options()
    options.binary_location = "/usr/bin/chromium"
    directory = tmp_path_factory.mktemp("chromium")
    arguments = ["--headless=new", "--disable-gpu", "--disable-dev-shm-usage",
                 f"--user-data-dir={directory / 'profile'}",
                 f"--proxy-server=socks5://{onion.lab.expose_socks_tcp()}"]
    if os.getuid() == 0:
        arguments.append("--no-sandbox")
    for argument in arguments:
        options.add_argument(argument)
    service = Service("/usr/bin/chromedriver", env=browser_environment(directory))
    driver = webdriver.Chrome(service=service, options=options)
    try:
        yield Page(driver, f"{onion.origin}/#login={onion.home.url.split('#login=')[1]}").wait_live()
    finally:
        driver.quit()


@pytest.fixture(scope="module")
def cookie(browser):
    """The cookie that the browser has, for requests made by hand."""
    kept = browser.driver.get_cookie("farseed")
    assert kept["httpOnly"] and kept["sameSite"] == "Strict", kept
    return ("Cookie", f"farseed={kept['value']}")


def test_the_page_comes_through_the_onion_service(onion):
    page = onion.ask("GET", "/")
    assert page.status == 200 and "<title>Farseed" in page.text
    assert page["x-frame-options"] == "DENY" and "frame-ancestors 'none'" in page["content-security-policy"]
    assert onion.ask("GET", "/main.js").status == 200


def test_the_page_is_live_in_a_browser_through_tor(onion, browser):
    torrents = set(onion.lab.hashes.values())
    wait_for("all torrents on the page", lambda: torrents <= set(browser.hashes()))
    assert browser.state == "live"
    assert "login" not in browser.script("return location.href"), "the one-time link leaves the address bar"


def test_a_websocket_through_the_onion_service_has_the_torrents(onion, cookie):
    given = onion.post("/api/ticket", cookie).json
    with WebSocket(onion.connect(), origin=onion.origin) as session:
        assert session.answer.status == 101
        assert session.join(given["user"], given["ticket"])[0] == WELCOME
        session.send(SUBSCRIBE, 1, {"get_retained": True}, "farseed.vps.torrents")
        subscribed = session.receive()
        assert subscribed[:2] == [SUBSCRIBED, 1], subscribed
        event = session.receive()
        torrents = list(onion.lab.hashes.values())
        assert event[0] == EVENT and set(event[5]["full"]) >= set(torrents), event
        # And it is pushed what changes.
        moved = torrents[0]
        onion.lab.box.rpc("torrent-stop", {"ids": [moved]})
        try:
            while moved not in (event := session.receive())[5].get("set", {}):
                assert event[0] == EVENT
        finally:
            onion.lab.box.rpc("torrent-start", {"ids": [moved]})
        session.send(CALL, 2, {}, "farseed.boxes")
        while (message := session.receive())[0] == EVENT:
            pass
        assert message[:2] == [RESULT, 2] and message[4] == {"boxes": [{"name": "vps"}]}, message
    with WebSocket(onion.connect(), origin=onion.origin) as replay:
        assert replay.join(given["user"], given["ticket"])[0] == ABORT


def test_who_comes_by_the_onion_service_is_no_local_client(onion):
    for host in (onion.address, "localhost", "127.0.0.1"):
        assert onion.ask("GET", "/metrics", host=host).status == 401
    assert onion.ask("GET", "/api/boxes").status == 401
    assert onion.ask("GET", "/", host="evil.example").status == 421


def test_one_circuit_that_guesses_does_not_lock_out_the_others(onion):
    def guess(client):
        with onion.connect(client) as connection:
            return connection.ask("POST", "/api/login", ("X-Farseed", "1"), body={"token": os.urandom(32).hex()}).status

    assert [guess("guesser") for _ in range(11)] == [401] * 10 + [429]
    assert guess("somebody-else") == 401

    refused = wait_for("the entry", lambda: audit(onion.home, "login.throttled"))
    assert len(refused) == 1 and re.fullmatch(r"onion circuit \d+", refused[0]["origin"]), refused


def test_a_cross_site_websocket_through_the_onion_service(onion, cookie):
    for origin in ("https://evil.example", f"https://{onion.address}", f"http://sub.{onion.address}", "null"):
        with WebSocket(onion.connect(), cookie, origin=origin) as session:
            assert session.answer.status == 403, origin


def test_a_logout_through_the_onion_service_ends_its_websocket(onion, cookie):
    given = onion.post("/api/ticket", cookie).json
    with WebSocket(onion.connect(), origin=onion.origin) as session:
        assert session.join(given["user"], given["ticket"])[0] == WELCOME
        assert onion.post("/api/logout", cookie).status == 204
        assert session.receive()[0] == GOODBYE and session.receive() == 1000
    assert onion.ask("GET", "/api/boxes", cookie).status == 401
