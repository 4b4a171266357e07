"""What is said where what looks as if it were done is done again. No Ray."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from raycalib import secrets
from raycalib.config import PipelineConfig
from raycalib.evaluation.methods import ANSWER_LIKELIHOOD, ZERO_SHOT_QUERY
from raycalib.lm.names import ModelSource
from raycalib.records import LABELLED
from raycalib.sources import SourceSettings, evaluation_sets
from raycalib.stages import questions
from raycalib.stages.combo import Method
from raycalib.stages.given import answer_files
from raycalib.stages.given import sets as given_sets
from raycalib.stages.lines.why_again import say_why_again
from raycalib.stages.output import StageOutput, stage_key, stage_place
from raycalib.stages.pools.shard_work import ShardWork
from raycalib.stages.pools.spec import ShardStage
from raycalib.stages.predictions import figures, fit, predict
from raycalib.stages.tuned import tune_job
from raycalib.stages.workers.labels import LabelWorker, LabelWorkerConfig
from raycalib.storage import Location, Manifest, write_manifest, write_shard
from raycalib.tuning.settings import TuningSettings
from tests.sources.drawn import write
from tests.stages.combos import COMBO, labelled_row, set_rows, stage

METHODS = [Method(name=ZERO_SHOT_QUERY), Method(name=ANSWER_LIKELIHOOD)]
PROBE = PipelineConfig().probe
Again = Callable[[], list[str]]


@pytest.fixture
def again(capsys: pytest.CaptureFixture[str]) -> Again:
    """The lines said since the last call that say why."""
    return lambda: [line for line in capsys.readouterr().out.splitlines() if "done again" in line]


def done(place: Location, stage_name: str, **config: object) -> Location:
    """A finished stage of this configuration, in the directory that belongs to it."""
    key = stage_key(stage_name, config, ["in"])
    target = stage_place(place, stage_name, "m-oe", key)
    write_manifest(target, Manifest(stage=stage_name, key=key, config=config, inputs=("in",)))
    return target


def why(place: Location, **config: object) -> None:
    target = stage_place(place, "s", "m-oe", stage_key("s", config, ["in"]))
    say_why_again(target, "s m oe", config, ("in",))


def test_a_line_names_what_is_other_than_in_the_last_of_its_kind(tmp_path: Path, again: Again) -> None:
    place = Location(str(tmp_path))
    why(place, version=1)
    assert again() == []  # the first of its kind
    done(place, "s", version=1, settings={"lr": 0.1, "targets": ("q", "v")})
    why(place, version=1, settings={"lr": 0.1, "targets": ("q", "v")})
    assert again() == []
    why(place, version=2, settings={"lr": 0.2, "targets": ("q", "v")})
    assert again() == ["  s m oe: done again, since version is 2 and was 1; settings.lr is 0.2 and was 0.1"]
    why(place, version=1, settings={"lr": 0.1, "targets": ("q", "v")}, header="none")
    assert again() == ["  s m oe: done again, since header is none and was not set"]


def test_more_changes_than_a_line_holds_are_counted(tmp_path: Path, again: Again) -> None:
    place = Location(str(tmp_path))
    done(place, "s", a=1, b=1, c=1, d=1, e="x" * 100)
    why(place, a=2, b=2, c=2, d=2, e="y" * 100)
    assert again() == ["  s m oe: done again, since a is 2 and was 1; b is 2 and was 1; c is 2 and was 1, and 2 more"]


def test_other_inputs_or_another_name_are_no_doing_again(tmp_path: Path, again: Again) -> None:
    place = Location(str(tmp_path))
    done(place, "s", version=1)
    other = stage_place(place, "s", "m-oe", "0" * 16)
    say_why_again(other, "s", {"version": 2}, ("other",))
    say_why_again(stage_place(place, "s", "m-choice", "0" * 16), "s", {"version": 2}, ("in",))
    assert again() == []


@pytest.mark.parametrize("before", ["", "x" * 45])
def test_secrets_are_not_shown_nor_parts_of_them(
    tmp_path: Path, again: Again, monkeypatch: pytest.MonkeyPatch, before: str
) -> None:
    secret = "sk-Zq8vT3nLw7RbX2cY5mKd9HfJ"
    monkeypatch.setenv("OPENAI_API_KEY", secret)
    secrets.remember(secret)
    place = Location(str(tmp_path))
    done(place, "s", url="old\x1b[2J")
    why(place, url=before + secret)
    (line,) = again()
    assert all(part not in line for part in (secret[:8], secret[8:16], "\x1b"))


def test_questions_say_so(tmp_path: Path, again: Again, monkeypatch: pytest.MonkeyPatch) -> None:
    (test, _) = evaluation_sets(SourceSettings(limits={"test": 3}), [])

    def run() -> StageOutput:
        return questions.write_question_set(test, "oe", 1, 10, Location(str(tmp_path)))

    run(), run()
    assert again() == []
    monkeypatch.setattr(questions, "QUESTION_VERSION", 1000)
    run()
    (line,) = again()
    assert line.startswith("  questions test oe: done again, since version is 1000 and was ")


def shard_stage(version: int) -> ShardStage:
    return ShardStage(
        name="labelled",
        variant="m",
        part="test oe",
        worker=LabelWorker,
        config=LabelWorkerConfig(grader="exact"),
        identity={"version": version},
        schema=LABELLED,
        needs_model=False,
    )


def test_shard_stages_say_so_unless_they_go_on(tmp_path: Path, again: Again) -> None:
    place = Location(str(tmp_path / "in"))
    rows = [labelled_row(number, "test", 1) for number in range(4)]
    source = stage(place, "answers", rows, LABELLED)
    source = replace(source, manifest=replace(source.manifest, shards=source.shards * 2))  # two shards to be made
    out = Location(str(tmp_path / "out"))
    first = ShardWork(shard_stage(1), source, out)
    for index in range(2):
        write_shard(first.place, index, [{name: row[name] for name in LABELLED.names} for row in rows], LABELLED)
    first.close({})
    assert first.error is None
    assert again() == []
    second = ShardWork(shard_stage(2), source, out)
    assert (again(), len(second.missing)) == (
        ["  labelled m test oe: done again, since version is 2 and was 1"],
        2,
    )
    write_shard(second.place, 0, [{name: row[name] for name in LABELLED.names} for row in rows], LABELLED)
    assert (ShardWork(shard_stage(2), source, out).missing, again()) == ([1], [])  # cut off, it goes on


def test_fit_predict_and_figures_say_so(tmp_path: Path, again: Again, monkeypatch: pytest.MonkeyPatch) -> None:
    out = Location(str(tmp_path / "out"))
    rows = [labelled_row(n, s, n % 2, feature=[1.0]) for n, s in enumerate(["train", "val_calibrate", "test"] * 4)]
    training, test = (set_rows(Location(str(tmp_path)), name, rows) for name in ("training", "test"))
    monkeypatch.setattr(figures, "_computed", lambda missing, *_: ((n, []) for n in range(len(missing))))

    def run() -> None:
        fitted = fit.fit(COMBO, METHODS, training, training, PROBE, 1, out)
        predicted = predict.predict(COMBO, "test", METHODS, test, fitted, out)
        figures.run_figures([predicted], 10, out, None)  # type: ignore[arg-type]

    run(), run()
    assert again() == []
    monkeypatch.setattr(figures, "VERSION", 1000)
    run()
    assert again() == [f"  figures {COMBO.slug}-test: done again, since version is 1000 and was 1"]
    monkeypatch.setattr(predict, "VERSION", 1000)
    run()
    assert again() == ["  predictions m oe test: done again, since version is 1000 and was 1"]
    monkeypatch.setattr(fit, "VERSION", 1000)
    run()
    assert again() == ["  fitted m oe: done again, since version is 1000 and was 1"]  # what follows has other inputs


def test_given_rows_say_so(tmp_path: Path, again: Again, monkeypatch: pytest.MonkeyPatch) -> None:
    from tests.stages.test_given_sets import ROWS, written

    path, out = write(tmp_path / "mine.jsonl", ROWS[:30]), tmp_path / "out"
    written(path, out), written(path, out)
    assert again() == []
    monkeypatch.setattr(given_sets, "GIVEN_SETS_VERSION", 1000)
    written(path, out)
    assert again() == [
        f"  labelled llama2:7b {name} oe: done again, since sets_version is 1000 and was 1"
        for name in ("training", "test")
    ]


def test_answers_of_a_file_say_so(tmp_path: Path, again: Again, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "mine.jsonl", [{"question": "Q?", "target": "x", "answer": "x"}] * 3)

    def run() -> None:
        answer_files.open_answers(str(path), Location(str(tmp_path / "out")), 10)

    run(), run()
    assert again() == []
    monkeypatch.setattr(answer_files, "RIGHT_ANSWERS_VERSION", 1000)
    run()
    (line,) = again()
    assert "done again, since right_answers is 1000 and was " in line


def test_tuning_says_so_and_hangs_on_the_weights(tmp_path: Path, again: Again, monkeypatch: pytest.MonkeyPatch) -> None:
    labelled = stage(Location(str(tmp_path)), "labelled", [labelled_row(0, "train", 1)], LABELLED)
    (tmp_path / "weights").mkdir()

    def job(content: str = "a", name: str = "m") -> tune_job.TuneJob:
        (tmp_path / "weights" / "config.json").write_text(content)
        model = ModelSource(name=name, path=str(tmp_path / "weights"), is_local=True)
        return tune_job.tune_job(model, "float32", "oe", labelled, TuningSettings(), 1, Location(str(tmp_path / "out")))

    first = job()
    assert first.key == job().key
    assert len({first.key, job("b").key, job(name="n").key}) == 3  # labels that are given are the same for all
    write_manifest(
        first.place, Manifest(stage="tuned", key=first.key, config=dict(first.identity), inputs=(first.input_key,))
    )
    same = job()
    say_why_again(same.place, same.title, same.identity, (same.input_key,))
    assert again() == []
    monkeypatch.setattr(tune_job, "VERSION", 1000)
    other = job()
    say_why_again(other.place, other.title, other.identity, (other.input_key,))
    assert again() == ["  m oe: done again, since version is 1000 and was 1"]
    assert other.model_key != first.model_key  # states of the base model are made again too
