"""The lab for programs in other languages: JSON lines on standard input and output.

Usage: python3 Scripts/lab ['{"delay_ms": 50, "agent": "/path/farseed-agent", …}']   (the arguments of lab.Lab)

The first lines are {"progress": "…"}, then one {"ready": {…}} with the lab's attributes. After that each line
{"call": "kill_agent", "arguments": {…}} (any method of lab.Lab, or of the supervisor) is answered by one line
{"result": …} or {"error": "…"}. The lab ends when standard input does.
"""

import json
import signal
import sys
from pathlib import Path

if __package__ in (None, ""):
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
    sys.dont_write_bytecode = True

from lab import Lab, LabError  # noqa: E402


def tell(**message):
    """Writes one line of JSON."""
    print(json.dumps(message), flush=True)


def main():
    """Runs the lab until standard input ends."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda number, _: sys.exit(128 + number))
    options = json.loads(sys.argv[1]) if len(sys.argv) > 1 else {}
    lab = Lab(say=lambda text: tell(progress=text), **options)
    try:
        lab.start()
        tell(ready=lab.facts | {"directory": str(lab.directory)})
        for line in sys.stdin:
            answer(lab, json.loads(line))
    except LabError as error:
        tell(error=str(error))
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
    finally:
        lab.stop()


def answer(lab, request):
    """Carries out one request; write_config is the only one that the supervisor does not know."""
    arguments = request.get("arguments", {})
    try:
        if request["call"] == "write_config":
            tell(result=str(lab.write_config(**arguments)))
        else:
            tell(result=lab.call(request["call"], **arguments))
    except (LabError, TypeError, OSError) as error:
        tell(error=str(error))


if __name__ == "__main__":
    main()
