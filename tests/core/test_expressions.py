"""Expressions: what they mean, what is told before they run, and that none runs away."""

import contextlib
import itertools
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from signoff.protocol.canonical import check as check_canonical
from signoff_server.core import cel, syntax
from signoff_server.core.costs import MAX_COST, MAX_ITEMS, Budget, TooCostly, estimate, size_of, weigh
from signoff_server.core.expressions import (
    ExpressionFailed,
    Scope,
    SyntaxFault,
    check,
    check_in,
    evaluate,
    fill,
    holds,
    reads,
    reads_in,
)
from signoff_server.core.readings import read
from signoff_server.core.trees import written

NOW = int(datetime(2026, 11, 23, 8, 15, tzinfo=UTC).timestamp() * 1000) + 123
NODES = ("quote", "a-b", "later")
SCOPE = Scope(
    input={
        "amount": 12_500,
        "name": "Zoë",
        "rate": 1.5,
        "nothing": None,
        "yes": True,
        "list": [3, 1, 2],
        "lines": [{"sku": "a", "price": 10, "count": 2}, {"sku": "b", "price": 5, "count": 1}],
        "with-dash": {"in": 1, "package": 2},
        "due": "2026-11-24T00:00:00Z",
    },
    outputs={"quote": {"total": 7, "items": ["x"]}, "a-b": "text"},
    execution_id="exe_1",
    now=NOW,
)


MEANING = [
    ("input.amount", 12_500),
    ('input["amount"]', 12_500),
    ('input["with-dash"]["in"] + input["with-dash"].package', 3),
    ("input.nothing", None),
    ("input.list", [3, 1, 2]),
    ("nodes.quote.output.total", 7),
    ('nodes["a-b"].output', "text"),
    ('nodes["quote"]["output"]["total"]', 7),
    ("execution.id", "exe_1"),
    ("now", "2026-11-23T08:15:00.123Z"),
    ("now + duration('24h')", "2026-11-24T08:15:00.123Z"),
    ("timestamp(input.due) > now", True),
    ("now.getFullYear()", 2026),
    ("now - now == duration('0s')", True),
    ("string(duration('90m'))", "1h30m0s"),
    ("1 + 2 * 3", 7),
    ("(1 + 2) * 3", 9),
    ("7 - 2 - 1", 4),
    ("7 / 2", 3),
    ("7 % 2", 1),
    ("-input.amount", -12_500),
    ("2 - -2", 4),
    ("0x1F", 31),
    ("1.5e3", 1500.0),
    ("'a' + \"b\" + input.name", "abZoë"),
    (r"'\n\t\\\'\"\x41\u00e9\U0001F600'", "\n\t\\'\"Aé😀"),
    ("input.amount > 10000 && input.yes", True),
    ("input.amount > 10000 ? 'large' : 'small'", "large"),
    ("false ? 1 : true ? 2 : 3", 2),
    ("!input.yes || input.name == 'Zoë'", True),
    ("input.amount == 12500.0", True),
    ("1 in input.list && !(4 in input.list)", True),
    ("'amount' in input", True),
    ("input.list[0]", 3),
    ("[1, 'a', null, true, [2]]", [1, "a", None, True, [2]]),
    ("{'b': 1, 'a': {'c': input.list}}", {"a": {"c": [3, 1, 2]}, "b": 1}),
    ("{'a': 1}.a", 1),
    ("[] == {}", False),
    ("size(input.list) + input.name.size() + size({'a': 1})", 8),
    ("input.lines.map(line, line.price * line.count)", [20, 5]),
    ("input.lines.filter(line, line.price > input.list[0] + 5)", [{"count": 2, "price": 10, "sku": "a"}]),
    ("input.lines.map(line, line.count > 1, line.sku)", ["a"]),
    ("input.lines.filter(l, l.count > 1).map(l, l.sku)", ["a"]),
    ("input.lines.all(l, l.price > 1) && input.lines.exists(l, l.sku == 'b')", True),
    ("input.lines.exists_one(l, l.price == 5)", True),
    ("input.lines.all(l, has(l.price)) && !input.lines.exists(l, has(l.none))", True),
    ("input.name.startsWith('Z') && input.name.endsWith('ë') && input.name.contains('o')", True),
    ("input.name.matches('^[A-Z]\\\\w+$')", True),
    ("int('12') + int(2.9)", 14),
    ("double(1) + 0.5", 1.5),
    ("string(1) + string(1.5) + string('x')", "11.5x"),
    ("has(input.amount) && !has(input.none) && !has(input.none.deeper) && !has(input.amount.x)", True),
    ("has(nodes.later.output) ? nodes.later.output.x : 'none'", "none"),
    ("has(input.none) && input.none > 1", False),
    ("input.none > 1 || input.yes", True),
]


