"""Answers do not depend on how many workers there are, how rows are put into shards, or in which order."""

from pathlib import Path
import random

import pytest
import ray

from raycalib.lm.names import find_model
from raycalib.prompts import choice_context, open_ended_context
from raycalib.records import ANSWER, QUESTION, Row
from raycalib.stages.cluster import Cluster
from raycalib.stages.output import StageOutput
from raycalib.stages.pools.close_rows import CLOSE_MARGIN
from raycalib.stages.pools.shard_stage import run_shard_stage
from raycalib.stages.pools.spec import ShardStage
from raycalib.stages.settings import RaySettings
from raycalib.stages.workers.answers import AnswerWorker
from raycalib.stages.workers.model import ModelWorkerConfig
from raycalib.storage import Location, Manifest, write_shard

# Ray itself warns of its own deprecations.
pytestmark = [pytest.mark.ray, pytest.mark.filterwarnings("default")]


@pytest.fixture(scope="module", autouse=True)
def local_ray(tmp_path_factory):
    ray.init(address="local", num_cpus=2, _temp_dir=str(tmp_path_factory.mktemp("r")), log_to_driver=False)
    yield
    ray.shutdown()


def questions(n: int) -> list[Row]:
    draw = random.Random(1)
    rows = []
    for number in range(n):
        words = " ".join(draw.choices(["France", "Peru", "the", "x", "capital of"], k=draw.randint(1, 25)))
        options = ["Paris", "Rome", "Lima"] if number % 3 == 0 else []
        rows.append(
            dict.fromkeys(QUESTION.names, "")
            | {
                "row_id": f"r{number}",
                "fresh_entity": False,
                "style": "choice" if options else "oe",
                "context": choice_context(words, options) if options else open_ended_context(words),
                "target_prompt": "\nAnswer:",
                "options": options,
            }
        )
    return rows


def answered(rows: list[Row], rows_per_shard: int, workers: int, budget: int, model: Path, folder: Path) -> StageOutput:
    place = Location(str(folder / "in"))
    names = tuple(
        write_shard(place, shard, rows[start : start + rows_per_shard], QUESTION)
        for shard, start in enumerate(range(0, len(rows), rows_per_shard))
    )
    manifest = Manifest(stage="questions", key="k", config={}, shards=names, counts={"out": len(rows)})
    stage = ShardStage(
        name="answers",
        variant="tiny",
        worker=AnswerWorker,
        config=ModelWorkerConfig(
            source=find_model(str(model)),
            dtype="float32",
            use_gpu=False,
            max_batch_tokens=budget,
            max_new_tokens=8,
        ),
        identity={},
        schema=ANSWER,
        needs_model=True,
        cut_column="n_cut",
        margin_column="min_margin",
    )
    source = StageOutput(place=place, manifest=manifest, was_done=False)
    cluster = Cluster(RaySettings(min_workers=workers, max_workers=workers))
    return run_shard_stage(stage, source, Location(str(folder / "out")), cluster)


def test_workers_shards_order_and_batches_change_no_answer_but_the_close_ones(tiny_model_dir, tmp_path) -> None:
    rows = questions(60)
    one = answered(rows, 60, 1, 8192, tiny_model_dir, tmp_path / "one")
    shuffled = random.Random(2).sample(rows, len(rows))
    other = answered(shuffled, 7, 2, 300, tiny_model_dir, tmp_path / "other")
    found = [{row["row_id"]: row for row in output.rows()} for output in (one, other)]
    assert found[0].keys() == found[1].keys() == {row["row_id"] for row in rows}
    n_changed = 0
    for row_id, row in found[0].items():
        if row["answer"] != found[1][row_id]["answer"]:
            assert row["min_margin"] < CLOSE_MARGIN
            n_changed += 1
    assert n_changed <= one.manifest.counts["close"] <= 2
    for output in (one, other):
        assert output.manifest.counts["out"] == 60
        assert output.manifest.details["figures_this_run"]["tokens_generated"] >= 60
        assert 0 <= output.manifest.details["padding_share"] < 0.6
    assert found[0]["r1"]["log_likelihood"] == pytest.approx(found[1]["r1"]["log_likelihood"], abs=1e-4)
