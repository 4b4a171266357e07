"""Whether the risk that thresholds promise holds on rows that nothing was fitted or chosen on: those of a finished run.

python bench/risk.py --run runs/demo                       # the bundles and predictions of make demo

For each bundle, each of its methods and each risk it chooses the threshold on the bundle's calibration rows (Learn then
Test, delta 0.05), and counts the wrong among the answers of ``test`` that it keeps; those of ``heldout_families``,
which are of other kinds, stand beside them without a promise. Ends with one line of JSON.
"""

import argparse
from itertools import product
import json
from pathlib import Path
import sys
from typing import Any

from pyarrow import parquet

from raycalib.bundles.bundle import open_bundle
from raycalib.bundles.thresholds import certify
from raycalib.evaluation.methods import WITH_PLATT, WITH_TEMPERATURE

RISKS = (0.1, 0.2, 0.3)
ENDS = {"temperature": WITH_TEMPERATURE, "platt": WITH_PLATT}


def kept_rows(run: Path, bundle: str, question_set: str, method: str, threshold: float) -> tuple[int, int]:
    """How many scored answers of the set are kept by a method of tables, and how many of them are wrong."""
    (place,) = (run / "predictions").glob(f"{bundle}-{question_set.replace('_', '-')}-*")
    manifest = json.loads((place / "manifest.json").read_text())
    shard = manifest["shards"][manifest["details"]["methods"].index(method)]
    labels = [
        row["query_label"]
        for row in parquet.read_table(place / shard).to_pylist()
        if row["query_label"] is not None and (row["p_correct"] or 0) >= threshold
    ]
    return len(labels), labels.count(0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, default=Path("runs/demo"))
    run = parser.parse_args().run
    found = list[dict[str, Any]]()
    for place in sorted((run / "bundles").iterdir()):
        bundle = open_bundle(str(place))
        calibrated = {name: ENDS[each.calibration.kind] for name, each in bundle.record.methods.items()}
        for method, risk in product(calibrated, RISKS):
            certificate = certify(bundle, method, risk)
            line: dict[str, Any] = {"bundle": place.name, "method": method, "risk": risk}
            line["threshold"] = certificate.threshold
            if certificate.threshold is not None:
                for name in ("test", "heldout_families"):
                    n, n_wrong = kept_rows(run, place.name, name, method + calibrated[method], certificate.threshold)
                    line[name] = {"kept": n, "wrong": n_wrong, "share": round(n_wrong / n, 3) if n else None}
            found.append(line)
            print(line, file=sys.stderr)
    promised = [line for line in found if line["threshold"] is not None]
    held = sum((line["test"]["share"] or 0) <= line["risk"] for line in promised)
    print(json.dumps({"bench": "risk", "promised": len(promised), "held_on_test": held, "lines": found}))


if __name__ == "__main__":
    main()
