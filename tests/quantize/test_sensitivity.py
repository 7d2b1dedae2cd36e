"""Sensitivity: measured noise falls with width, and widths are chosen within what was asked."""

import numpy as np
import pytest
from float_networks import small_cnn
from hypothesis import given
from hypothesis import strategies as st

from bitloom.errors import UsageError
from bitloom.quantize import QuantizeOptions, Widths, quantize
from bitloom.quantize.quantize import measured
from bitloom.quantize.sensitivity import Sensitivity, choose_widths


def test_noise_falls_with_the_width() -> None:
    net = small_cnn()
    made = quantize(net.graph(), net.samples(50))
    for each in measured(made.state):
        for noise in (each.noise, each.result_noise):
            assert sorted(noise) == [2, 3, 4, 5, 6, 8]
            assert noise[2] > 3 * noise[4] > 9 * noise[8] > 0


def test_an_average_is_kept_and_given_layers_stay() -> None:
    net = small_cnn()
    given_layers = {"fully_connected_8": Widths(7, 8)}
    made = quantize(net.graph(), net.samples(50), QuantizeOptions(average_weight_bits=4.5, layers=given_layers))
    weights = made.state.weights
    assert weights["fully_connected_8"].type.integer.bits == 7
    free = [each for name, each in weights.items() if name != "fully_connected_8"]
    bits = sum(each.type.integer.bits * each.type.size for each in free) / sum(each.type.size for each in free)
    assert 4 < bits <= 4.5


@given(
    st.lists(st.tuples(st.integers(1, 1000), st.lists(st.floats(0, 1), min_size=4, max_size=4)), min_size=1),
    st.floats(2, 9),
)
def test_chosen_widths_fit_and_nothing_useful_is_left(layers: list[tuple[int, list[float]]], average: float) -> None:
    found = [
        Sensitivity(str(index), "CONV_2D", weights, dict(zip((2, 3, 4, 8), sorted(noise)[::-1], strict=True)), {})
        for index, (weights, noise) in enumerate(layers)
    ]
    chosen = choose_widths(found, average)
    used = sum(each.weights * chosen[each.layer] for each in found)
    room = average * sum(each.weights for each in found) - used
    assert room >= -1e-6
    wider = {2: 3, 3: 4, 4: 8}
    for each in found:
        now = chosen[each.layer]
        assert now == 8 or (wider[now] - now) * each.weights > room - 1e-6


def test_less_than_the_narrowest_is_refused() -> None:
    layer = Sensitivity("a", "CONV_2D", 10, {4: 0.1, 8: 0.0}, {})
    with pytest.raises(UsageError, match="an average of 3 bits a weight is less than the narrowest width, 4"):
        choose_widths([layer], 3)
    with pytest.raises(UsageError, match="not between 2 and 16"):
        QuantizeOptions(average_weight_bits=1.5)


def test_the_widest_memory_goes_where_noise_is() -> None:
    noisy = Sensitivity("noisy", "CONV_2D", 100, {2: 1.0, 8: 0.0}, {})
    quiet = Sensitivity("quiet", "CONV_2D", 100, {2: 0.001, 8: 0.0}, {})
    assert choose_widths([noisy, quiet], 5) == {"noisy": 8, "quiet": 2}
    assert np.mean(list(choose_widths([noisy, quiet], 8).values())) == 8
