"""Refuses a model that cannot be used, by its files alone: before Ray is started and before a question is written."""

from collections.abc import Collection
from dataclasses import replace

from raycalib.lm.architecture import check_layers, check_scored, check_targets
from raycalib.lm.loading import build_empty, load_empty, load_tokenizer, without_reports
from raycalib.lm.model_files import check_files, find_folder, has_tokenizer, read_settings
from raycalib.lm.names import ModelSource
from raycalib.lm.remote_code import refuse_code
from raycalib.lm.tokenizer_check import check_rows


def check_model(source: ModelSource, *, is_scored: bool = True, lora_targets: Collection[str] = ()) -> None:
    """Checks a model's configuration, tokenizer, names and shapes of tensors; no weight is read, so it takes a second.

    Of a hub id whose weights are not in the cache yet, the configuration alone says what is in the model; workers check
    the rest when they load it, and each time whether the weights are finite, which only reading them shows.

    Args:
        source: of the model, its revision looked up.
        is_scored: its query is to be asked, or its states are read; not of a judge.
        lora_targets: linear layers that are to be tuned, so that packed texts are read; none where nothing is.

    Raises:
        ModelError: it cannot be used, with the cause and the remedy in one line.
    """
    refuse_code(source)
    folder = find_folder(source)
    if folder is None:
        return
    files = check_files(source, folder)
    here = replace(source, path=str(folder), is_local=True, revision=None)
    tokenizer = load_tokenizer(here) if source.is_local or has_tokenizer(folder) else None
    # Where the files are quantized, the loader may need a GPU to say what belongs where.
    is_read = files is not None and not read_settings(here, "config.json").get("quantization_config")
    if not (is_read or is_scored or lora_targets):  # a judge that vLLM may know and transformers not
        return
    model = load_empty(here) if is_read else build_empty(here)
    if model is None:
        return
    if is_scored:
        check_scored(model, source)
    if lora_targets:
        check_targets(model, lora_targets)
        with without_reports():
            check_layers(model, source)
    if tokenizer is not None:
        check_rows(tokenizer, model, source)
