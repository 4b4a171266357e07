"""Ray is started once by whichever chain needs it first, and outlives that chain's thread."""

import time

import pytest
import ray

from raycalib.stages.chains.side_by_side import side_by_side
from raycalib.stages.cluster import Cluster
from raycalib.stages.settings import RaySettings

pytestmark = [pytest.mark.ray, pytest.mark.filterwarnings("default")]


def test_ray_is_started_once_and_goes_on_after_the_thread_that_asked_for_it(
    tmp_path_factory: pytest.TempPathFactory, capfd: pytest.CaptureFixture[str]
) -> None:
    """The system ends Ray's processes with the thread that started them, not only with the process."""
    cluster = Cluster(RaySettings(address="local", temp_dir=str(tmp_path_factory.mktemp("r"))))
    try:
        side_by_side(dict.fromkeys("abc", cluster.connect))
        time.sleep(2)
        assert ray.get(ray.remote(lambda: 7).remote(), timeout=60) == 7
    finally:
        cluster.close()
    shown = capfd.readouterr()
    assert shown.out.count("starting a local Ray") == 1
    assert "SIGTERM handler is not set" not in shown.err