@pytest.mark.parametrize(("text", "value"), MEANING, ids=lambda value: str(value)[:40])
def test_what_an_expression_means(text: str, value: Any) -> None:
    assert check(text, NODES) == []
    result = evaluate(text, SCOPE)
    assert result == value
    assert type(result) is type(value)


FAILING = [
    ("input.none", "input.none is not there; ask has(input.none) where it may be left out"),
    ("input.none.deeper + 1", "input.none.deeper is not there"),
    ("input.amount.x", "input.amount.x is not there"),
    ("nodes.later.output.x", "nodes.later.output.x is not there: the node has not ended"),
    ("input.list[3]", "index out of bounds"),
    ("input.list[-1]", "index out of bounds"),
    ("{'a': 1}[input.name]", "there is no key"),
    ("1 / 0", "division by zero"),
    ("1 % (1 - 1)", "modulo by zero"),
    ("1.0 / 0.0", "NaN and infinities"),
    ("double('NaN')", "NaN and infinities"),
    ("9007199254740991 + 1", "2^53"),
    ("9007199254740991 * 9007199254740991", "overflow"),
    ("1e18", "lose digits"),
    ("input.amount + input.name", "No such overload"),
    ("input.amount + input.rate", "No such overload"),
    ("int(input.name)", "invalid digit"),
    ("timestamp(input.name)", "timestamp"),
    ("string(input.yes)", "string does not take values of this type"),
    ("size(input.amount)", "size does not take values of this type"),
    ("{1: 2}", "keys are text"),
    ("{'a': duration(input.due)}", "duration"),
    ("[now - now]", "the result is a duration"),
    ("timestamp('9999-12-31T23:59:59Z') + duration('1000h')", "timestamp"),
    ("input.lines[0].nothing", "there is no key"),
]


@pytest.mark.parametrize(("text", "message"), FAILING, ids=lambda value: value[:40])
def test_what_only_the_data_shows_fails_in_one_way(text: str, message: str) -> None:
    assert check(text, NODES) == []
    with pytest.raises(ExpressionFailed) as caught:
        evaluate(text, SCOPE)
    assert message in str(caught.value)
    assert "__" not in str(caught.value)


