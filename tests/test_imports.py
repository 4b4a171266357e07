"""Which part of the package may import which, read from the source with ast; nothing is imported here."""

import ast
from collections.abc import Iterator
from pathlib import Path
import textwrap
from typing import NamedTuple

import pytest

PACKAGE = Path(__file__).parents[1] / "raycalib"

ALLOWED: dict[str, set[str]] = {
    "secrets": set(),
    "errors": {"secrets"},
    "hashing": set(),
    "imports": set(),
    "records": set(),
    "addresses": set(),
    "printable": {"secrets"},
    "console": {"printable", "secrets"},
    "storage": {"addresses", "errors", "records", "secrets"},
    "run_logs": {"errors", "printable", "secrets", "storage"},
    "metrics": {"errors"},
    "prompts": set(),
    "sources": {"errors", "hashing", "prompts", "records", "storage"},
    "lm": {"errors", "hashing", "prompts", "records", "secrets", "sources", "storage"},
    "judging": {"errors", "hashing", "secrets", "storage"},
    "tuning": {"errors", "hashing", "lm", "metrics", "prompts", "storage"},
    "evaluation": {"metrics", "records"},
    "reports": {"errors", "evaluation", "printable"},
    "bundles": {
        "errors",
        "evaluation",
        "hashing",
        "lm",
        "metrics",
        "printable",
        "prompts",
        "records",
        "storage",
        "tuning",
    },
    "stages": {
        "bundles",
        "console",
        "errors",
        "evaluation",
        "hashing",
        "judging",
        "lm",
        "metrics",
        "printable",
        "prompts",
        "records",
        "reports",
        "run_logs",
        "secrets",
        "sources",
        "storage",
        "tuning",
    },
    "config": {"addresses", "errors", "evaluation", "judging", "lm", "records", "sources", "stages", "tuning"},
    "recipes": {"config", "errors", "lm", "sources", "stages", "tuning"},
    "recorded": {"config", "errors", "storage"},
    "plans": {"config", "errors", "evaluation", "judging", "lm", "printable", "sources", "tuning"},
    "sweeps": {
        "config",
        "errors",
        "evaluation",
        "hashing",
        "lm",
        "metrics",
        "plans",
        "printable",
        "reports",
        "storage",
        "tuning",
    },
    "doctor": {
        "config",
        "errors",
        "judging",
        "lm",
        "plans",
        "printable",
        "secrets",
        "sources",
        "stages",
        "storage",
        "tuning",
    },
    "steps": {
        "bundles",
        "config",
        "errors",
        "evaluation",
        "hashing",
        "judging",
        "lm",
        "plans",
        "printable",
        "prompts",
        "records",
        "recorded",
        "reports",
        "sources",
        "stages",
        "storage",
        "sweeps",
        "tuning",
    },
    "list_flags": {"errors"},
    "cli": {"addresses", "config", "console", "errors", "list_flags", "printable", "recipes", "run_logs", "secrets"},
    "sweep_recipes": {"cli", "lm"},
    "main": set(),
}
"""What each top-level part imports beside itself; the order of the keys is the order of the layers."""

SETTINGS_ONLY = {"config", "recipes"}
"""Parts that read the stages' settings and nothing else of the stages, so that they do not load Ray."""

WITHOUT_RAY = {
    "secrets",
    "addresses",
    "printable",
    "console",
    "run_logs",
    "metrics",
    "prompts",
    "records",
    "storage",
    "sources",
    "lm",
    "judging",
    "tuning",
    "evaluation",
    "reports",
    "config",
    "recipes",
    "recorded",
    "bundles",
    "plans",
    "sweeps",
}
INSIDE_FUNCTIONS_ONLY = {"deepspeed", "datasets", "mlflow", "jsonschema", "openai", "optuna", "tyro", "vllm", "wandb"}


class Import(NamedTuple):
    """One imported module, absolute, and whether the statement stands inside a function."""

    module: str
    in_function: bool


def imports_of(tree: ast.AST, package: str, in_function: bool = False) -> Iterator[Import]:
    """All imports of a syntax tree; ``from a import b`` may name the module a.b, so both are given."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Import):
            yield from (Import(alias.name, in_function) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parents = package.split(".")
            start = ".".join(parents[: len(parents) - node.level + 1]) if node.level else ""
            module = ".".join(part for part in (start, node.module) if part)
            yield Import(module, in_function)
            yield from (Import(f"{module}.{alias.name}", in_function) for alias in node.names)
        inner = in_function or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        yield from imports_of(node, package, inner)


def layer_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def module_files() -> list[Path]:
    return [path for path in sorted(PACKAGE.rglob("*.py")) if layer_of(path) != "__init__"]


def read_imports(path: Path) -> list[Import]:
    package = ".".join(("raycalib", *path.relative_to(PACKAGE).parts[:-1]))
    return list(imports_of(ast.parse(path.read_text(encoding="utf-8")), package))


def name(path: Path) -> str:
    return str(path.relative_to(PACKAGE))


def test_the_table_names_every_part() -> None:
    assert {layer_of(path) for path in module_files()} == set(ALLOWED)


def test_the_table_runs_one_way() -> None:
    order = list(ALLOWED)
    for layer, allowed in ALLOWED.items():
        assert allowed <= set(order[: order.index(layer)]), f"{layer} may not import what stands after it"


@pytest.mark.parametrize("path", module_files(), ids=name)
def test_only_allowed_parts_are_imported(path: Path) -> None:
    layer = layer_of(path)
    used = {item.module.split(".")[1] for item in read_imports(path) if item.module.startswith("raycalib.")}
    assert used - {layer} <= ALLOWED[layer]


@pytest.mark.parametrize("path", [path for path in module_files() if layer_of(path) in SETTINGS_ONLY], ids=name)
def test_the_configuration_reads_only_the_settings_of_the_stages(path: Path) -> None:
    of_stages = {item.module for item in read_imports(path) if item.module.startswith("raycalib.stages")}
    assert of_stages <= {"raycalib.stages.settings", "raycalib.stages.settings.RaySettings"}


@pytest.mark.parametrize("path", [path for path in module_files() if layer_of(path) in WITHOUT_RAY], ids=name)
def test_the_core_never_imports_ray(path: Path) -> None:
    assert "ray" not in {item.module.split(".")[0] for item in read_imports(path)}


@pytest.mark.parametrize("path", [PACKAGE / "__init__.py", *module_files()], ids=name)
def test_heavy_packages_are_imported_inside_functions(path: Path) -> None:
    outside = {item.module.split(".")[0] for item in read_imports(path) if not item.in_function}
    assert not outside & INSIDE_FUNCTIONS_ONLY


def test_the_reader_sees_every_kind_of_import() -> None:
    source = textwrap.dedent(
        """
        import ray.data as data
        from raycalib import lm
        from . import settings
        from ..storage import Location
        if True:
            import tyro
        class A:
            import openai
            def f(self):
                from deepspeed.utils import x
        """
    )
    found = list(imports_of(ast.parse(source), "raycalib.stages"))
    assert Import("ray.data", False) in found
    assert Import("raycalib.lm", False) in found
    assert Import("raycalib.stages.settings", False) in found
    assert Import("raycalib.storage", False) in found
    assert Import("tyro", False) in found
    assert Import("openai", False) in found
    assert Import("deepspeed.utils", True) in found
