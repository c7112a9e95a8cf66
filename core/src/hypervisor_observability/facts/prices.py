"""What tokens cost where nobody told it: an estimate by the prices of the package genai-prices.

The package is imported when the first cost is estimated. Its prices are those that came with it:
nothing is fetched, so the same events give the same estimates in every process that has the same
version, whose name stands for the date of the prices.
"""

from collections.abc import Callable, Iterator
from datetime import datetime
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from ..text.limited_log import LimitedLog

PACKAGE = "genai-prices"
CURRENCY = "USD"
"""Of all its prices (genai-prices, ``PriceCalculation``)."""

MAX_MODELS = 1_000
"""Most models that are looked up; of further ones no price is known."""
_MAX_CHARACTERS = 128
_MODULE = "genai_prices"

_Name = tuple[str | None, str]
"""A provider and a model, as the package calls them."""


class Prices:
    """The prices of the package.

    Attributes:
        name: Which prices these are: the package and its version.
    """

    def __init__(self) -> None:
        self.name = _package_and_version()
        self._calculate: Callable[[_Name, int, int, datetime], float] | None = None
        self._is_usable = True
        self._names: dict[_Name, _Name | None] = {}
        self._log = LimitedLog(__name__)

    def cost(
        self, model: str, provider: str, input_tokens: int, output_tokens: int, when: datetime
    ) -> float | None:
        """Estimate what tokens cost, in ``CURRENCY``. Never raises.

        Args:
            model: The model, also with its provider before ``/`` or ``:``.
            provider: Who served it, as OpenTelemetry or the package calls it; empty: the one
                whose model that is.
            input_tokens: Tokens that it read.
            output_tokens: Tokens that it wrote.
            when: The time whose prices hold.

        Returns:
            None where no price is known.
        """
        told = (provider or None, model)
        if told not in self._names:
            if len(model) > _MAX_CHARACTERS or len(provider) > _MAX_CHARACTERS:
                return None
            if len(self._names) >= MAX_MODELS:
                return None
            self._names[told] = next(
                (one for one in _names_for(*told) if self._price(one, 1, 1, when) is not None),
                None,
            )
        name = self._names[told]
        return None if name is None else self._price(name, input_tokens, output_tokens, when)

    def _price(
        self, name: _Name, input_tokens: int, output_tokens: int, when: datetime
    ) -> float | None:
        if not self._is_usable:
            return None
        try:
            if self._calculate is None:
                self._calculate = _calculation()
            return self._calculate(name, input_tokens, output_tokens, when)
        except LookupError:
            return None
        except ImportError as error:
            self._is_usable = False
            self._log.warning("import", "no cost is estimated", error=error)
        except Exception as error:  # noqa: BLE001 - somebody else's code: an estimate fails alone
            self._log.warning("price", "a cost was not estimated", error=error)
        return None


def _package_and_version() -> str:
    try:
        return f"{PACKAGE} {version(PACKAGE)}"
    except PackageNotFoundError:  # a copy of its module alone
        return PACKAGE


def _calculation() -> Callable[[_Name, int, int, datetime], float]:
    data: Any = import_module(f"{_MODULE}.data")
    usage_of = import_module(_MODULE).Usage
    # One of our own: that of the package is replaced where the application fetches prices.
    snapshot = import_module(f"{_MODULE}.data_snapshot").DataSnapshot(
        providers=data.providers, from_auto_update=False
    )

    def calculate(name: _Name, input_tokens: int, output_tokens: int, when: datetime) -> float:
        provider, model = name
        used = usage_of(input_tokens=input_tokens, output_tokens=output_tokens)
        return float(snapshot.calc(used, model, provider, None, when).total_price)

    return calculate


def _names_for(provider: str | None, model: str) -> Iterator[_Name]:
    """Give what the package may call a model, the likeliest first."""
    before = [model.partition(mark) for mark in "/:"]
    parts = [(prefix, rest) for prefix, mark, rest in before if mark and prefix and rest]
    if provider is None:
        yield from parts
        yield None, model
        return
    # The conventions of OpenTelemetry write x_ai and mistral_ai where the package has a hyphen.
    for name in dict.fromkeys((provider, provider.replace("_", "-"))):
        yield name, model
        yield from ((name, rest) for _, rest in parts)
