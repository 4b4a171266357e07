"""How long a first answer takes at the terminal, and what confidences cost beside the answers of the plain generator.

python bench/ask.py --bundle runs/demo/bundles/llama2-7b-oe        # a bundle of make demo

The first is the whole command, imports and loading among it, from return to its line (median of five), in turn with the
same by plain transformers and PEFT: load, generate, read the query once. Then 200
questions go in one call through the plain generator (answers alone) and through the calibrated model (answers, each of
which it is asked about): the second reads each text once more with its query. Last, the same 200 by file: jobs/ask.py
--in and jobs/generate.py on the same rows, each as a whole command with its local Ray. Ends with one line of JSON.
"""

import argparse
import json
from pathlib import Path
from statistics import median
import subprocess
import sys
from tempfile import TemporaryDirectory
import time

from raycalib import CalibratedModel
from raycalib.bundles.base import base_source
from raycalib.bundles.bundle import open_bundle
from raycalib.lm.generation import GenerationRequest, GreedyGenerator
from raycalib.sources.facts.questions import fact_questions

ROOT = Path(__file__).parents[1]
GOAL_S, N_QUESTIONS, REPEATS, FILE_REPEATS = 6.0, 200, 5, 3


PLAIN = """
import sys, torch
from transformers import AutoModelForCausalLM, AutoTokenizer
from peft import PeftModel
base, bundle = sys.argv[1:]
tokenizer = AutoTokenizer.from_pretrained(base)
model = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base), bundle).eval()
text = "Question: What is the capital of France?\\nAnswer:"
with torch.inference_mode():
    with model.disable_adapter():
        done = model.generate(**tokenizer(text, return_tensors="pt"), max_new_tokens=4, do_sample=False)
    model(done).logits[0, -1].softmax(-1)
"""


def plain_s(base: str, bundle: str) -> float:
    return seconds_of(
        lambda: subprocess.run([sys.executable, "-c", PLAIN, base, bundle], capture_output=True, check=True)
    )


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


def by_file_s(bundle: str, questions: list[str], targets: list[str]) -> tuple[list[float], list[float]]:
    """Seconds of whole commands, in turn: answers with confidences, and answers alone, of the same rows."""
    asked, generated = list[float](), list[float]()
    with TemporaryDirectory() as folder:
        file = Path(folder) / "questions.jsonl"
        lines = [json.dumps({"question": q, "answer": a}) for q, a in zip(questions, targets, strict=True)]
        file.write_text("\n".join(lines))
        ask = ["jobs/ask.py", "--bundle", bundle, "--in", str(file)]
        generate = ["jobs/generate.py", "--models", "llama2:7b", "--styles", "oe", "--dataset", f"file:{file}"]
        generate += ["--rows-per-shard", "64"]
        for repeat in range(FILE_REPEATS):
            for name, command, found in (("asked", ask, asked), ("generated", generate, generated)):
                out = ["--out", f"{folder}/{name}{repeat}"]
                found.append(seconds_of(lambda every=[sys.executable, *command, *out]: run(every)))
    return asked, generated


def run(command: list[str]) -> None:
    subprocess.run(command, cwd=ROOT, capture_output=True, check=True)


def seconds_of(do) -> float:  # type: ignore[no-untyped-def]
    began = time.monotonic()
    do()
    return time.monotonic() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundle", default="runs/demo/bundles/llama2-7b-oe")
    bundle = str(Path(parser.parse_args().bundle).absolute())
    base = base_source(open_bundle(bundle).record.base).path
    pairs = [(first_answer_s(bundle), plain_s(base, bundle)) for _ in range(REPEATS)]
    first, plainly = [ours for ours, _ in pairs], [theirs for _, theirs in pairs]
    for name, seconds in (("first answer", first), ("by plain transformers and PEFT", plainly)):
        print(f"{name}: {', '.join(f'{each:.1f}' for each in seconds)} s", file=sys.stderr)
    model = CalibratedModel.from_pretrained(bundle)
    rows = fact_questions("oe", "test", 137, N_QUESTIONS)
    questions = [row["context"].removeprefix("Question: ") for row in rows]
    plain = GreedyGenerator(model.model.get_base_model(), model.tokenizer, model.bundle.record.max_new_tokens)
    requests = [GenerationRequest(f"Question: {question}\nAnswer:") for question in questions]

    def generated() -> None:
        with model.model.disable_adapter():
            plain.generate(requests)

    generated()
    answered = median(seconds_of(lambda: model.answer(questions)) for _ in range(REPEATS))
    alone = median(seconds_of(generated) for _ in range(REPEATS))
    print(
        f"{N_QUESTIONS} questions: {alone:.2f} s of answers alone, {answered:.2f} s with confidences", file=sys.stderr
    )
    asked, generated_alone = by_file_s(bundle, questions, [row["target"] for row in rows])
    for name, seconds in (("by file", asked), ("jobs/generate.py", generated_alone)):
        print(f"{name}: {', '.join(f'{each:.1f}' for each in seconds)} s", file=sys.stderr)
    values = {
        "bench": "ask",
        "first_answer_s": round(median(first), 2),
        "plain_s": round(median(plainly), 2),
        "first_to_plain": round(median(first) / median(plainly), 2),
        "goal_s": GOAL_S,
        "goal_met": median(first) <= GOAL_S,
        "questions": N_QUESTIONS,
        "answers_alone_s": round(alone, 2),
        "with_confidence_s": round(answered, 2),
        "ratio": round(answered / alone, 2),
        "by_file_s": round(median(asked), 1),
        "generate_s": round(median(generated_alone), 1),
        "by_file_to_generate": round(median(asked) / median(generated_alone), 2),
    }
    print(json.dumps(values))


if __name__ == "__main__":
    main()
