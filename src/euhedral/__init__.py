"""euhedral: machine learning on crystals, in one package."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

# Names are found on first use, so that importing the package is quick and changes nothing.
_PUBLIC = {
    "Crystal": "euhedral.core.crystal",
    "CrystalBatch": "euhedral.core.batch",
    "Failure": "euhedral.core.failure",
    "EuhedralError": "euhedral.errors",
}

__all__ = ["Crystal", "CrystalBatch", "EuhedralError", "Failure", "__version__"]

if TYPE_CHECKING:
    from euhedral.core.batch import CrystalBatch
    from euhedral.core.crystal import Crystal
    from euhedral.core.failure import Failure
    from euhedral.errors import EuhedralError


def __getattr__(name: str) -> Any:
    try:
        module = _PUBLIC[name]
    except KeyError:
        raise AttributeError(f"module 'euhedral' has no attribute {name!r}") from None
    return getattr(import_module(module), name)


def __dir__() -> list[str]:
    return __all__
