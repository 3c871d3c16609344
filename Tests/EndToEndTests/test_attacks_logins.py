"""What strangers and users may try with tickets, sessions and passwords, each test named after the attack that it stops."""

import contextlib
import functools
import hashlib
import json
import operator
import os
import random
import re
import statistics
import time

from attacked import (FAILED_LOGINS, LATE, PER_ADDRESS, SAME_SITE, alive, controller, keeps_no_secret,
                      running, stranger)
from conftest import wait_for
from rawweb import (ABORT, AUTHENTICATE, CALL, CHALLENGE, ERROR, EVENT, GOODBYE, RESULT, SUBSCRIBE, SUBSCRIBED, TEXT,
                    WELCOME, frame)

#: How often a hundred sockets use one ticket at once.
ROUNDS = int(os.environ.get("FARSEED_TICKET_ROUNDS", "100"))


def test_forged_and_misused_tickets_get_one_and_the_same_abort(controller):
    cookie, origin = controller.login(), controller.origin
    controller.add_user("tess", "viewer")
    refusals = {}

    def refused(why, name, ticket, origin=origin):
        refusals[why] = controller.refusal(name, ticket, origin)

    def fresh(origin=origin):
        return controller.ticket(cookie, origin)

    for why, ticket in {"forged": os.urandom(32).hex(), "empty": "", "long": "f" * 5_000, "digest": hashlib.sha256(
            fresh().encode()).hexdigest(), "injected": "' OR 1=1 --", "nul": "x\0", "cookie": cookie[1].split("=")[1],
            "case": fresh().upper()}.items():
        refused(why, "owner", ticket)
    refused("another user", "tess", fresh())
    refused("nobody", "nobody", fresh())
    refused("no origin", "owner", fresh(), None)
    refused("made without origin", "owner", fresh(None))

    replayed = fresh()
    with controller.open(origin=origin) as socket:
        assert socket.join("owner", replayed)[0] == WELCOME
        refused("replayed while in use", "owner", replayed)
    refused("replayed", "owner", replayed)

    misused = fresh()
    refused("for another user", "tess", misused)
    refused("after a misuse", "owner", misused)

    late = fresh()
    controller.sql("UPDATE tickets SET expires_at = ? WHERE digest = ?", int(time.time() * 1000) - 1,
                   hashlib.sha256(late.encode()).digest())
    refused("late", "owner", late)

    tess = controller.login("tess")
    stale = controller.ticket(tess, origin)
    controller.sql("UPDATE accounts SET role = 'operator' WHERE name = 'tess'")
    refused("of another role", "tess", stale)
    left = controller.ticket(tess, origin)
    assert controller.ask("POST", "/api/logout", SAME_SITE, tess).status == 204
    refused("after the logout", "tess", left)

    assert len({json.dumps(refusal) for refusal in refusals.values()}) == 1, refusals
    abort, code = refusals["forged"]
    assert abort[0] == ABORT and abort[2] == "wamp.error.authentication_denied" and code == 1000


def test_a_ticket_asked_for_with_one_origin_is_none_for_another(tmp_path):
    with running(tmp_path, 'allowed-origins = ["https://other.example"]') as controller:
        cookie = controller.login()
        ticket = controller.ticket(cookie, "https://other.example")
        assert controller.refusal("owner", ticket, controller.origin)[0][0] == ABORT
        assert controller.refusal("owner", ticket, "https://other.example")[0][0] == ABORT
        ticket = controller.ticket(cookie, "https://other.example")
        with controller.open(origin="https://other.example") as socket:
            assert socket.join("owner", ticket)[0] == WELCOME


