r"""Answers of one or more models to a source's questions; the first part of the full pipeline, with the same flags.

python jobs/generate.py --out runs/demo                                   # demo recipe, a local Ray
python jobs/generate.py --models Qwen/Qwen3-8B --model-root None --engine vllm --ray.gpus-per-worker 1 --workers 1:8 \
    --source.name file:questions.jsonl --out s3://bucket/answers

Killed, the same command goes on where it was; jobs/full_pipeline.py with the same flags goes on from the answers. Ends
with the place of each model's shards and its figures as one line of JSON.
"""

from collections.abc import Sequence

from raycalib.cli import pipeline_config, run_job


def main(arguments: Sequence[str]) -> None:
    """Generates the answers; what needs torch and Ray is imported only once the command line is right."""
    config = pipeline_config(arguments, "Answers of one or more models to a source's questions.")
    from raycalib.pipeline import Pipeline

    Pipeline(config).generate()


if __name__ == "__main__":
    run_job(main, quiet=True)
