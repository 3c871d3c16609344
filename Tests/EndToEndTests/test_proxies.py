"""Debian's Apache, nginx and Caddy with the configurations of Deploy/: page, login, websocket over TLS."""

import base64
import contextlib
import hashlib
import http.client
import json
import os
import random
import re
import shlex
import socket
import ssl
import subprocess

import pytest
from conftest import FARSEED, ROOT, Page, browser_environment, make_certificate, wait_for
from lab.processes import Family, until
from rawweb import Connection, WebSocket

DEPLOY = ROOT / "Deploy"
#: The name that the shipped files have in place of the user's.
NAME = "seed.example"
#: Where Farseed listens in the shipped files.
LISTEN = "127.0.0.1:8080"
#: Any connection answers within this, in seconds.
PATIENCE = 10
MODULES = "/usr/lib/apache2/modules"
#: Debian's own choice where it matters here, and then what Deploy/README.md tells to enable.
APACHE_MODULES = ["mpm_event", "authz_core", "alias", "filter", "deflate",
                  "ssl", "proxy", "proxy_http", "headers", "reqtimeout"]


def shipped(name, *replacements):
    """A file of Deploy/ with its placeholders replaced; each of them must be there."""
    text = (DEPLOY / name).read_text()
    for placeholder, value in replacements:
        assert placeholder in text, f"Deploy/{name} has no {placeholder!r} any more; adapt the test"
        text = text.replace(placeholder, value)
    return text


