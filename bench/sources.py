"""Questions from a local parquet to shards: rows per second and peak memory.

python bench/sources.py                                  # 1,000,000 rows, oe
python bench/sources.py --rows 200000 --styles oe choice --limit 50000

Makes a file of varied questions first (several hundred megabytes of text for a million rows, kept in --work between
runs), then reads it in a process of its own, whose peak memory is the figure. Ends with one line of JSON.
"""

import argparse
from collections.abc import Sequence
import json
from pathlib import Path
import random
import resource
import subprocess
import sys
import tempfile
import time

import pyarrow as pa
from pyarrow import parquet

from raycalib.sources import SourceSettings, evaluation_sets, training_set
from raycalib.stages.questions import write_question_set
from raycalib.storage import Location

ROW_GROUP = 50_000
SYLLABLES = [
    first + vowel for first in ("b", "ch", "d", "f", "g", "k", "l", "m", "n", "p", "r", "s", "t") for vowel in "aeiou"
]


def word(draw: random.Random) -> str:
    return "".join(draw.choices(SYLLABLES, k=draw.randint(1, 4)))


def make_file(path: Path, n_rows: int) -> None:
    draw = random.Random(7)
    words = [word(draw) for _ in range(20_000)]
    partial = path.with_suffix(".tmp")
    writer: parquet.ParquetWriter | None = None
    for start in range(0, n_rows, ROW_GROUP):
        rows = [make_row(draw, words, number) for number in range(start, min(start + ROW_GROUP, n_rows))]
        table = pa.Table.from_pylist(rows)
        writer = writer or parquet.ParquetWriter(partial, table.schema)
        writer.write_table(table)
    if writer is not None:
        writer.close()
    partial.rename(path)


def make_row(draw: random.Random, words: list[str], number: int) -> dict[str, object]:
    options = [f"{' '.join(draw.choices(words, k=draw.randint(1, 5)))} {letter}" for letter in "ABCD"]
    return {
        "id": f"row-{number}",
        "question": f"{' '.join(draw.choices(words, k=draw.randint(8, 60))).capitalize()}?",
        "answer": draw.choice(options),
        "options": options,
        "task": f"task {number % 40}",
        "note": " ".join(draw.choices(words, k=5)),
    }


def measure(path: Path, styles: Sequence[str], limit: int | None, rows_per_shard: int, out: Path) -> dict[str, object]:
    limits = {} if limit is None else {"train": limit}
    started = time.monotonic()
    source = SourceSettings(name=f"file:{path}", limits=limits)
    outputs = [
        write_question_set(each, style, 137, rows_per_shard, Location(str(out)))
        for each in [training_set(source), *evaluation_sets(source, [])]
        for style in styles
    ]
    seconds = time.monotonic() - started
    n_read = sum(output.manifest.counts["read"] for output in outputs)
    return {
        "rows": n_read,
        "out": sum(output.manifest.counts["out"] for output in outputs),
        "shards": sum(len(output.shards) for output in outputs),
        "seconds": round(seconds, 2),
        "rows_per_s": round(n_read / seconds),
        "peak_rss_mib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--styles", nargs="+", default=["oe"])
    parser.add_argument("--limit", type=int, help="at most so many train rows, chosen in a first pass")
    parser.add_argument("--rows-per-shard", type=int, default=1000)
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()) / "raycalib-bench-sources")
    parser.add_argument("--measure", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        with tempfile.TemporaryDirectory(dir=options.work) as out:
            figures = measure(options.measure, options.styles, options.limit, options.rows_per_shard, Path(out))
        print(json.dumps(figures))
        return
    options.work.mkdir(parents=True, exist_ok=True)
    path = options.work / f"questions-{options.rows}.parquet"
    if not path.exists():
        print(f"makes {path}", flush=True)
        make_file(path, options.rows)
    mebibytes = path.stat().st_size / 2**20
    print(f"reads {path} ({mebibytes:.0f} MiB)", flush=True)
    command = [sys.executable, __file__, *sys.argv[1:], "--measure", str(path)]
    figures = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[-1])
    print(f"{figures['rows_per_s']:,} rows/s, {figures['peak_rss_mib']:,} MiB at the peak")
    print(json.dumps({"bench": "sources", "styles": options.styles, "file_mib": round(mebibytes), **figures}))


if __name__ == "__main__":
    main()