def test_a_hundred_uses_of_one_ticket_at_once_get_one_welcome(controller):
    cookie = controller.login()
    aborts = set()
    for round in range(ROUNDS):
        ticket = controller.ticket(cookie, controller.origin)
        secret = frame(TEXT, json.dumps([AUTHENTICATE, ticket, {}]).encode())
        with contextlib.ExitStack() as stack:
            sockets = [stack.enter_context(controller.open(
                origin=controller.origin, source=f"127.78.{round % 250}.{1 + i % 2}", wait=False)) for i in range(100)]
            for socket in sockets:
                assert socket.wait().status == 101
                socket.hello("owner")
            for socket in sockets:
                assert socket.receive()[0] == CHALLENGE
            for socket in random.sample(sockets, 100):
                socket.connection.send(secret)
            answers = [socket.receive() for socket in sockets]
            assert sum(answer[0] == WELCOME for answer in answers) == 1, (round, answers)
            aborts |= {json.dumps(answer) for answer in answers if answer[0] != WELCOME}
    assert len(aborts) == 1, aborts


def test_session_fixation(controller):
    planted = os.urandom(32).hex()
    answer = controller.try_login(fields=[("Cookie", f"farseed={planted}; __Host-farseed={planted}")],
                                  token=controller.make_link())
    assert answer.status == 204 and planted not in answer["set-cookie"]
    fresh = answer["set-cookie"].split(";")[0]
    controller.secret(fresh.split("=")[1])
    assert controller.ask("GET", "/api/boxes", ("Cookie", f"farseed={planted}")).status == 401
    # Of two cookies of the name one was planted; which, nobody knows.
    for pair in (f"farseed={planted}; {fresh}", f"{fresh}; farseed={planted}"):
        assert controller.ask("GET", "/api/boxes", ("Cookie", pair)).status == 401
    assert controller.ask("GET", "/api/boxes", ("Cookie", f"__Host-{fresh}")).status == 401

    # Who logs in anew leaves nothing behind: the old cookie and its sockets end.
    with controller.session(("Cookie", fresh)) as socket:
        again = controller.try_login(fields=[("Cookie", fresh)], token=controller.make_link())
        assert again.status == 204 and again["set-cookie"].split(";")[0] != fresh
        controller.secret(again["set-cookie"].split(";")[0].split("=")[1])
        assert socket.receive()[0] == GOODBYE and socket.receive() == 1000
    assert controller.ask("GET", "/api/boxes", ("Cookie", fresh)).status == 401


def test_a_stolen_cookie_is_worth_nothing_after_the_logout(controller):
    cookie, other = controller.login(), controller.login()
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(controller.session(cookie)) for _ in range(20)]
        stays = stack.enter_context(controller.session(other))
        began = time.monotonic()
        answer = controller.ask("POST", "/api/logout", SAME_SITE, cookie)
        assert answer.status == 204 and "Max-Age=0" in answer["set-cookie"]
        for socket in sockets:
            goodbye = socket.receive()
            assert goodbye[0] == GOODBYE and goodbye[2] == "farseed.close.logged_out", goodbye
            assert socket.receive() == 1000
        assert time.monotonic() - began < 1
        stays.send(CALL, 1, {}, "farseed.boxes")
        assert stays.receive()[:2] == [RESULT, 1]
    for method, path in (("GET", "/api/boxes"), ("GET", "/api/boxes/vps/torrents"), ("POST", "/api/ticket")):
        assert controller.ask(method, path, SAME_SITE, cookie).status == 401
    assert alive(controller, other)


def test_cookies_cannot_be_read_by_scripts_or_sent_by_other_sites(controller):
    answer = controller.try_login(token=controller.make_link())
    controller.secret(answer["set-cookie"].split(";")[0].split("=")[1])
    parts = answer["set-cookie"].split("; ")
    assert parts[0].startswith("farseed=") and {"HttpOnly", "SameSite=Strict", "Path=/"} <= set(parts), parts
    assert "domain" not in answer["set-cookie"].lower()
    assert f"Max-Age={7 * 86_400}" in parts, "no longer than its session"


