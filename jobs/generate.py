r"""Answers of one or more models to all questions; the first part of the full pipeline, with the same flags.

python jobs/generate.py --out runs/demo                                   # demo recipe, a local Ray
python jobs/generate.py --models Qwen/Qwen3-8B --model-root None --engine vllm --ray.gpus-per-worker 1 --workers 1:8 \
    --source.name file:questions.jsonl --out s3://bucket/answers

Killed, the same command goes on where it was; jobs/full_pipeline.py with the same flags goes on from the answers. Ends
with the place of each set's shards and its figures as one line of JSON. --csv also writes them as one file.
"""

from collections.abc import Sequence
import json

from raycalib.cli import pipeline_config, refuse_estimate, run_job


def main(arguments: Sequence[str]) -> None:
    """Generates the answers; what needs torch and Ray is imported only once the command line is right."""
    config = pipeline_config(arguments, "Answers of one or more models to the questions of all sets.")
    refuse_estimate(config)
    from raycalib import steps
    from raycalib.stages.lines.progress import say

    with steps.open_run(config, job="generate", methods=()) as run:
        asked = steps.questions(run)
        answered = run.for_each_model(lambda model: steps.answers(run, model, asked))
        for name, outputs in answered.items():
            for unit, output in outputs.items():
                counts, details = output.manifest.counts, output.manifest.details
                again = " (finished before)" if output.was_done else ""
                say(f"{name} {unit}: {counts['out']:,} answers, {counts['errors']:,} failed{again}: {output.place.uri}")
                figures = {"model": name, "set": unit.set, "style": unit.style, "counts": counts, **details}
                say(f"  {json.dumps(figures)}")
        run.end()


def command() -> None:
    """The job as a program."""
    run_job(main, quiet=True)


if __name__ == "__main__":
    command()
