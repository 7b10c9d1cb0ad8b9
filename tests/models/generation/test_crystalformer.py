"""CrystalFormer: its likelihood, its sampling, and that it learns."""

from __future__ import annotations

import inspect

import pytest
import torch

from euhedral.core.crystal import Crystal
from euhedral.core.failure import Failure
from euhedral.errors import FileFormatError, InvalidRequestError
from euhedral.geometry.symmetry import symmetry
from euhedral.geometry.wyckoff_form import from_crystal
from euhedral.models.generation.crystalformer import CrystalFormer
from euhedral.models.registry import row
from euhedral.representations.wyckoff_grammar import WyckoffGrammar
from euhedral.representations.wyckoff_sequences import encode
from euhedral.representations.wyckoff_tokens import pack
from euhedral.tasks.generation import Request
from euhedral.tasks.likely import MostLikely
from euhedral.tasks.weights import Weights, load_weights, save_weights

NAMES = ("triclinic", "fcc", "heusler", "hexagonal", "one_atom", "vacuum")


def tiny(**changes) -> CrystalFormer:
    return CrystalFormer(**{**row("crystalformer").tiny, **changes}).eval()


@pytest.fixture(scope="module")
def sequences(crystals):
    return encode([from_crystal(crystals[name]) for name in NAMES])


def test_defaults_are_the_published_ones():
    given = {name: each.default for name, each in inspect.signature(CrystalFormer).parameters.items()}
    published = {
        "n_max": 21, "layers": 16, "heads": 16, "key_size": 64, "model_size": 64, "embed_size": 32, "h0_size": 256,
        "coordinate_components": 16, "lattice_components": 4, "frequencies": 5, "dropout": 0.5,
    }  # fmt: skip
    assert {name: given[name] for name in published} == published
    # the paper counts 4.8 million; the difference is the output layers, which are one for each kind of slot here
    assert sum(each.numel() for each in CrystalFormer().parameters()) == pytest.approx(4.8e6, rel=0.05)


def test_the_likelihood_of_a_crystal_depends_neither_on_its_batch_nor_on_padding(sequences):
    model = tiny()
    together = model.log_prob(sequences)
    for i in range(len(sequences)):
        alone = model.log_prob(sequences.select(torch.tensor([i])))
        for slot, value in alone.items():
            assert value.item() == pytest.approx(together[slot][i].item(), abs=1e-4)


def test_writing_step_by_step_sees_what_reading_at_once_sees(sequences):
    """Forced to write a known crystal, the network gives at each step the output that training used."""
    model = tiny()
    index = torch.tensor([0, 3])
    chosen = sequences.select(index)
    tokens, targets = pack(chosen, n_max=model.n_max, elements=model.elements)
    expected = model.model.network(chosen.group, tokens)
    hidden, memory = model.model.network.begin(chosen.group)
    place = torch.zeros(2, dtype=torch.int64)
    grammar = WyckoffGrammar(chosen.group, n_max=model.n_max, elements=model.elements)
    with torch.no_grad():
        for slot in grammar.slots():
            rows = grammar.active(slot).nonzero()[:, 0]
            if not len(rows):
                continue
            assert torch.allclose(hidden[rows], expected[rows, place[rows]], atol=1e-5)
            target = targets[slot]
            found = [int(((target.sequence == r) & (target.place == place[r])).nonzero()) for r in rows.tolist()]
            allowed = grammar.allowed(slot)
            if allowed is not None:  # sampling is ruled by the masks of training
                assert torch.equal(allowed[rows], target.allowed[found])
            value = target.value[found]
            grammar.accept(slot, rows=rows, value=value)
            hidden = hidden.clone()
            hidden[rows] = model.model.network.advance(memory, slot=slot, rows=rows, value=value)
            place[rows] += 1
    for back, original in zip(grammar.results(), [0, 3], strict=True):
        assert len(back.letters) == int(sequences.n_sites[original])


def test_the_probabilities_of_all_first_letters_and_elements_sum_to_one():
    model = tiny()
    group = torch.tensor([225])
    hidden, _ = model.model.network.begin(group)
    head, output = model.model.heads["letter"], model.model.outputs["letter"]
    allowed = WyckoffGrammar(group, n_max=21, elements=model.elements).allowed("letter")
    total = sum(head.log_prob(output(hidden), torch.tensor([k]), allowed=allowed).exp().item() for k in range(28))
    assert total == pytest.approx(1.0, abs=1e-5)
    assert head.log_prob(output(hidden), torch.tensor([0]), allowed=allowed).item() == -torch.inf


