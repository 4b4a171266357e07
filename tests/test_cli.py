from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
import importlib.util
from pathlib import Path
import shutil
import subprocess
import sys

import pytest

from raycalib.cli import (
    BAD_INPUT,
    INTERRUPTED,
    JUDGE_FLAGS,
    SHORT_FLAGS,
    pipeline_config,
    run_job,
    simple_config,
    values_of,
)
from raycalib.config import PipelineConfig
from raycalib.errors import ConfigError, DataError
from raycalib.judging.settings import JudgeSettings
from raycalib.lm.engines.settings import EngineSettings
from raycalib.lm.names import embedded_root
from raycalib.recipes import recipe
from raycalib.sources import SourceSettings

JOB = Path(__file__).parents[1] / "jobs" / "full_pipeline.py"
MakeArguments = Callable[[Path], list[str]]


def parsed(*arguments: str) -> PipelineConfig:
    return pipeline_config(arguments, "A job.")


def load_main() -> Callable[[Sequence[str]], None]:
    """The main function of jobs/full_pipeline.py."""
    spec = importlib.util.spec_from_file_location("full_pipeline_job", JOB)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    main: Callable[[Sequence[str]], None] = module.main
    return main


def run_with(
    monkeypatch: pytest.MonkeyPatch, arguments: Sequence[str], main: Callable[[Sequence[str]], None]
) -> object:
    """The exit code of a job with these arguments."""
    monkeypatch.setattr(sys, "argv", ["job", *arguments])
    with pytest.raises(SystemExit) as stop:
        run_job(main)
    return stop.value.code


def test_the_default_is_the_demo() -> None:
    assert parsed() == recipe("demo")


OWN_MODELS = {
    "a hub id": ["--models", "Qwen/Qwen3-8B"],
    "a directory": ["--seed", "3", "--models=/data/mine"],
    "one beside an embedded one": ["--models", "llama2:7b", "org/name", "--seed", "3"],
    "one of the six that is not embedded": ["--models", "llama2:13b"],
    "another root": ["--model-root", "/models"],
    "the hub": ["--model_root", "None"],
    "the hub, with an embedded one's name": ["--models", "llama2:7b", "--model-root=None"],
}


@pytest.mark.parametrize("case", OWN_MODELS)
def test_models_that_are_not_embedded_get_the_papers_tuning(case: str, capsys: pytest.CaptureFixture[str]) -> None:
    config, own = parsed(*OWN_MODELS[case]), recipe("own")
    assert (config.tuning, config.ray, config.max_new_tokens) == (own.tuning, own.ray, own.max_new_tokens)
    said = "recipe own, the paper's settings of tuning (5,000 steps): --recipe names another\n"
    assert capsys.readouterr() == (said, "")


def test_a_recipe_that_is_named_is_taken_for_any_model(capsys: pytest.CaptureFixture[str]) -> None:
    demo = recipe("demo")
    for arguments in ([], ["--models", "mistral:7b"], ["--model-root", "embedded"], ["--dataset", "file:mine.csv"]):
        assert parsed(*arguments).tuning == demo.tuning
    assert parsed("--recipe", "smoke", "--models", "/data/mine").tuning == recipe("smoke").tuning
    assert parsed("--recipe", "demo", "--models", "org/name").tuning == demo.tuning
    assert capsys.readouterr() == ("", "")
    assert parsed("--recipe", "own") == recipe("own")


def test_evaluations_and_checkpoints_follow_the_steps_where_they_are_not_given() -> None:
    for name in ("own", "demo", "smoke", "paper"):
        assert parsed("--recipe", name) == recipe(name)

    def every(*arguments: str) -> tuple[int, int]:
        tuning = parsed(*arguments).tuning
        return tuning.eval_every, tuning.checkpoint_every

    assert every("--models", "org/name", "--tuning.steps", "200") == (20, 20)
    assert every("--models", "org/name", "--tuning.steps=3") == (1, 1)
    assert every("--recipe", "demo", "--tuning.steps", "24") == (5, 5)
    assert every("--recipe", "own", "--tuning.steps", "200", "--tuning.eval_every=50") == (50, 20)
    assert every("--recipe", "own", "--tuning.steps", "200", "--tuning.checkpoint-every", "7") == (20, 7)
    # Runs of all lengths share their beginning, evaluations among it.
    assert every("--recipe", "own", "--tuning.steps", "200", "--tuning.schedule", "wsd") == (500, 500)


