r"""Makes a bundle of an adapter that the paper's code saved, or that its authors released.

python jobs/convert.py --adapter paper:mistral:7b-instruct/oe --out bundles/mistral-7b-instruct-oe
python jobs/convert.py --adapter /data/Llama-2-13b-chat-hf-ct-choice --out bundles/llama2-13b-chat-choice
python jobs/convert.py --adapter logs/checkpoint-5000 --base meta-llama/Llama-2-7b-hf --style oe \
    --temperature logs/checkpoint-5000/query_temperature_head.bin --out bundles/mine
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from raycalib.cli import run_job, simple_config
from raycalib.errors import ConfigError

DESCRIPTION = """Makes a bundle of an adapter that the paper's code saved, with temperature and classifier beside it.

  --adapter paper:MODEL/STYLE     released by the paper's authors, by name: paper:llama2:13b-chat/choice
  --adapter DIR                   a directory with adapter_config.json and adapter_model.safetensors; a temperature
                                  (temperature_model.pt, query_temperature_head.bin) and a classifier
                                  (classifier_model.bin) beside them are taken
  --base, --style                 what the directory's name does not say

LoRA's matrices are taken; embeddings that were saved with them are compared with the base model's and left. Pickles are
read as tensors alone, which runs no code, and written as safetensors. Ask the bundle by jobs/ask.py."""


@dataclass(frozen=True, kw_only=True)
class ConvertConfig:
    """What is converted, and where to.

    Attributes:
        adapter: paper:MODEL/STYLE, a directory or an fsspec URI.
        out: directory of the bundle, empty or new.
        base: the base model: one of the paper's names, a hub id or a directory; None is what the adapter's name says.
        model_root: a directory with one directory per name (llama2-7b, …) in place of the hub.
        style: oe or choice; None is what the adapter's name says.
        temperature: a file in place of one beside the adapter.
    """

    adapter: str = ""
    out: str = ""
    base: str | None = None
    model_root: str | None = None
    style: Literal["oe", "choice"] | None = None
    temperature: str | None = None


def main(arguments: Sequence[str]) -> None:
    """Converts; what needs torch is imported only once the command line is right."""
    config = simple_config(ConvertConfig, arguments, DESCRIPTION)
    for name in ("adapter", "out"):
        if not getattr(config, name):
            raise ConfigError(f"{name}: name a place by --{name}")
    from raycalib.bundles.convert import Conversion, convert
    from raycalib.bundles.paper_models import PREFIX, fetch, of_repository, paper_model
    from raycalib.lm.loading import pin_revision
    from raycalib.lm.names import find_model
    from raycalib.storage import Location

    known = paper_model(config.adapter) if config.adapter.startswith(PREFIX) else of_repository(config.adapter)
    base, style = config.base or (known.base if known else None), config.style or (known.style if known else None)
    if base is None or style is None:
        raise ConfigError(
            f"base, style: {config.adapter} does not say what it is; give --base MODEL and --style oe|choice"
        )
    source = pin_revision(find_model(base, config.model_root))
    adapter = fetch(known) if known and config.adapter.startswith(PREFIX) else Location(config.adapter)
    folder, _, name = (config.temperature or "").rpartition("/")
    wanted = Conversion(
        adapter=adapter,
        base=source,
        style=style,
        temperature=(Location(folder or "."), name) if name else None,
        source="all_20k_uniform" if known else "not recorded",
    )
    bundle = convert(wanted, Location(config.out).absolute())
    print(f"Bundle, to ask by jobs/ask.py --bundle: {bundle.uri}")


def command() -> None:
    """The job as a program."""
    run_job(main)


if __name__ == "__main__":
    command()