def free_ports(address, count):
    """Ports that nobody has at this address; all of 127.0.0.0/8 is this machine, so nobody else comes to it."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind((address, 0))
        return [each.getsockname()[1] for each in sockets]


def certified(directory):
    """Makes a certificate for NAME; where the shipped files look for it, and where it is."""
    make_certificate(directory, NAME, f"DNS:{NAME}")
    return [("/etc/ssl/farseed/fullchain.pem", str(directory / f"{NAME}.pem")),
            ("/etc/ssl/farseed/privkey.pem", str(directory / f"{NAME}.key"))]


def apache(directory, address, plain, tls, common):
    site = shipped("apache.conf", ("*:80>", f"{address}:{plain}>"), ("*:443>", f"{address}:{tls}>"), *common)
    modules = "\n".join(f"LoadModule {name}_module {MODULES}/mod_{name}.so" for name in APACHE_MODULES)
    user = "User www-data\nGroup www-data\n" if os.geteuid() == 0 else ""
    (directory / "main.conf").write_text(
        f"ServerRoot {directory}\nServerName {NAME}\nDefaultRuntimeDir {directory}\nPidFile {directory}/pid\n"
        f"Mutex file:{directory} default\nErrorLog {directory}/error.log\n{modules}\n{user}"
        f"Listen {address}:{plain}\nListen {address}:{tls}\n"
        "AddOutputFilterByType DEFLATE text/html text/css text/javascript application/javascript application/json\n"
        + site
    )
    return ["/usr/sbin/apache2", "-D", "FOREGROUND", "-f", directory / "main.conf"], {}


def nginx(directory, address, plain, tls, common):
    site = shipped(
        "nginx.conf", ("listen 80;", f"listen {address}:{plain};"), ("    listen [::]:80;\n", ""),
        ("listen 443 ", f"listen {address}:{tls} "), ("    listen [::]:443 ssl http2;\n", ""), *common,
    )
    temporary = "\n".join(f"{kind}_temp_path {directory}/{kind};"
                          for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    (directory / "main.conf").write_text(
        ("user www-data;\n" if os.geteuid() == 0 else "")
        + f"daemon off;\nworker_processes 1;\npid {directory}/pid;\nerror_log {directory}/error.log;\n"
        f"events {{ worker_connections 256; }}\nhttp {{\n{temporary}\naccess_log {directory}/access.log;\n"
        f"include /etc/nginx/mime.types;\ngzip on;\n{site}}}\n"
    )
    return ["/usr/sbin/nginx", "-e", directory / "error.log", "-c", directory / "main.conf"], {}


def caddy(directory, address, plain, tls, common):
    (directory / "Caddyfile").write_text(shipped(
        "Caddyfile", ("http_port 80\n", f"http_port {plain}\n"), ("https_port 443\n", f"https_port {tls}\n"),
        ("\nseed.example {\n", f"\n{NAME} {{\n\tbind {address}\n"), *common,
    ))
    places = {"HOME": str(directory), "XDG_DATA_HOME": str(directory), "XDG_CONFIG_HOME": str(directory)}
    return ["/usr/bin/caddy", "run", "--config", directory / "Caddyfile", "--adapter", "caddyfile"], places


class Front:
    """A proxy in front of a controller that serves, and a client of both."""

    def __init__(self, url, log, address, plain, tls, certificate):
        self.log = log
        self.address, self.plain, self.tls = address, plain, tls
        self.certificate = certificate
        self.context = ssl.create_default_context(cafile=certificate)
        self.origin = f"https://{NAME}:{tls}"
        self.direct, self.token = re.fullmatch(r"http://127\.0\.0\.1:(\d+)/#login=(\w+)", url).groups()

    def connect(self, source="127.0.0.1"):
        """A TLS connection to the proxy from an address of this machine."""
        raw = socket.create_connection((self.address, self.tls), PATIENCE, source_address=(source, 0))
        try:
            return self.context.wrap_socket(raw, server_hostname=NAME)
        except BaseException:
            raw.close()
            raise

    def ask(self, method, path, body=None, source="127.0.0.1", directly=False, **fields):
        """One request through the proxy, or directly to the controller; the response with its body in `text`."""
        connection = http.client.HTTPConnection(NAME, timeout=PATIENCE)
        if directly:
            target = ("127.0.0.1", int(self.direct))
            connection.sock = socket.create_connection(target, PATIENCE, source_address=(source, 0))
        else:
            connection.sock = self.connect(source)
        fields = {"Host": f"{NAME}:{self.tls}"} | {name.replace("_", "-"): text for name, text in fields.items()}
        with contextlib.closing(connection):
            connection.request(method, path, None if body is None else json.dumps(body), fields)
            response = connection.getresponse()
            response.text = response.read().decode()
            return response

    def post(self, path, body=None, **more):
        return self.ask("POST", path, body, **{"X_Farseed": "1", "Origin": self.origin} | more)

    def fail_login(self, **more):
        """A login that fails, for the controller to note whence it came."""
        return self.post("/api/login", {"token": "0" * 64}, **more).status

    def saw_failure_of(self, client):
        wait_for(f"a failed login of {client} in the log", lambda: re.search(
            rf"web\.client={re.escape(client)}\b.*A login failed", self.log.read_text()), PATIENCE)


def websocket(front, path="/ws", origin=None, host=None):
    """A websocket through the proxy; it comes from the page's own origin where nothing else is said."""
    connection = Connection(made=front.connect(), host=f"{NAME}:{front.tls}")
    opened = WebSocket(connection, origin=origin or front.origin, target=path, host=host)
    assert opened.answer.status != 101 or opened.answer["sec-websocket-protocol"] == "wamp.2.json"
    return opened


