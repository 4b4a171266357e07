"""All families together: the same whatever the hash seed, large enough, each fact with enough wrong answers."""

import os
import subprocess
import sys

from raycalib.sources.facts.catalogue import HELDOUT_FAMILIES, all_facts, all_families

CODE = """
from raycalib.sources.question_sets import training_set
from raycalib.sources.registry import set_identity
from raycalib.sources.settings import SourceSettings
print(set_identity(training_set(SourceSettings(name="facts")), "oe")["content"])
"""


def fingerprint(hash_seed: str) -> str:
    environment = os.environ | {"PYTHONHASHSEED": hash_seed}
    done = subprocess.run([sys.executable, "-c", CODE], env=environment, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_facts_and_distractors_do_not_depend_on_the_hash_seed() -> None:
    assert len({fingerprint(hash_seed) for hash_seed in "0123"}) == 1


def test_there_are_enough_families_and_facts() -> None:
    families = all_families()
    assert len(families) >= 12
    assert len(all_facts()) >= 3500
    assert sum(len(families[name].facts) >= 100 for name in HELDOUT_FAMILIES) >= 3


def test_held_out_families_share_no_entity_with_others() -> None:
    held_out = {fact.entity for fact in all_facts() if fact.family in HELDOUT_FAMILIES}
    others = {fact.entity for fact in all_facts() if fact.family not in HELDOUT_FAMILIES}
    assert not held_out & others
