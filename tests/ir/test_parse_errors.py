"""What is wrong with a text is said with its line and column, and what was expected there."""

import hashlib
import re

import numpy as np
import pytest

from bitloom.errors import GraphError, UsageError
from bitloom.ir import parse_graph, print_graph

pytestmark = pytest.mark.usefixtures("sample_operators")

# Each ¦ stands for nothing: it marks the place the error must name.
X = 'graph "g" {\n  input %x: int8[2]\n  '
EVERY = X + "¦%y: int8[2] = test_every_kind @n (%x) "
ATTRIBUTE = EVERY.replace("¦", "") + "{"
SCATTER = 'graph "g" {\n  %y: int8[2] = ¦test_scatter @n () '
INPUT = 'graph "g" {\n  input %x: '
CONSTANT = 'graph "g" {\n  const %c: '


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("¦", "expected 'graph', found the end of the text"),
        ("¦grph", "expected 'graph', found 'grph'"),
        ("graph ¦g {}", "expected a quoted string, found 'g'"),
        ('graph "g" {¦', "'}', found the end of the text"),
        ('graph "g" {} ¦x', "expected the end of the text, found 'x'"),
        ('graph ¦"g {}', "does not end on its line"),
        ('graph ¦"g\\q" {}', "unknown escape '\\q'"),
        ('graph ¦"g\\U00110000" {}', "unknown escape"),
        ('graph "g" { ¦; }', "unexpected character ';'"),
        ('graph "g" {\n  ¦% x\n}', "'%' is not followed by a name"),
        ('graph "g" {\n  ¦%"x\n}', "does not end on its line"),
        ('graph "g" {\n  input ¦x\n}', "expected a tensor name such as %x, found 'x'"),
        ('graph "g" {\n  input %x ¦int8[2]\n}', "expected ':', found 'int8'"),
        (INPUT + "¦int65[2]\n}", "expected an element type"),
        (INPUT + "¦int08[2]\n}", "expected an element type"),
        (INPUT + "¦float16[2]\n}", "expected an element type"),
        (INPUT + "int8 ¦2\n}", "expected '[', found '2'"),
        (INPUT + "int8[2\n¦}", "expected ']', found '}'"),
        (INPUT + "int8[¦2.5]\n}", "expected an integer, found '2.5'"),
        (INPUT + "¦int8[0]\n}", "not positive"),
        (INPUT + "int8[¦18446744073709551616]\n}", "more than 64 bits"),
        (INPUT + "int8[¦" + "9" * 5000 + "]\n}", "more than 64 bits"),
        (INPUT + "¦int8[" + "1, " * 64 + "1]\n}", "at most 64 dimensions"),
        (INPUT + "¦int8[2] scale=0 zero_point=0\n}", "not a positive finite number"),
        (INPUT + "¦int8[2] scale=1e999 zero_point=0\n}", "not a positive finite number"),
        (INPUT + "¦int8[2] scale=[] zero_point=[] axis=0\n}", "0 scales and 0 zero points"),
        (INPUT + "int8[2] scale=1.0\n¦}", "expected 'zero_point'"),
        (INPUT + "int8[2] scale=1.0 zero_point=¦0.5\n}", "expected an integer, found '0.5'"),
        (INPUT + "¦int8[2] scale=[1.0, 2.0] zero_point=0\n}", "2 scales and 1 zero points"),
        (INPUT + "¦int8[2] scale=[1.0] zero_point=0 axis=0\n}", "1 quantization scales for 2"),
        (INPUT + "¦int8[2] scale=[1.0] zero_point=0 axis=1\n}", "quantization axis 1"),
        (INPUT + "int8[2]\n  input ¦%x: int8[2]\n}", "defined twice"),
        (INPUT + "int8[2]\n  const ¦%x: int8[1] = [0]\n}", "defined twice"),
        (INPUT + "int8[2]\n  output %x, ¦%y\n}", "the output 'y' is not defined"),
        (CONSTANT + "int8[2] ¦1\n}", "expected '=', found '1'"),
        (CONSTANT + "int8[2] = ¦x\n}", "expected elements in [...] or 'base64' or 'digest'"),
        (CONSTANT + "int8[2] = ¦[1]\n}", "1 elements where the shape [2] has 2"),
        (CONSTANT + "int8[1, 2] = ¦[[1, 2], [3, 4]]\n}", "2 elements where the shape [1, 2] has 1"),
        (CONSTANT + "int8[2] = [¦[1, 2]]\n}", "expected a number, found '['"),
        (CONSTANT + "int8[] = ¦[1]\n}", "expected a number, found '['"),
        (CONSTANT + "int8[2] = [1, ¦128]\n}", "128 is not within int8, -128 to 127"),
        (CONSTANT + "uint3[2] = [1, ¦-1]\n}", "-1 is not within uint3"),
        (CONSTANT + "int8[2] = [1, ¦2.0]\n}", "2.0 is not an integer"),
        (CONSTANT + "float32[1] = [¦1e39]\n}", "not within float32"),
        (CONSTANT + "int8[2] = base64 ¦0\n}", "expected a quoted string"),
        (CONSTANT + 'int8[2] = base64 ¦"A?=="\n}', "not base64"),
        (CONSTANT + 'int8[2] = base64 ¦"é"\n}', "not base64"),
        (CONSTANT + 'int8[2] = base64 ¦"AA" "AA"\n}', "3 bytes of base64 where int8[2] takes 2"),
        (CONSTANT + 'int4[1] = ¦base64 "fw=="\n}', "constant holds 127 to 127"),
        (CONSTANT + 'int8[2] = digest ¦"sha256:0"\n}', "only the digest of 'c'"),
        ('graph "g" {\n  %y: int8[2] = ¦nothing @n ()\n}', "no operator 'nothing'; known: "),
        ('graph "g" {\n  %y: int8[2] = test_scatter ¦n ()\n}', "expected a node name such as @dense, found 'n'"),
        ('graph "g" {\n  %y: int8[2] = test_scatter @n ¦{}\n}', "expected '(', found '{'"),
        ('graph "g" {\n  %y: int8[2], ¦= test_scatter @n ()\n}', "expected a tensor name"),
        (SCATTER + "\n}", "test_scatter lacks shapes, element"),
        (SCATTER + "{shapes=[[2]], element=int8, limit=-1}\n}", "a limit is not negative"),
        (SCATTER.replace("¦", "") + "{shapes=¦[2], element=int8}\n}", "is tuple[tuple[int, ...], ...]"),
        (SCATTER.replace("¦", "") + "{¦size=2}\n}", "test_scatter has no attribute 'size'; it has: shapes,"),
        (
            SCATTER.replace("¦", "") + "{shapes=[[2]], element=int8}\n  %z: int8[2] = test_scatter ¦@n ()\n}",
            "two nodes are named 'n'",
        ),
        (ATTRIBUTE + "count=1, ¦count=1}\n}", "'count' is given twice"),
        (ATTRIBUTE + "count=¦}\n}", "expected a value, found '}'"),
        (ATTRIBUTE + "table=" + "[" * 64 + "¦[[}\n}", "expected at most 64 brackets"),
        (ATTRIBUTE + "count=¦true}\n}", "attribute 'count' of test_every_kind is int"),
        (ATTRIBUTE + "count=¦1.0}\n}", "attribute 'count' of test_every_kind is int"),
        (ATTRIBUTE + "flag=¦1}\n}", "attribute 'flag' of test_every_kind is bool"),
        (ATTRIBUTE + "factor=¦none}\n}", "attribute 'factor' of test_every_kind is float"),
        (ATTRIBUTE + "absent=¦int8}\n}", "attribute 'absent' of test_every_kind is int | None"),
        (ATTRIBUTE + "fixed=¦[1]}\n}", "attribute 'fixed' of test_every_kind is tuple[int, bool]"),
        (ATTRIBUTE + "element=¦float32}\n}", "attribute 'element' of test_every_kind is IntType"),
        (ATTRIBUTE + "level=¦7}\n}", "attribute 'level' of test_every_kind is Level"),
        (ATTRIBUTE + "bounds=2..¦1}\n}", "low end 2 exceeds"),
        (ATTRIBUTE + "bounds=1..¦2.5}\n}", "expected an integer"),
        (ATTRIBUTE + "rounding=¦Rounding.odd}\n}", "'odd' is none of Rounding: double, single"),
        (ATTRIBUTE + "rounding=¦Padding.same}\n}", "expected a value or 'Rounding.member'"),
        (ATTRIBUTE + "rescale=rescale(double¦)}\n}", "expected ',', found ')'"),
        (ATTRIBUTE + "rescale=rescale(¦0.5)}\n}", "expected a rounding, found '0.5'"),
        (ATTRIBUTE + "rescale=¦rescale(double, [])}\n}", "at least one multiplier"),
        (ATTRIBUTE + "rescale=¦rescale(double, [-1])}\n}", "not negative"),
        (ATTRIBUTE + "label=¦unquoted}\n}", "expected a value, found 'unquoted'"),
        (EVERY.replace("(%x)", "(%a)") + "\n}", "reads 'a' before anything makes it"),
        (EVERY.replace("%y: int8[2]", "%y: int8[3]") + "\n}", "makes int8[2], the graph says int8[3]"),
        (EVERY.replace("(%x)", "()") + "\n}", "test_every_kind does not take these operands"),
    ],
)
def test_place_and_message(text, message):
    before, _, _ = text.partition("¦")
    place = f"net.txt:{before.count(chr(10)) + 1}:{len(before.rpartition(chr(10))[2]) + 1}"
    with pytest.raises(GraphError) as caught:
        parse_graph(text.replace("¦", ""), name="net.txt")
    assert re.search(re.escape(place) + r"\b", str(caught.value.where))
    assert message in str(caught.value)


