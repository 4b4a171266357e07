"""Whether methods that are given fit the model they are evaluated on: by names and shapes, before a run starts."""

from collections.abc import Sequence
from dataclasses import replace

from raycalib.lm.adapter_files import parse_adapter, read_adapter
from raycalib.lm.adapters import check_fits
from raycalib.lm.loading import build_empty
from raycalib.lm.logits import state_size
from raycalib.lm.model_files import find_folder
from raycalib.lm.names import ModelSource
from raycalib.stages.given.methods import GivenMethod
from raycalib.tuning.probe_files import load_probe


def check_methods_fit(methods: Sequence[GivenMethod], source: ModelSource) -> None:
    """Checks that adapters and classifiers are of the model's sizes; no weight of the model is read.

    A model whose configuration is not in the hub's cache yet is left to the workers, who load it.

    Args:
        methods: as given.
        source: of the model that is evaluated, its revision looked up.

    Raises:
        ModelError: one does not fit, such as an adapter of a model of another depth or width.
    """
    folder = find_folder(source)
    if folder is None:
        return
    here = replace(source, path=str(folder), is_local=True, revision=None)
    for method in methods:
        model = build_empty(here)
        if model is None:
            return
        if method.head is not None:
            load_probe(method.head, method.head_name, state_size(model))
        if method.adapter is not None:
            check_fits(parse_adapter(read_adapter(method.adapter), method.adapter.uri), model, method.adapter.uri)
