"""Docs/Threats.md names tests that are there, and every attack that it promises to stop has some."""

import re

import pytest
from conftest import ROOT

DOCUMENT = (ROOT / "Docs" / "Threats.md").read_text()
PYTHON = "".join(path.read_text() for path in (ROOT / "Tests" / "EndToEndTests").glob("*.py"))
SWIFT = [path.read_text() for path in (ROOT / "Tests").glob("*/*.swift")]
ATTACKS = [
    "cross-site websocket", "DNS rebinding by Host", "forged ticket", "ticket of another user or origin", "replayed ticket",
    "session fixation", "cross-site request forgery", "clickjacking", "slow headers", "oversize header",
    "oversize and deeply nested messages", "login guessing", "enumeration of users by time or text",
    "forged X-Forwarded-For", "path traversal in static files", "response splitting", "script by torrent name",
]


def suite(name):
    """The text of the files that have this suite."""
    return "".join(text for text in SWIFT if re.search(rf"\b(?:struct|class|enum) {name}\b", text))


@pytest.mark.parametrize("name", sorted(set(re.findall(r"`(test_\w+|\w+Tests[.:] ?[^`]+)`", DOCUMENT))))
def test_a_test_that_is_named_is_there(name):
    if name.startswith("test_"):
        assert f"def {name}(" in PYTHON
    elif ": " in name:
        kind, sentence = name.split(": ", 1)
        assert sentence in suite(kind)
    else:
        kind, function = name.split(".")
        assert re.search(rf"func {function}\(", suite(kind))


#: The requirements of ASVS: which, whether they are met, how, and by which test that is shown.
REQUIREMENTS = re.findall(r"^\| ((?:\d+\.){2}\d[^|]*) \| ([^|]+) \| ([^|]+) \| ([^|]*)\|$", DOCUMENT, re.M)


@pytest.mark.parametrize("number, met, how, tests", REQUIREMENTS)
def test_a_requirement_that_is_met_names_its_test_and_another_says_why(number, met, how, tests):
    assert "`" in tests if met != "no" else len(how) > 40, (number, met, how)


def test_every_chapter_has_its_requirements():
    chapters = {number.split(".")[0] for number, *_ in REQUIREMENTS}
    assert len(REQUIREMENTS) > 60 and chapters == {"3", "4", "6", "7", "8", "11", "14"}
    assert sum(met == "no" for _, met, *_ in REQUIREMENTS) < 10


@pytest.mark.parametrize("attack", ATTACKS)
def test_an_attack_that_is_named_has_tests(attack):
    rows = [row for row in DOCUMENT.splitlines() if row.startswith("| ") and attack in row.split("|")[1]]
    assert rows and all("`" in row.split("|")[2] for row in rows), rows
