"""Labelling over a local Ray against a real server: parked rows, reruns, limits, the planted key."""

from collections.abc import Iterator
from pathlib import Path
import time

import pytest
import ray
from ray.util.state import list_actors, list_tasks

from raycalib.errors import ConfigError
from raycalib.judging.settings import JudgeSettings
from raycalib.records import ANSWER
from raycalib.stages.chains.side_by_side import side_by_side
from raycalib.stages.cluster import Cluster
from raycalib.stages.labels import label as label_module
from raycalib.stages.labels.label import Labelling
from raycalib.stages.output import StageError, StageOutput
from raycalib.stages.settings import RaySettings
from raycalib.storage import Location, Manifest, write_manifest, write_shard
from tests.judging.chat_server import ChatServer, Plan
from tests.stages.answers import answer

# Ray itself warns of its own deprecations.
pytestmark = [pytest.mark.ray, pytest.mark.filterwarnings("default")]

KEY = "sk-planted-7f3a9c1e5b"
N_SHARDS, N_ROWS = 4, 15


@pytest.fixture(scope="module")
def ray_dir(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    place = tmp_path_factory.mktemp("r")
    ray.init(address="local", num_cpus=2, _temp_dir=str(place), log_to_driver=True)
    yield place
    ray.shutdown()


@pytest.fixture
def answers(tmp_path: Path) -> StageOutput:
    place = Location(str(tmp_path / "answers"))
    rows = [
        [answer(f"r{shard}-{i}", "Rome", "Rome" if i % 3 else "Oslo", style="oe") for i in range(N_ROWS)]
        for shard in range(N_SHARDS)
    ]
    names = tuple(write_shard(place, shard, of, ANSWER) for shard, of in enumerate(rows))
    manifest = Manifest(stage="answers", key="k", config={}, shards=names, counts={"out": N_SHARDS * N_ROWS})
    write_manifest(place, manifest)
    return StageOutput(place=place, manifest=manifest, was_done=False)


@pytest.fixture
def label(tmp_path: Path, ray_dir: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)  # Ray runs already: its workers do not have it from their environment
    opened = []

    def run(server: ChatServer, answers: StageOutput, **settings) -> StageOutput:
        judge = JudgeSettings(**{"model": "judge", "base_url": server.url, "outage_s": 0.5, **settings})
        labelling = Labelling("judge", judge, Location(str(tmp_path / "out")), Cluster(RaySettings(max_workers=2)))
        opened.append(labelling)
        return labelling.run("m", answers)

    yield run
    for labelling in opened:
        labelling.close()


def test_every_answer_is_judged_and_a_second_run_asks_nothing(label, answers, tmp_path) -> None:
    with ChatServer(Plan(key=KEY)) as server:
        done = label(server, answers)
        labels = [row["query_label"] for row in done.rows()]
        assert labels == [int(i % 3 > 0) for _ in range(N_SHARDS) for i in range(N_ROWS)]
        assert done.manifest.counts == {"in": 60, "out": 60, "errors": 0, "unscored": 0}
        details = done.manifest.details
        assert (details["requests"], details["cached"], details["retries"], details["failed"]) == (60, 0, 0, 0)
        assert (details["tokens_in"], details["tokens_out"]) == (6000, 120)
        assert (details["judge"], details["prompt_version"]) == ("judge", "strict-3")
        assert label(server, answers).was_done
        (done.place / "manifest.json").local_path.unlink()
        for name in done.shards:
            (done.place / name).local_path.unlink()
        again = label(server, answers)
        assert [row["query_label"] for row in again.rows()] == labels
        assert (again.manifest.details["requests"], again.manifest.details["cached"]) == (0, 60)
        assert len(server.seen.times) == 60


def test_rows_that_an_outage_parks_are_asked_by_the_next_run_alone(label, answers) -> None:
    with ChatServer(Plan(script=[200] * 20 + ["error"] * 100_000)) as server:
        with pytest.raises(StageError, match=r"rows are parked.*500.*run the same command again to do only these"):
            label(server, answers, concurrency=4, outage_failures=8)
        assert server.seen.statuses.count(200) == 20
        server.plan.script = []
        server.seen.statuses.clear()
        server.seen.texts.clear()
        done = label(server, answers, concurrency=4, outage_failures=8)
        assert len(set(server.seen.texts)) == len(server.seen.texts) == 40
    rows = list(done.rows())
    assert len({row["row_id"] for row in rows}) == 60
    assert all(row["query_label"] is not None and not row["retryable"] for row in rows)


def test_parked_rows_do_not_need_the_cache(label, answers, tmp_path) -> None:
    with ChatServer(Plan(script=[200] * 20 + ["error"] * 100_000)) as server:
        with pytest.raises(StageError, match="parked"):
            label(server, answers, concurrency=4, outage_failures=8, cache=str(tmp_path / "one"))
        parked = list((tmp_path / "out").rglob("parked-*.parquet"))
        before = {path: path.read_bytes() for path in parked}
        server.plan.script = []
        server.seen.texts.clear()
        done = label(server, answers, cache=str(tmp_path / "another"))
        assert len(server.seen.texts) == 40
    assert before == {path: path.read_bytes() for path in parked}
    assert done.manifest.details["requests"] >= 60  # those of the parked files among them


def test_a_refused_key_ends_the_stage_with_the_servers_words_and_without_the_key(label, answers, capfd) -> None:
    with ChatServer(Plan(key="another")) as server:
        with pytest.raises(StageError, match=r"60 rows are parked.*the judge's server refused: 401") as raised:
            label(server, answers, concurrency=2)
        assert len(server.seen.times) <= 4
    assert KEY not in str(raised.value)
    assert "Bearer <key>" in str(raised.value)


def test_a_cost_limit_holds_over_all_workers(label, answers, tmp_path) -> None:
    table = tmp_path / "prices.json"
    table.write_text('{"models": {"judge": {"input": 10000.0, "output": 0.0}}}')  # a dollar a reply
    with ChatServer() as server:
        with pytest.raises(StageError, match=r"could exceed max_cost_usd \(30\)"):
            label(server, answers, max_cost_usd=30.0, price_table=str(table), concurrency=2)
        asked = len(server.seen.times)
        assert 10 <= asked <= 30
        done = label(server, answers, price_table=str(table))
        assert len(server.seen.times) == 60
    assert done.manifest.details["cost_usd"] == pytest.approx(60.0)


def test_a_cost_limit_holds_over_runs_into_one_directory(label, answers, tmp_path) -> None:
    table = tmp_path / "prices.json"
    table.write_text('{"models": {"judge": {"input": 10000.0, "output": 0.0}}}')  # a dollar a reply
    limited = {"max_cost_usd": 30.0, "price_table": str(table), "concurrency": 2}
    with ChatServer() as server:
        with pytest.raises(StageError, match="could exceed max_cost_usd"):
            label(server, answers, **limited)
        with pytest.raises(StageError, match="could exceed max_cost_usd"):
            label(server, answers, **limited)
        assert 10 <= len(server.seen.times) <= 30


@pytest.mark.parametrize("key", ["…", "sk-1”", "a\nb"])
def test_a_key_that_cannot_be_one_is_refused_before_anything_starts(tmp_path, monkeypatch, key) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", key)
    with pytest.raises(ConfigError, match="holds a character that no key has") as raised:
        Labelling("judge", JudgeSettings(model="m"), Location(str(tmp_path)), Cluster(RaySettings()))
    assert key not in str(raised.value)


def test_an_unknown_price_is_refused_before_anything_starts(label, answers) -> None:
    with ChatServer() as server, pytest.raises(ConfigError, match="max_cost_usd: the price of 'judge' is not known"):
        label(server, answers, max_cost_usd=1.0)


def test_a_missing_key_is_refused_before_anything_starts(tmp_path, monkeypatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with pytest.raises(ConfigError, match="wants a key and OPENAI_API_KEY is not set"):
        Labelling("judge", JudgeSettings(model="m"), Location(str(tmp_path)), Cluster(RaySettings()))


def test_an_estimate_asks_nothing(label, answers, tmp_path) -> None:
    with ChatServer() as server:
        judge = JudgeSettings(model="gpt-4o-mini", base_url=server.url)
        labelling = Labelling("judge", judge, Location(str(tmp_path / "out")), Cluster(RaySettings()), asks=False)
        found = labelling.estimate([answers])
        assert (found.rows, found.to_ask, found.cached) == (60, 60, 0)
        assert found.cost_usd is not None
        assert found.cost_usd > 0
        assert server.seen.times == []


def test_the_key_is_written_nowhere(label, answers, tmp_path, ray_dir, capfd) -> None:
    with ChatServer(Plan(key=KEY, script=["error", "cut", "garbage"])) as server:
        done = label(server, answers)
        assert done.manifest.counts["unscored"] == 0  # the key did reach the workers
        address = ray.get_runtime_context().gcs_address
        shown = repr(list_actors(address, detail=True)) + repr(list_tasks(address, detail=True))
    written = [path for root in (tmp_path, ray_dir) for path in root.rglob("*") if path.is_file()]
    assert "JudgeDesk" in shown
    assert any(b"JudgeDesk" in path.read_bytes() for path in written), "the logs are not where this test looks"
    assert [path for path in written if KEY.encode() in path.read_bytes()] == []
    assert KEY not in shown
    assert KEY not in "".join(capfd.readouterr())


def test_labels_of_several_models_at_once_share_one_desk(tmp_path, monkeypatch) -> None:
    opened = []

    class SlowDesk:
        address = None

        def __init__(self, *given) -> None:
            time.sleep(0.2)
            opened.append(self)

    monkeypatch.setattr(label_module, "OpenDesk", SlowDesk)
    monkeypatch.setattr(Cluster, "connect", lambda self: None)
    judge = JudgeSettings(model="m", base_url="http://127.0.0.1:1")
    labelling = Labelling("judge", judge, Location(str(tmp_path)), Cluster(RaySettings()))
    side_by_side({name: lambda: labelling._open_desk(judge) for name in "abcd"})
    assert len(opened) == 1
