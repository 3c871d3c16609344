"""What pages of other sites may try in the user's browser, each test named after the attack that it stops."""

import re

import pytest
from attacked import PATHS, SAME_SITE, alive, controller, cookie

#: Fields that a browser adds to the requests of another site's page.
CROSS_SITE = [
    [],
    [("Content-Type", "application/x-www-form-urlencoded")],
    [("Content-Type", "text/plain"), ("Sec-Fetch-Site", "cross-site"), ("Sec-Fetch-Mode", "no-cors")],
    [SAME_SITE, ("Origin", "https://evil.example")],
    [SAME_SITE, ("Origin", "null")],
    [SAME_SITE, ("Sec-Fetch-Site", "cross-site")],
    [SAME_SITE, ("Sec-Fetch-Site", "same-site")],
]


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://127.0.0.1", "http://localhost:3000",
                                    "https://127.0.0.1:{port}", "http://127.0.0.1:{port}.evil.example", "file://", ""])
def test_cross_site_websocket(controller, cookie, origin):
    with controller.open(cookie, origin=origin.format(port=controller.port)) as socket:
        assert socket.answer.status == 403 and socket.answer["sec-websocket-accept"] is None
        assert socket.receive() is None
    with controller.open(cookie, origin=controller.origin) as socket:
        assert socket.answer.status == 101


@pytest.mark.parametrize("host", ["evil.example", "evil.example:{port}", "127.0.0.1.evil.example", "127.0.0.2:{port}",
                                  "localhost.evil.example:{port}", "[::2]", "evil@127.0.0.1", "127.0.0.1:{port}x", ""])
def test_dns_rebinding_by_host(controller, cookie, host):
    host = host.format(port=controller.port)
    token = controller.make_link()
    for method, path in [("GET", path) for path in ["/", "/main.js", *PATHS]] + [("POST", "/api/ticket")]:
        answer = controller.ask(method, path, cookie, SAME_SITE, host=host)
        assert answer.status in (400, 421) and len(answer.body) < 200, (path, answer)
    with controller.connect() as connection:
        assert connection.ask("POST", "/api/login", SAME_SITE, body={"token": token}, host=host).status in (400, 421)
        assert connection.ended() is not None
    # The rebound page learns the address too: its origin is then as foreign.
    answer = controller.ask("POST", "/api/login", SAME_SITE, ("Origin", f"http://{host}"), body={"token": token})
    assert answer.status == 403
    with controller.open(origin=f"http://{host}", host=host) as socket:
        assert socket.answer.status in (400, 421)
    assert controller.try_login(token=token).status == 204, "the refused requests must not use the link up"


def test_cross_site_request_forgery_on_every_post_route(controller):
    cookie, token = controller.login(), controller.make_link()
    posts = []
    for path in PATHS:
        answer = controller.ask("POST", path, cookie)
        if answer.status not in (405, 426):
            assert answer.status == 403, (path, answer)
            posts.append(path)
    assert {"/api/login", "/api/logout", "/api/ticket"} <= set(posts)
    for path in posts:
        for fields in CROSS_SITE:
            answer = controller.ask("POST", path, cookie, *fields, body={"token": token})
            assert answer.status == 403, (path, fields, answer)
            assert answer["set-cookie"] is None
        # What a browser asks before it sends a field of its own is never answered with a yes.
        answer = controller.ask("OPTIONS", path, ("Origin", "https://evil.example"),
                                ("Access-Control-Request-Method", "POST"),
                                ("Access-Control-Request-Headers", "x-farseed"))
        assert answer.status == 405 and not [name for name, _ in answer.fields if name.startswith("access-control")]
        for method in ("GET", "HEAD"):
            assert controller.ask(method, path, cookie, SAME_SITE).status == 405
    for path in ("/api/boxes", "/api/boxes/vps/torrents"):
        assert controller.ask("GET", path, cookie, ("Sec-Fetch-Site", "cross-site")).status == 403
    assert alive(controller, cookie)
    assert controller.try_login(token=token).status == 204, "the refused requests must not use the link up"


def test_clickjacking(controller, cookie):
    plain = [("GET", "/", 200, ()), ("HEAD", "/", 200, ()), ("GET", "/main.js", 200, ()), ("GET", "/nothing", 404, ()),
             ("POST", "/", 405, ()), ("DELETE", "/", 405, ()), ("GET", "/ws", 426, ()), ("GET", "/healthz", 200, ()),
             ("GET", "/metrics", 401, ()), ("GET", "/metrics", 200, (cookie,)),
             ("GET", "/api/boxes", 401, ()), ("GET", "/api/boxes", 200, (cookie,)),
             ("GET", "/", 431, (("X-Long", "x" * 20_000),)), ("POST", "/api/login", 400, (SAME_SITE,)),
             ("POST", "/api/ticket", 200, (SAME_SITE, cookie)), ("POST", "/api/ticket", 403, ())]
    for method, path, status, fields in plain:
        answer = controller.ask(method, path, *fields)
        assert answer.status == status, (method, path, answer)
        policy = dict(part.split(" ", 1) for part in answer["content-security-policy"].split("; "))
        assert policy["default-src"] == policy["frame-ancestors"] == policy["base-uri"] == "'none'", policy
        assert policy["script-src"] == "'self'" and "unsafe" not in str(policy), policy
        assert policy["require-trusted-types-for"] == "'script'"
        assert answer["x-frame-options"] == "DENY"
        assert answer["x-content-type-options"] == "nosniff"
        assert answer["referrer-policy"] == "no-referrer"
        assert answer["cross-origin-opener-policy"] == answer["cross-origin-resource-policy"] == "same-origin"
        assert answer["server"] is None and answer["access-control-allow-origin"] is None
        if path.startswith("/api/") and status == 200:
            assert answer["cache-control"] == "no-store"
    page = controller.ask("GET", "/").text
    assert not re.search(r"<script(?![^>]*\bsrc=)|\son\w+\s*=|<style|\sstyle\s*=|javascript:|https?://", page), \
        "the page itself has nothing that its policy forbids"


def test_the_login_form_lets_managers_of_passwords_do_their_work(controller):
    page = controller.ask("GET", "/").text
    field = re.search(r'<input[^>]*name="password"[^>]*>', page)[0]
    assert 'type="password"' in field and 'autocomplete="current-password"' in field and 'maxlength="256"' in field
    assert 'autocomplete="username"' in re.search(r'<input[^>]*name="user"[^>]*>', page)[0]
    # Pasting is only listened to for links and files, and never in a field.
    for script in re.findall(r'"(/?[\w.]+\.js)"', page) + ["/add.js"]:
        text = controller.ask("GET", "/" + script.lstrip("/")).text
        assert "onpaste" not in text and "oncopy" not in text
