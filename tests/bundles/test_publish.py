"""Publishing against a small server that speaks the hub's API, and asking what was published."""

from collections.abc import Iterator
from dataclasses import replace
import io
import json
import os
from pathlib import Path
import subprocess
import sys
from typing import Any

from huggingface_hub.repocard import ModelCard
from pyarrow import parquet
import pytest

from jobs.publish import main
from raycalib import CalibratedModel
from raycalib.errors import ConfigError
from raycalib.records import LABELLED
from raycalib.storage import Location, Manifest, write_manifest, write_shard
from tests.bundles.bundles import TinyLlama, calibrated, made_bundle, record_of
from tests.bundles.hub_server import Hub, hub_server
from tests.stages.combos import labelled_row

ROOT = Path(__file__).parents[2]
DATA = "llama2-7b-training-oe-0123456789"


@pytest.fixture
def hub() -> Iterator[Hub]:
    with hub_server() as server:
        yield server


@pytest.fixture
def run(tiny_llama: TinyLlama, tiny_model_dir: Path, tmp_path: Path) -> Path:
    """A run with a bundle and the labelled answers that it was tuned on."""
    out = tmp_path / "run"
    trained = replace(record_of(tiny_model_dir, tiny_llama[1]).trained_on, labelled=DATA)
    made_bundle(tiny_llama, tiny_model_dir, tmp_path, trained_on=trained, diagram=b"\x89PNG")
    (out / "bundles").mkdir(parents=True)
    (tmp_path / "bundle").rename(out / "bundles" / "tiny-oe")
    (out / "bundles" / "tiny-oe" / "diary.txt").write_text("not the bundle's")
    place = Location(str(out / "labelled" / DATA))
    rows = [{name: labelled_row(n, "train", n % 2)[name] for name in LABELLED.names} for n in range(3)]
    shard = write_shard(place, 0, rows, LABELLED)
    write_manifest(place, Manifest(stage="labelled", key="k", config={}, shards=(shard,), counts={"out": 3}))
    return out


