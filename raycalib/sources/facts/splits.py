"""Which split a fact belongs to: all its phrasings and both prompt styles share one.

The held-out families and the ``pretrain_query`` entities do not depend on the seed, because the committed
stand-in models were trained on them; the seed redraws the rest.
"""

from raycalib.hashing import stable_uniform
from raycalib.sources.facts.catalogue import HELDOUT_FAMILIES
from raycalib.sources.facts.family import Fact

PRETRAIN_QUERY = "pretrain_query"
TRAIN = "train"
VAL_SELECT = "val_select"
VAL_CALIBRATE = "val_calibrate"
TEST = "test"
HELDOUT = "heldout_families"
SPLITS = (TRAIN, VAL_SELECT, VAL_CALIBRATE, TEST, HELDOUT)
"""The splits that questions are drawn for; ``pretrain_query`` is for the stand-ins' corpus alone."""

PRETRAIN_QUERY_SHARE = 0.20
TEST_ONLY_SHARE = 0.14
SHARED_SPLITS = ((TRAIN, 0.66), (VAL_SELECT, 0.10), (VAL_CALIBRATE, 0.10), (TEST, 0.14))
"""Shares of the facts whose entity may occur in several splits."""


def split_of(fact: Fact, seed: int) -> str:
    """The fact's split.

    Whole entities go to ``pretrain_query`` and to the part of ``test`` whose entities occur nowhere else;
    the facts of the other entities are dealt one by one.
    """
    if fact.family in HELDOUT_FAMILIES:
        return HELDOUT
    if is_pretrain_query(fact):
        return PRETRAIN_QUERY
    if is_test_only(fact.entity, seed):
        return TEST
    draw = stable_uniform("split", seed, fact.family, fact.entity)
    for name, share in SHARED_SPLITS:
        draw -= share
        if draw < 0:
            return name
    return SHARED_SPLITS[-1][0]


def is_pretrain_query(fact: Fact) -> bool:
    """Whether the stand-ins' corpus may hold uncertainty queries about the fact, whatever the seed."""
    return fact.family not in HELDOUT_FAMILIES and (
        stable_uniform("pretrain_query", fact.entity) < PRETRAIN_QUERY_SHARE
    )


def is_test_only(entity: str, seed: int) -> bool:
    """Whether all facts about the entity are test facts."""
    return stable_uniform("test_only", seed, entity) < TEST_ONLY_SHARE
