"""How long a first answer takes at the terminal, and what confidences cost beside the answers of the plain generator.

python bench/ask.py --bundle runs/demo/bundles/llama2-7b-oe        # a bundle of make demo

The first is the whole command, imports and loading among it, from return to its line (median of five). Then 200
questions go in one call through the plain generator (answers alone) and through the calibrated model (answers, each of
which it is asked about): the second reads each text once more with its query. Ends with one line of JSON.
"""

import argparse
import json
from pathlib import Path
from statistics import median
import subprocess
import sys
import time

from raycalib import CalibratedModel
from raycalib.lm.generation import GenerationRequest, GreedyGenerator
from raycalib.sources.facts.questions import fact_questions

ROOT = Path(__file__).parents[1]
GOAL_S, N_QUESTIONS, REPEATS = 6.0, 200, 5


def first_answer_s(bundle: str) -> float:
    command = [
        sys.executable,
        "jobs/ask.py",
        "--bundle",
        bundle,
        "--question",
        "What is the capital of France?",
        "--json",
    ]
    began = time.monotonic()
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    seconds = time.monotonic() - began
    assert json.loads(done.stdout)["p_correct"] is not None
    return seconds


def seconds_of(do) -> float:  # type: ignore[no-untyped-def]
    began = time.monotonic()
    do()
    return time.monotonic() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundle", default="runs/demo/bundles/llama2-7b-oe")
    bundle = str(Path(parser.parse_args().bundle).absolute())
    first = [first_answer_s(bundle) for _ in range(REPEATS)]
    print(f"first answer: {', '.join(f'{each:.1f}' for each in first)} s", file=sys.stderr)
    model = CalibratedModel.from_pretrained(bundle)
    rows = fact_questions("oe", "test", 137, N_QUESTIONS)
    questions = [row["context"].removeprefix("Question: ") for row in rows]
    plain = GreedyGenerator(model._model, model._tokenizer, model.bundle.record.max_new_tokens)
    requests = [GenerationRequest(f"Question: {question}\nAnswer:") for question in questions]

    def generated() -> None:
        with model._peft.disable_adapter():
            plain.generate(requests)

    generated()
    answered = median(seconds_of(lambda: model.answer(questions)) for _ in range(REPEATS))
    alone = median(seconds_of(generated) for _ in range(REPEATS))
    print(
        f"{N_QUESTIONS} questions: {alone:.2f} s of answers alone, {answered:.2f} s with confidences", file=sys.stderr
    )
    values = {
        "bench": "ask",
        "first_answer_s": round(median(first), 2),
        "goal_s": GOAL_S,
        "goal_met": median(first) <= GOAL_S,
        "questions": N_QUESTIONS,
        "answers_alone_s": round(alone, 2),
        "with_confidence_s": round(answered, 2),
        "ratio": round(answered / alone, 2),
    }
    print(json.dumps(values))


if __name__ == "__main__":
    main()