REFUSED = [
    ("", "a value is wanted"),
    ("1 +", "a value is wanted here, not the end"),
    ("(1", ") is wanted here, not the end"),
    ("1 2", "the end is wanted here, not '2'"),
    ("input..x", "a name is wanted"),
    ("'open", "does not end on its line"),
    ("'two\nlines'", "does not end on its line"),
    ("input.x = 1", "to compare, write =="),
    ("${{ input.x }}", "stands bare"),
    ("input.x; 1", "';' is not part"),
    ("é", "'é' is not part"),
    ("foo", "unknown name 'foo'"),
    ("Input.x", "unknown name 'Input'"),
    ("__0", "unknown name '__0'"),
    ("env.HOME", "unknown name 'env'"),
    (".input", "a value is wanted"),
    ("type(1)", "unknown function 'type'"),
    ("dyn(1)", "unknown function 'dyn'"),
    ("bytes('a')", "unknown function 'bytes'"),
    ("input.s.upper()", "unknown function 'upper'"),
    ("size()", "size takes 1 argument here, not 0"),
    ("size(1, 2)", "size takes 1 argument here, not 2"),
    ("contains('a', 'b')", "it is written x.contains(…)"),
    ("input.s.has(x)", "it is written has(x.y)"),
    ("has(input)", "has takes a field"),
    ("has(input.l[0])", "has takes a field"),
    ("map(input.l, x, x)", "unknown function 'map'"),
    ("input.l.map(x)", "map takes a name and an expression"),
    ("input.l.map(1, 2)", "map takes a name first"),
    ("input.l.all(x, x, x)", "all takes a name and an expression"),
    ("input.l.map(input, input)", "'input' has a meaning of its own"),
    ("input.l.map(__0, __0)", "'__0' has a meaning of its own"),
    ("input.l.map(x, input.l.map(y, x))", "inside another"),
    ("input.l.map(x, [x].exists(y, true))", "inside another"),
    ("input.l.map(x, x) + [x]", "unknown name 'x'"),
    ("x.map(x, x)", "unknown name 'x'"),
    ("nodes", "only its output is read"),
    ("nodes.quote", "only its output is read"),
    ("nodes.quote.input", "only its output is read"),
    ("nodes[input.name].output", "only its output is read"),
    ("nodes.nobody.output", "there is no node 'nobody'"),
    ("nodes.map(n, n)", "only its output is read"),
    ("execution", "only its id is read"),
    ("execution.id.x", "only its id is read"),
    ("now.year", "now is a timestamp"),
    ("b'bytes'", "raw texts and bytes"),
    ("r'raw'", "raw texts and bytes"),
    ("'''three'''", "three quotes"),
    ("1u", "the end is wanted"),
    ("// comment", "a value is wanted"),
    ("Message{a: 1}", "the end is wanted"),
    ("9007199254740992", "2^53"),
    ("1" * 30, "2^53"),
    ("1e999", "a number is finite"),
    (r"'\d'", "is no escape"),
    (r"'\u0000'", "is not allowed in text"),
    (r"'\ud800'", "is not allowed in text"),
    ("input.s.matches(input.p)", "a text that is written out"),
    ("input.s.matches('(')", "not a regular expression"),
    ("input.s.matches('a{1000}')", "braces stand only around counts"),
    ("input.s.matches('(a{64}){64}')", "a count {n} follows a single sign"),
    (f"input.s.matches('{'a' * 201}')", "at most 200"),
    ("input.if + 1 ? in : 2", "is a word of the language"),
    ("if", "is a word of the language"),
    ("input.in", "is a word of the language"),
    ("(" * 100 + "1" + ")" * 100, "nests at most"),
    ("[" * 100 + "]" * 100, "nests at most"),
    ("- -1", "a value is wanted"),
    ("input" + ".x" * 30 + "[0]" * 30, "nests at most"),
    ("1" + "+1" * 300, "at most 500 words"),
    ("'" + "x" * 2_000 + "'", "at most 2000 characters"),
    ("1 + '1'", "int + string is not defined"),
    ("1 + 1.5", "int + double is not defined"),
    ("input.a + 1 + 'x'", "int + string is not defined"),
    ("now + now", "timestamp + timestamp is not defined"),
    ("1 < 'a'", "int < string is not defined"),
    ("1 && true", "bool is wanted here, not int"),
    ("'a' ? 1 : 2", "bool is wanted here, not string"),
    ("!1", "bool is wanted here, not int"),
    ("size(1)", "string or list or map is wanted here, not int"),
    ("'a'.getHours()", "timestamp or duration is wanted here, not string"),
    ("[1]['a']", "map is wanted here, not list"),
    ("[1]['a' + 'b']", "int is wanted here, not string"),
    ("1.5.x", "map is wanted here, not double"),
    ("[1].filter(x, 'a')", "bool is wanted here, not string"),
    ("'a'.map(x, x)", "list or map is wanted here, not string"),
    ("duration('1h')", "JSON has no durations"),
]


@pytest.mark.parametrize(("text", "message"), REFUSED, ids=lambda value: value[:40])
def test_what_the_text_shows_is_told_before_it_runs_and_never_run(text: str, message: str) -> None:
    told = check(text, NODES)
    assert told
    assert message in told[0]
    with pytest.raises(ExpressionFailed):
        evaluate(text, SCOPE)


def test_a_fault_says_where() -> None:
    assert check("input.a + foo", ()) == [
        "unknown name 'foo'; there are input, nodes, execution, now, in 'input.a + foo' at character 11"
    ]


