"""The figures: one row each, printed as soon as it is known."""

import json
import statistics

#: Digits after the point, by unit.
DIGITS = {"s": 1, "RTT": 2, "times": 1, "%": 2, "MB": 1, "KB": 1, "CPU-s": 1, "ratio": 2}


class Table:
    """Prints rows as text, or as one JSON object a line, and keeps them."""

    def __init__(self, bench, as_json):
        self.bench = bench
        self.as_json = as_json
        self.rows = []

    def add(self, case, subject, value, unit, runs):
        """One row; `runs` is how many measurements stand behind the value."""
        # None rather than 0 digits, which would leave a float.
        value = round(value, DIGITS.get(unit))
        row = {"bench": self.bench, "case": case, "subject": subject, "value": value, "unit": unit, "runs": runs}
        self.rows.append(row)
        if self.as_json:
            print(json.dumps(row, ensure_ascii=False), flush=True)
        else:
            print(f"{case:<44} {subject:<36} {value:>12,} {unit:<11} {runs:>3} runs", flush=True)

    def median(self, case, subject, seconds, unit="ms"):
        """The median of measured seconds, in ms unless told; returns it in seconds, None where there is none."""
        if not seconds:
            return None
        middle = statistics.median(seconds)
        self.add(case, subject, middle * 1000 if unit == "ms" else middle, unit, len(seconds))
        return middle