def test_values_of_a_flag() -> None:
    arguments = ["--a", "1", "2", "--b=3", "4", "--a=5", "--a-long", "6"]
    assert (values_of(arguments, "--a"), values_of(arguments, "--b")) == (["1", "2", "5"], ["3", "4"])
    assert values_of(arguments, "--c") == []


@pytest.mark.parametrize("arguments", [["--recipe", "smoke"], ["--recipe=smoke"]])
def test_a_recipe_by_name(arguments: list[str]) -> None:
    assert parsed(*arguments) == recipe("smoke")


def test_short_flags_of_the_judge() -> None:
    config = parsed(
        *("--grader", "judge", "--judge-model", "m", "--judge-base-url=http://127.0.0.1:9/v1", "--max-cost-usd", "2.5"),
        *("--judge_prompt", "paper", "--judge-requests-per-minute", "60", "--judge.temperature", "None", "--estimate"),
    )
    judge = JudgeSettings(
        model="m",
        base_url="http://127.0.0.1:9/v1",
        max_cost_usd=2.5,
        prompt="paper",
        requests_per_minute=60,
        temperature=None,
    )
    assert config == replace(recipe("demo"), grader="judge", judge=judge, estimate=True)
    for flag, whole in JUDGE_FLAGS.items():
        assert hasattr(judge, whole.removeprefix("--judge.").replace("-", "_")), flag


def test_short_flags_of_the_source() -> None:
    config = parsed("--dataset", "arc+eval:mmlu", "--data_root=/data/a=b", "--max-bad-rows", "0.1", "--paper-exact")
    source = SourceSettings(name="arc+eval:mmlu", data_root="/data/a=b", max_bad_rows=0.1, paper_exact=True)
    assert config == replace(recipe("demo"), source=source)
    for flag, whole in SHORT_FLAGS.items():
        assert hasattr(source, whole.removeprefix("--source.").replace("-", "_")), flag


@pytest.mark.parametrize(
    ("arguments", "k_shot"),
    [
        (["--k-shot", "1"], ("1",)),
        (["--k-shot=1", "--seed", "137"], ("1",)),
        (["--k_shot", "train=1", "val=1", "mmlu=5"], ("train=1", "val=1", "mmlu=5")),
        (["--source.k-shot=train=1"], ("train=1",)),
        (["--k-shot", "train=1", "--seed", "137", "--source.k_shot=mmlu=5"], ("train=1", "mmlu=5")),
        (["--k-shot", "None"], ("None",)),
    ],
)
def test_numbers_of_examples_by_part(arguments: list[str], k_shot: tuple[str, ...]) -> None:
    assert parsed(*arguments) == replace(recipe("demo"), source=SourceSettings(k_shot=k_shot))


@dataclass(frozen=True, kw_only=True)
class Queried:
    """What is queried.

    Attributes:
        query_header: whether the query shows the few-shot header.
    """

    query_header: tuple[str, ...] = ()
    seed: int = 0


