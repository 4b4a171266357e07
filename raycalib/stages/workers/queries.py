"""Answers → query logits: of the base model with its hidden states, and of the tuned model."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np

from raycalib.lm.logits import state_size
from raycalib.lm.query_scoring import NOT_FINITE, QueryScorer, QueryScores
from raycalib.records import Row
from raycalib.sources.parts import AS_ANSWERED, QueryHeader
from raycalib.stages.workers.model import ModelWorkerConfig, load_for_worker
from raycalib.stages.workers.rows import all_or_each, queried_text
from raycalib.tuning.probe import Probe
from raycalib.tuning.probe_files import load_probe


class FeatureWorker:
    """Answers → the same with the base model's query logits and last hidden state."""

    def __init__(self, config: ModelWorkerConfig) -> None:
        model, tokenizer = load_for_worker(config)
        self.scorer = QueryScorer(model, tokenizer, config.max_batch_tokens, config.max_tokens)
        self.header = config.query_header

    def process(self, rows: list[Row]) -> list[Row]:
        """Features of answered rows; those that failed keep their place with empty features."""
        return all_or_each(rows, self._scored, lambda row, error: row | _no_scores(row, error))

    def _scored(self, rows: Sequence[Row]) -> list[Row]:
        scores = _score(self.scorer, self.header, rows)
        scored = _with_logits(rows, scores.logits, scores)
        return [
            row | {"feature": None if error else state.tolist()}
            for row, state, error in zip(scored, scores.states, scores.errors, strict=True)
        ]


class TunedQueryWorker:
    """Labelled answers → logits of a tuned model; one base model, and several adapters, of which a task names one.

    They are the query's, or those of the classifier that was tuned together with the adapter.
    """

    def __init__(self, config: ModelWorkerConfig) -> None:
        from raycalib.lm.adapters import load_adapter

        assert config.adapters, "there is an adapter for each task"
        model, tokenizer = load_for_worker(config)
        # PEFT has no room for names with dots, such as paths, and takes one name for another that begins so.
        self.adapters = {name: f"adapter-{number:04d}" for number, (name, _) in enumerate(config.adapters)}
        self.peft_model: Any = None
        for name, place in config.adapters:
            self.peft_model = load_adapter(self.peft_model or model, place, self.adapters[name])
        self.heads = {name: load_probe(place, file, n_features=state_size(model)) for name, place, file in config.heads}
        self.scorer = QueryScorer(model, tokenizer, config.max_batch_tokens, config.max_tokens)
        self.header = config.query_header

    def process_task(self, task: str, rows: list[Row]) -> list[Row]:
        """Logits of answered rows by the adapter of that name; those that failed keep their place with empty logits."""
        self.peft_model.set_adapter(self.adapters[task])
        scored = partial(self._scored, self.heads.get(task))
        return all_or_each(rows, scored, lambda row, error: row | _no_scores(row, error))

    def _scored(self, head: Probe | None, rows: Sequence[Row]) -> list[Row]:
        scores = _score(self.scorer, self.header, rows)
        return _with_logits(rows, scores.logits if head is None else head.logits(scores.states), scores)


def _score(scorer: QueryScorer, header: QueryHeader, rows: Sequence[Row]) -> QueryScores:
    texts = [queried_text(row, header.value_for(row["split"], row["source"]) == AS_ANSWERED) for row in rows]
    answers = [row["answer"] for row in rows]
    return scorer.score(texts, answers, [row["target_prompt"] for row in rows])


def _with_logits(rows: Sequence[Row], logits: np.ndarray, scores: QueryScores) -> list[Row]:
    """The rows with their logits; one without, or with logits that are not finite, fails alone."""
    done = []
    for row, pair, cut, error in zip(rows, logits, scores.n_cut, scores.errors, strict=True):
        if error is None and np.isfinite(pair).all():
            done.append(row | {"logit_no": float(pair[0]), "logit_yes": float(pair[1]), "n_query_cut": cut})
        else:
            done.append(row | _no_scores(row, error or NOT_FINITE))
    return done


def _no_scores(row: Row, error: str) -> Row:
    return {"logit_no": None, "logit_yes": None, "n_query_cut": 0, "feature": None, "error": row["error"] or error}
