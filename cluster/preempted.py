"""Tells Ray that the spot machine it runs on will be taken away, so that checkpoints are written in time.

``python preempted.py aws`` (or ``gcp``) asks the provider's metadata service again and again. Once it announces the
end, ``ray drain-node`` is called with the seconds that are left; raycalib then writes a checkpoint at once. It uses the
standard library alone, so that it runs beside Ray whatever else is installed.
"""

import argparse
from collections.abc import Callable
from datetime import UTC, datetime
import json
from pathlib import Path
import subprocess
import time
from urllib.error import HTTPError, URLError
from urllib.request import ProxyHandler, Request, build_opener

METADATA = {"aws": "http://169.254.169.254", "gcp": "http://metadata.google.internal"}
ASK_EVERY_S = 2.0
GCP_LEFT_S = 25
"""Google gives 30 seconds from the notice on; some have passed when it is seen."""
TRIES = 30
OPENER = build_opener(ProxyHandler({}))  # the metadata service is never behind a proxy

Node = tuple[str, str]


def ask(url: str, headers: dict[str, str], method: str = "GET") -> str | None:
    """What the metadata service answers; None where it has nothing at that place, or does not answer."""
    try:
        with OPENER.open(Request(url, headers=headers, method=method), timeout=2) as answer:
            return answer.read().decode()
    except (HTTPError, URLError, TimeoutError, OSError):
        return None


def aws_seconds_left(metadata: str, now: datetime) -> int | None:
    """Seconds until EC2 takes the machine, None while it does not mean to."""
    token = ask(f"{metadata}/latest/api/token", {"X-aws-ec2-metadata-token-ttl-seconds": "60"}, "PUT")
    if token is None:
        return None
    action = ask(f"{metadata}/latest/meta-data/spot/instance-action", {"X-aws-ec2-metadata-token": token})
    if action is None:
        return None
    end = datetime.strptime(json.loads(action)["time"], "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
    return max(1, int((end - now).total_seconds()))


def gcp_seconds_left(metadata: str, now: datetime) -> int | None:
    """Seconds until Compute Engine takes the machine, None while it does not mean to."""
    answer = ask(f"{metadata}/computeMetadata/v1/instance/preempted", {"Metadata-Flavor": "Google"})
    return GCP_LEFT_S if answer is not None and answer.strip() == "TRUE" else None


SECONDS_LEFT: dict[str, Callable[[str, datetime], int | None]] = {"aws": aws_seconds_left, "gcp": gcp_seconds_left}


def this_node(processes: Path = Path("/proc")) -> Node | None:
    """Ray's id of this machine and the head's address, from the arguments of its raylet; None where there is none."""
    for path in processes.glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().decode(errors="replace").split("\0")
        except OSError:  # a process that is gone
            continue
        if Path(words[0]).name != "raylet":
            continue
        flags = dict(
            word.removeprefix("--").split("=", 1) for word in words[1:] if word.startswith("--") and "=" in word
        )
        if flags.get("node_id") and flags.get("gcs-address"):
            return flags["node_id"], flags["gcs-address"]
    return None


def drain(node: Node, seconds: int) -> bool:
    """Whether Ray has taken the announcement; what it says is in this script's own log."""
    command = ["ray", "drain-node", "--address", node[1], "--node-id", node[0]]
    command += ["--reason", "DRAIN_NODE_REASON_PREEMPTION", "--reason-message", "the provider takes the machine"]
    command += ["--deadline-remaining-seconds", str(seconds)]
    return subprocess.run(command, check=False).returncode == 0


def watch(cloud: str, metadata: str, every_s: float) -> int:
    """The exit code: 0 once Ray knows that the machine goes, 1 where it could not be told."""
    while True:
        if (seconds := SECONDS_LEFT[cloud](metadata, datetime.now(UTC))) is not None:
            break
        time.sleep(every_s)
    print(f"the provider takes this machine in {seconds} s", flush=True)
    for _ in range(TRIES):
        left = SECONDS_LEFT[cloud](metadata, datetime.now(UTC)) or seconds
        if (node := this_node()) is not None and drain(node, left):
            return 0
        time.sleep(every_s)
    return 1


def main() -> int:
    """The exit code of the script."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("cloud", choices=sorted(SECONDS_LEFT))
    parser.add_argument("--metadata", help="address of the metadata service, for tests")
    parser.add_argument("--every", type=float, default=ASK_EVERY_S, help="seconds between two questions")
    arguments = parser.parse_args()
    return watch(arguments.cloud, arguments.metadata or METADATA[arguments.cloud], arguments.every)


if __name__ == "__main__":
    raise SystemExit(main())
