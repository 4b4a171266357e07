"""How templates of pages are filled: all text is escaped, and none steers how it is shown."""

from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from raycalib.printable import printable_lines


def page_environment(package: str) -> Environment:
    """Of the templates of a package; a name that is not given is an error."""
    return Environment(
        loader=PackageLoader(package),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_shown,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _shown(value: Any) -> Any:
    """What stands for a value of the template: in names a change of direction would show the page another way."""
    return printable_lines(value) if isinstance(value, str) and not isinstance(value, Markup) else value
