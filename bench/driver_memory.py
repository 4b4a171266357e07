"""Memory and time of what a run's driver does with every shard: listing, counting, selecting, fitting, predicting.

python bench/driver_memory.py                                  # 5,000,000 rows in 100,000 shards: about 35 minutes
python bench/driver_memory.py --shards 1000 --rows 50000
python bench/driver_memory.py --before ../other-checkout       # a tenth of that by another version too

The shards are labelled answers and as many of features; a fifth of them is the training set. They lie in moto's S3
server, a process of its own with a few gigabytes, whose requests take most of the time. What is measured is another
process, which calls what a run calls: the beginning and end of stages (which list, and count the features), then
``select_splits``, ``fit`` and ``predict`` with a probe and the zero-shot query. Ends with one line of JSON.
"""

import argparse
from collections.abc import Callable
from dataclasses import replace
import json
import os
from pathlib import Path
import resource
import subprocess
import sys
from tempfile import TemporaryDirectory
import time
from typing import Any

from object_server import BUCKET, CREDENTIALS, SCHEMAS, object_server, splits_of

from raycalib.lm.names import ModelSource
from raycalib.stages.combo import Combo, Method, SetRows
from raycalib.stages.output import StageOutput, finished
from raycalib.stages.pools.shard_work import ShardWork
from raycalib.stages.pools.spec import ShardStage
from raycalib.stages.predictions.fit import fit
from raycalib.stages.predictions.predict import predict
from raycalib.stages.select import select_splits
from raycalib.storage import Location, Manifest, find_shards, write_manifest
from raycalib.tuning.settings import ProbeSettings

OUT = Location(f"s3://{BUCKET}/run")
COMBO = Combo(model=ModelSource(name="made-up", path="made-up", is_local=True), style="oe")
METHODS = [Method(name="probe"), Method(name="zero_shot_query")]
COUNTED = "features"
GOAL_GIB = 2