def published(run: Path, hub: Hub, *flags: str, code: int = 0, **environment: str) -> str:
    """What the command says, as a program of its own: the hub's package reads its address once."""
    command = [
        sys.executable,
        "jobs/publish.py",
        "--run",
        str(run),
        "--combo",
        "tiny/oe",
        "--to",
        "org/tiny-oe",
        *flags,
    ]
    given = {name: value for name, value in os.environ.items() if name != "HF_TOKEN"} | {
        "HF_ENDPOINT": hub.url,
        "HF_HOME": str(run / "cache"),
        "HF_HUB_DISABLE_XET": "1",
        "HF_HUB_OFFLINE": "0",
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        **environment,
    }
    done = subprocess.run(command, cwd=ROOT, env=given, capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_a_bundle_and_its_data_are_put_on_the_hub_and_asked_from_there(
    run: Path, hub: Hub, tiny_model_dir: Path, tmp_path: Path
) -> None:
    said = published(run, hub, HF_TOKEN="hf_of_the_environment")
    assert said.count("Published: ") == 2
    assert hub.tokens == {"Bearer hf_of_the_environment"}
    files = hub.repositories["model/org/tiny-oe"]
    own = {
        path.relative_to(run / "bundles" / "tiny-oe").as_posix()
        for path in (run / "bundles").rglob("*")
        if path.is_file()
    }
    assert set(files) - {".gitattributes"} == own - {"diary.txt"}
    assert not any(str(tmp_path).encode() in content for content in files.values()), "paths of this machine"
    assert ModelCard(files["README.md"].decode()).data.eval_results
    rows = parquet.read_table(
        io.BytesIO(hub.repositories["dataset/org/tiny-oe-labelled"]["data/labelled-00000.parquet"])
    )
    assert rows["query_label"].to_pylist() == [0, 1, 0]
    code = (
        "import sys; from raycalib import CalibratedModel\n"
        "model = CalibratedModel.from_pretrained('org/tiny-oe', base=sys.argv[1])\n"
        "print(repr(model.confidence(['Why?'], ['so'])[0].p_correct))"
    )
    environment = os.environ | {
        "HF_ENDPOINT": hub.url,
        "HF_HOME": str(tmp_path / "elsewhere"),
        "HF_HUB_DISABLE_XET": "1",
    }
    done = subprocess.run(
        [sys.executable, "-c", code, str(tiny_model_dir)],
        cwd=tmp_path,
        env=environment | {"HF_HUB_OFFLINE": "0"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    here = CalibratedModel.from_pretrained(str(run / "bundles" / "tiny-oe")).confidence(["Why?"], ["so"])[0].p_correct
    assert float(done.stdout) == pytest.approx(here, abs=1e-6)


def test_a_dry_run_shows_all_and_sends_nothing(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["--run", str(run), "--combo", "tiny/oe", "--to", "org/tiny-oe", "--dry-run"])
    said = capsys.readouterr().out
    assert "model org/tiny-oe:" in said
    assert "dataset org/tiny-oe-labelled:" in said
    assert "adapter_model.safetensors" in said
    assert "diary.txt" not in said
    assert "# tiny-oe" in said


def test_a_base_that_is_named_by_its_directory_bears_its_name_alone(
    run: Path, tiny_model_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    base = json.loads((run / "bundles" / "tiny-oe" / "raycalib.json").read_text())["base"]
    edit_record(run, base=base | {"name": str(tiny_model_dir)})
    main(["--run", str(run), "--combo", f"{tiny_model_dir}/oe", "--to", "org/tiny-oe", "--dry-run"])
    said = capsys.readouterr().out
    assert "an answer of **tiny-model**" in said
    assert str(tiny_model_dir) not in said


def test_without_a_token_or_where_it_is_refused_nothing_is_said_of_it(run: Path, hub: Hub) -> None:
    assert "publish: no token: export HF_TOKEN" in published(run, hub, code=2)
    assert not hub.repositories
    hub.refuses = True
    said = published(run, hub, code=2, HF_TOKEN="hf_a_secret_that_is_long_enough")
    assert "publish: the hub does not take org/tiny-oe" in said
    assert "hf_a_secret" not in said
    assert said.count("\n") == 1


def test_what_others_may_not_see_and_what_is_left_out(run: Path, hub: Hub) -> None:
    published(run, hub, "--private", "--no-data", HF_TOKEN="hf_x")
    assert hub.private == {"model/org/tiny-oe": True}


def edit_record(run: Path, **values: Any) -> None:
    path = run / "bundles" / "tiny-oe" / "raycalib.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def test_without_figures_of_a_test_set_it_is_refused(run: Path, tiny_llama: TinyLlama, tiny_model_dir: Path) -> None:
    methods = {"lora_prompt": replace(calibrated(), figures=())}
    record = record_of(tiny_model_dir, tiny_llama[1], methods=methods).as_json()
    edit_record(run, methods=record["methods"])
    with pytest.raises(ConfigError, match="has no figures of a test set"):
        main(["--run", str(run), "--combo", "tiny/oe", "--to", "org/name", "--dry-run"])


@pytest.mark.parametrize(
    ("flags", "match"),
    [
        ([], "run: name it by --run"),
        (["--combo", "tiny/oe"], "to: name it by --to"),
        (["--combo", "other/oe", "--to", "a/b"], "combo: 'other/oe' has no bundle in .*allowed: tiny/oe"),
        (["--combo", "tiny/oe", "--to", "name"], "to: 'name' is no repository"),
    ],
)
def test_bad_input_is_one_line(run: Path, flags: list[str], match: str) -> None:
    with pytest.raises(ConfigError, match=match):
        main([*(["--run", str(run)] if flags else []), *flags, "--dry-run"])


def test_data_that_is_not_there_is_refused(run: Path) -> None:
    (run / "labelled" / DATA / "manifest.json").unlink()
    flags = ["--run", str(run), "--combo", "tiny/oe", "--to", "org/name", "--dry-run"]
    with pytest.raises(ConfigError, match=r"the labelled answers are not in .*--no-data"):
        main(flags)
    main([*flags, "--no-data"])