def test_a_viewer_cannot_escalate(controller):
    controller.add_user("vera", "viewer")
    with controller.session(controller.login("vera"), "vera") as socket:
        for number, (procedure, words) in enumerate([
            ("farseed.vps.torrent.remove", {"ids": ["a" * 40]}), ("farseed.vps.torrent.add", {"magnet": "magnet:?"}),
            ("farseed.vps.session.set", {}), ("farseed.upload", {"bytes": "\0AAAA"}), ("wamp.session.list", {}),
            ("wamp.session.kill_all", {}),
        ], 1):
            socket.send(CALL, number, {}, procedure, [], words)
            error = socket.receive()
            assert error[:3] == [ERROR, CALL, number] and error[4] == "wamp.error.not_authorized", error
        register, publish = (64, "farseed.vps.torrent.remove"), (16, "farseed.vps.torrents")
        for kind, topic in (register, publish, (SUBSCRIBE, "wamp.session.on_join")):
            socket.send(kind, 99, {"acknowledge": True}, topic)
            error = socket.receive()
            assert error[:3] == [ERROR, kind, 99] and error[4] == "wamp.error.not_authorized", error
        socket.send(SUBSCRIBE, 100, {}, "farseed.vps.torrents")
        assert socket.receive()[:2] == [SUBSCRIBED, 100]
    assert controller.sql("SELECT count(*) FROM jobs") == [(0,)]


def test_links_and_tickets_are_256_random_bits_of_which_the_digest_is_kept(controller):
    """Every bit of them is 0 and 1 among forty, which chance misses once in some billions; the database has SHA-256 alone."""
    cookie = controller.login()
    tickets = [controller.ticket(cookie, controller.origin) for _ in range(40)]
    links = []
    for _ in range(40):
        made = controller.run("user", "login", "owner")
        assert made.returncode == 0, made.stderr
        links.append(controller.secret(re.search(r"#login=(\w+)$", made.stdout.strip())[1]))
    for table, secrets in (("tickets", tickets), ("links", links)):
        assert all(re.fullmatch(r"[0-9a-f]{64}", secret) for secret in secrets), table
        numbers = [int(secret, 16) for secret in secrets]
        assert functools.reduce(operator.or_, numbers) == (1 << 256) - 1, f"{table}: a bit that is never set"
        assert functools.reduce(operator.and_, numbers) == 0, f"{table}: a bit that is always set"
        kept = {row[0] for row in controller.sql(f"SELECT digest FROM {table}")}
        assert {hashlib.sha256(secret.encode()).digest() for secret in secrets} <= kept, table
    assert controller.try_login(stranger(), token=links[0]).status == 204


def test_every_start_prints_a_fresh_one_time_link_of_the_owner(tmp_path):
    with running(tmp_path) as controller:
        links = [controller.link]
        controller.add_user("ann", "owner")
        controller.stop()
        controller.start()
        links.append(controller.link)
        assert links[0] != links[1]
        answer = controller.try_login(stranger(), token=links[1])
        assert answer.status == 204, answer
        cookie = ("Cookie", answer["set-cookie"].split(";")[0])
        told = controller.ask("POST", "/api/ticket", SAME_SITE, cookie, ("Origin", controller.origin)).json
        assert (told["user"], told["role"]) == ("owner", "owner")
        assert controller.try_login(stranger(), token=links[1]).status == 401


def test_login_guessing(controller):
    guesser, password = stranger(), controller.add_user("lena", "viewer")
    for _ in range(FAILED_LOGINS):
        assert controller.try_login(guesser, token=os.urandom(32).hex()).status == 401
    link = controller.make_link()
    for body in ({"token": link}, {"user": "lena", "password": password}, {"user": "lena", "password": "wrong"}):
        answer = controller.try_login(guesser, **body)
        assert answer.status == 429 and answer["retry-after"] == "60" and answer["set-cookie"] is None, answer
    # They are written down, as one entry however many they are.
    told = wait_for("the entry", lambda: [entry for entry in controller.audit("login.throttled")
                                          if entry["origin"] == guesser], LATE)
    # A minute may have begun anew in between.
    assert len(told) < 3 and {(entry["who"], entry["outcome"]) for entry in told} == {("-", "refused")}, told
    # Nobody else is locked out, and the link is still good.
    answer = controller.try_login(stranger(), user="lena", password=password)
    assert answer.status == 204, answer
    controller.secret(answer["set-cookie"].split(";")[0].split("=")[1])
    assert controller.try_login(stranger(), token=link).status == 204