def test_query_headers_by_part() -> None:
    for arguments in (["--query-header", "none", "mmlu=as-answered"], ["--query_header=none", "mmlu=as-answered"]):
        assert simple_config(Queried, arguments, "") == Queried(query_header=("none", "mmlu=as-answered"))
    apart = ["--query-header", "none", "--seed", "3", "--query-header=mmlu=as-answered"]
    assert simple_config(Queried, apart, "") == Queried(query_header=("none", "mmlu=as-answered"), seed=3)


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["--k-shot", "-1"], "error: source.k_shot: -1 is not allowed; at least 0: a whole number"),
        (["--k-shot", "tain=1"], "error: source.k_shot: the part 'tain' is unknown; allowed: train, val, test,"),
        (["--k-shot", "1", "--k-shot", "2"], "error: source.k_shot: a value without a part is given twice"),
        (["--k-shot", "--seed", "3"], "error: source.k_shot: a value is missing; --help says which are allowed"),
        (["--eval-k-shot", "-1"], "error: source.eval_k_shot: -1 is not allowed; at least 0"),
    ],
)
def test_numbers_of_examples_that_are_not_allowed(
    arguments: list[str], problem: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_with(monkeypatch, arguments, lambda given: print(parsed(*given))) == BAD_INPUT
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert err.startswith(problem)


def test_flags_are_laid_over_the_recipe() -> None:
    config = parsed(
        *("--out", "s3://bucket/x", "--recipe", "smoke", "--seed", "3", "--models", "a/b", "llama2:7b"),
        *(
            "--tuning.lora.rank",
            "2",
            "--styles",
            "choice",
            "--source.name",
            "file:x.csv",
            "--tuning.kl-kind",
            "forward",
        ),
        *("--ray.gpus-per-worker", "0.5", "--model-root", "/models"),
    )
    smoke = recipe("smoke")
    assert config == replace(
        smoke,
        out="s3://bucket/x",
        seed=3,
        models=("a/b", "llama2:7b"),
        styles=("choice",),
        model_root="/models",
        source=replace(smoke.source, name="file:x.csv"),
        tuning=replace(smoke.tuning, kl_kind="forward", lora=replace(smoke.tuning.lora, rank=2)),
        ray=replace(smoke.ray, gpus_per_worker=0.5),
    )


def test_the_engine_and_the_workers_have_short_flags() -> None:
    demo = recipe("demo")
    config = parsed("--engine", "vllm", "--workers", "1:8", "--ray.gpus-per-worker", "4", "--device", "cuda")
    assert config == replace(
        demo,
        engine=EngineSettings(name="vllm"),
        ray=replace(demo.ray, min_workers=1, max_workers=8, gpus_per_worker=4.0, device="cuda"),
    )
    assert parsed("--workers=3").ray == replace(demo.ray, min_workers=3, max_workers=3)
    openai = parsed("--engine=openai", "--engine.base-url", "http://127.0.0.1:8000/v1").engine
    assert (openai.name, openai.base_url) == ("openai", "http://127.0.0.1:8000/v1")


@pytest.mark.parametrize("workers", ["0:4", "5:2", "many", "1:", ":3", "-1:2", "", "1:2:3"])
def test_wrong_bounds_of_workers_are_named(workers: str) -> None:
    with pytest.raises(ConfigError, match=r"workers: .* is not allowed; MIN:MAX such as 1:8") as raised:
        parsed(f"--workers={workers}")
    assert repr(workers) in str(raised.value)


def test_workers_without_a_value_are_named() -> None:
    with pytest.raises(ConfigError, match="workers: '' is not allowed"):
        parsed("--out", "x", "--workers")


def test_limits_by_split() -> None:
    assert parsed("--source.limits", "test", "5", "train", "7").source.limits == {"test": 5, "train": 7}


def test_a_recipe_without_a_name_and_an_unknown_one_are_refused() -> None:
    with pytest.raises(ConfigError, match="recipe: a name is missing; allowed: demo, smoke, paper"):
        parsed("--out", "x", "--recipe")
    with pytest.raises(ConfigError, match="recipe: 'big' is unknown; allowed: demo, smoke, paper"):
        parsed("--recipe=big")


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--nonsense", "3"], "--nonsense"),
        (["--tuning.stepz", "3"], "--tuning.steps"),
        (["--seed", "x"], "--seed"),
        (["--dtype", "int8"], "'auto', 'float32', 'bfloat16', 'float16'"),
        (["stray"], "stray"),
    ],
)
def test_what_does_not_parse_is_named_in_one_line(arguments: list[str], named: str) -> None:
    with pytest.raises(ConfigError) as raised:
        parsed(*arguments)
    assert named in str(raised.value)
    assert "\n" not in str(raised.value)


