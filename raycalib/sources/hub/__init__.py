"""Questions from datasets on the hub: each source is a declaration, one machinery reads and renders them all."""

from raycalib.sources.hub.catalogue import HUB_SOURCES, hub_source, mixture_sources
from raycalib.sources.hub.conversion import SplitItems, convert_row, convert_rows, read_split
from raycalib.sources.hub.declaration import HubSource, ManualFile, OpenEndedText, PaperReading, StyleText
from raycalib.sources.hub.declared.mmlu_tasks import MMLU_PRO_CATEGORIES, MMLU_TASKS
from raycalib.sources.hub.item import Item, Refusal
from raycalib.sources.hub.loading import open_split
from raycalib.sources.hub.rendering import few_shot_header, render, render_split

__all__ = [
    "HUB_SOURCES",
    "MMLU_PRO_CATEGORIES",
    "MMLU_TASKS",
    "HubSource",
    "Item",
    "ManualFile",
    "OpenEndedText",
    "PaperReading",
    "Refusal",
    "SplitItems",
    "StyleText",
    "convert_row",
    "convert_rows",
    "few_shot_header",
    "hub_source",
    "mixture_sources",
    "open_split",
    "read_split",
    "render",
    "render_split",
]