def test_all_faults_of_an_expression_are_told() -> None:
    assert len(check("foo + nodes.x + upper(1) + nodes.y.output", ())) == 4


@pytest.mark.parametrize("text", ["1", "'a'", "null", "[true]", "{'a': true}", "now", "input.list.map(x, x)"])
def test_a_condition_is_true_or_false(text: str) -> None:
    assert "a condition is true or false" in check(text, NODES, "condition")[0]
    with pytest.raises(ExpressionFailed, match="a condition is true or false"):
        holds(text, SCOPE)


def test_conditions() -> None:
    assert holds("input.amount > 10000", SCOPE) is True
    assert holds("input.amount < 10000", SCOPE) is False
    assert check("input.amount", (), "condition") == []
    with pytest.raises(ExpressionFailed, match="neither"):
        holds("input.amount", SCOPE)


# ---------------------------------------------------------------- kinds against the engine


OF_EACH_KIND = {
    "bool": "true",
    "int": "1",
    "double": "1.5",
    "string": "'1'",
    "null": "null",
    "list": "[1]",
    "map": "{'a': 1}",
    "timestamp": "timestamp('2026-01-01T00:00:00Z')",
    "duration": "duration('1h')",
}
FORMS = [
    *("!{}", "-{}", "size({})", "{}.size()", "string({})", "int({})", "double({})", "{}.getHours()"),
    *("{}.getFullYear()", "{}.all(x, true)", "{}.map(x, x)", "[1].all(x, {})", "[1].filter(x, {})"),
    *("[1].exists_one(x, {})", "[1].exists(x, {})", "[1].map(x, {}, x)", "{} ? 1 : 2", "true ? {} : 1"),
    *("[{}]", "{{'a': {}}}", "{} == 1"),
]
OPERATORS = ("+", "-", "*", "/", "%", "<", "<=", ">", ">=", "==", "!=", "&&", "||", "in")
# What the engine lets pass and the language does not.
LENIENT = {"-true", "[1] + {'a': 1}"}


def engine_takes(text: str) -> bool:
    try:
        cel.run(written(read(text).tree), {})
    except cel.EngineFailed:
        return False
    return True


def test_kinds_are_told_as_the_engine_sees_them() -> None:
    values = OF_EACH_KIND.values()
    texts = [form.format(value) for form in FORMS for value in values]
    texts += [f"{left} {sign} {right}" for sign in OPERATORS for left, right in itertools.product(values, repeat=2)]
    pairs = list(itertools.product(values, repeat=2))
    texts += [f"{left}.{name}({right})" for name in ("contains", "startsWith") for left, right in pairs]
    for text in texts:
        # One side of these may decide alone.
        if text not in LENIENT and not (" || " in text and "true" in text):
            assert engine_takes(text) == (not read(text).faults), text


@pytest.mark.parametrize(("kind", "text"), OF_EACH_KIND.items())
def test_the_kind_of_a_value_is_known(kind: str, text: str) -> None:
    assert read(text).kind == kind
    assert read(f"input.x ? {text} : {text}").kind == kind
    assert read(f"input.x ? {text} : input.y").kind == "dyn"


# ---------------------------------------------------------------- what is checked is what runs


