"""What tokens cost: a JSON table that a user can replace."""

from dataclasses import dataclass
from importlib import resources
import json
import math
from pathlib import Path
from typing import Any

from raycalib.errors import ConfigError

PER = 1_000_000
EXAMPLE = '{"models": {"MODEL": {"input": 0.15, "output": 0.6, "as_of": "2026-11-24", "source": "…"}}}'


@dataclass(frozen=True, kw_only=True)
class Price:
    """US dollars per million tokens, with the day and the place of the figure."""

    input: float
    output: float
    as_of: str = ""
    source: str = ""

    def cost_usd(self, tokens_in: float, tokens_out: float) -> float:
        """Of so many tokens.

        >>> Price(input=2.0, output=8.0).cost_usd(500_000, 250_000)
        3.0
        """
        return (tokens_in * self.input + tokens_out * self.output) / PER


def find_price(model: str, table: str | None) -> Price | None:
    """The model's price, None where the table does not have it.

    Args:
        model: as the server calls it.
        table: path of a JSON file; None is the one that comes with raycalib.

    Raises:
        ConfigError: the file cannot be read, or is not a price table.
    """
    where = table or "the price table of raycalib"
    try:
        text = Path(table).read_text("utf-8") if table else _own_table()
        models = json.loads(text)["models"]
        entry = models.get(model)
        return None if entry is None else _price(entry)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ConfigError(f"price_table: {where} cannot be used ({error!r}); it has the form {EXAMPLE}") from error


def price_for_limit(model: str, table: str | None) -> Price:
    """The model's price where a cost limit depends on it.

    Raises:
        ConfigError: see ``find_price``, or the model is not in the table.
    """
    price = find_price(model, table)
    if price is None:
        raise ConfigError(
            f"max_cost_usd: the price of {model!r} is not known; name a file with it by --price-table, of the form "
            f"{EXAMPLE} (0 for a server of your own), or leave --max-cost-usd out"
        )
    return price


def _own_table() -> str:
    return resources.files("raycalib.judging").joinpath("prices.json").read_text("utf-8")


def _price(entry: dict[str, Any]) -> Price:
    price = Price(**{name: entry[name] for name in ("input", "output", "as_of", "source") if name in entry})
    for figure in (price.input, price.output):
        if isinstance(figure, bool) or not isinstance(figure, int | float) or not 0 <= figure < math.inf:
            raise ValueError(f"{figure!r} is no price")
    return price
