"""The whole way from questions to calibrated confidences: generate, label, tune, scale, evaluate, report.

python jobs/full_pipeline.py --out runs/demo                      # demo recipe, a local Ray
python jobs/full_pipeline.py --recipe paper --plan                # only what tuning would take of memory and disk
ray job submit --working-dir . -- python jobs/full_pipeline.py    # on a cluster
"""

from collections.abc import Sequence

from raycalib.cli import pipeline_config, run_job


def main(arguments: Sequence[str]) -> None:
    """Runs the pipeline, or plans it; what needs torch and Ray is imported only once the command line is right."""
    config = pipeline_config(arguments, "From questions to calibrated confidences.")
    if config.plan:
        from raycalib.plan import plan_lines

        print("\n".join(plan_lines(config)))
        return
    from raycalib.pipeline import Pipeline

    Pipeline(config).run()


if __name__ == "__main__":
    run_job(main, quiet=True)
