r"""Tunes by one method, side by side or by several workers together: the middle of the pipeline, with its flags.

python jobs/tune.py --method lora --out runs/demo                         # demo recipe, a local Ray
python jobs/tune.py --recipe paper --method probe --ray.train-workers 8 --tuning.zero-stage 2 --out s3://bucket/paper

--method is lora_prompt (default: an adapter tuned on the uncertainty query), lora (an adapter and a classifier on the
hidden state after the answer) or probe (the classifier alone). Answers and labels that are missing are made first.
Killed, the same command goes on where it was; jobs/full_pipeline.py with the same flags goes on from the adapters. The
pipeline itself fits its probes on stored features, in seconds. What is tuned is left in bundles/ too, and gives no
confidence before the pipeline has calibrated it. Ends with each combo's place and a line of JSON.
"""

from collections.abc import Sequence
import json

from raycalib.cli import pipeline_config, refuse_estimate, run_job, take_flag
from raycalib.tuning.settings import TUNING_METHODS


def main(arguments: Sequence[str]) -> None:
    """Tunes; what needs torch and Ray is imported only once the command line is right."""
    method, rest = take_flag(arguments, "--method", "lora_prompt", TUNING_METHODS)
    config = pipeline_config(
        rest, f"Tunes by one method. --method {{{','.join(TUNING_METHODS)}}} (default: lora_prompt)"
    )
    refuse_estimate(config)
    from raycalib import steps
    from raycalib.lm.names import ModelSource
    from raycalib.stages.lines.progress import say

    with steps.open_run(config, job="tune", methods=(method,)) as run:
        asked = steps.questions(run, [run.training])

        def label(model: ModelSource) -> steps.Learned:
            answered = steps.answers(run, model, asked)
            return steps.Learned(labelled=steps.labels(run, model, answered), features={})

        tuned = steps.tuned(run, run.for_each_model(label), [method])
        steps.bundles(run, tuned)
        for job in tuned:
            training = job.place.read_json("training.json")
            best = {"best_step": training["best_step"], "val_nll": training["best_nll"]}
            say(f"{job.title}: {job.place.uri}")
            say(f"  {json.dumps({'model': job.model.name, 'style': job.style, 'method': method, **best})}")
        run.end()


def command() -> None:
    """The job as a program."""
    run_job(main, quiet=True)


if __name__ == "__main__":
    command()
