"""CrystalFormer: a transformer that writes a crystal site by site, given its space group.

Paper: Cao, Luo, Lv, Wang 2024, "Space Group Informed Transformer for Crystalline Materials Generation",
arXiv:2403.15734. P(C|g) = P(W1|g) P(A1|..) P(X1|..) P(Y1|..) P(Z1|..) P(W2|..) ... P(L|..), with W the Wyckoff letter,
A the element, XYZ the representative of the orbit and L the lattice. Here "letter", "number", "x", "y", "z", "lattice".

Departures:
- A coordinate that the Wyckoff position fixes is no token (the paper feeds it, and masks its loss): shorter sequences.
- Of the descriptions of a crystal that the group's normalizer makes equivalent, one is chosen by a rule, for training
  (`geometry.wyckoff_form`); along polar axes the first site is at 0 and that coordinate is no slot.
- Sites of equal letter are sorted from electropositive to electronegative elements before coordinates (the paper: by
  coordinates only), and the grammar forbids other orders, so that one crystal has one sequence.
- The lattice mixture is one joint density; the authors' code sums log-densities mixed dimension by dimension.
- Concentrations and widths are exponentials of the network's outputs, not softplus, with an upper limit of kappa.
- The first letter comes from the same output layer as the others, after the paper's dense layer on the group.
- Every slot kind has an output layer of its own; the paper's share columns of one.
- The space group is drawn from the training set's frequencies, by number of elements, where it is not asked for; with a
  composition, mostly from the groups and numbers of formula units that its stoichiometry has in the training set.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from math import gcd
from pathlib import Path
from typing import Any, Final, Self

import torch
from torch import Tensor, nn

from euhedral.core.crystal import Crystal
from euhedral.core.elements import SYMBOLS, atomic_number
from euhedral.core.failure import Failure
from euhedral.errors import FileFormatError, InvalidCrystalError, InvalidRequestError
from euhedral.geometry.wyckoff import WyckoffCrystal, to_crystal
from euhedral.nn.causal_transformer import CausalTransformer, Memory
from euhedral.representations.wyckoff_grammar import FormulaFill, WyckoffGrammar
from euhedral.representations.wyckoff_prior import StructurePrior
from euhedral.representations.wyckoff_sequences import (
    N_LETTERS,
    N_NUMBERS,
    SITE_SLOTS,
    WyckoffSequences,
    encode,
    group_tables,
)
from euhedral.representations.wyckoff_tokens import Tokens, multiplicity_of, pack
from euhedral.tasks.autoregression import Autoregressor
from euhedral.tasks.generation import Request, check_capable
from euhedral.tasks.heads import Categorical, GaussianMixture, VonMisesMixture
from euhedral.tasks.likely import Scored
from euhedral.tasks.weights import Weights, load_weights

_SHIPPED: Final = "crystalformer-mp20"


@dataclass(eq=False)
class _Prefixes:
    group: Tensor
    letter: Tensor
    memory: Memory


class WyckoffNetwork(nn.Module):
    """Embeds the tokens of Wyckoff sequences with their space group and reads them with a transformer."""

    def __init__(
        self, *, n_max: int, frequencies: int, h0_size: int, layers: int, heads: int, key_size: int, model_size: int,
        embed_size: int, dropout: float, attention_dropout: float, widening: int,
    ) -> None:  # fmt: skip
        super().__init__()
        self.model_size, self.capacity = model_size, 5 * n_max
        self.group = nn.Embedding(231, embed_size)
        self.letter = nn.Embedding(N_LETTERS, embed_size)
        self.number = nn.Embedding(N_NUMBERS, embed_size)
        self.start = nn.Sequential(nn.Linear(embed_size, h0_size), nn.GELU(), nn.Linear(h0_size, model_size))
        widths = {"letter": embed_size + 1, "number": embed_size} | dict.fromkeys("xyz", 2 * frequencies)
        self.inputs = nn.ModuleDict({slot: nn.Linear(embed_size + widths[slot], model_size) for slot in SITE_SLOTS})
        self.register_buffer("waves", 2.0 * torch.pi * torch.arange(1, frequencies + 1), persistent=False)
        self.transformer = CausalTransformer(
            layers=layers, heads=heads, key_size=key_size, model_size=model_size, widening=widening, dropout=dropout,
            attention_dropout=attention_dropout,
        )  # fmt: skip

    def embed(self, slot: str, *, group: Tensor, index: Tensor, coordinate: Tensor, multiplicity: Tensor) -> Tensor:
        """Embed M tokens of one kind: (M, d)."""
        if slot == "letter":
            features = torch.cat([self.letter(index), multiplicity[:, None]], -1)
        elif slot == "number":
            features = self.number(index)
        else:
            phase = coordinate[:, None] * self.waves
            features = torch.cat([phase.sin(), phase.cos()], -1)
        return self.inputs[slot](torch.cat([self.group(group), features], -1))

    def forward(self, condition: Tensor, tokens: Tokens) -> Tensor:
        """Read whole sequences: (B, 1 + T, d)."""
        start = self.start(self.group(condition))
        x = start.new_zeros((*tokens.kind.shape, self.model_size))
        for kind, slot in enumerate(SITE_SLOTS):
            row, place = (tokens.kind == kind).nonzero(as_tuple=True)
            embedded = self.embed(
                slot, group=condition[row], index=tokens.index[row, place], coordinate=tokens.coordinate[row, place],
                multiplicity=tokens.multiplicity[row, place],
            )  # fmt: skip
            x[row, place] = embedded.to(x.dtype)
        return torch.cat([start[:, None], self.transformer(x)], 1)

    def begin(self, condition: Tensor) -> tuple[Tensor, _Prefixes]:
        """Start B sequences."""
        memory = self.transformer.memory(batch=len(condition), capacity=self.capacity)
        prefixes = _Prefixes(group=condition, letter=torch.zeros_like(condition), memory=memory)
        return self.start(self.group(condition)), prefixes

    def advance(self, memory: _Prefixes, *, slot: str, rows: Tensor, value: Tensor) -> Tensor:
        """Read the next token of the sequences `rows`: (M, d)."""
        group = memory.group[rows]
        if slot == "lattice":
            return self.start(self.group(group))  # nothing follows
        index = value if slot in ("letter", "number") else torch.zeros_like(rows)
        x = self.embed(
            slot, group=group, index=index, coordinate=value.float(), multiplicity=multiplicity_of(group, index)
        )
        return self.transformer.step(x, rows=rows, memory=memory.memory)


class CrystalFormer(nn.Module):
    """Generates crystals of a space group.

    Args:
        n_max: most sites, the end counted.
        layers: of the transformer.
        heads: attention heads.
        key_size: width of a head.
        model_size: width of the stream.
        embed_size: width of embedded groups, letters and elements.
        h0_size: width of the dense layer from the group to the first letter.
        coordinate_components: von Mises distributions of a coordinate (the paper's Kx).
        lattice_components: normal distributions of the lattice (the paper's Kl).
        frequencies: Fourier features of a coordinate (the paper's Nf).
        dropout: after attention and dense blocks.
        attention_dropout: on attention weights.
        widening: width of the dense block over that of the stream.
        attempts: how often a crystal that came to a dead end is begun again before it counts as a failure.
        seed: of the first weights.
    """

    capabilities = frozenset({"composition", "chemical_system", "space_group", "n_atoms"})

    def __init__(
        self, *, n_max: int = 21, layers: int = 16, heads: int = 16, key_size: int = 64, model_size: int = 64,
        embed_size: int = 32, h0_size: int = 256, coordinate_components: int = 16, lattice_components: int = 4,
        frequencies: int = 5, dropout: float = 0.5, attention_dropout: float = 0.1, widening: int = 4, attempts: int = 4,
        seed: int = 0,
    ) -> None:  # fmt: skip
        super().__init__()
        self.config = {
            "n_max": n_max, "layers": layers, "heads": heads, "key_size": key_size, "model_size": model_size,
            "embed_size": embed_size, "h0_size": h0_size, "coordinate_components": coordinate_components,
            "lattice_components": lattice_components, "frequencies": frequencies, "dropout": dropout,
            "attention_dropout": attention_dropout, "widening": widening, "attempts": attempts, "seed": seed,
        }  # fmt: skip
        rng = torch.Generator().manual_seed(seed)
        self.n_max, self.attempts = n_max, attempts
        coordinate = VonMisesMixture(components=coordinate_components)
        network = WyckoffNetwork(
            n_max=n_max, frequencies=frequencies, h0_size=h0_size, layers=layers, heads=heads, key_size=key_size,
            model_size=model_size, embed_size=embed_size, dropout=dropout, attention_dropout=attention_dropout,
            widening=widening,
        )  # fmt: skip
        self.model = Autoregressor(
            network, rng=rng,
            heads={
                "letter": Categorical(N_LETTERS), "number": Categorical(N_NUMBERS), "x": coordinate, "y": coordinate,
                "z": coordinate, "lattice": GaussianMixture(components=lattice_components, dimensions=6),
            },
        )  # fmt: skip
        with torch.no_grad():
            for name, parameter in network.named_parameters():
                if parameter.ndim > 1:
                    nn.init.trunc_normal_(parameter, std=0.02, generator=rng)
                elif "bias" in name:
                    parameter.zero_()
        self.register_buffer("elements", torch.ones(N_NUMBERS, dtype=torch.bool))
        self.prior = StructurePrior()
        self.register_buffer("most_atoms", torch.tensor(20))

    @classmethod
    def load(cls, folder: str | Path | None = None) -> Self:
        """Load weights; those shipped, trained on MP-20, when no folder is given.

        Raises:
            MissingDataError: the folder holds no weights.
            FileFormatError: the weights are another system's.
        """
        return cls.from_weights(
            load_weights(Path(str(files("euhedral.models"))) / "weights" / _SHIPPED if folder is None else folder)
        )

    @classmethod
    def from_weights(cls, weights: Weights) -> Self:
        """Build from weights in memory.

        Raises:
            FileFormatError: the weights are another system's.
        """
        if weights.system != "crystalformer":
            raise FileFormatError(
                f"expected weights of crystalformer, got those of {weights.system}; choose another folder"
            )
        model = cls(**weights.config)
        model.prior.resize(len(weights.tensors.get("prior.seen", ())))
        try:
            model.load_state_dict(dict(weights.tensors))
        except RuntimeError as error:
            raise FileFormatError(f"the weights do not fit crystalformer: {' '.join(str(error).split())}") from error
        return model.eval()

    def to_weights(self, *, card: Mapping[str, Any]) -> Weights:
        """Take the weights out, with what they were trained on."""
        return Weights(system="crystalformer", config=self.config, tensors=self.state_dict(), card=card)

    def observe(self, sequences: WyckoffSequences) -> None:
        """Learn which elements, groups and cell sizes occur; called once with the training set."""
        self.elements.zero_()
        self.elements[sequences.numbers.unique()] = True
        self.elements[0] = False
        self.prior.observe(sequences)
        centring = group_tables().centring[sequences.group]
        self.most_atoms.copy_((sequences.n_atoms // centring).max())

    def log_prob(self, sequences: WyckoffSequences) -> dict[str, Tensor]:
        """Compute the log-likelihood of each crystal given its space group, by slot: {slot: (B,)}, natural logarithm."""
        tokens, targets = pack(sequences, n_max=self.n_max, elements=self.elements)
        return self.model.log_prob(sequences.group, tokens=tokens, targets=targets)

    def sample(
        self, request: Request, *, rng: torch.Generator, temperature: float = 1.0, top_p: float = 1.0, batch: int = 256,
    ) -> list[Crystal | Failure]:  # fmt: skip
        """Generate crystals in primitive cells; `props["space_group"]` is the group that each was written in.

        Args:
            request: what to generate.
            rng: draws everything.
            temperature: above 1 for more variety.
            top_p: share of probability that letters, elements and mixture components are drawn from.
            batch: crystals written side by side.

        Raises:
            InvalidRequestError: a condition that is not among the capabilities, an element or a composition that
                nothing known can hold.
        """
        return [
            result if isinstance(result, Failure) else _primitive(result)
            for result in self.sample_wyckoff(request, rng=rng, temperature=temperature, top_p=top_p, batch=batch)
        ]

    def sample_scored(self, request: Request, *, rng: torch.Generator) -> list[Scored | Failure]:
        """Generate crystals with the log-probability of their group, letters and elements, coordinates and cell apart.

        The likelihood is that of the model without the request, so that of crystals forced into a chemical system those come
        first that look natural there.

        Raises:
            InvalidRequestError: as `sample`.
        """
        forms = self.sample_wyckoff(request, rng=rng)
        made = [form for form in forms if not isinstance(form, Failure)]
        scores = torch.zeros(len(made))
        if made:
            sequences = encode(made)
            groups = self.prior.group_weights(0)
            scores += (groups[sequences.group] / groups.sum()).clamp_min(1e-9).log()
            for index in sequences.n_sites.argsort().split(128):  # like lengths together, so that little is padding
                with torch.no_grad():
                    slots = self.log_prob(sequences.select(index))
                scores[index] += slots["letter"] + slots["number"]
        score = iter(scores.tolist())
        results: list[Scored | Failure] = []
        for form in forms:
            if isinstance(form, Failure):
                results.append(form)
                continue
            crystal, own = _primitive(form), next(score)
            kind = (form.space_group, form.letters, tuple(form.numbers.tolist()))
            results.append(crystal if isinstance(crystal, Failure) else Scored(crystal=crystal, score=own, kind=kind))
        return results

    def sample_wyckoff(
        self, request: Request, *, rng: torch.Generator, temperature: float = 1.0, top_p: float = 1.0, batch: int = 256,
    ) -> list[WyckoffCrystal | Failure]:  # fmt: skip
        """Generate crystals in Wyckoff form; arguments and errors are those of `sample`."""
        check_capable(self, request)
        plan = _Plan(self, request)
        results: list[WyckoffCrystal | Failure] = [Failure(reason="not begun", stage="sample")] * request.n
        waiting = list(range(request.n))
        training = self.training
        self.eval()
        for _ in range(self.attempts):
            unfinished = []
            for start in range(0, len(waiting), batch):
                indices = waiting[start : start + batch]
                group, grammar = plan.begin(len(indices), rng=rng)
                self.model.sample(group, grammar=grammar, rng=rng, temperature=temperature, top_p=top_p)
                for index, result in zip(indices, grammar.results(), strict=True):
                    results[index] = result
                    if isinstance(result, Failure):
                        unfinished.append(index)
            waiting = unfinished
        self.train(training)
        return results


def _primitive(crystal: WyckoffCrystal) -> Crystal | Failure:
    try:
        return to_crystal(crystal, primitive=True).replace(props={"space_group": float(crystal.space_group)})
    except InvalidCrystalError as error:
        return Failure(reason=str(error), stage="decode")


class _Plan:
    """What a request means for the grammar: which space groups, elements and formula units may be begun."""

    def __init__(self, model: CrystalFormer, request: Request) -> None:
        self.n_max = model.n_max
        self.most_atoms = request.n_atoms
        self.elements = _open_elements(model, request)
        symbols = request.composition or request.chemical_system or ()
        weights = model.prior.group_weights(len(symbols), or_fewer=not request.composition)
        if request.space_group is not None:
            weights = torch.zeros_like(weights)
            weights[request.space_group] = 1.0
        if self.most_atoms is not None:
            tables = group_tables()
            smallest = tables.multiplicity.masked_fill(tables.multiplicity == 0, 999).min(1).values
            weights = weights * (smallest <= self.most_atoms * tables.centring)
        groups = weights.nonzero()[:, 0].tolist()
        self.choices: list[tuple[int, int]] = [(group, 0) for group in groups]
        self.weights = weights[groups]
        self.fills: dict[int, FormulaFill] = {}
        if request.composition:
            formula = _reduced({atomic_number(symbol): count for symbol, count in request.composition.items()})
            most = self.most_atoms or max(int(model.most_atoms), sum(formula.values()))
            self.fills = {group: FormulaFill(group, formula=formula) for group in groups}
            self.choices = [
                (group, units) for group, fill in self.fills.items() for units in fill.units(most_atoms=most)
            ]
            self.weights = model.prior.formula_weights(formula.values(), choices=self.choices)
            if request.space_group is not None:  # asked for, though never seen
                self.weights = self.weights + 1e-3
        if not self.weights.sum() > 0:
            raise InvalidRequestError(
                f"no space group that CrystalFormer knows can hold {request}; ask for another space group or more atoms"
            )

    def begin(self, count: int, *, rng: torch.Generator) -> tuple[Tensor, WyckoffGrammar]:
        """Draw space groups, and formula units where a composition is asked for, and start a grammar."""
        drawn = torch.multinomial(self.weights, count, replacement=True, generator=rng).tolist()
        pairs = [self.choices[index] for index in drawn]
        group = torch.tensor([number for number, _ in pairs])
        fills = [(self.fills[number], units) for number, units in pairs] if self.fills else None
        grammar = WyckoffGrammar(
            group, n_max=self.n_max, elements=self.elements, most_atoms=self.most_atoms, fills=fills
        )
        return group, grammar


def _open_elements(model: CrystalFormer, request: Request) -> Tensor:
    symbols = request.composition or request.chemical_system
    if not symbols:
        return model.elements
    wanted = torch.zeros_like(model.elements)
    wanted[[atomic_number(symbol) for symbol in symbols]] = True
    unknown = wanted & ~model.elements
    if (request.composition and unknown.any()) or not (wanted & model.elements).any():
        names = ", ".join(SYMBOLS[number] for number in unknown.nonzero()[:, 0].tolist())
        raise InvalidRequestError(f"CrystalFormer was not trained on {names}; choose other elements")
    return wanted & model.elements


def _reduced(formula: Mapping[int, int]) -> dict[int, int]:
    divisor = gcd(*formula.values())
    return {number: count // divisor for number, count in formula.items()}