def start_bound(family, name, argv, **environment):
    """Starts a child that ends with this process, even where that is killed."""
    return family.start(name, ["/usr/bin/setpriv", "--pdeathsig", "TERM", "--", *argv],
                        env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8", **environment})


def start_farseed(family, directory, seedbox=None):
    """A controller, without a seedbox unless its sections are given, started as the unit does, configured as
    Deploy/README.md says; its address."""
    config, state = directory / "farseed.toml", directory / "state"
    state.mkdir(mode=0o700)
    told = re.search(r"```toml\n(.*?)```", shipped("README.md", (LISTEN, "127.0.0.1:0")), re.DOTALL)[1]
    # A SOCKS port that nobody asks, as there is no seedbox: it keeps a tor of Farseed's own from starting.
    config.write_text(told + (seedbox or f'[tor]\nsocks = "unix:{directory}/no-tor"\n'))
    unit = shipped("farseed.service", ("/usr/local/bin/farseed", str(FARSEED)),
                   ("/etc/farseed/farseed.toml", str(config)), ("$$", "$"))
    command = re.search(r"^ExecStart=(.*)$", unit, re.MULTILINE)[1]
    controller = start_bound(family, "farseed", shlex.split(command), HOME=str(directory), STATE_DIRECTORY=str(state))
    login = state / "login"
    address = until(lambda: login.exists() and re.search(r"^http://.*\n", login.read_text(), re.MULTILINE), PATIENCE,
                    "the controller telling its address", [controller])
    return address[0].strip(), controller


@contextlib.contextmanager
def fronted(make, directory, seedbox=None):
    """A controller and one kind of proxy before it."""
    address = f"127.{random.randint(64, 250)}.{random.randint(1, 250)}.{random.randint(1, 250)}"
    plain, tls = free_ports(address, 2)
    certificate = certified(directory)
    with Family(directory / "logs") as family:
        url, controller = start_farseed(family, directory, seedbox)
        common = [*certificate, (LISTEN, url.split("/")[2])]
        argv, environment = make(directory, address, plain, tls, common)
        proxy = start_bound(family, "proxy", argv, **environment)

        def listening():
            try:
                socket.create_connection((address, plain), PATIENCE).close()
                socket.create_connection((address, tls), PATIENCE).close()
            except OSError:
                return False
            return True

        until(listening, PATIENCE, f"{make.__name__} listening", [proxy])
        yield Front(url, controller.log, address, plain, tls, directory / f"{NAME}.pem")
        assert proxy.running and controller.running, f"one of them ended by itself:\n{family.tails()}"


@pytest.fixture(scope="module", params=[apache, nginx, caddy], ids=lambda make: make.__name__)
def front(request, tmp_path_factory):
    with fronted(request.param, tmp_path_factory.mktemp(request.param.__name__)) as front:
        yield front


@pytest.fixture(scope="module")
def cookie(front):
    """The cookie of a login by the one-time link through the proxy."""
    response = front.post("/api/login", {"token": front.token})
    assert response.status == 204, response.text
    return response.headers["Set-Cookie"]


def ticket(front, cookie):
    response = front.post("/api/ticket", Cookie=cookie.split(";")[0])
    assert response.status == 200, response.text
    return json.loads(response.text)


def test_the_page_and_its_files_come_through_with_their_security_fields(front):
    page = front.ask("GET", "/")
    assert page.status == 200 and "<title>Farseed" in page.text
    files = sorted(set(re.findall(r'(?:src|href)="(/?[\w-]+\.\w+)"', page.text)))
    assert len(files) >= 3, files
    for path in ["/", *("/" + file.lstrip("/") for file in files)]:
        response = front.ask("GET", path)
        assert response.status == 200, path
        assert len(response.headers.get_all("Content-Security-Policy")) == 1
        assert response.headers.get_all("Strict-Transport-Security") == ["max-age=31536000"]
        assert response.headers.get_all("X-Frame-Options") == ["DENY"]
        again = front.ask("GET", path, If_None_Match=response.headers["ETag"])
        assert again.status == 304 and not again.text, path


def test_plain_http_leads_to_tls(front):
    with socket.create_connection((front.address, front.plain), PATIENCE) as plain:
        plain.sendall(f"GET /main.js HTTP/1.1\r\nHost: {NAME}\r\nConnection: close\r\n\r\n".encode())
        answer = plain.makefile("rb").read().decode()
    assert answer.split()[1] in ("301", "308"), answer
    assert re.search(rf"^location: https://{NAME}(:\d+)?/main\.js\r$", answer, re.IGNORECASE | re.MULTILINE), answer


def test_the_one_time_link_logs_in_once_with_a_cookie_for_tls_alone(front, cookie):
    assert cookie.startswith("__Host-farseed="), cookie
    assert {"Secure", "HttpOnly", "SameSite=Strict", "Path=/"} <= set(cookie.split("; ")[1:]), cookie
    assert front.post("/api/login", {"token": front.token}).status == 401
    assert json.loads(front.ask("GET", "/api/boxes", Cookie=cookie.split(";")[0]).text) == {"boxes": []}
    assert front.token not in front.log.read_text()


def test_a_wamp_session_runs_through_the_proxy(front, cookie, request):
    paths = ["/ws"] + (["/wss/"] if "apache" in request.node.name else [])
    for path in paths:
        given = ticket(front, cookie)
        with websocket(front, path) as session:
            assert session.answer.status == 101
            welcome = session.join(given["user"], given["ticket"])
            assert welcome[0] == 2, welcome
            session.send(32, 1, {"get_retained": True}, "farseed.jobs")
            subscribed = session.receive()
            assert subscribed[:2] == [33, 1], subscribed
            event = session.receive()
            assert event[:2] == [36, subscribed[2]] and event[-1]["jobs"] == [], event
            # Larger than any buffer of a proxy.
            session.send(48, 2, {}, "farseed.boxes", ["x" * 500_000])
            assert session.receive() == [50, 2, {}, [], {"boxes": []}]
        with websocket(front, path) as replay:
            assert replay.join(given["user"], given["ticket"])[2] == "wamp.error.authentication_denied"


def test_a_cross_site_websocket_is_refused_through_the_proxy(front):
    for origin in ("https://evil.example", f"http://{NAME}:{front.tls}", "null"):
        with websocket(front, origin=origin) as session:
            assert session.answer.status == 403, origin


def test_dns_rebinding_by_host_is_refused_through_the_proxy(front):
    response = front.ask("GET", "/", Host="evil.example")
    assert "Farseed</title>" not in response.text and "<title>Farseed" not in response.text
    with websocket(front, origin="https://evil.example", host="evil.example") as session:
        assert session.answer.status != 101


def test_a_client_cannot_forge_its_address_or_scheme_through_the_proxy(front):
    forged = {"X_Forwarded_For": "203.0.113.1", "X_Real_IP": "203.0.113.1", "Forwarded": "for=203.0.113.1",
              "X_Forwarded_Proto": "http"}
    assert front.fail_login(source="127.0.0.3", **forged) == 401
    front.saw_failure_of("127.0.0.3")
    # A proxy that obeys this takes its own field away again.
    assert front.fail_login(source="127.0.0.4", Connection="close, X-Forwarded-For", **forged) in (400, 401)
    assert front.fail_login(source="127.0.0.4", X_Forwarded_For="203.0.113.1, 127.0.0.1") == 401
    front.saw_failure_of("127.0.0.4")
    # A client with the address that Farseed trusts must not get the proxy to pass its own words on.
    assert front.fail_login(source="127.0.0.1", **forged) == 401
    front.saw_failure_of("127.0.0.1")
    assert "203.0.113.1" not in front.log.read_text()


def test_the_figures_are_not_for_clients_of_the_proxy(front):
    assert front.ask("GET", "/metrics").status == 401
    for fields in ({}, {"Connection": "close, X-Forwarded-For"}, {"X_Forwarded_For": ""}):
        assert "farseed_" not in front.ask("GET", "/metrics", Host="localhost", **fields).text, fields


def test_forwarded_fields_count_from_the_proxy_address_and_from_no_other(front):
    proxy = {"X_Forwarded_For": "203.0.113.2", "X_Forwarded_Proto": "https"}
    assert front.fail_login(source="127.0.0.1", directly=True, **proxy) == 401
    front.saw_failure_of("203.0.113.2")

    stranger = {"X_Forwarded_For": "203.0.113.3", "X_Forwarded_Proto": "https"}
    # Its page is not served by TLS, whatever it says: the origin does not fit.
    assert front.fail_login(source="127.0.0.5", directly=True, **stranger) == 403
    origin = front.origin.replace("https", "http")
    assert front.fail_login(source="127.0.0.5", directly=True, **stranger | {"Origin": origin}) == 401
    front.saw_failure_of("127.0.0.5")
    assert "203.0.113.3" not in front.log.read_text()


def test_a_logout_ends_the_websocket_behind_the_proxy(front, cookie):
    given = ticket(front, cookie)
    with websocket(front) as session:
        assert session.join(given["user"], given["ticket"])[0] == 2
        assert front.post("/api/logout", Cookie=cookie.split(";")[0]).status == 204
        # A GOODBYE is written in order before the close frame.
        goodbye = session.receive()
        assert goodbye[0] == 6 and goodbye[2] == "farseed.close.logged_out", goodbye
        assert session.receive() == 1000
    assert front.ask("GET", "/api/boxes", Cookie=cookie.split(";")[0]).status == 401


@contextlib.contextmanager
def chromium_for(front, directory):
    """A browser that finds the name at the proxy and takes this one certificate; what it asks the net is in net.json."""
    from selenium import webdriver
    from selenium.webdriver.chrome.options import Options
    from selenium.webdriver.chrome.service import Service

    key = subprocess.run(["openssl", "x509", "-in", front.certificate, "-noout", "-pubkey"], check=True,
                         capture_output=True, timeout=PATIENCE).stdout
    der = subprocess.run(["openssl", "pkey", "-pubin", "-outform", "der"], input=key, check=True, capture_output=True,
                         timeout=PATIENCE).stdout
    options = Options()
    options.binary_location = "/usr/bin/chromium"
    for argument in [
        "--headless=new", "--disable-gpu", "--disable-dev-shm-usage", f"--user-data-dir={directory / 'profile'}",
        f"--host-resolver-rules=MAP {NAME} {front.address}, MAP * ~NOTFOUND, EXCLUDE 127.*",
        f"--ignore-certificate-errors-spki-list={base64.b64encode(hashlib.sha256(der).digest()).decode()}",
        f"--log-net-log={directory / 'net.json'}", *(["--no-sandbox"] if os.geteuid() == 0 else []),
    ]:
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(service=Service("/usr/bin/chromedriver", env=browser_environment(directory)), options=options)
    try:
        yield driver
    finally:
        driver.quit()


def test_the_page_is_live_in_a_browser_behind_the_proxy(lab, tmp_path):
    """By TLS all the way: the cookie is bound to it, the websocket is `wss:`, and the policy holds in the browser itself."""
    seedbox = lab.write_config(tmp_path / "lab.toml").read_text()
    with fronted(nginx, tmp_path, seedbox[seedbox.index("[tor]"):]) as front, chromium_for(front, tmp_path) as driver:
        page = Page(driver, f"{front.origin}/#login={front.token}").wait_live()
        wait_for("the torrents on the page", lambda: set(lab.hashes.values()) <= set(page.hashes()))
        assert page.script("return isSecureContext && location.origin") == front.origin
        (cookie,) = driver.get_cookies()
        assert cookie["name"] == "__Host-farseed" and cookie["secure"] and cookie["httpOnly"], cookie
        assert (cookie["path"], cookie["sameSite"], cookie["domain"]) == ("/", "Strict", NAME), cookie
        assert not [entry for entry in driver.get_log("browser") if entry["level"] == "SEVERE"]
        broken = driver.execute_async_script(
            "const told = arguments[0]; setTimeout(() => told(null), 5000);"
            "document.addEventListener('securitypolicyviolation', (event) => told(event.effectiveDirective));"
            "new Image().src = 'https://elsewhere.example/picture.png';")
        assert broken == "img-src"
    asked = set(re.findall(r'"(wss?://[^"/]+/[^"]*)"', (tmp_path / "net.json").read_text()))
    assert asked == {f"wss://{NAME}:{front.tls}/ws"}