def test_every_parameter_learns(sequences):
    model = tiny()
    torch.stack(list(model.log_prob(sequences).values())).sum().backward()
    untouched = {name for name, each in model.named_parameters() if each.grad is None or not each.grad.abs().sum() > 0}
    assert untouched == set()


def test_it_learns_one_crystal_by_heart(crystals):
    """A polar, hexagonal crystal with a free coordinate and two lattice parameters comes back."""
    form = from_crystal(crystals["hexagonal"])
    one = encode([form])
    torch.manual_seed(0)
    model = tiny(model_size=32, key_size=16).train()
    model.observe(one)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    for step in range(200):
        optimizer.param_groups[0]["lr"] = 1e-2 * (1 - step / 200)
        optimizer.zero_grad()
        (-torch.stack(list(model.log_prob(one).values())).sum()).backward()
        # as the paper trains; without it one start in four leaps away
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
    results = model.sample_wyckoff(Request(n=20), rng=torch.Generator().manual_seed(0))
    alike = [
        result for result in results
        if not isinstance(result, Failure) and result.letters == form.letters
        and (result.numbers == form.numbers).all() and abs(result.frac[1, 2] - form.frac[1, 2]) < 0.02
        and abs(result.cell - form.cell).max() < 0.3
    ]  # fmt: skip
    assert len(alike) >= 18
    written = model.sample(Request(n=1), rng=torch.Generator().manual_seed(1))[0]
    assert symmetry(written).number == 186 == written.props["space_group"]


def test_elements_never_seen_are_never_written_and_refused_when_asked_for(sequences):
    model = tiny()
    model.observe(sequences)
    seen = set(sequences.numbers.unique().tolist()) - {0}
    for result in model.sample(Request(n=20), rng=torch.Generator().manual_seed(0)):
        if isinstance(result, Crystal):
            assert set(result.numbers.tolist()) <= seen
    with pytest.raises(InvalidRequestError, match="not trained on Pu"):
        model.sample(Request(n=1, chemical_system=("Pu",)), rng=torch.Generator())
    with pytest.raises(InvalidRequestError, match="no space group"):
        model.sample(Request(n=1, composition={"Al": 1}, space_group=230, n_atoms=1), rng=torch.Generator())


def test_scores_are_those_of_the_likelihood_and_the_most_likely_come_first(sequences):
    model = tiny()
    model.observe(sequences)
    scored = model.sample_scored(Request(n=12), rng=torch.Generator().manual_seed(2))
    forms = model.sample_wyckoff(Request(n=12), rng=torch.Generator().manual_seed(2))
    pairs = [(s, f) for s, f in zip(scored, forms, strict=True) if not isinstance(s, Failure)]
    assert pairs
    for each, form in pairs:
        slots = model.log_prob(encode([form]))
        share = model.prior.groups[0][form.space_group] / model.prior.groups[0].sum()
        expected = (slots["letter"] + slots["number"] + share.log()).item()
        assert each.score == pytest.approx(expected, abs=1e-3)
    first = MostLikely(model, pool=12).sample(Request(n=1), rng=torch.Generator().manual_seed(2))[0]
    best = max((each for each, _ in pairs), key=lambda each: each.score)
    assert first.frac.tolist() == best.crystal.frac.tolist()


def test_weights_survive_the_disk(tmp_path, sequences):
    model = tiny()
    model.observe(sequences)
    save_weights(tmp_path, weights=model.to_weights(card={"data": "six crystals"}))
    again = CrystalFormer.load(tmp_path)
    before, after = (each.sample(Request(n=4), rng=torch.Generator().manual_seed(5)) for each in (model, again))
    assert [str(result) for result in before] == [str(result) for result in after]
    assert load_weights(tmp_path).card == {"data": "six crystals"}
    with pytest.raises(FileFormatError, match="weights of crystalformer"):
        CrystalFormer.from_weights(Weights(system="chgnet", config={}, tensors={}))
    with pytest.raises(FileFormatError, match="do not fit"):
        CrystalFormer.from_weights(Weights(system="crystalformer", config={}, tensors={}))
