"""Question records → answer records."""

from collections.abc import Sequence
from dataclasses import asdict, replace

from raycalib.lm.engines.requests import Generation, GenerationRequest, TokenCounts, failed_generation
from raycalib.lm.engines.transformers_engine import GreedyGenerator
from raycalib.lm.logits_check import check_query_logits
from raycalib.prompts import sanitize
from raycalib.records import Row
from raycalib.stages.workers.model import ModelWorkerConfig, load_engine
from raycalib.stages.workers.rows import all_or_each, example_text


class AnswerWorker:
    """Question records → answer records."""

    def __init__(self, config: ModelWorkerConfig) -> None:
        """Loads the model.

        Raises:
            ModelError: it cannot be loaded, or its query logits could not be read later: better said before it answers.
        """
        self.engine = load_engine(config)
        if isinstance(self.engine, GreedyGenerator):
            check_query_logits(self.engine.model, self.engine.tokenizer)
        self.model_name = config.source.name
        self._counted = TokenCounts()

    def process(self, rows: list[Row]) -> list[Row]:
        """Answers; a row that cannot be answered keeps its place with ``error`` set."""
        return all_or_each(rows, self._answer, self._failed)

    def take_figures(self) -> dict[str, int]:
        """What was read, generated and padded since the last time; see ``TokenCounts``."""
        done = replace(self.engine.counts)
        new, self._counted = done.since(self._counted), done
        return asdict(new)

    def _answer(self, rows: Sequence[Row]) -> list[Row]:
        requests = [
            GenerationRequest(example_text(row), len(row["options"]), kept=row["target_prompt"].rstrip())
            for row in rows
        ]
        return [self._answered(row, done) for row, done in zip(rows, self.engine.generate(requests), strict=True)]

    def _answered(self, row: Row, done: Generation) -> Row:
        return row | {
            "model": self.model_name,
            "output": done.output,
            "answer": sanitize(done.output),
            "n_answer_tokens": done.n_answer_tokens,
            "log_likelihood": done.log_likelihood,
            "option_log_likelihoods": list(done.option_log_likelihoods),
            "finish_reason": done.finish_reason,
            "min_margin": done.min_margin,
            "n_cut": done.n_cut,
            "error": done.error,
        }

    def _failed(self, row: Row, error: str) -> Row:
        return self._answered(row, failed_generation(error))
