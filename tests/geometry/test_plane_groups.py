"""Plane groups: p4mm as the review's figure 4 prints it, and all 17 against International Tables."""

from __future__ import annotations

import numpy as np
import pytest

from euhedral.errors import InvalidRequestError
from euhedral.geometry.plane_groups import plane_group

#: Multiplicity, letter and site symmetry of every position, from "a" on (International Tables A 2002, part 6).
PRINTED = {
    "p1": "1a 1",
    "p2": "1a 2,1b 2,1c 2,1d 2,2e 1",
    "pm": "1a .m.,1b .m.,2c 1",
    "pg": "2a 1",
    "cm": "2a .m.,4b 1",
    "p2mm": "1a 2mm,1b 2mm,1c 2mm,1d 2mm,2e ..m,2f ..m,2g .m.,2h .m.,4i 1",
    "p2mg": "2a 2..,2b 2..,2c .m.,4d 1",
    "p2gg": "2a 2..,2b 2..,4c 1",
    "c2mm": "2a 2mm,2b 2mm,4c 2..,4d ..m,4e .m.,8f 1",
    "p4": "1a 4..,1b 4..,2c 2..,4d 1",
    "p4mm": "1a 4mm,1b 4mm,2c 2mm.,4d .m.,4e .m.,4f ..m,8g 1",
    "p4gm": "2a 4..,2b 2.mm,4c ..m,8d 1",
    "p3": "1a 3..,1b 3..,1c 3..,3d 1",
    "p3m1": "1a 3m.,1b 3m.,1c 3m.,3d .m.,6e 1",
    "p31m": "1a 3.m,2b 3..,3c ..m,6d 1",
    "p6": "1a 6..,2b 3..,3c 2..,6d 1",
    "p6mm": "1a 6mm,2b 3m.,3c 2mm,6d ..m,6e .m.,12f 1",
}
#: Coordinates of the special positions' first points where they say something of axes and origin.
FIRST = {
    ("p2", "b"): "0,1/2", ("p2", "c"): "1/2,0", ("pm", "a"): "0,y", ("pm", "b"): "1/2,y", ("cm", "a"): "0,y",
    ("p2mg", "c"): "1/4,y", ("c2mm", "c"): "1/4,1/4", ("p4gm", "b"): "1/2,0", ("p4gm", "c"): "x,x+1/2",
    ("p3m1", "b"): "1/3,2/3", ("p3m1", "d"): "x,-x", ("p31m", "c"): "x,0", ("p6mm", "d"): "x,0", ("p6mm", "e"): "x,-x",
}  # fmt: skip


@pytest.mark.parametrize("number", range(1, 18))
def test_positions_are_those_of_the_printed_tables(number):
    group = plane_group(number)
    found = ",".join(f"{p.multiplicity}{p.letter} {p.site_symmetry}" for p in group.positions)
    assert found == PRINTED[group.symbol]
    for position in group.positions:
        if (group.symbol, position.letter) in FIRST:
            assert position.coordinates[0] == FIRST[group.symbol, position.letter]


@pytest.mark.parametrize("number", range(1, 18))
def test_operations_are_a_group_and_the_asymmetric_unit_holds_each_point_once(number):
    group = plane_group(number)
    linear, shift = group.operators[:, :, :2], group.operators[:, :, 2]
    own = {
        (*a.ravel().astype(int).tolist(), *(np.round(b * 12).astype(int) % 12).tolist())
        for a, b in zip(linear, shift, strict=True)
    }
    assert len(own) == len(group.operators) == group.positions[-1].multiplicity
    for other, move in zip(linear, shift, strict=True):
        products = zip(linear @ other, linear @ move + shift, strict=True)
        assert {
            (*a.ravel().astype(int).tolist(), *(np.round(b * 12).astype(int) % 12).tolist()) for a, b in products
        } == own
    rng = np.random.default_rng(number)
    shifts = np.stack(np.meshgrid([-1, 0, 1], [-1, 0, 1], indexing="ij"), -1).reshape(-1, 2)
    for point in rng.random((200, 2)):
        images = linear @ point + shift
        images = ((images - np.floor(images))[:, None] + shifts).reshape(-1, 2)
        assert group.contains(images).sum() == 1
        assert group.contains(group.into_region(point))


def test_p4mm_is_as_figure_4_of_the_review_prints_it():
    group = plane_group(11)
    assert (group.symbol, group.space_group, len(group.operators)) == ("p4mm", 99, 8)
    table = {position.letter: position.coordinates for position in group.positions}
    assert table["a"] == ("0,0",)
    assert table["b"] == ("1/2,1/2",)
    assert set(table["c"]) == {"1/2,0", "0,1/2"}
    assert set(table["d"]) == {"x,0", "-x,0", "0,x", "0,-x"}
    assert set(table["e"]) == {"x,1/2", "-x,1/2", "1/2,x", "1/2,-x"}
    assert set(table["f"]) == {"x,x", "-x,-x", "-x,x", "x,-x"}
    assert set(table["g"]) == {"x,y", "-x,-y", "-y,x", "y,-x", "-x,y", "x,-y", "y,x", "-y,-x"}
    # "0 <= x <= 0.5; 0 <= y <= 0.5; x <= y" says of each orbit which point it is
    for position in group.positions:
        x, y = np.array([0.37, 0.21])
        orbit = position.orbit(np.array([x, y]))
        assert len({tuple(np.round(point, 9)) for point in orbit}) == position.multiplicity
        chosen = {tuple(np.round(group.into_region(point), 9)) for point in orbit}
        assert len(chosen) == 1
        ((u, v),) = chosen
        assert 0 <= u <= v <= 0.5


def test_an_18th_plane_group_is_refused():
    with pytest.raises(InvalidRequestError, match="18"):
        plane_group(18)
