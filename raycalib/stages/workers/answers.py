"""Question records → answer records."""

from collections.abc import Sequence

from raycalib.lm.generation import GenerationRequest, GreedyGenerator
from raycalib.prompts import sanitize
from raycalib.records import Row
from raycalib.stages.workers.model import ModelWorkerConfig, load_for_worker
from raycalib.stages.workers.rows import all_or_each, example_text


class AnswerWorker:
    """Question records → answer records."""

    def __init__(self, config: ModelWorkerConfig) -> None:
        model, tokenizer = load_for_worker(config)
        self.generator = GreedyGenerator(
            model, tokenizer, config.max_new_tokens, config.max_batch_tokens, config.max_tokens
        )
        self.model_name = config.source.name

    def process(self, rows: list[Row]) -> list[Row]:
        """Answers; a row that cannot be answered keeps its place with ``error`` set."""
        return all_or_each(rows, self._answer, self._failed)

    def _answer(self, rows: Sequence[Row]) -> list[Row]:
        requests = [
            GenerationRequest(example_text(row), len(row["options"]), kept=row["target_prompt"].rstrip())
            for row in rows
        ]
        return [
            row
            | {
                "model": self.model_name,
                "output": done.output,
                "answer": sanitize(done.output),
                "n_answer_tokens": done.n_answer_tokens,
                "log_likelihood": done.log_likelihood,
                "option_log_likelihoods": list(done.option_log_likelihoods),
                "finish_reason": done.finish_reason,
                "n_cut": done.n_cut,
                "error": done.error,
            }
            for row, done in zip(rows, self.generator.generate(requests), strict=True)
        ]

    def _failed(self, row: Row, error: str) -> Row:
        return row | {
            "model": self.model_name,
            "output": "",
            "answer": "",
            "n_answer_tokens": 0,
            "log_likelihood": None,
            "option_log_likelihoods": [],
            "finish_reason": "error",
            "n_cut": 0,
            "error": error,
        }
