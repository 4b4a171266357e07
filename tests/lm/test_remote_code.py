"""Code that a model's files name is never run, whatever a terminal or a pipe answers."""

import ast
import json
from pathlib import Path
from typing import Any

import pytest

from raycalib.errors import ModelError
from raycalib.lm import find_shape, loading
from raycalib.lm.loading import load_causal_lm, load_tokenizer
from raycalib.lm.model_check import check_model
from raycalib.lm.names import find_model
from raycalib.lm.remote_code import refuse_code

PACKAGE = Path(__file__).parents[2] / "raycalib"

REFUSED: list[tuple[str, dict[str, Any], str]] = [
    ("config.json", {"auto_map": {"AutoConfig": "own.Config"}}, r"config\.json of .* names code .*own\.Config"),
    ("tokenizer_config.json", {"auto_map": {"AutoTokenizer": ["own.T", None]}}, r"tokenizer_config\.json of .*own\.T"),
    ("config.json", {"text_config": {"auto_map": {"AutoModel": "own.M"}}}, r"text_config\.auto_map: own\.M"),
    ("config.json", {"attn_implementation": "org/kernel"}, r"attn_implementation: org/kernel"),
    ("config.json", {"_attn_implementation": "org/kernel@main:fn"}, "_attn_implementation: org/kernel@main:fn"),
    ("config.json", {"attn_implementation": {"text_config": "org/kernel"}}, "attn_implementation: org/kernel"),
    ("config.json", {"experts_implementation": "org/moe"}, "experts_implementation: org/moe"),
    ("config.json", {"attn_implementation": "flash_attention_2"}, "attn_implementation: flash_attention_2"),
    ("config.json", {"use_kernels": True}, "use_kernels: True"),
    ("config.json", {"kernel_config": {"kernel_mapping": {"RMSNorm": "org/norm:Norm"}}}, "kernel_config: org/norm"),
    ("config.json", {"quantization_config": {"quant_method": "x", "kernel": "org/q"}}, r"quantization_config\.kernel"),
    ("config.json", {"quantization_config": {"auto_map": {"Q": "own.Q"}}}, r"quantization_config\.auto_map: own\.Q"),
    ("generation_config.json", {"custom_generate": "org/generate"}, "custom_generate: org/generate"),
]  # fmt: skip


def configure(directory: Path, name: str, changes: dict[str, Any]) -> None:
    file = directory / name
    file.write_text(json.dumps((json.loads(file.read_text()) if file.exists() else {}) | changes))


@pytest.mark.parametrize(("file", "changes", "message"), REFUSED)
def test_what_names_code_is_refused_before_anything_is_loaded(
    tiny_model_dir: Path, file: str, changes: dict[str, Any], message: str
) -> None:
    configure(tiny_model_dir, file, changes)
    source = find_model(str(tiny_model_dir))
    for do in (check_model, load_causal_lm, load_tokenizer):
        with pytest.raises(ModelError, match=message) as raised:
            do(source)
        assert "\n" not in str(raised.value)


def test_numbers_and_own_names_are_no_code(tiny_model_dir: Path) -> None:
    own = {"conv_kernel": 4, "kernel_size": [3, 3], "attn_implementation": "eager", "use_mamba_kernels": True}
    configure(tiny_model_dir, "config.json", own)
    configure(tiny_model_dir, "generation_config.json", {"cache_implementation": "static"})
    refuse_code(find_model(str(tiny_model_dir)))


def test_a_known_architecture_has_another_remedy(tiny_model_dir: Path) -> None:
    configure(tiny_model_dir, "config.json", {"auto_map": {"AutoConfig": "own.Config"}})
    with pytest.raises(ModelError, match="transformers has the architecture 'llama' of its own: leave auto_map out"):
        refuse_code(find_model(str(tiny_model_dir)))
    configure(tiny_model_dir, "config.json", {"model_type": "unheard_of"})
    with pytest.raises(ModelError, match="choose a model of an architecture that transformers has of its own"):
        refuse_code(find_model(str(tiny_model_dir)))


def test_yes_on_the_terminal_runs_no_code(
    tiny_model_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The loaders themselves are told so, whatever is checked before."""
    asked, mark = [], tmp_path / "has-run"
    (tiny_model_dir / "own.py").write_text(f"open({str(mark)!r}, 'w').write('x')\nclass Config: pass\nclass T: pass\n")
    of_model = {"model_type": "unheard_of", "auto_map": {"AutoConfig": "own.Config", "AutoModelForCausalLM": "own.T"}}
    configure(tiny_model_dir, "config.json", of_model)
    of_texts = {"tokenizer_class": "T", "auto_map": {"AutoTokenizer": ["own.T", None]}}
    configure(tiny_model_dir, "tokenizer_config.json", of_texts)
    monkeypatch.setattr("builtins.input", lambda prompt="": asked.append(prompt) or "yes")
    monkeypatch.setattr(loading, "refuse_code", lambda source: None)
    for load in (load_tokenizer, load_causal_lm, loading.load_empty, find_shape._hub_config):
        with pytest.raises(ModelError, match="contains custom code"):
            load(find_model(str(tiny_model_dir)))
    assert asked == []
    assert not mark.exists()


def loads(path: Path) -> list[tuple[int, bool]]:
    """Lines of a file that load by an Auto class of transformers that can run code, and whether each says no."""
    found = []
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
            continue
        owner = node.func.value
        is_auto = isinstance(owner, ast.Name) and owner.id.startswith("Auto")
        if is_auto and node.func.attr in ("from_pretrained", "from_config"):
            said = {word.arg: word.value for word in node.keywords}.get("trust_remote_code")
            found.append((node.lineno, isinstance(said, ast.Constant) and said.value is False))
    return found


def test_it_is_written_out_wherever_something_is_loaded() -> None:
    found = {str(path.relative_to(PACKAGE)): loads(path) for path in PACKAGE.rglob("*.py")}
    assert sum(map(len, found.values())) >= 5
    assert [f"{name}:{line}" for name, lines in found.items() for line, says_no in lines if not says_no] == []
