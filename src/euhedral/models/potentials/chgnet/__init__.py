"""CHGNet (Deng et al. 2023): `network` defines it, `inference` is the same network worked out by hand for speed."""

from euhedral.models.potentials.chgnet.network import CHGNet

__all__ = ["CHGNet"]
