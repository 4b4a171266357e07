"""A model that says how likely its answers are to be right."""

from collections.abc import Sequence
from typing import Any, Literal

from raycalib.bundles.answer import Answer
from raycalib.bundles.asked import Asked, asked
from raycalib.bundles.base import base_source
from raycalib.bundles.bundle import Bundle, open_bundle
from raycalib.bundles.signals import Signals
from raycalib.errors import ConfigError, ModelError
from raycalib.lm.batching import DEFAULT_MAX_BATCH_TOKENS
from raycalib.lm.engines.requests import Generation, GenerationRequest
from raycalib.lm.engines.transformers_engine import GreedyGenerator
from raycalib.lm.label_tokens import query_label_tokens
from raycalib.lm.loading import load_causal_lm, load_tokenizer
from raycalib.lm.names import DtypeName
from raycalib.lm.tokenizer_check import check_rows
from raycalib.prompts import TARGET_PROMPT, sanitize

Device = Literal["auto", "cpu", "cuda"]


class CalibratedModel:
    """A model with the adapter, classifier and temperature of a bundle: one set of weights, which answers as its base
    does and says of any answer how likely it is to be right.

    Attributes:
        bundle: what it was made of.
        method: that its confidences are by.
        model: PEFT's, with the adapter on, or the base model where the method has no adapter.
        tokenizer: of the model.
    """

    def __init__(
        self,
        bundle: Bundle,
        *,
        base: str | None = None,
        device: Device = "auto",
        dtype: DtypeName = "auto",
        method: str | None = None,
        max_batch_tokens: int = DEFAULT_MAX_BATCH_TOKENS,
    ) -> None:
        """Loads the weights; see ``from_pretrained``."""
        self.bundle, self.method = bundle, bundle.method(method)
        record = bundle.record
        source = base_source(record.base, base)
        self._temperature = bundle.temperature(self.method)  # small files first: what is wrong is said at once
        base_model: Any = load_causal_lm(source, dtype, _on_gpu(device))
        self.tokenizer = load_tokenizer(source)
        check_rows(self.tokenizer, base_model, source)
        if query_label_tokens(self.tokenizer) != record.label_tokens:
            raise ModelError(
                f"bundle: the tokenizer of {source.described} reads the query's labels otherwise than that of "
                f"{record.base.name}, which the bundle was made on; give that by --base (base=)"
            )
        self._generator = GreedyGenerator(base_model, self.tokenizer, record.max_new_tokens, max_batch_tokens)
        self._signals = Signals(bundle, self.method, base_model, self.tokenizer, max_batch_tokens)
        self.model: Any = self._signals.model

    @classmethod
    def from_pretrained(
        cls,
        place: str,
        *,
        base: str | None = None,
        device: Device = "auto",
        dtype: DtypeName = "auto",
        method: str | None = None,
        max_batch_tokens: int = DEFAULT_MAX_BATCH_TOKENS,
    ) -> "CalibratedModel":
        """The calibrated model of a bundle.

        Args:
            place: a bundle's directory, an fsspec URI, an id of the hub (``org/name``, ``org/name@revision``), or an
                adapter of the paper's (``paper:mistral:7b-instruct/oe``).
            base: directory or hub id of the base model, where it is not where the bundle says.
            device: that computes; ``auto`` is a GPU where there is one.
            dtype: of the weights; ``auto`` is bfloat16 on a GPU and float32 on a CPU.
            method: of the bundle, such as ``probe``; None is the bundle's own choice.
            max_batch_tokens: of a batch, padding among them.

        Raises:
            ConfigError: there is no such bundle or method.
            ModelError: the bundle or its base model cannot be used.
            StorageError: a file cannot be read.
        """
        return cls(
            open_bundle(place, base),
            base=base,
            device=device,
            dtype=dtype,
            method=method,
            max_batch_tokens=max_batch_tokens,
        )

    def answer(
        self,
        questions: Sequence[str],
        choices: Sequence[Sequence[str]] | None = None,
        contexts: Sequence[str] | None = None,
    ) -> list[Answer]:
        """Answers to the questions, with how likely each is to be right.

        Args:
            questions: texts as a person asks them.
            choices: options of each question, where the bundle is one of multiple choice.
            contexts: a text that each question is about; empty where there is none.

        Returns:
            One for each question, in order.

        Raises:
            ConfigError: options are missing, or are given to a bundle of open-ended questions.
        """
        wanted = asked(questions, choices, self.bundle.record.style, contexts)
        requests = [GenerationRequest(each.text, len(each.options), kept=TARGET_PROMPT.rstrip("\n")) for each in wanted]
        with self._signals.unadapted():
            generations = self._generator.generate(requests)
        answers = [sanitize(done.output) for done in generations]
        reasons = [_unanswered(each, done, text) for each, done, text in zip(wanted, generations, answers, strict=True)]
        return self._judged(wanted, answers, reasons)

    def confidence(
        self,
        questions: Sequence[str],
        answers: Sequence[str],
        choices: Sequence[Sequence[str]] | None = None,
        contexts: Sequence[str] | None = None,
    ) -> list[Answer]:
        """How likely answers are to be right, wherever they came from.

        Args:
            questions: texts as a person asks them.
            answers: to them; with options, a letter or an option's text.
            choices: options of each question, where the bundle is one of multiple choice.
            contexts: a text that each question is about; empty where there is none.

        Returns:
            One for each answer, in order.

        Raises:
            ConfigError: there are not as many answers as questions, or see ``answer``.
        """
        if isinstance(answers, str) or len(answers) != len(questions):
            raise ConfigError(f"answers: {len(answers)} for {len(questions)} questions; give one for each, as a list")
        wanted = asked(questions, choices, self.bundle.record.style, contexts)
        read = [each.read(answer) for each, answer in zip(wanted, answers, strict=True)]
        return self._judged(wanted, [answer for answer, _ in read], [reason for _, reason in read])

    def _judged(self, wanted: Sequence[Asked], answers: Sequence[str], reasons: Sequence[str]) -> list[Answer]:
        """The answers with their confidences; those with a reason have none."""
        open_ones = [index for index, reason in enumerate(reasons) if not reason]
        log_odds, errors = self._signals.say([wanted[i].text for i in open_ones], [answers[i] for i in open_ones])
        found = dict(zip(open_ones, zip(log_odds, errors, strict=True), strict=True))
        uncalibrated = self.bundle.record.methods[self.method].calibration.reason
        judged = []
        for index, (each, answer, reason) in enumerate(zip(wanted, answers, reasons, strict=True)):
            margin, error = found.get(index, (0.0, reason))
            p_correct = None
            if not error and self._temperature is None:
                error = f"the bundle is not calibrated: {uncalibrated}"
            if not error:
                assert self._temperature is not None
                p_correct = float(self._temperature.confidence(margin))
            letter = answer if each.options and answer in each.letters else ""
            text = each.options[each.letters.index(letter)] if letter else answer
            judged.append(Answer(text=text, p_correct=p_correct, reason=error, letter=letter, method=self.method))
        return judged


def _on_gpu(device: Device) -> bool:
    if device not in ("auto", "cpu", "cuda"):
        raise ConfigError(f"device: {device!r} is unknown; allowed: auto, cpu, cuda")
    import torch

    return device == "cuda" or (device == "auto" and torch.cuda.is_available())


def _unanswered(each: Asked, done: Generation, answer: str) -> str:
    """Why there is no answer whose confidence could be told; empty where there is."""
    if done.error:
        return done.error
    if each.options:
        return "" if answer in each.letters else f"the model answered none of the options' letters but {answer!r}"
    if done.finish_reason == "length":
        return "the answer was cut: it is longer than those that the bundle was calibrated on"
    return ""