LEAVES = st.sampled_from(
    [
        "1",
        "1.5",
        "'a\\n\"'",
        "true",
        "null",
        "input.a",
        'input["b-c"].d',
        "nodes.quote.output",
        "now",
        "execution.id",
        "x",
    ]
)
TREES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from(OPERATORS), inner).map(" ".join),
        inner.map("({})".format),
        inner.map("!({})".format),
        inner.map("-({})".format),
        st.lists(inner, max_size=3).map(lambda parts: f"[{', '.join(parts)}]"),
        st.lists(inner, max_size=3).map(lambda parts: "{" + ", ".join(f"'k': {part}" for part in parts) + "}"),
        st.tuples(inner, inner, inner).map(lambda parts: "({} ? {} : {})".format(*parts)),
        st.tuples(inner, inner).map(lambda parts: "({})[{}]".format(*parts)),
        inner.map("size({})".format),
        inner.map("({}).f.g".format),
        st.tuples(inner, inner).map(lambda parts: "[{}].map(x, {})".format(*parts)),
        st.tuples(inner, inner).map(lambda parts: "({}).all(x, {})".format(*parts)),
    ),
    max_leaves=8,
)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(TREES)
def test_the_engine_reads_what_is_written_for_it_as_it_was_meant(text: str) -> None:
    """Reading the engine's text again gives the same tree; and where the engine runs both, they say the same."""
    try:
        tree = syntax.parse(text)
    except SyntaxFault:
        return
    again = written(syntax.parse(written(tree)))
    assert again == written(tree)
    cel.compile_program(written(tree))
    values = {"input": {"a": 1, "b-c": {"d": [1]}}, "nodes": {"quote": {"output": {"f": {"g": 2}}}}}
    values |= {"now": datetime(2026, 1, 1, tzinfo=UTC), "execution": {"id": "e"}, "x": True}
    assert outcome(text, values) == outcome(written(tree), values)


def outcome(source: str, values: dict[str, Any]) -> str:
    try:
        return repr(cel.run(source, values))
    except cel.EngineFailed as error:
        return error.kind


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(TREES)
def test_an_evaluation_ends_in_json_data_or_in_its_one_failure(text: str) -> None:
    told = check(text, NODES)
    try:
        value = evaluate(text, SCOPE)
    except ExpressionFailed:
        return
    assert told == [] or "JSON" in told[0]
    check_canonical(value)


@settings(max_examples=300, deadline=None)
@given(st.text("input.nodesaxmp()[]{}'\"\\+-*/%<>=!&|?:, 01ueEr`$\n\té", max_size=40))
def test_any_text_is_checked_and_evaluated_without_a_surprise(text: str) -> None:
    told = check(text, NODES)
    try:
        evaluate(text, SCOPE)
    except ExpressionFailed:
        return
    assert told == []


def test_an_engine_that_panics_is_a_failure_like_any_other(monkeypatch: pytest.MonkeyPatch) -> None:
    panic = type("PanicException", (BaseException,), {})

    def explode(source: str) -> None:
        raise panic("at the disco")

    monkeypatch.setattr(cel, "_compiled", explode)
    with pytest.raises(ExpressionFailed, match="at the disco"):
        evaluate("1 + 41", SCOPE)


def test_an_interrupt_is_not_taken_for_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(source: str) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(cel, "_compiled", interrupt)
    with pytest.raises(KeyboardInterrupt):
        evaluate("1 + 42", SCOPE)


# ---------------------------------------------------------------- texts


FILLED = [
    ("${{ input.amount }}", 12_500),
    ("${{input.list}}", [3, 1, 2]),
    (" ${{ input.amount }}", " 12500"),
    ("${{ input.amount }}\n", "12500\n"),
    ("${{ input.name }}: ${{ input.amount }} at ${{ input.rate }}, ${{ input.yes }}", "Zoë: 12500 at 1.5, true"),
    ("${{ input.name }}${{ input.name }}", "ZoëZoë"),
    ("at ${{ now }}", "at 2026-11-23T08:15:00.123Z"),
    ("${{ '}}' }}", "}}"),
    ("${{ {'a': {'b': 1}} }}", {"a": {"b": 1}}),
    ("${{ {'a': {'b': 1}}.a.b }}${{ '${{' }}", "1${{"),
    ("$ {{ x }} ${ y } $${{ 1 }} }}", "$ {{ x }} ${ y } $1 }}"),
    ("plain", "plain"),
    ("", ""),
    ({"a": ["${{ input.amount }}", {"b": "${{ nodes.quote.output }}"}], "c": 1.5},
     {"a": [12_500, {"b": {"total": 7, "items": ["x"]}}], "c": 1.5}),
    ([None, True, 1], [None, True, 1]),
]  # fmt: skip