def test_login_guessing_all_at_once(controller):
    """Guesses that are under way together are counted as those one after the other."""
    for body in ({"user": "owner", "password": "a guess"}, {"token": "ab" * 32}):
        guesser = stranger()
        with contextlib.ExitStack() as stack:
            connections = [stack.enter_context(controller.connect(guesser)) for _ in range(PER_ADDRESS - 4)]
            for connection in connections:
                connection.begin("POST", "/api/login", SAME_SITE, body=body)
            statuses = [connection.answer().status for connection in connections]
        assert statuses.count(401) <= FAILED_LOGINS and set(statuses) <= {401, 429}, statuses


def test_enumeration_of_users_by_time_or_text(controller):
    controller.add_user("zoe", "viewer")
    times, texts = {}, set()
    wrong = {"a user with a password": "zoe", "a user without one": "owner", "nobody": "nobody", "no name": "' OR 1=1"}
    for _ in range(3):
        for kind, name in wrong.items():
            began = time.monotonic()
            answer = controller.try_login(stranger(), user=name, password="not the right one")
            times.setdefault(kind, []).append(time.monotonic() - began)
            assert answer.status == 401
            texts.add((answer.body, *(field for field in answer.fields if field[0] != "date")))
    assert len(texts) == 1, texts
    quickest = {kind: min(measured) for kind, measured in times.items()}
    assert max(quickest.values()) < 2 * min(quickest.values()), times
    assert statistics.median(times["nobody"]) > 0.02, "a password's hash is dear"


def test_a_file_in_parts_is_for_who_sent_it_alone(controller):
    controller.add_user("olga", "operator")
    with controller.session(controller.login()) as owner, controller.session(controller.login("olga"), "olga") as other:
        numbers = iter(range(1, 100))

        def call(socket, procedure, **words):
            socket.send(CALL, next(numbers), {}, procedure, [], words)
            answer = socket.receive()
            return answer[4] if answer[0] == RESULT else answer[4:]

        id = call(owner, "farseed.upload", bytes="\0ZDQ6")["id"]
        assert call(owner, "farseed.upload", bytes="\0aW5mbw==", id=id) == {"id": id}
        for socket, upload, error in [(other, id, "not_found"), (owner, "0" * 32, "not_found"), (owner, True, "bad_request"),
                                      (owner, None, "bad_request"), (owner, [id], "bad_request")]:
            refused = call(socket, "farseed.vps.torrent.add", upload=upload)
            assert refused[0] == f"farseed.error.{error}", (upload, refused)
        assert call(other, "farseed.upload", bytes="\0AAAA", id=id)[0] == "farseed.error.not_found"
        assert call(owner, "farseed.upload", bytes=7)[0] == "farseed.error.bad_request"
        assert call(owner, "farseed.vps.torrent.stop", hashes=[], upload=id)[0] == "farseed.error.bad_request"
        assert controller.sql("SELECT count(*) FROM jobs") == [(0,)], "nothing of it became a command"


def test_secrets_are_not_in_log_arguments_environment_figures_or_database(controller):
    cookie = controller.login()
    with controller.session(cookie) as socket:
        socket.send(SUBSCRIBE, 1, {"get_retained": True}, "farseed.link.vps")
        assert socket.receive()[0] == SUBSCRIBED and socket.receive()[0] == EVENT
    for place in ("/api/boxes?ticket={0}", "/ws?ticket={0}", "/{0}", "/api/login?token={0}"):
        controller.ask("GET", place.format(controller.ticket(cookie)))
    assert controller.try_login(token=controller.link, password=controller.link).status in (204, 401)
    controller.refusal("nobody", controller.ticket(cookie))
    assert len(controller.secrets) >= 8, "a link, a cookie and tickets at least"
    keeps_no_secret(controller)
