"""A judge that runs in the worker: a model of its own in place of a server."""

from collections.abc import Sequence

from jinja2 import TemplateError

from raycalib.judging.chat import Reply
from raycalib.judging.outcome import Outcome, Tally, replied
from raycalib.judging.prompt_versions import Messages
from raycalib.judging.reply_cache import ReplyCache, reply_key
from raycalib.lm.engines import GenerationRequest
from raycalib.lm.loading import load_tokenizer
from raycalib.stages.workers.model import ModelWorkerConfig, load_engine


class LocalJudge:
    """Greedy replies of a local model; a text that is longer than it can read is no verdict, and is never cut."""

    def __init__(self, config: ModelWorkerConfig, cache: ReplyCache) -> None:
        """Loads the model.

        Raises:
            ModelError: it cannot be loaded.
        """
        self.engine, self.tokenizer = load_engine(config), load_tokenizer(config.source)
        self.cache = cache
        self.tally = Tally()

    def replies(self, requests: Sequence[Messages]) -> list[Outcome]:
        """One outcome per request, in order."""
        self.cache.refresh()
        keys = [reply_key(messages) for messages in requests]
        missing = {key: m for key, m in zip(keys, requests, strict=True) if self.cache.get(key) is None}
        self.tally.cached += sum(key not in missing for key in keys)
        refused = self._generate(missing)
        self.cache.flush()
        return [self._outcome(key, refused) for key in keys]

    def _outcome(self, key: str, refused: dict[str, str]) -> Outcome:
        reply = self.cache.get(key)
        return Outcome(reason=refused[key]) if reply is None else replied(reply)

    def _generate(self, missing: dict[str, Messages]) -> dict[str, str]:
        """Keeps the replies in the cache; returns why there is none, by key."""
        requests = [self.request(messages) for messages in missing.values()]
        refused: dict[str, str] = {}
        for key, request, generation in zip(missing, requests, self.engine.generate(requests), strict=True):
            self.tally.requests += 1
            if generation.error is not None:
                refused[key] = f"the judge cannot read this row: {generation.error}"
                self.tally.failed += 1
                continue
            read = self.tokenizer(request.text, add_special_tokens=request.add_special_tokens)
            tokens_in, tokens_out = len(read["input_ids"]), generation.n_answer_tokens
            self.cache.put(key, Reply(text=generation.output, tokens_in=tokens_in, tokens_out=tokens_out))
            self.tally.tokens_in += tokens_in
            self.tally.tokens_out += tokens_out
        return refused

    def request(self, messages: Messages) -> GenerationRequest:
        """The chat as the model's template spells it; without a template, the messages with an answer cue."""
        if not self.tokenizer.chat_template:
            text = _joined(messages) + "\nAnswer:"
            return GenerationRequest(text, kept=text)
        try:
            text = self._templated(messages)
        except TemplateError:  # Gemma's and Mistral's templates have no system role
            text = self._templated([{"role": "user", "content": _joined(messages)}])
        return GenerationRequest(text, kept=text, add_special_tokens=False)

    def _templated(self, messages: Messages) -> str:
        return str(self.tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True))


def _joined(messages: Messages) -> str:
    return "\n\n".join(message["content"].strip() for message in messages)