@pytest.mark.parametrize(("data", "value"), FILLED, ids=lambda value: str(value)[:40])
def test_what_stands_in_texts_is_evaluated(data: Any, value: Any) -> None:
    assert list(check_in(data, NODES)) == []
    assert fill(data, SCOPE) == value


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a ${{ input.nothing }}", "it is null"),
        ("a ${{ input.list }}", "a list or a mapping"),
        ("a ${{ input }}", "a list or a mapping"),
        ("a ${{ input.none }}", "input.none is not there"),
    ],
)
def test_what_cannot_be_put_into_a_text_fails(text: str, message: str) -> None:
    with pytest.raises(ExpressionFailed, match=message):
        fill({"a": [text]}, SCOPE)


def test_faults_in_data_come_with_their_paths() -> None:
    data = {
        "a": ["${{ foo }}", {"b": "x ${{ 1 }} ${{ [1] }}"}],
        "c": "${{ 1",
        "d": "${{}}",
        "${{ e }}": 1,
        "f": "${{ [1] }}",
    }
    paths = [path for path, _ in check_in(data, ())]
    assert paths == [("a", 0), ("a", 1, "b"), ("c",), ("d",), ("${{ e }}",)]


def test_the_nodes_that_are_read_are_told() -> None:
    assert reads("nodes.a.output + nodes['b-c'].output.x") == {"a", "b-c"}
    assert reads("has(nodes.a.output) && input.nodes.x.output") == {"a"}
    assert reads("input.l.map(nodes_, nodes_.output)") == set()
    data = {"a": ["${{ nodes.a.output }} ${{ nodes.b.output }}"], "b": "nodes.c.output", "c": "${{ 'nodes.d.output' }}"}
    assert reads_in(data) == {"a", "b"}


# ---------------------------------------------------------------- nothing runs away


def rows(count: int, width: int = 5) -> list[dict[str, int]]:
    return [{f"k{at}": row for at in range(width)} for row in range(count)]


DOUBLING = ["aaaaaaaaaa"]
RUNAWAYS: dict[str, tuple[str, Callable[[], Any]]] = {
    "doubling": (f"['aaaaaaaaaa']{'.map(x, x + x)' * 20}", dict),
    "doubling lists": (f"[[1, 2, 3]]{'.map(x, x + x)' * 20}", dict),
    "growing lists": (f"input.l{'.map(x, [x, x, x, x])' * 18}", lambda: {"l": [1] * 100}),
    "a list over itself": ("input.l.map(x, input.l)", lambda: {"l": rows(1_000)}),
    "a comparison of it with itself": ("input.l.all(x, input.l == input.l)", lambda: {"l": rows(1_000, 20)}),
    "a filter of heavy elements": ("input.l.filter(x, true)", lambda: {"l": rows(1_000, 20)}),
    "long texts put together": ("input.l.map(x, input.s + input.s)", lambda: {"l": [1] * 900, "s": "x" * 100_000}),
    "too many elements": ("input.l.all(x, true)", lambda: {"l": [1] * (MAX_ITEMS + 1)}),
    "patterns again and again": (f"input.l.all(x, x.matches('{'(a|b)*' * 25}'))", lambda: {"l": ["ab" * 50] * 1_000}),
    "heavy patterns": (f"input.l.all(x, !x.matches('{'[^x]' * 40}'))", lambda: {"l": ["ab"] * 1_000}),
    "a pattern on a long text": (f"input.s.matches('{'(a|aa)+' * 25}b')", lambda: {"s": "a" * 1_000_000}),
    "sums of sums": ("+".join(["input.l"] * 120), lambda: {"l": list(range(5_000))}),
    "a list of lists": (f"[{','.join(['input.l'] * 100)}]", lambda: {"l": list(range(20_000))}),
    "an enormous input": ("input.l == input.m", lambda: {"l": rows(60_000, 20), "m": rows(10)}),
    "selections in a loop": ("input.l.all(x, [input.m][0][0].k1 >= 0)", lambda: {"l": [1] * 1_000, "m": rows(5_000)}),
}  # fmt: skip


@pytest.mark.parametrize("name", RUNAWAYS)
def test_what_would_run_away_is_refused_before_it_runs(name: str) -> None:
    text, made = RUNAWAYS[name]
    scope = Scope(made(), {}, "e", NOW)
    assert check(text, ()) == []
    begin = time.process_time()
    with pytest.raises(ExpressionFailed, match=r"takes too long|at most"):
        evaluate(text, scope)
    assert time.process_time() - begin < 1


