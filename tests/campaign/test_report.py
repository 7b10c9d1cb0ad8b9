from __future__ import annotations

import json
import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest

from euhedral.campaign.report import render, write_report
from euhedral.campaign.report_data import Candidate, Interval, ReferencePhase, ReportData, Stage
from euhedral.campaign.report_payload import payload, stability, tie_lines
from euhedral.core.crystal import Crystal
from euhedral.core.files import parse
from euhedral.data.quantities import quantity
from euhedral.errors import RunFolderError

HOSTILE = "</script><script>alert('x')</script> & \"quotes\" <b>"
SALT = Crystal(
    cell=2.8 * np.array([[0, 1, 1], [1, 0, 1], [1, 1, 0.0]]),
    frac=[[0, 0, 0], [0.5, 0.5, 0.5]],
    numbers=[11, 17],
    id="salt",
)


def candidate(rank: int, **changes) -> Candidate:
    basis = Candidate(
        rank=rank,
        crystal=SALT.replace(id=f"salt-{rank}"),
        space_group=225,
        space_group_symbol="F m -3 m",
        hull_distance=-0.012,
        formation_energy=-2.031,
        predictions={"band_gap": Interval(value=5.12, lower=4.4, upper=5.9, meets_target=True)},
        charge_balanced=True,
        oxidation_states="Na+ Cl-",
        proposer="substitution from mp-22862",
        relaxation="converged in 41 steps",
    )
    return replace(basis, **changes)


@pytest.fixture
def data() -> ReportData:
    return ReportData(
        question="New crystals of Na and Cl with a gap above 1 eV",
        command='euhedral discover --elements Na,Cl --target "band_gap > 1"',
        elements=("Na", "Cl"),
        candidates=(
            candidate(1),
            candidate(2, known="mp-22862 of MP-20", hull_distance=0.05, charge_balanced=False, notes=("watch this",)),
            candidate(3, hull_distance=float("nan"), formation_energy=None, predictions={}, implausible_oxidation=True),
            candidate(4, predictions={"band_gap": Interval(value=0.2, lower=0, upper=1, unlike_training=True)}),
        ),
        quantities=(quantity("band_gap"),),
        targets={"band_gap": "> 1"},
        references=(
            ReferencePhase(id="mp-1", composition={"Na": 1}, formation_energy=0.0, hull_distance=0.0),
            ReferencePhase(id="mp-2", composition={"Cl": 1}, formation_energy=0.0, hull_distance=0.0),
            ReferencePhase(id="mp-3", composition={"Cl": 4, "Na": 4}, formation_energy=-2.0, hull_distance=0.0),
        ),
        hull_method="relaxed with one potential",
        funnel=(Stage("proposed", 64), Stage("valid", 50, {"atoms too close": 14})),
        proposers={"substitution": {"proposed": 40, "kept": 30.0}},
        machine={"CPU": "a processor"},
        versions={"euhedral": "0.1.0"},
        seeds={"substitution": 7},
        timings={"relax": 12.34},
        caveats=("measured gaps are larger",),
        created="2026-01-02T03:04:05Z",
        run="salt",
    )


def embedded(page: str) -> dict:
    (text,) = re.findall(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)
    return json.loads(text, parse_constant=pytest.fail)


def test_everything_that_was_found_is_on_the_page(data):
    page = render(data)
    for text in (
        "New crystals of Na and Cl", "band_gap &gt; 1", 'F m <span class="bar">3</span> m', "−0.012", "5.12", "4.40 to 5.90",
        "substitution from mp-22862", "known: mp-22862 of MP-20", "charges do not balance", "unusual oxidation state",
        "unlike training data", "watch this", "not known", "Kohn-Sham", "14 atoms too close", "a processor", "12.3 s",
        "measured gaps are larger", "2026-01-02T03:04:05Z",
    ):  # fmt: skip
        assert text in page, text


def test_the_page_stands_alone(data):
    page = render(data)
    assert "{{" not in page
    assert re.findall(r"https?://[^\s\"'<]+", page.replace("http://www.w3.org/2000/svg", "")) == []
    assert re.findall(r"<(?:link|img|iframe|script[^>]*\ssrc)[\s>]", page) == []
    assert not re.search(r"\b(?:fetch|import|XMLHttpRequest|eval)\s*\(|url\(", page)


