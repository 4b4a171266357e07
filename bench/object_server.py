"""An S3 server with a run's shards in it, made from a few templates: moto's, in a process of its own.

python bench/object_server.py --port 5000 --shards 1000 --rows 50000
"""

import argparse
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
import json
import os
from pathlib import Path
import socket
import subprocess
import sys
from threading import Event
from typing import Any

import numpy as np
import pyarrow as pa

from raycalib.records import FEATURES, LABELLED, QUESTION, Row
from raycalib.storage import Location, write_shard

BUCKET = "runs"
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "bench", "AWS_SECRET_ACCESS_KEY": "bench", "AWS_DEFAULT_REGION": "us-east-1"}
ACCOUNT = "123456789012"
TEMPLATES = 4
"""Shards of each split that differ; their rows are those of all others."""

SCHEMAS = {"labelled": LABELLED, "features": FEATURES}


def made_up_rows(split: str, n_rows: int, width: int, seed: int) -> list[Row]:
    """Labelled answers with query logits and hidden states that tell something of the labels."""
    draw, rows = np.random.default_rng(seed), list[Row]()
    for number in range(n_rows):
        level = draw.normal(0, 1.5)
        state = draw.standard_normal(width, dtype=np.float32)
        state[0] = level
        row: Row = dict.fromkeys((*QUESTION.names, *LABELLED.names, *FEATURES.names))
        row |= {
            "row_id": f"{seed:04d}{number:012d}",
            "source": "made-up",
            "split": split,
            "style": "oe",
            "task": "abcd"[number % 4],
            "group": f"{seed:04d}{number // 2:012d}",
            "fresh_entity": False,
            "prompt": "Answer the question.\n\nQ: Which sea is the saltiest?\nA: the Dead Sea\n\n",
            "context": f"Q: Which of the made-up seas has the number {draw.integers(10**9)}?\n",
            "target_prompt": "A:",
            "target": f"the sea {draw.integers(10**6)}",
            "options": [],
            "model": "made-up",
            "output": f"the sea {number}",
            "answer": f"the sea {number}",
            "n_answer_tokens": 4,
            "log_likelihood": -float(draw.gamma(2)),
            "option_log_likelihoods": [],
            "finish_reason": "stop",
            "min_margin": float(draw.random()),
            "n_cut": 0,
            "query_label": int(draw.random() < 1 / (1 + np.exp(-level))),
            "grader": "exact",
            "retryable": False,
            "logit_no": 0.0,
            "logit_yes": float(level / 2),
            "n_query_cut": 0,
            "feature": state.tolist(),
        }
        rows.append(row)
    return rows


def shard_of(kind: str, rows: Sequence[Row]) -> bytes:
    """The rows as the product writes a shard."""
    schema: pa.Schema = SCHEMAS[kind]
    place = Location(f"memory://object-server/{kind}")
    name = write_shard(place, 0, [{column: row[column] for column in schema.names} for row in rows], schema)
    return place.read_bytes(name)


def splits_of(n_shards: int) -> dict[str, list[tuple[str, int]]]:
    """By set, how many shards each of its splits has: a fifth to learn from, the others to evaluate on."""
    learned = n_shards // 5
    few = max(1, learned // 10)
    return {
        "training": [("train", learned - 2 * few), ("val_select", few), ("val_calibrate", few)],
        "test": [("test", n_shards - learned)],
    }


def _templates(arguments: tuple[str, int, int]) -> dict[str, list[bytes]]:
    split, rows_per_shard, width = arguments
    seeds = [sum(map(ord, split)) * TEMPLATES + number for number in range(TEMPLATES)]
    made = [made_up_rows(split, rows_per_shard, width, seed) for seed in seeds]
    return {kind: [shard_of(kind, rows) for rows in made] for kind in SCHEMAS}


def fill(places: dict[str, str], n_shards: int, n_rows: int, width: int) -> dict[str, Any]:
    """Puts the shards of all sets into this process's store; returns how many objects and bytes that is.

    Args:
        places: by kind and set, such as ``labelled training``, the directory in the bucket.
        n_shards: of all sets.
        n_rows: of all sets.
        width: of a hidden state.
    """
    from moto.s3.models import s3_backends

    store, counts = s3_backends[ACCOUNT]["aws"], {"objects": 0, "bytes": 0}
    store.create_bucket(BUCKET, "us-east-1")
    for of_set, splits in splits_of(n_shards).items():
        with ProcessPoolExecutor(2) as pool:
            made = list(pool.map(_templates, [(split, n_rows // n_shards, width) for split, _ in splits]))
        for kind in SCHEMAS:
            index = 0
            for (_, n_of_split), templates in zip(splits, made, strict=True):
                for _ in range(n_of_split):
                    content = templates[kind][index % TEMPLATES]
                    key = f"{places[f'{kind} {of_set}']}/part-{index:05d}-{index:08x}.parquet"
                    store.put_object(BUCKET, key, content)
                    index += 1
                    counts["objects"] += 1
                    counts["bytes"] += len(content)
    return counts


@contextmanager
def object_server(places: dict[str, str], n_shards: int, n_rows: int, width: int, log: Path) -> Iterator[str]:
    """The address of a server that has all shards, which ends with the block."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, __file__, "--port", str(port), "--shards", str(n_shards), "--rows", str(n_rows)]
    command += ["--width", str(width), "--places", json.dumps(places)]
    with log.open("wb") as file:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=file, env={**os.environ, **CREDENTIALS})
    assert process.stdout is not None
    try:
        if not (said := process.stdout.readline()):
            raise RuntimeError(log.read_text(errors="replace")[-2000:])
        print(f"store: {said.decode().strip()}", flush=True)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(60)
        process.stdout.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--shards", type=int, default=1000)
    parser.add_argument("--rows", type=int, default=50_000)
    parser.add_argument("--width", type=int, default=64)
    parser.add_argument(
        "--places", type=json.loads, default={f"{k} {s}": f"{k}/{s}" for k in SCHEMAS for s in splits_of(5)}
    )
    options = parser.parse_args()
    from moto.server import ThreadedMotoServer

    counts = fill(options.places, options.shards, options.rows, options.width)
    ThreadedMotoServer("127.0.0.1", options.port, verbose=False).start()
    print(json.dumps(counts), flush=True)
    Event().wait()


if __name__ == "__main__":
    main()
