import re

import pytest

from euhedral.campaign.citation import bibtex
from euhedral.errors import UnknownNameError
from euhedral.models.registry import ROWS


def test_authors_are_joined_as_bibtex_wants_them():
    for authors in re.findall(r"author = \{([^{].*?)\}", bibtex([row.name for row in ROWS])):
        assert "," not in authors
        assert all(part.strip() for part in authors.split(" and "))
    assert "author = {Goodall and Lee}" in bibtex(["roost"])


def test_weights_are_cited_by_their_system():
    assert bibtex(["roost-mp20"]).count("Goodall") == 1
    with pytest.raises(UnknownNameError, match="no system, weights"):
        bibtex(["rost-mp20"])
