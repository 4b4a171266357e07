r"""Tunes combos in many ways side by side, chooses one for each by validation rows alone, and evaluates the chosen.

python jobs/sweep.py --recipe smoke --axis kl_decay=0,1 --axis steps=12,24 --out runs/sweep
python jobs/sweep.py --recipe sweep12 --combos 'llama2:*/oe' --out s3://bucket/sweep   # the paper's, KL decay × steps
python jobs/sweep.py --recipe sweep12 --plan                       # how many trials, and what they share
python jobs/sweep.py --status --out runs/sweep                     # from a second terminal: how far it is
python jobs/sweep.py --stop-trial 1a2b3c4d --out runs/sweep        # likewise: one trial, by its ID in --status
ray job submit --working-dir . -- python jobs/sweep.py …           # on a cluster

Answers, labels and features are made once for each combo; a trial that is tuned already, here or by
jobs/full_pipeline.py into the same --out, is not tuned again: killed, or with more values, the same command does the
rest. The leaderboard is OUT/sweep/leaderboard.csv. Flags beside those of a sweep are those of full_pipeline.py.
"""

from collections.abc import Sequence

from raycalib.cli import pipeline_config, refuse_estimate, run_job, values_of
from raycalib.sweep_recipes import SWEEP_RECIPES, with_recipe
from raycalib.sweeps.cells import Cell
from raycalib.sweeps.config import SweepConfig, cells_of

SHORT = {"--axis": "--sweep.axes", "--combos": "--sweep.combos"} | {
    f"--{name}": f"--sweep.{name}"
    for name in (
        "search",
        "samples",
        "max-trials",
        "max-failed-trials",
        "reduction-factor",
        "grace-period",
        "restart-stopped",
        "criterion",
        "confirm-seeds",
        "trackers",
    )
}
DESCRIPTION = (
    "Tunes combos in many ways side by side, chooses one for each by validation rows alone, and evaluates the chosen. "
    "What is tuned already is not tuned again. The leaderboard is OUT/sweep/leaderboard.csv; see docs/sweeps.md.\n\n"
    "Short for --sweep.*, where --axis NAME=A,B is --sweep.axes and may be given again and again: "
    f"{', '.join(SHORT)}.\n"
    "--status with --out: how far it is. --stop-trial ID with --out: stops a trial, which keeps a checkpoint.\n\n"
    "Sweeps, with axes where none is named:\n"
    + "\n".join(f"  --recipe {name}: {recipe.about}" for name, recipe in SWEEP_RECIPES.items())
)


def main(arguments: Sequence[str]) -> None:
    """Sweeps, plans or tells how far a sweep is; what needs torch and Ray is imported only once that is known."""
    if "--status" in arguments:
        from raycalib.steps.sweep_status import say_status

        say_status((values_of(arguments, "--out") or [SweepConfig.out])[-1])
        return
    if any(argument.partition("=")[0] == "--stop-trial" for argument in arguments):
        from raycalib.steps.stop_trial import stop_trials

        stop_trials((values_of(arguments, "--out") or [SweepConfig.out])[-1], values_of(arguments, "--stop-trial"))
        return
    config = pipeline_config(with_recipe(arguments), DESCRIPTION, kind=SweepConfig, more_short=SHORT)
    refuse_estimate(config)
    cells = cells_of(config)
    if config.plan:
        from raycalib.sweeps.plan import plan_lines

        print("\n".join(plan_lines(config, cells)))
    else:
        run_sweep(config, cells)


def run_sweep(config: SweepConfig, cells: Sequence[Cell]) -> None:
    """Each line is a step, as in full_pipeline.py; many cells are tuned where that tunes one for each combo."""
    from raycalib import steps
    from raycalib.lm.names import ModelSource

    with steps.open_run(config.run_config(cells)) as run:
        asked = steps.questions(run)

        def learn(model: ModelSource) -> steps.Learned:
            answered = steps.answers(run, model, asked)
            labelled, features = steps.together(
                lambda: steps.labels(run, model, answered), lambda: steps.features(run, model, answered)
            )
            return steps.Learned(labelled=labelled, features=features)

        learned = run.for_each_model(learn)
        swept = steps.sweep(run, learned, cells, config.sweep)

        def evaluate(model: ModelSource) -> list[steps.Evaluation]:
            return steps.evaluate(run, model, learned[model.name], swept.chosen, swept.probes)

        evaluated = run.for_each_model(evaluate)
        figures = steps.figures(run, evaluated)
        steps.bundles(run, swept.chosen, evaluated, figures, swept.probes)
        steps.report(run, evaluated, figures)
        steps.say_left_over(run)


def command() -> None:
    """The job as a program."""
    run_job(main, quiet=True)


if __name__ == "__main__":
    command()
