"""Where the elements of a stored tensor are in ONNX's tensor: reshapes and transposes as bookkeeping.

ONNX's images have channels second, and the graph's have them last. Nothing moves for that: a tensor remembers in which
order its elements lie, ONNX's Reshape and Transpose change what is remembered, and only an operator that needs another
order than the one they lie in makes a transpose of it.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

Shape = tuple[int, ...]


def channels_last(rank: int) -> Shape:
    """ONNX's axes (batch, channels, ...) in the order of the graph's images.

    >>> channels_last(4), channels_last(2)
    ((0, 2, 3, 1), (0, 1))
    """
    return (0, *range(2, rank), 1) if rank > 2 else tuple(range(rank))


@dataclass(frozen=True)
class Move:
    """How to bring elements into another order.

    Attributes:
        shape: that the elements have as they lie.
        permutation: of its axes; rising where nothing moves.
    """

    shape: Shape
    permutation: Shape

    @property
    def moves(self) -> bool:
        """Whether any element changes its place."""
        return self.permutation != tuple(range(len(self.permutation)))


@dataclass(frozen=True)
class Layout:
    """``stored elements = tensor.reshape(factors).transpose(order)``, whatever shape the stored tensor has.

    Attributes:
        shape: ONNX's.
        factors: a shape of as many elements.
        order: axes of `factors`.

    >>> images = Layout.of((1, 8, 4, 4), (0, 2, 3, 1))
    >>> flat = images.reshaped((1, 128))
    >>> flat.move((0, 1))  # ONNX's order would take a transpose,
    Move(shape=(16, 8), permutation=(1, 0))
    >>> flat.reshaped((1, 8, 16)).move((0, 2, 1)).moves  # and channels last takes none
    False
    """

    shape: Shape
    factors: Shape
    order: Shape

    @classmethod
    def of(cls, shape: Shape, order: Shape | None = None) -> Layout:
        """Axes in an order; ONNX's if not given."""
        return cls(shape, shape, tuple(range(len(shape))) if order is None else order)

    def reshaped(self, shape: Shape) -> Layout:
        """ONNX's Reshape: the elements keep their sequence, so they lie as before."""
        return Layout(shape, self.factors, self.order)

    def transposed(self, permutation: Sequence[int]) -> Layout | None:
        """ONNX's Transpose, or None where its axes are not made of whole factors."""
        if self._atoms is None:
            return None
        sizes, axes, order = self._atoms
        listed = [atom for axis in permutation for atom in range(len(sizes)) if axes[atom] == axis]
        return Layout(
            tuple(self.shape[axis] for axis in permutation),
            tuple(sizes[atom] for atom in listed),
            tuple(listed.index(atom) for atom in order),
        )

    def move(self, order: Sequence[int]) -> Move | None:
        """What brings ONNX's axes into an order; None where they are not made of whole factors."""
        if self._atoms is None:
            return None
        sizes, axes, lying = self._atoms
        wanted = [atom for axis in order for atom in range(len(sizes)) if axes[atom] == axis]
        groups: list[list[int]] = []  # atoms that stay side by side move as one
        for atom in lying:
            joins = groups and wanted.index(atom) == wanted.index(groups[-1][-1]) + 1
            groups[-1].append(atom) if joins else groups.append([atom])
        shape = tuple(math.prod(sizes[atom] for atom in group) for group in groups)
        first = [wanted.index(group[0]) for group in groups]
        return Move(shape, tuple(sorted(range(len(groups)), key=first.__getitem__)))

    def lies(self, order: Sequence[int]) -> bool:
        """Whether ONNX's axes lie in this order already."""
        move = self.move(order)
        return move is not None and not move.moves

    @property
    def axes(self) -> Shape:
        """The order that ONNX's axes lie in; the plain one where they do not lie whole."""
        rank = len(self.shape)
        for order in (channels_last(rank), tuple(range(rank))):
            if self.lies(order):
                return order
        if self._atoms is not None:
            _, axes, lying = self._atoms
            large = list(dict.fromkeys(axes[atom] for atom in lying))
            order = (*(axis for axis in range(rank) if axis not in large), *large)
            if self.lies(order):
                return order
        return tuple(range(rank))

    @cached_property
    def _atoms(self) -> tuple[Shape, Shape, Shape] | None:
        """Sizes that make up both factors and axes, in ONNX's order; the axis of each; the order they lie in."""
        ends = sorted({1, *_products(self.shape), *_products(self.factors)})
        if any(high % low for low, high in itertools.pairwise(ends)):
            return None
        sizes = tuple(high // low for low, high in itertools.pairwise(ends))
        axes, factors = (_owners(ends, _products(of)) for of in (self.shape, self.factors))
        order = tuple(atom for factor in self.order for atom in range(len(sizes)) if factors[atom] == factor)
        return sizes, axes, order


def _products(sizes: Sequence[int]) -> list[int]:
    """Of the first, the first two, ..."""
    return list(itertools.accumulate(sizes, int.__mul__))


def _owners(ends: Sequence[int], products: Sequence[int]) -> Shape:
    """For each atom, which ends at one of `ends`, the first axis whose product reaches that end."""
    return tuple(next(axis for axis, product in enumerate(products) if product >= end) for end in ends[1:])
