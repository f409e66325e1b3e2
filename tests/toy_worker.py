"""A worker that trains nothing: it speaks the protocol, and fails as its order says.

The order names a folder (`notes`) where every attempt at a job leaves its process id, and `fate`:
what the first attempts at a job come to, one after another; what follows is done.
"""

import json
import os
import sys
import time
from pathlib import Path

FOREVER = 600

order = json.loads(sys.stdin.readline())
notes = Path(order["notes"])
for line in sys.stdin:
    job = json.loads(line)
    attempt = len(list(notes.glob(f"{job['agent']}-*")))
    fate = [*order["fate"], "done"][min(attempt, len(order["fate"]))]
    note = notes / f"{job['agent']}-{attempt}"
    note.with_suffix(".part").write_text(str(os.getpid()))
    note.with_suffix(".part").rename(note)
    sys.stdout.write('{"progress": [1, 2]}\n')
    sys.stdout.flush()
    if fate == "hang":
        time.sleep(FOREVER)
    if fate == "die":
        sys.exit("out of memory")
    answer = {"done": True}
    if fate == "refuse":
        answer = {"error": {"kind": "TrainingError", "message": "loss is nan", "hint": "try less"}}
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()
