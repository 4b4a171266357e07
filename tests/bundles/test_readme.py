"""The three lines of the README, on a bundle of the tiny model."""

from pathlib import Path
import re

import pytest

from tests.bundles.bundles import TinyLlama, made_bundle

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("document", ["README.md", "docs/asking.md"])
def test_the_lines_that_are_shown_answer(
    document: str,
    tiny_llama: TinyLlama,
    tiny_model_dir: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (lines,) = re.findall(r"^```python\n(.*?)^```", (ROOT / document).read_text("utf-8"), re.MULTILINE | re.DOTALL)
    assert len([line for line in lines.splitlines() if line]) == 3
    bundle = made_bundle(tiny_llama, tiny_model_dir, tmp_path)
    capsys.readouterr()
    exec(lines.replace("runs/demo/bundles/llama2-7b-oe", bundle.uri), {})
    assert re.match(r"\[Answer\(text='.*', p_correct=", capsys.readouterr().out)