def test_the_tags_close(data):
    class Balance(HTMLParser):
        def __init__(self):
            super().__init__()
            self.open: list[str] = []

        def handle_starttag(self, tag, attrs):
            if tag not in {"meta", "input", "br"}:
                self.open.append(tag)

        def handle_endtag(self, tag):
            assert self.open.pop() == tag

    parser = Balance()
    parser.feed(render(data))
    assert parser.open == []


def test_text_of_users_and_files_is_never_markup(data):
    hostile = replace(
        data,
        question=HOSTILE,
        command=HOSTILE,
        run=HOSTILE,
        caveats=(HOSTILE,),
        machine={HOSTILE: HOSTILE},
        proposers={HOSTILE: {HOSTILE: 1.0}},
        funnel=(Stage(HOSTILE, 3, {HOSTILE: 1}),),
        references=(ReferencePhase(id=HOSTILE, composition={"Na": 1}, formation_energy=0, hull_distance=0),),
        candidates=(
            candidate(1, proposer=HOSTILE, known=HOSTILE, notes=(HOSTILE[:60],), crystal=SALT.replace(id=HOSTILE), space_group_symbol=HOSTILE),
        ),
    )  # fmt: skip
    page = render(hostile)
    assert "<script>alert" not in page
    assert page.count("<script") == render(data).count("<script")
    assert embedded(page)["candidates"][0]["proposer"] == HOSTILE


def test_the_scripts_have_crystals_peaks_and_hull(data):
    content = embedded(render(data))
    first = content["candidates"][0]
    assert first["class"] == "stable"
    assert first["x"] == [0.5, 0.5]
    assert first["symbols"] == ["Na", "Cl"]
    assert first["peaks"][1][2] == "2 0 0" or len(first["peaks"]) > 5
    (back,) = parse(first["cif"], format="cif", name="back")
    np.testing.assert_array_equal(back.frac, SALT.frac)
    assert content["candidates"][2]["hull"] is None
    assert content["references"][2]["formula"] == "NaCl"
    assert content["ties"] == [[0, 2], [1, 2]]
    assert content["style"]["Na"]["colour"] == "#ab5cf2"


def test_tie_lines_join_phases_that_coexist():
    def phase(energy, **composition):
        return ReferencePhase(id="", composition=composition, formation_energy=energy, hull_distance=0.0)

    references = [phase(0, Li=1), phase(0, Mn=1), phase(0, O=1), phase(-2, Li=2, O=1), phase(-2, Mn=1, O=1)]
    ties = tie_lines(references, elements=("Li", "Mn", "O"))
    assert (3, 4) in ties
    assert (0, 2) not in ties
    assert tie_lines(references[1:], elements=("Li", "Mn", "O")) == []
    assert tie_lines(references, elements=("Li", "Mn", "O", "P")) == []


@pytest.mark.parametrize(
    ("distance", "kind"), [(-0.1, "stable"), (0.0005, "stable"), (0.1, "near"), (0.11, "far"), (None, "unknown")]
)
def test_distances_are_sorted_into_words(distance, kind):
    assert stability(distance) == kind


def test_a_run_without_candidates_still_has_a_report(data):
    empty = replace(data, candidates=(), references=(), interrupted=True)
    page = render(empty)
    assert "stopped before its end" in page
    assert payload(empty)["candidates"] == []


def test_a_score_has_its_column_when_there_is_one(data):
    assert 'data-key="score"' not in render(data)
    page = render(replace(data, candidates=(candidate(1, score=0.734), candidate(2))))
    assert 'data-key="score"' in page
    assert ">0.73<" in page


def test_an_element_without_scattering_factors_has_no_peaks(data):
    heavy = candidate(1, crystal=SALT.replace(numbers=[118, 17]))
    assert payload(replace(data, candidates=(heavy,)))["candidates"][0]["peaks"] == []


def test_the_file_appears_whole_or_not_at_all(tmp_path, data):
    path = write_report(tmp_path / "run" / "report.html", data=data)
    assert path.read_text().startswith("<!doctype html>")
    (tmp_path / "file").write_text("")
    with pytest.raises(RunFolderError):
        write_report(tmp_path / "file" / "report.html", data=data)
