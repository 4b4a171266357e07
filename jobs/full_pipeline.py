"""The whole way from questions to calibrated confidences: generate, label, tune, scale, evaluate, report.

python jobs/full_pipeline.py --out runs/demo                      # demo recipe, a local Ray
python jobs/full_pipeline.py --recipe paper --plan                # only what it would take: hours, dollars, room
python jobs/full_pipeline.py --out runs/demo --eval mmlu:500      # later, another set: only that is done
ray job submit --working-dir . -- python jobs/full_pipeline.py --out s3://bucket/demo    # on a cluster

Killed, the same command goes on where it was. A model or prompt style that fails is a hole in the report, with its
cause and remedy; the others go on, the exit code is 3, and the same command tries what failed again.
"""

from collections.abc import Sequence

from raycalib.cli import pipeline_config, run_job
from raycalib.config import PipelineConfig


def main(arguments: Sequence[str]) -> None:
    """Runs the pipeline, or plans it; what needs torch and Ray is imported only once the command line is right."""
    config = pipeline_config(arguments, "From questions to calibrated confidences.")
    if config.plan:
        from raycalib.plans.run_plan import plan_lines

        print("\n".join(plan_lines(config)))
    else:
        run_pipeline(config)


def run_pipeline(config: PipelineConfig) -> None:
    """Each line is a step, which finds what an earlier run finished and does the rest.

    What is said of costs is of a 7B model, the paper's 20,000 training rows, and one GPU of 80 GB.
    """
    from raycalib import steps
    from raycalib.lm.names import ModelSource

    with steps.open_run(config) as run:
        asked = steps.questions(run)  # seconds to minutes; no model

        def learn(model: ModelSource) -> steps.Learned | None:
            answered = steps.answers(run, model, asked)  # the most of the GPUs' time: every answer is generated
            if config.estimate:
                return steps.say_estimate(run, answered)
            labelled, features = steps.together(
                lambda: steps.labels(run, model, answered),  # by string seconds; by a judge a request per row
                lambda: steps.features(run, model, answered),  # one forward pass per answer
            )
            return steps.Learned(labelled=labelled, features=features)

        learned = run.for_each_model(learn)  # side by side: one is judged while another one answers
        if config.estimate:
            return
        tuned = steps.tuned(run, learned)  # 5,000 steps for each combo; --plan says what memory it takes

        def evaluate(model: ModelSource) -> list[steps.Evaluation]:
            return steps.evaluate(run, model, learned[model.name], tuned)  # one forward pass per answer and adapter

        evaluated = run.for_each_model(evaluate)
        figures = steps.figures(run, evaluated)  # a minute of CPUs: bootstrap intervals
        steps.bundles(run, tuned, evaluated, figures)
        steps.report(run, evaluated, figures)


def command() -> None:
    """The job as a program."""
    run_job(main, quiet=True)


if __name__ == "__main__":
    command()
