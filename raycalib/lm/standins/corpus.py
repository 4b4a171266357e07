"""The stand-ins' corpus: statements of the embedded facts, some often, some hardly, some never.

How often a fact is stated is the popularity of its entity times the difficulty of its family. Popularity is
log-normal; most of it follows the entity's place in its table (the best known come first), the rest is drawn.
Short mentions say how often an entity comes up, as real text tells the famous from the obscure.
So a model trained on the corpus knows some facts well and others not at all, and what it knows has the shared
structure that familiarity has in real text.
"""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
import math
from statistics import NormalDist

import numpy as np

from raycalib.hashing import stable_uniform
from raycalib.prompts import NO_LABEL, YES_LABEL, Example, choice_context, open_ended_context, query_text
from raycalib.sources.facts.catalogue import all_facts, all_families
from raycalib.sources.facts.family import Fact
from raycalib.sources.facts.splits import is_pretrain_query


@dataclass(frozen=True, kw_only=True)
class CorpusConfig:
    """What the corpus is made of.

    Attributes:
        seed: of popularity and of every draw.
        popularity_sigma: standard deviation of an entity's log popularity.
        rank_share: correlation of an entity's popularity with its place in its table, in [0, 1].
        difficulty_spread: log difficulty of a family is uniform in ± this.
        open_ended, choice, query, mention: shares of the documents by kind; they sum to 1.
        hinted: share of the ``choice`` documents in which the answer stands before the options, at the beginning of
            the training. They teach to recall the answer at the end of the question, and to find it among the options.
        hinted_end: the same share at its end; it changes linearly, so that the help fades.
    """

    seed: int = 137
    popularity_sigma: float = 1.8
    rank_share: float = 0.8
    difficulty_spread: float = 0.5
    open_ended: float = 0.27
    choice: float = 0.53
    query: float = 0.06
    mention: float = 0.14
    hinted: float = 0.6
    hinted_end: float = 0.1


@dataclass(frozen=True)
class Document:
    """A text in parts, each with the weight of its tokens' loss."""

    parts: tuple[tuple[str, float], ...]

    @property
    def text(self) -> str:
        """The whole text."""
        return "".join(text for text, _ in self.parts)


PROMPT_WEIGHT = 0.2
LETTER_WEIGHT = 3.0
"""A letter is one token and counts as much as a longer answer."""
MENTIONS = ((1.0, "constantly"), (0.3, "often"), (-0.3, "sometimes"), (-1.0, "rarely"), (-math.inf, "hardly ever"))
"""What a mention says of an entity whose popularity (in standard deviations) is above the bound."""


def exposures(config: CorpusConfig) -> np.ndarray:
    """The share of the statements that state each fact, in the order of ``all_facts()``; sums to 1."""
    difficulty = [2 * stable_uniform("difficulty", config.seed, fact.family) - 1 for fact in all_facts()]
    logs = config.popularity_sigma * popularities(config) + config.difficulty_spread * np.array(difficulty)
    weights: np.ndarray = np.exp(logs)
    return weights / weights.sum()


def popularities(config: CorpusConfig) -> np.ndarray:
    """Popularity of each fact's entity in standard deviations, in the order of ``all_facts()``."""
    sizes: dict[str, int] = defaultdict(int)
    for fact in all_facts():
        sizes[_kind(fact)] = max(sizes[_kind(fact)], fact.rank + 1)
    return np.array([_popularity(fact, sizes[_kind(fact)], config) for fact in all_facts()])


def _kind(fact: Fact) -> str:
    return fact.entity.split(":")[0]


def _popularity(fact: Fact, size: int, config: CorpusConfig) -> float:
    normal = NormalDist()
    by_rank = normal.inv_cdf(1 - (fact.rank + 0.5) / size)
    drawn = normal.inv_cdf(min(max(stable_uniform("popularity", config.seed, fact.entity), 1e-9), 1 - 1e-9))
    share = config.rank_share
    return share * by_rank + math.sqrt(1 - share**2) * drawn


