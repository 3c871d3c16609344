"""Scripts/bench measures: its short form ends, and every row is whole."""

import json
import math
import subprocess

from conftest import AGENT, FARSEED, ROOT

#: It takes about 45 s, half of them for a lab of its own; a busy machine needs longer.
DEADLINE = 240
#: What the short form of `bench link` measures.
CASES = {"cold start to a list", "one command", "10 commands at once", "change to controller",
         "recovery, SSH connection reset"}
FORM = {"bench": str, "case": str, "subject": str, "value": (int, float), "unit": str, "runs": int}


def test_the_short_form_of_bench_link_gives_whole_rows():
    done = subprocess.run(
        [ROOT / "Scripts/bench", "link", "--quick", "--json", "--farseed", FARSEED, "--agent", AGENT],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=DEADLINE,
    )
    assert done.returncode == 0, done.stderr
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    for row in rows:
        assert row.keys() == FORM.keys(), row
        assert all(isinstance(row[name], kind) for name, kind in FORM.items()), row
        assert row["bench"] == "link" and row["runs"] > 0 and row["value"] >= 0 and math.isfinite(row["value"]), row
    assert {row["case"].partition(": ")[2] for row in rows} == CASES, done.stderr
    subjects = {row["subject"] for row in rows}
    assert {"farseed exec", "ssh with ControlMaster", "torsocks ssh", "farseed list"} <= subjects, done.stderr