COSTLY: dict[str, tuple[str, Callable[[], Any]]] = {
    "map": ("input.l.map(x, x)", lambda size: {"l": list(range(size))}),
    "filter": ("input.l.filter(x, x.k0 >= 0)", lambda size: {"l": rows(size)}),
    "map to lists": ("input.l.map(x, [x, x, x])", lambda size: {"l": list(range(size))}),
    "map to texts": ("input.l.map(x, x + x)", lambda size: {"l": ["x" * 1_000] * size}),
    "all": ("input.l.all(x, x.k0 + x.k1 + x.k2 >= 0 && input.n > x.k1 - 5000)", lambda size: {"l": rows(size), "n": 1}),
    "compared": ("input.l.all(x, input.m == input.m)", lambda size: {"l": [1] * size, "m": rows(40)}),
    "selected": ("input.l.all(x, {'a': input.m}.a[0].k0 == 0)", lambda size: {"l": [1] * size, "m": rows(40)}),
    "patterns": ("input.l.all(x, x.matches('^[a-z]+$'))", lambda size: {"l": ["abcdefghij"] * size}),
    "unicode patterns": ("input.l.all(x, x.matches('^\\\\w+\\\\w+$'))", lambda size: {"l": ["abcdefghij"] * size}),
    "long texts": ("input.s.matches('(a|aa|aaa)+b') || input.s + input.s == ''", lambda size: {"s": "a" * size * 100}),
    "sums": ("+".join(["input.l"] * 20), lambda size: {"l": list(range(size))}),
    "doubling": (f"[input.s]{'.map(x, x + x)' * 9}", lambda size: {"s": "x" * size}),
}


@pytest.mark.parametrize("name", COSTLY)
def test_the_dearest_that_is_let_through_ends_in_a_moment(name: str) -> None:
    """The largest data that the budget allows, found by halving; what it takes is what the budget promises."""
    text, made = COSTLY[name]
    expression = read(text)

    def allowed(size: int) -> bool:
        scope = made(size)
        sizes = [size_of(scope[reading.path[1]]) for reading in expression.readings]
        try:
            estimate(expression.tree, sizes, Budget(MAX_COST - sum(each.weight for each in sizes)))
        except TooCostly:
            return False
        return True

    low, high = 1, 20_000
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if allowed(middle) else (low, middle)
    assert allowed(low)
    scope = Scope(made(low), {}, "e", NOW)
    begin = time.process_time()
    with contextlib.suppress(ExpressionFailed):
        evaluate(text, scope)
    assert time.process_time() - begin < 1.5


def test_one_budget_serves_all_expressions_of_a_text() -> None:
    scope = Scope({"l": list(range(10_000))}, {}, "e", NOW)
    assert fill(["${{ input.l }}"] * 10, scope)
    begin = time.process_time()
    with pytest.raises(ExpressionFailed, match="takes too long"):
        fill(["${{ input.l }}"] * 1_000, scope)
    assert time.process_time() - begin < 1


def test_weighing_stops_where_it_is_enough() -> None:
    shared: Any = [0] * 100
    for _ in range(30):
        shared = [shared] * 10
    begin = time.process_time()
    assert weigh(shared) > MAX_COST
    assert time.process_time() - begin < 2


def test_results_come_in_one_order() -> None:
    texts = ["{'b': 1, 'a': 2, 'c': 3}", "input.m.map(k, k)"]
    scope = Scope({"m": {f"k{at}": at for at in range(20)}}, {}, "e", NOW)
    assert list(evaluate(texts[0], scope)) == ["a", "b", "c"]
    assert sorted(evaluate(texts[1], scope)) == sorted(scope.input["m"])


def test_expressions_are_evaluated_by_many_threads_at_once() -> None:
    texts = [f"input.list.map(x, x + {at})" for at in range(20)] * 20
    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(lambda text: evaluate(text, SCOPE), texts))
    assert results == [[3 + at, 1 + at, 2 + at] for at in range(20)] * 20
