r"""Evaluates models, and adapters, probes and temperatures that exist, on question sets; a job of its own.

python jobs/evaluate.py --model llama2:13b-chat --style oe --eval mmlu --adapter DIR \
    --methods lora_prompt,answer_likelihood
python jobs/evaluate.py --model llama2:7b --model-root embedded --style oe --eval file:questions.jsonl --csv \
    --adapter runs/demo/tuned/llama2-7b-oe-…/adapter --dataset facts --out runs/demo
ray job submit --working-dir . -- python jobs/evaluate.py …    # one job per model; several may share one --out

The flags are those of full_pipeline.py. Without --methods it is the untuned ones that need no training rows, and what
is given by --adapter, --probe and --temperature ([NAME=]PLACE, again and again). Where --out holds a run, its settings
hold but for what is named. Temperatures are fitted on rows of its dataset, or of --dataset; without one none is fitted.
Killed, the same command goes on. What it leaves is in OUT/evaluated/…; jobs/report.py joins several into one page.
"""

from collections.abc import Sequence

from raycalib.cli import pipeline_config, refuse_estimate, run_job, values_of
from raycalib.config import PipelineConfig
from raycalib.errors import ConfigError
from raycalib.evaluation.methods import BASELINES, FROM_TRAINING, TRAINED
from raycalib.printable import printable_line
from raycalib.recorded import recorded_config
from raycalib.storage import Location

NAME_A_DATASET = ("--dataset", "--source.name", "--recipe")


def main(arguments: Sequence[str]) -> None:
    """Evaluates; what needs torch and Ray is imported only once the command line is right."""
    recorded = _recorded(arguments)
    text = "Evaluates models, and what was tuned or fitted for them, on question sets."
    config = pipeline_config(arguments, text, recorded)
    refuse_estimate(config)
    if not config.evaluation_sets and not config.comes_in:
        raise ConfigError("eval: nothing to evaluate on; name a set by --eval mmlu, or rows by --labelled PLACE")
    has_dataset = recorded is not None or any(values_of(arguments, flag) for flag in NAME_A_DATASET)
    methods = _methods(config) if values_of(arguments, "--methods") else _untuned()
    evaluate(config, methods, learns=has_dataset and not config.comes_in)


def _recorded(arguments: Sequence[str]) -> PipelineConfig | None:
    """How the run in ``--out`` computes, unless a recipe is named."""
    out = values_of(arguments, "--out")
    if not out or values_of(arguments, "--recipe"):
        return None
    found = recorded_config(Location(out[-1]).absolute())
    if found is not None:
        print(f"settings of the run in {printable_line(out[-1])}, but for what is named here; --recipe names others")
    return found


def _untuned() -> list[str]:
    return [method for method in BASELINES if method not in FROM_TRAINING]


def _methods(config: PipelineConfig) -> list[str]:
    """Those that are not given; a tuned one that is named has to be."""
    given = {"lora_prompt": config.adapters, "lora": config.adapters, "probe": config.probes}
    if missing := [method for method in config.methods if method in TRAINED and not given[method]]:
        flag = "--probe" if missing[0] == "probe" else "--adapter"
        raise ConfigError(
            f"methods: {missing[0]!r} is tuned, and nothing is tuned here; give what was by {flag} PLACE, or use "
            "jobs/full_pipeline.py"
        )
    return [method for method in config.methods if method not in TRAINED]


def evaluate(config: PipelineConfig, methods: Sequence[str], *, learns: bool) -> None:
    """Each line is a step, as in full_pipeline.py; nothing is tuned."""
    from raycalib import steps
    from raycalib.lm.names import ModelSource

    place = steps.evaluation_place(config, methods)
    with steps.open_run(config, record=f"{place}/config.json", methods=methods, learns=learns, own_sets=False) as run:
        asked = steps.questions(run, list(run.evaluated))

        def do(model: ModelSource) -> list[steps.Evaluation]:
            known = steps.finished_training(run, model) if learns else steps.Learned(labelled={}, features={})
            calibration = steps.calibration_questions(run, model, known) if learns else {}
            answered = steps.answers(run, model, asked | calibration)
            labelled, features = steps.together(
                lambda: steps.labels(run, model, answered), lambda: steps.features(run, model, answered)
            )
            learned = steps.Learned(labelled=known.labelled | labelled, features=known.features | features)
            return steps.evaluate(run, model, learned)

        evaluated = run.for_each_model(do)
        figures = steps.figures(run, evaluated)
        steps.report(run, evaluated, figures, run.out / place)


def command() -> None:
    """The job as a program."""
    run_job(main, quiet=True)


if __name__ == "__main__":
    command()