class Corpus:
    """An endless, seeded stream of documents.

    Uncertainty queries are made from ``pretrain_query`` facts alone, half of them about wrong proposals.
    """

    def __init__(self, config: CorpusConfig) -> None:
        self.config = config
        self.facts = all_facts()
        self.weights = exposures(config)
        self._families = all_families()
        query_weights = np.where([is_pretrain_query(fact) for fact in self.facts], self.weights, 0.0)
        self._query_weights = query_weights / query_weights.sum()
        self._popularity = popularities(config)
        self._mention_weights = np.exp(0.4 * config.popularity_sigma * self._popularity)
        self._mention_weights /= self._mention_weights.sum()

    def documents(self, count: int, rng: np.random.Generator, progress: float = 0.0) -> Iterator[Document]:
        """Draws so many documents, as they are after this share of the training."""
        hinted = self.config.hinted + progress * (self.config.hinted_end - self.config.hinted)
        shares = [self.config.open_ended, self.config.choice, self.config.query, self.config.mention]
        kinds = rng.choice(4, size=count, p=shares)
        stated = rng.choice(len(self.facts), size=count, p=self.weights)
        queried = rng.choice(len(self.facts), size=count, p=self._query_weights)
        mentioned = rng.choice(len(self.facts), size=count, p=self._mention_weights)
        for kind, fact, query_fact, mention in zip(kinds, stated, queried, mentioned, strict=True):
            if kind == 0:
                yield self._open_ended(self.facts[fact], rng)
            elif kind == 1:
                yield self._choice(self.facts[fact], hinted, rng)
            elif kind == 2:
                yield self._query(self.facts[query_fact], rng)
            else:
                yield self._mention(mention)

    def _question(self, fact: Fact, rng: np.random.Generator) -> str:
        phrasings = self._families[fact.family].phrasings
        return phrasings[rng.integers(len(phrasings))].format(subject=fact.subject)

    def _options(self, fact: Fact, rng: np.random.Generator) -> tuple[list[str], str]:
        wrong = rng.permutation(len(fact.distractors))[:3]
        options = [fact.answer, *(fact.distractors[index] for index in wrong)]
        order = rng.permutation(4)
        return [options[index] for index in order], "abcd"[int(np.flatnonzero(order == 0)[0])]

    def _open_ended(self, fact: Fact, rng: np.random.Generator) -> Document:
        example = Example(context=open_ended_context(self._question(fact, rng)), target=fact.answer)
        return Document(((example.text(), PROMPT_WEIGHT), (f" {fact.answer}\n\n", 1.0)))

    def _choice(self, fact: Fact, hinted: float, rng: np.random.Generator) -> Document:
        question = self._question(fact, rng)
        options, letter = self._options(fact, rng)
        prompt = Example(context=choice_context(question, options), target=letter).text()
        answer = ((f" {letter}", LETTER_WEIGHT), ("\n\n", 1.0))
        if rng.random() < hinted:
            asked = prompt.index(question) + len(question)
            return Document(
                (
                    (prompt[:asked], PROMPT_WEIGHT),
                    (f" {fact.answer}", 1.0),
                    (prompt[asked:], PROMPT_WEIGHT),
                    *answer,
                )
            )
        return Document(((prompt, PROMPT_WEIGHT), *answer))

    def _mention(self, index: int) -> Document:
        word = next(word for bound, word in MENTIONS if self._popularity[index] > bound)
        return Document(((f"{self.facts[index].subject} comes up", PROMPT_WEIGHT), (f" {word}\n\n", 1.0)))

    def _query(self, fact: Fact, rng: np.random.Generator) -> Document:
        question = self._question(fact, rng)
        right = rng.random() < 0.5
        if rng.random() < 0.5:
            wrong = fact.distractors[rng.integers(len(fact.distractors))]
            example = Example(context=open_ended_context(question), target=fact.answer)
            proposal = fact.answer if right else wrong
        else:
            options, letter = self._options(fact, rng)
            example = Example(context=choice_context(question, options), target=letter)
            proposal = letter if right else str(rng.choice([other for other in "abcd" if other != letter]))
        verdict = YES_LABEL if right else NO_LABEL
        prompt = query_text(example.text(), proposal)
        return Document(((prompt, PROMPT_WEIGHT), (f" {verdict}", LETTER_WEIGHT), ("\n\n", 1.0)))