def test_help_whose_reader_has_seen_enough_ends_well() -> None:
    """As ``--help | head`` has it."""
    command = [sys.executable, "jobs/tune.py", "--help"]
    root = Path(__file__).parents[1]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=root) as asked:
        assert asked.stdout is not None
        assert asked.stderr is not None
        asked.stdout.close()
        assert asked.stderr.read() == b""
        assert asked.wait(timeout=120) == 0


def test_help_lists_flags_and_recipes(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        parsed("--help")
    assert stop.value.code == 0
    shown = capsys.readouterr().out
    for part in (
        "--tuning.steps",
        "--recipe smoke",
        "--recipe paper",
        "--recipe own",
        "at most so many tokens are generated",
    ):
        assert part in shown


@dataclass(frozen=True, kw_only=True)
class SmallConfig:
    """A job's own configuration."""

    names: tuple[str, ...] = ("a",)
    steps: int | None = None


def test_a_jobs_own_configuration() -> None:
    assert simple_config(SmallConfig, [], "A job.") == SmallConfig()
    assert simple_config(SmallConfig, ["--names", "x", "y", "--steps", "3"], "A job.") == SmallConfig(
        names=("x", "y"), steps=3
    )
    with pytest.raises(ConfigError, match="--stepz"):
        simple_config(SmallConfig, ["--stepz", "3"], "A job.")


def test_a_job_that_works_prints_nothing_and_returns(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    seen: list[Sequence[str]] = []
    monkeypatch.setattr(sys, "argv", ["job", "--a", "1"])
    run_job(seen.append)
    assert seen == [["--a", "1"]]
    assert capsys.readouterr() == ("", "")


def test_an_error_of_several_lines_is_told_in_one(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(arguments: Sequence[str]) -> None:
        raise DataError("the file\n  is broken;\tdelete it")

    assert run_with(monkeypatch, [], broken) == BAD_INPUT
    assert capsys.readouterr() == ("", "error: the file is broken; delete it\n")


def test_an_error_does_not_steer_the_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(arguments: Sequence[str]) -> None:
        raise DataError("it has a\x1b[2J, b\x00, c\u202e and \udc80")

    assert run_with(monkeypatch, [], broken) == BAD_INPUT
    assert capsys.readouterr().err == "error: it has a\\x1b[2J, b\\x00, c\\u202e and \\udc80\n"


def test_an_interrupted_job_says_how_to_go_on(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(arguments: Sequence[str]) -> None:
        raise KeyboardInterrupt

    assert run_with(monkeypatch, [], interrupted) == INTERRUPTED
    assert capsys.readouterr().err == "interrupted; run the same command again to go on\n"


def test_our_own_mistakes_are_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    def mistaken(arguments: Sequence[str]) -> None:
        raise ValueError("a bug")

    monkeypatch.setattr(sys, "argv", ["job"])
    with pytest.raises(ValueError, match="a bug"):
        run_job(mistaken)


def bare_directory(place: Path) -> list[str]:
    (place / "bare").mkdir()
    return ["--models", str(place / "bare")]


def source_without_answers(place: Path) -> list[str]:
    (place / "mine.csv").write_text("question,solution\nWho?,He\n")
    return ["--source.name", f"file:{place / 'mine.csv'}"]


def out_below_a_file(place: Path) -> list[str]:
    (place / "file").write_text("here")
    return ["--out", str(place / "file" / "run")]


def given(*arguments: str) -> MakeArguments:
    return lambda place: list(arguments)


BAD_INPUTS: dict[str, tuple[MakeArguments, tuple[str, ...]]] = {
    "unknown recipe": (given("--recipe", "nope"), ("recipe: 'nope'", "demo, smoke, paper")),
    "unknown flag": (given("--nonsense", "1"), ("--nonsense",)),
    "unknown model": (given("--models", "llama9:7b"), ("model: 'llama9:7b'", "llama2:7b")),
    "unknown style": (given("--styles", "essay"), ("styles: 'essay'", "oe, choice")),
    "unknown method": (given("--methods", "magic"), ("methods: 'magic'", "lora_prompt")),
    "unknown grader": (given("--grader", "fuzzy"), ("fuzzy", "exact", "substring")),
    "unknown source": (given("--source.name", "hub:mmlu"), ("source: 'hub:mmlu'", "file:PATH")),
    "negative steps": (given("--tuning.steps", "-3"), ("tuning.steps: -3", "at least 1")),
    "no number": (given("--tuning.steps", "many"), ("--tuning.steps", "many")),
    "out below a file": (out_below_a_file, ("out: ", "is a file", "choose another --out")),
    "model directory without weights": (bare_directory, ("has no weights", "config.json", "*.safetensors")),
    "model root without the model": (given("--model-root", "/absent"), ("/absent/llama2-7b", "--model-root")),
    "source without a column": (
        source_without_answers,
        ("mine.csv", "lacks the column 'answer'", "question, solution"),
    ),
    "source that does not exist": (given("--source.name", "file:/absent.csv"), ("/absent.csv does not exist",)),
}


@pytest.mark.parametrize("case", BAD_INPUTS)
def test_bad_input_ends_in_one_line_and_code_two_and_writes_nothing(
    case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from raycalib import steps

    def never(run: steps.Run) -> None:
        raise AssertionError("the pipeline was started")

    monkeypatch.setattr(steps, "questions", never)
    make_arguments, named = BAD_INPUTS[case]
    arguments = make_arguments(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    shutil.copytree(embedded_root() / "llama2-7b", tmp_path / "models" / "llama2-7b")
    good = ["--recipe", "smoke", "--model-root", str(tmp_path / "models"), "--out", str(tmp_path / "out" / "run")]
    assert run_with(monkeypatch, [*good, *arguments], load_main()) == BAD_INPUT
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert err.endswith("\n")
    for part in named:
        assert part in err
    after = [path for path in sorted(tmp_path.rglob("*")) if "models" not in path.relative_to(tmp_path).parts]
    assert after == before


def test_good_input_reaches_the_pipeline_and_writes_its_configuration_alone_before_it_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from raycalib import steps

    started: list[PipelineConfig] = []

    def begin(run: steps.Run) -> None:
        started.append(run.config)
        raise ConfigError("far enough")

    monkeypatch.setattr(steps, "questions", begin)
    shutil.copytree(embedded_root() / "llama2-7b", tmp_path / "models" / "llama2-7b")
    arguments = ["--recipe", "smoke", "--model-root", str(tmp_path / "models"), "--out", str(tmp_path / "run")]
    assert run_with(monkeypatch, arguments, load_main()) == BAD_INPUT
    assert [config.out for config in started] == [str(tmp_path / "run")]
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["config.json"]


def test_the_command_itself(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(JOB), "--out", str(tmp_path / "run"), "--tuning.steps", "-3"],
        capture_output=True,
        text=True,
        check=False,
        cwd=JOB.parents[1],
    )
    assert (done.returncode, done.stdout) == (BAD_INPUT, "")
    assert done.stderr == "error: tuning.steps: -3 is not allowed; at least 1\n"
    assert list(tmp_path.iterdir()) == []


def test_reading_the_command_line_loads_neither_torch_nor_ray() -> None:
    code = "import sys, raycalib.cli; print(sorted({'torch', 'ray', 'transformers', 'peft'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=JOB.parents[1])
    assert done.stdout == "[]\n"


def test_help_whose_reader_leaves_early_ends_quietly() -> None:
    command = [sys.executable, str(JOB), "--help"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == ""
        assert process.wait(timeout=120) == 0
