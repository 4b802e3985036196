"""The whole example: a receiver on a free port, the subscriber, and a look at what the receiver printed.

    python3 run.py [HUB_BASE]           the hub must run: hub serve --dev

Exits 0 only when its last line holds.
"""

import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
HUB = sys.argv[1] if len(sys.argv) > 1 else "http://127.0.0.1:8080/fhir/r4"

receiver = subprocess.Popen([sys.executable, HERE / "receiver.py", "0"], stdout=subprocess.PIPE, text=True)
assert receiver.stdout is not None
try:
    endpoint = receiver.stdout.readline().split()[-1]
    if subprocess.run([sys.executable, HERE / "subscribe.py", HUB, endpoint], timeout=120).returncode != 0:
        sys.exit("the subscriber did not get through")
    printed = [receiver.stdout.readline().strip() for _ in range(3)]  # waits: the hub keeps at it until it arrives
finally:
    receiver.kill()
    receiver.wait()

if printed[:2] != ["handshake", "event-notification"] or not printed[2].startswith("event 1: "):
    sys.exit(f"the receiver printed something else: {printed}")
print(f"The receiver got its first notification, {printed[2]}")