def test_nodes_know_where_they_stand():
    graph = parse_graph(EVERY.replace("¦", "") + "}", name="net.txt")
    assert graph.nodes[0].source == "net.txt:3:3"


def test_what_may_be_left_out_or_written_otherwise():
    graph = parse_graph(
        """// before
        graph "g" {  // hand-written
            const %c: float32[2] = [1, -2.5e0]
            output %y  // defined below
            %y: int8[2] = test_every_kind @n (%x) {factor=2, paddings=[Padding.VALID, Padding.valid],}
            input %x: int8[2] scale=[1, 0.5] zero_point=0 axis=0
        }
        """.replace(",}", "}")
    )
    operator = graph.nodes[0].operator
    assert operator.factor == 2
    assert operator.paddings[0] is operator.paddings[1]
    assert graph.type("x").quantization.zero_points == (0, 0)
    assert graph.value("c").data.tolist() == [1.0, -2.5]


class TestDigests:
    text = (
        'graph "g" { const %c: int16[2, 9] = digest "sha256:'
        + hashlib.sha256(bytes(v for n in range(18) for v in (n, 1))).hexdigest()
        + '" }'
    )
    data = 256 + np.arange(18).reshape(2, 9)

    def test_the_digest_is_of_little_endian_elements(self):
        graph = parse_graph(self.text, {"c": self.data})
        assert graph.value("c").data.dtype == np.int16
        # Line breaks apart, it prints as it was read.
        assert print_graph(graph, constants="digest").split() == self.text.split()

    @pytest.mark.parametrize(
        ("data", "message"),
        [
            (data + 1, "another digest"),
            (data.T, "shape"),
            (data * 1000, "constant holds"),
            (data * 1.0, "float64"),
        ],
    )
    def test_other_elements_are_refused(self, data, message):
        with pytest.raises(GraphError, match=message) as caught:
            parse_graph(self.text, {"c": data})
        assert "<text>:1:44" in str(caught.value) or "tensor 'c'" in str(caught.value)


class TestPrinting:
    def test_an_unknown_way_with_constants(self):
        with pytest.raises(UsageError, match="'inline' or as 'digest'"):
            print_graph(parse_graph('graph "g" {}'), constants="none")

    @pytest.mark.parametrize("held", [object(), [1], {"a": 1}, (1, {2}), 2**64, b"bytes"])
    def test_an_attribute_without_a_text_form(self, held):
        text = 'graph "g" { %y: int8[1] = test_holder @h () }'
        graph = parse_graph(text)
        object.__setattr__(graph.nodes[0].operator, "held", held)
        with pytest.raises(GraphError, match=r"node 'h'.*attribute 'held'"):
            print_graph(graph)
