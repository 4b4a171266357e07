"""What an hour of a GPU costs and how fast it is taken to be: a JSON table that a user can replace."""

from dataclasses import dataclass, fields
from importlib import resources
import json
import math
from pathlib import Path
from typing import Any

from raycalib.config import PipelineConfig
from raycalib.errors import ConfigError

EXAMPLE = (
    '{"gpus": {"H100": {"dollars_per_hour": 3.99, "tflops": 989, "utilisation": 0.35, "gb_per_second": 3350, '
    '"memory_gib": 79, "as_of": "2026-11-09", "source": "…"}}}'
)

MOST = dict.fromkeys(("dollars_per_hour", "tflops", "gb_per_second", "memory_gib"), math.inf) | {"utilisation": 1.0}


@dataclass(frozen=True, kw_only=True)
class GpuPrice:
    """A GPU, its price and its assumed speed.

    Attributes:
        name: in the table.
        dollars_per_hour: of one.
        tflops: peak of dense bfloat16 products, in 10^12 operations a second.
        utilisation: share of it that is reached, in (0, 1].
        gb_per_second: that are read of its memory, in 10^9 bytes.
        memory_gib: as the driver reports it.
        as_of, source: day and place of the price.
    """

    name: str
    dollars_per_hour: float
    tflops: float
    utilisation: float
    gb_per_second: float
    memory_gib: float
    as_of: str = ""
    source: str = ""

    def __post_init__(self) -> None:
        for field, most in MOST.items():
            value = getattr(self, field)
            is_number = isinstance(value, int | float) and not isinstance(value, bool)
            if (
                not is_number
                or not 0 <= value <= most
                or math.isinf(value)
                or (field != "dollars_per_hour" and not value)
            ):
                raise ValueError(f"{field} of {self.name} is {value!r}")

    def hours(self, flops: float) -> float:
        """Of one GPU, for so many operations.

        >>> GpuPrice(
        ...     name="H", dollars_per_hour=2, tflops=1000, utilisation=0.5, gb_per_second=3000, memory_gib=79
        ... ).hours(3.6e18)
        2.0
        """
        return flops / (self.tflops * 1e12 * self.utilisation) / 3600


def price_of(config: PipelineConfig) -> GpuPrice | None:
    """Of the GPUs that workers have; None where models compute on CPUs.

    Raises:
        ConfigError: see ``gpu_price``.
    """
    return gpu_price(config.planning.gpu, config.planning.prices) if config.ray.on_gpu else None


def gpu_price(name: str, table: str | None) -> GpuPrice:
    """The GPU's entry.

    Args:
        name: as the table has it.
        table: path of a JSON file; None is the one that comes with raycalib.

    Raises:
        ConfigError: the file cannot be read, is no such table, or does not have the GPU.
    """
    where = table or "the table of raycalib"
    try:
        gpus: dict[str, dict[str, Any]] = json.loads(Path(table).read_text("utf-8") if table else _own_table())["gpus"]
        if name in gpus:
            known = {each.name for each in fields(GpuPrice)} - {"name"}
            return GpuPrice(name=name, **{key: value for key, value in gpus[name].items() if key in known})
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ConfigError(f"planning.prices: {where} cannot be used ({error!r}); it has the form {EXAMPLE}") from error
    raise ConfigError(
        f"planning.gpu: {name!r} is not in {where}, which has {', '.join(gpus)}; name one of them, or a file with it "
        f"by --planning.prices, of the form {EXAMPLE}"
    )


def _own_table() -> str:
    return resources.files("raycalib.plans").joinpath("gpu_prices.json").read_text("utf-8")