def works(n_shards: int, n_rows: int) -> dict[str, tuple[ShardStage, StageOutput]]:
    """The stages whose shards are there, each with its source, by kind and set."""
    found = {}
    for of_set, splits in splits_of(n_shards).items():
        n_of_set = sum(n for _, n in splits)
        names = tuple(f"part-{index:05d}-00000000.parquet" for index in range(n_of_set))
        counts = {"out": n_of_set * (n_rows // n_shards)}
        answers = Manifest(stage="answers", key=f"answers {of_set}", config={}, shards=names, counts=counts)
        source = StageOutput(place=OUT / "answers" / of_set, manifest=answers, was_done=True)
        for kind, schema in SCHEMAS.items():
            stage = ShardStage(
                name=kind,
                variant="made-up",
                part=f"{of_set} oe",
                worker=object,  # type: ignore[arg-type] — all shards are there
                config=None,
                identity={"bench": "driver_memory"},
                schema=schema,
                needs_model=False,
                cut_column="n_query_cut" if kind == "features" else "",
            )
            found[f"{kind} {of_set}"] = stage, source
    return found


def places(n_shards: int, n_rows: int) -> dict[str, str]:
    """Where the shards of each stage are looked for, in the bucket."""
    from raycalib.stages.output import stage_key, stage_place

    return {
        name: stage_place(
            Location("run"), stage.name, stage.directory, stage_key(stage.name, stage.identity, [source.key])
        ).uri
        for name, (stage, source) in works(n_shards, n_rows).items()
    }


class Steps:
    """Seconds of each kind of work, and the most memory that the process has had after it."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self.peak_gib: dict[str, float] = {"imports": peak_gib()}

    def take(self, name: str, work: Callable[[], Any]) -> Any:
        """Does the work and returns what it gives."""
        started = time.perf_counter()
        found = work()
        self.seconds[name] = round(self.seconds.get(name, 0) + time.perf_counter() - started, 1)
        self.peak_gib[name] = peak_gib()
        print(f"{name}: {self.seconds[name]:.1f} s, at most {self.peak_gib[name]:.2f} GiB so far", flush=True)
        return found


def peak_gib() -> float:
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, 3)


def drive(n_shards: int, n_rows: int) -> dict[str, Any]:
    """What a driver does, in this process."""
    steps, outputs = Steps(), dict[str, StageOutput]()
    for name, (stage, source) in works(n_shards, n_rows).items():
        work = steps.take("listing", lambda stage=stage, source=source: ShardWork(stage, source, OUT))
        shards = steps.take("listing", lambda work=work: find_shards(work.place))
        assert len(shards) == len(source.shards)
        if stage.name == COUNTED:
            steps.take("counting", lambda work=work: work.close({}))
        else:  # as another stage has counted them: half the requests
            write_manifest(work.place, replace(source.manifest, key=work.key, shards=tuple(shards.values())))
        outputs[name] = steps.take("finding it finished", lambda work=work: finished(work.place, work.key))
        assert outputs[name].manifest.counts["out"] == source.manifest.counts["out"], outputs[name].manifest.counts
    of = {
        name: SetRows(labelled=outputs[f"labelled {name}"], features=outputs[f"features {name}"])
        for name in ("training", "test")
    }
    selected = steps.take("selecting splits", lambda: select_splits(of["training"].labelled, ["val_calibrate"]))
    assert selected.manifest.counts["out"]
    settings = ProbeSettings(steps=1000, eval_every=100)
    fitted = steps.take("fitting", lambda: fit(COMBO, METHODS, of["training"], of["training"], settings, 1, OUT))
    assert all(checked.fitted is not None for checked in fitted.temperatures.values()), fitted.temperatures
    predictions = steps.take("predicting", lambda: predict(COMBO, "test", METHODS, of["test"], fitted, OUT))
    counts = predictions.manifest.counts
    assert counts["out"] == 4 * counts["in"] == 4 * of["test"].labelled.manifest.counts["out"], counts
    return {"peak_gib": peak_gib(), "peak_gib_after": steps.peak_gib, "seconds": steps.seconds}


def measured(options: argparse.Namespace, n_shards: int, n_rows: int, checkouts: list[Path]) -> list[dict[str, Any]]:
    """The figures of each checkout, one after the other, on servers of their own."""
    found = []
    for checkout in checkouts:
        with TemporaryDirectory(prefix="raycalib-bench-") as folder:
            log = Path(folder) / "server"
            with object_server(places(n_shards, n_rows), n_shards, n_rows, options.width, log) as endpoint:
                environment = {**os.environ, **CREDENTIALS, "AWS_ENDPOINT_URL": endpoint, "PYTHONPATH": str(checkout)}
                command = [sys.executable, __file__, "--drive", "--shards", str(n_shards), "--rows", str(n_rows)]
                process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
                assert process.stdout is not None
                line = ""
                for line in process.stdout:
                    print(f"  {line}", end="", flush=True)
                if process.wait():
                    raise RuntimeError(f"the driver of {checkout} ended with {process.returncode}")
                found.append(json.loads(line))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shards", type=int, default=100_000)
    parser.add_argument("--rows", type=int, default=5_000_000)
    parser.add_argument("--width", type=int, default=64)
    parser.add_argument("--before", type=Path)
    parser.add_argument("--drive", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.drive:
        print(json.dumps(drive(options.shards, options.rows)))
        return
    here = Path(__file__).resolve().parents[1]
    (figures,) = measured(options, options.shards, options.rows, [here])
    before = None
    if options.before is not None:
        shards, rows = options.shards // 10, options.rows // 10
        old, new = measured(options, shards, rows, [options.before.resolve(), here])
        before = {"rows": rows, "shards": shards, "before": old, "now": new}
    for name, seconds in figures["seconds"].items():
        print(f"{name:20} {seconds:8.1f} s   {figures['peak_gib_after'][name]:6.2f} GiB")
    size = {"rows": options.rows, "shards": options.shards, "width": options.width}
    goal = {"goal_gib": GOAL_GIB, "goal_met": figures["peak_gib"] < GOAL_GIB}
    print(json.dumps({"bench": "driver_memory", **size, **figures, **goal, "before": before}))


if __name__ == "__main__":
    main()
