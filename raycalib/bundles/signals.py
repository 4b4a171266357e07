"""What the methods of a bundle say of answers, all by one set of weights."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np

from raycalib.bundles.bundle import Bundle
from raycalib.bundles.layout import adapter_place, part_place
from raycalib.evaluation.methods import COMBINED, LORA_PROMPT, TUNED
from raycalib.lm.adapters import load_adapter
from raycalib.lm.logits import state_size
from raycalib.lm.query_scoring import QueryScorer
from raycalib.prompts import TARGET_PROMPT
from raycalib.tuning.probe import Probe
from raycalib.tuning.probe_files import load_probe


class Said(NamedTuple):
    """(n,) log-odds that n answers are right, and why one has none: empty where it has."""

    log_odds: np.ndarray
    errors: list[str]


class Signals:
    """Asks a model about answers by one method of a bundle, or by all that ``combined`` is made of.

    Attributes:
        model: with the adapters of the methods; PEFT's where there is one, else the base.
    """

    def __init__(self, bundle: Bundle, method: str, base: Any, tokenizer: Any, max_batch_tokens: int) -> None:
        """Loads adapters and classifiers into the base model.

        Raises:
            ModelError, StorageError: one is not there, is damaged, or does not fit the model.
        """
        self._combined = bundle.combined() if method == COMBINED else None
        self._methods = self._combined.signals if self._combined else (method,)
        self.model: Any = base
        for name in self._methods:
            if name in TUNED:
                self.model = load_adapter(self.model, adapter_place(bundle.place, name, bundle.record.methods), name)
        n_features = state_size(base)
        self._heads: dict[str, Probe] = {
            name: load_probe(part_place(bundle.place, name), n_features=n_features)
            for name in self._methods
            if name != LORA_PROMPT
        }
        with self._with_adapter(self._methods[0]):
            self._scorer = QueryScorer(base, tokenizer, max_batch_tokens, bundle.record.max_tokens)

    @contextmanager
    def _with_adapter(self, method: str) -> Iterator[None]:
        """The model with the adapter of a method, and no other; without any where the method has none."""
        if method in TUNED:
            self.model.set_adapter(method)
            yield
        else:
            with self.unadapted():
                yield

    @contextmanager
    def unadapted(self) -> Iterator[None]:
        """The model as its base is."""
        if any(name in TUNED for name in self._methods):
            with self.model.disable_adapter():
                yield
        else:
            yield

    def say(self, texts: Sequence[str], answers: Sequence[str]) -> Said:
        """What is said of answers to the questions that texts end with.

        Args:
            texts: as the model reads them before it answers.
            answers: to them.
        """
        if not texts:
            return Said(np.zeros(0), [])
        said = [self._say(name, texts, answers) for name in self._methods]
        if self._combined is None:
            return said[0]
        log_odds = self._combined.log_odds(np.column_stack([each.log_odds for each in said]))
        errors = [next(filter(None, of_row), "") for of_row in zip(*(each.errors for each in said), strict=True)]
        return Said(log_odds, errors)

    def _say(self, method: str, texts: Sequence[str], answers: Sequence[str]) -> Said:
        with self._with_adapter(method):
            scores = self._scorer.score(texts, answers, [TARGET_PROMPT] * len(texts))
        head = self._heads.get(method)
        logits = scores.logits if head is None else head.logits(scores.states)
        log_odds: np.ndarray = logits[:, 1] - logits[:, 0]
        errors = [
            error
            or (f"the question is longer than the model reads: {n_cut} tokens of its left were cut" if n_cut else "")
            or ("" if is_finite else "it is not finite")
            for error, n_cut, is_finite in zip(scores.errors, scores.n_cut, np.isfinite(log_odds), strict=True)
        ]
        return Said(log_odds, errors)
