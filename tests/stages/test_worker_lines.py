"""What a worker prints is in the driver's log file at once, not when a block of it is full."""

import os
from pathlib import Path
import subprocess
import sys

import pytest

from tests.jobs.processes import kill_family, wait_for

pytestmark = [pytest.mark.ray]
ROOT = Path(__file__).parents[2]
LIMIT_S = 60
DRIVER = """
import sys
import time
import ray
from raycalib.stages.cluster import Cluster
from raycalib.stages.settings import RaySettings

Cluster(RaySettings(address="local", temp_dir=sys.argv[1])).connect()

@ray.remote
def speak():
    print("step", 16, "of 200")
    time.sleep(3600)

ray.get(speak.remote())
"""


def test_a_workers_line_is_in_the_log_while_it_works(tmp_path_factory: pytest.TempPathFactory) -> None:
    place = tmp_path_factory.mktemp("r")
    log = place / "log"
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    with log.open("wb") as file:
        process = subprocess.Popen(
            [sys.executable, "-c", DRIVER, str(place)], cwd=ROOT, stdout=file, stderr=file, env=environment
        )
    try:
        wait_for(lambda: "step 16 of 200" in log.read_text(errors="replace"), process, log, LIMIT_S)
    finally:
        kill_family(process)
