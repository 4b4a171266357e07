"""vLLM: an actor holds the engine and gives it whole shards."""

from collections.abc import Sequence
from dataclasses import replace
from string import ascii_lowercase
from typing import Any

from transformers import AutoConfig, GenerationConfig, PreTrainedConfig

from raycalib.errors import ModelError
from raycalib.lm.engines.answer_end import LINE_BREAK, GrowingAnswer, TokenizerSpelling, end_tokens
from raycalib.lm.engines.requests import Generation, GenerationRequest, TokenCounts, failed_generation, or_not_finite
from raycalib.lm.label_tokens import letter_tokens
from raycalib.lm.loading import load_tokenizer
from raycalib.lm.names import DtypeName, ModelSource
from raycalib.lm.window import FittedText, fit_left, window_of

MARGIN_LOGPROBS = 2


class VllmEngine:
    """Reads the same token ids as the transformers engine and ends answers by the same rule.

    vLLM stops at any line break; where the rule does not (a blank first line, a colon before the break), the text goes
    on from there. Margins of ``choice`` rows are not known: vLLM gives the letters in place of the two best tokens.

    Attributes:
        counts: what has been done so far; vLLM does not pad.
    """

    def __init__(
        self,
        source: ModelSource,
        dtype: DtypeName,
        max_new_tokens: int,
        max_tokens: int | None,
        gpus: float,
        gpu_memory_share: float,
    ) -> None:
        """Loads the model on the worker's GPUs: a fraction of one, one, or a tensor-parallel group; 0 is the CPU.

        Raises:
            ModelError: vLLM is not installed, or cannot load the model.
        """
        try:
            import vllm
        except ImportError as error:
            raise ModelError(
                f"engine: vllm cannot be imported ({error}); install raycalib[vllm] on the workers, or use "
                "--engine transformers"
            ) from error
        self._vllm = vllm
        self.max_new_tokens = max_new_tokens
        self.counts = TokenCounts()
        self.tokenizer = load_tokenizer(source)
        revision = source.revision
        config = AutoConfig.from_pretrained(
            source.path, revision=revision, local_files_only=source.is_local, trust_remote_code=False
        )
        self._window = window_of(config, max_tokens)
        stops = end_tokens(_generation_settings(source, config), self.tokenizer)
        self._spelling = TokenizerSpelling(self.tokenizer, stops)
        parallel = max(1, int(gpus))
        try:
            self.llm = vllm.LLM(
                model=source.path,
                tokenizer=source.path,
                revision=revision,
                tokenizer_revision=revision,
                dtype=dtype,
                max_model_len=self._window,
                tensor_parallel_size=parallel,
                distributed_executor_backend="mp" if parallel > 1 else None,
                gpu_memory_utilization=gpu_memory_share * min(1.0, gpus or 1.0),
                enforce_eager=not gpus,
                generation_config="vllm",
                trust_remote_code=False,
                seed=0,
            )
        except (OSError, RuntimeError, ValueError) as error:
            cause = str(error).strip().split("\n")[0]
            raise ModelError(
                f"engine: vllm cannot load {source.name!r}: {cause}; the worker's log has all of it. Where memory is "
                "short: lower --max-tokens (one text of that length must fit) or raise --engine.gpu-memory-share"
            ) from error

    def generate(self, requests: Sequence[GenerationRequest]) -> list[Generation]:
        """One generation per request, in the order given; a text that is too long has ``error`` set."""
        results: dict[int, Generation] = {}
        fitted: dict[int, FittedText] = {}
        for index, request in enumerate(requests):
            growth = 1 if request.n_options else self.max_new_tokens
            most = None if self._window is None else self._window - growth
            try:
                fitted[index] = fit_left(self.tokenizer, request.text, request.kept, most, request.add_special_tokens)
            except ValueError as error:
                results[index] = failed_generation(f"ValueError: {error}")
        choices = {index: requests[index].n_options for index in fitted if requests[index].n_options}
        results.update(self._read_letters(fitted, choices))
        results.update(self._decode({index: fit.ids for index, fit in fitted.items() if index not in choices}))
        return [
            replace(results[index], n_cut=fitted[index].n_cut) if index in fitted else results[index]
            for index in range(len(requests))
        ]

    def _ask(self, texts: Sequence[list[int]], settings: Sequence[dict[str, Any]]) -> list[Any]:
        """Greedy completions of token ids."""
        prompts = [{"prompt_token_ids": ids} for ids in texts]
        params = [
            self._vllm.SamplingParams(temperature=0.0, stop_token_ids=sorted(self._spelling.stops), **given)
            for given in settings
        ]
        completions = [done.outputs[0] for done in self.llm.generate(prompts, params, use_tqdm=False)]
        self.counts.tokens_generated += sum(len(done.token_ids) for done in completions)
        return completions

    def _read_letters(self, fitted: dict[int, FittedText], n_options: dict[int, int]) -> dict[int, Generation]:
        if not n_options:
            return {}
        letters = letter_tokens(self.tokenizer, ascii_lowercase[: max(n_options.values())])
        texts = [fitted[index].ids for index in n_options]
        self.counts.tokens_read += sum(map(len, texts))
        given = [{"max_tokens": 1, "logprob_token_ids": letters}] * len(texts)
        results = {}
        for (index, n), done in zip(n_options.items(), self._ask(texts, given), strict=True):
            token, gains = done.token_ids[0], done.logprobs[0]
            results[index] = or_not_finite(
                Generation(
                    output=self.tokenizer.decode([token]),
                    n_answer_tokens=1,
                    log_likelihood=gains[token].logprob,
                    option_log_likelihoods=tuple(gains[letter].logprob for letter in letters[:n]),
                    finish_reason="stop",
                )
            )
        return results

    def _decode(self, texts: dict[int, list[int]]) -> dict[int, Generation]:
        answers = {index: GrowingAnswer(self._spelling) for index in texts}
        said: dict[int, list[int]] = {index: [] for index in texts}
        self.counts.tokens_read += sum(map(len, texts.values()))
        left = list(texts)
        while left:
            given = [
                {
                    "max_tokens": self.max_new_tokens - len(said[index]),
                    "logprobs": MARGIN_LOGPROBS,
                    "stop": [LINE_BREAK],
                }
                for index in left
            ]
            completions = dict(zip(left, self._ask([texts[i] + said[i] for i in left], given), strict=True))
            for index, done in completions.items():
                for token, gains in zip(done.token_ids, done.logprobs, strict=True):
                    answers[index].add(token, gains[token].logprob, _margin(gains, token))
                said[index] += done.token_ids
            left = [
                index
                for index, done in completions.items()
                if done.stop_reason == LINE_BREAK
                and not answers[index].stopped
                and len(said[index]) < self.max_new_tokens
            ]
        return {index: answer.result() for index, answer in answers.items()}


def _generation_settings(source: ModelSource, config: PreTrainedConfig) -> GenerationConfig:
    """The model's, or what its configuration says of generation, as transformers does."""
    try:
        return GenerationConfig.from_pretrained(source.path, revision=source.revision, local_files_only=source.is_local)
    except OSError:
        return GenerationConfig.from_model_config(config)


def _margin(gains: Any, token: int) -> float | None:
    others = [entry.logprob for other, entry in gains.items() if other != token]
    return gains[token].logprob - max(others) if others else None
