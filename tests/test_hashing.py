import hashlib
import os
import subprocess
import sys

import pytest

from raycalib.hashing import canonical_json, stable_hash, stable_seed, stable_uniform

SCRIPT = """
from raycalib.hashing import stable_hash, stable_seed, stable_uniform
config = {"b": [1, 2.5, None], "a": {"x": True, "é": "ü"}}
print(stable_hash("stage", config), stable_seed("order", 137, config), repr(stable_uniform("order", 137, config)))
"""


def run_with_hash_seed(seed: str) -> str:
    environment = {**os.environ, "PYTHONHASHSEED": seed}
    result = subprocess.run([sys.executable, "-c", SCRIPT], env=environment, capture_output=True, text=True, check=True)
    return result.stdout


def test_same_in_processes_with_other_hash_seeds() -> None:
    first = run_with_hash_seed("1")
    assert first == run_with_hash_seed("2")
    config = {"a": {"é": "ü", "x": True}, "b": [1, 2.5, None]}
    here = stable_hash("stage", config), stable_seed("order", 137, config), repr(stable_uniform("order", 137, config))
    assert first.split() == [str(value) for value in here]


def test_is_sha256_of_the_canonical_json() -> None:
    written_out = '["a",{"k":1,"l":[true,null]}]'
    assert stable_hash("a", {"l": [True, None], "k": 1}) == hashlib.sha256(written_out.encode()).hexdigest()[:16]


def test_canonical_json_has_sorted_keys_and_no_spaces() -> None:
    assert canonical_json({"b": 1, "a": ["é", 0.5]}) == '{"a":["é",0.5],"b":1}'


@pytest.mark.parametrize(
    ("left", "right"),
    [(("ab", "c"), ("a", "bc")), (("1",), (1,)), ((1, 2), (2, 1)), (("a",), ("a", None)), (([1, 2],), (1, 2))],
)
def test_different_parts_differ(left: tuple[object, ...], right: tuple[object, ...]) -> None:
    assert stable_hash(*left) != stable_hash(*right)
    assert stable_seed(*left) != stable_seed(*right)


def test_uniform_fills_the_unit_interval() -> None:
    draws = [stable_uniform("draw", index) for index in range(4000)]
    assert min(draws) >= 0
    assert max(draws) < 1
    # Mean and share below a quarter of 4,000 uniform draws, within five standard errors.
    assert abs(sum(draws) / 4000 - 0.5) < 5 * (1 / 12 / 4000) ** 0.5
    assert abs(sum(draw < 0.25 for draw in draws) / 4000 - 0.25) < 5 * (0.25 * 0.75 / 4000) ** 0.5


def test_uniform_and_seed_read_the_hash() -> None:
    digest = stable_hash("x", digits=64)
    assert stable_uniform("x") == int(digest[:13], 16) / 16**13
    assert stable_seed("x") == int(digest[:15], 16)


def test_seed_fits_a_signed_64_bit_integer() -> None:
    assert all(0 <= stable_seed("seed", index) < 2**63 for index in range(100))
