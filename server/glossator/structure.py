"""How complex the functions of a text are, counted by tree-sitter: branches, depth, length and parameters; no model needed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from tree_sitter import Node

from glossator import syntax
from glossator.document import Diagnostic, Point, Region, Severity, Snapshot

SOURCE = "glossator"

# From which on a function is worth a remark. Ten branches are McCabe's own limit (https://doi.org/10.1109/TSE.1976.233837).
MOST_BRANCHES = 10
MOST_LINES = 60
DEEPEST = 4
MOST_PARAMETERS = 7

_FUNCTIONS = frozenset(
    (
        *("function_definition", "function_declaration", "generator_function_declaration", "method_definition"),
        *("method_declaration", "function_item", "arrow_function", "function_expression", "generator_function"),
    )
)
_NESTING = frozenset(
    (
        *("if_statement", "for_statement", "while_statement", "do_statement", "with_statement", "try_statement"),
        *("match_statement", "switch_statement", "for_in_statement", "for_range_loop", "expression_switch_statement"),
        *("type_switch_statement", "select_statement", "if_expression", "for_expression", "while_expression"),
        *("loop_expression", "match_expression", "c_style_for_statement", "case_statement", "unless_statement"),
    )
)
_BRANCHES = frozenset(
    (
        *("if_statement", "elif_clause", "for_statement", "while_statement", "do_statement", "for_in_statement"),
        *("for_range_loop", "except_clause", "catch_clause", "case_clause", "switch_case", "expression_case"),
        *("type_case", "communication_case", "case_item", "conditional_expression", "ternary_expression"),
        *("boolean_operator", "if_expression", "for_expression", "while_expression", "loop_expression", "match_arm"),
        *("c_style_for_statement", "if_clause", "for_in_clause", "unless_statement", "case_statement"),
    )
)
_LOGICAL = frozenset({"&&", "||", "??"})
_NO_PARAMETERS = frozenset({"comment", "line_comment", "block_comment", "self_parameter", "keyword_separator"})


@dataclass(frozen=True, slots=True)
class Measure:
    """One function: `first` is its first line, `end` the one after its last, both from 0.

    `branches` is the cyclomatic complexity: one, and one for each place where the way forks. `depth` counts the blocks
    that stand inside of one another.
    """

    name: str
    first: int
    end: int
    branches: int
    depth: int
    parameters: int

    @property
    def lines(self) -> int:
        return self.end - self.first


def measure(language: str, text: str) -> tuple[Measure, ...]:
    """Measure the functions and methods of *text*, in order; none where there is no grammar. Functions inside of one count for it."""
    return tuple(
        Measure(name, first, end, *_counted(function))
        for name, node, first, end in syntax.definitions(language, text)
        if (function := _function(node)) is not None
    )


def remarks(snapshot: Snapshot) -> tuple[Diagnostic, ...]:
    """Return what stands out in the structure of a document, as information: no checker has called it wrong."""
    return tuple(
        Diagnostic(_head(snapshot, one), message, SOURCE, rule, Severity.INFORMATION)
        for one in measure(snapshot.language, snapshot.text)
        for rule, message in _outstanding(one)
    )


def describe(one: Measure) -> str:
    """Return a measure as one line of words."""
    return (
        f"{one.name}: {_count(one.lines, 'line')}, complexity {one.branches}, depth {one.depth}, "
        f"{_count(one.parameters, 'parameter')}"
    )


def _outstanding(one: Measure) -> Iterator[tuple[str, str]]:
    own = one.name.rpartition(".")[2]
    if one.branches > MOST_BRANCHES:
        yield (
            "complex-function",
            f"{own} has a cyclomatic complexity of {one.branches}; more than {MOST_BRANCHES} is hard to test",
        )
    if one.lines > MOST_LINES:
        yield "long-function", f"{own} is {one.lines} lines long; more than {MOST_LINES} is hard to see at once"
    if one.depth > DEEPEST:
        yield "deep-nesting", f"{own} nests {one.depth} blocks; more than {DEEPEST} is hard to follow"
    if one.parameters > MOST_PARAMETERS:
        yield (
            "many-parameters",
            f"{own} takes {one.parameters} parameters; more than {MOST_PARAMETERS} are easily mixed up",
        )


def _head(snapshot: Snapshot, one: Measure) -> Region:
    """Return the line that names a function: the first that has its own name, after decorators and comments."""
    own = one.name.rpartition(".")[2]
    line = next((number for number in range(one.first, one.end) if own in snapshot.line(number)), one.first)
    text = snapshot.line(line)
    return Region(Point(line, len(text) - len(text.lstrip())), Point(line, len(text)))


def _function(node: Node) -> Node | None:
    """Return the function that a symbol is, or the one that a variable or a field holds."""
    if node.type in _FUNCTIONS:
        return node
    for holder in (node, *node.named_children):
        value = holder.child_by_field_name("value")
        if value is not None and value.type in _FUNCTIONS:
            return value
    return None


def _counted(function: Node) -> tuple[int, int, int]:
    branches, deepest = 1, 0
    todo = [(child, 0) for child in function.children]
    while todo:
        node, depth = todo.pop()
        if node.is_named and node.type in _NESTING and not _continues(node):
            depth += 1
            deepest = max(deepest, depth)
        branches += _forks(node)
        todo.extend((child, depth) for child in node.children)
    return branches, deepest, _parameters(function)


def _forks(node: Node) -> bool:
    if node.type in {"binary_expression", "logical_expression", "list"}:
        return any(child.type in _LOGICAL for child in node.children)
    return node.is_named and node.type in _BRANCHES


def _continues(node: Node) -> bool:
    """Say whether this is the `if` of an `else if`, which is no deeper than the one before."""
    parent = node.parent
    return (
        node.type.startswith("if_")
        and parent is not None
        and (parent.type == "else_clause" or parent.child_by_field_name("alternative") == node)
    )


def _parameters(function: Node) -> int:
    holder: Node | None = function
    while holder is not None and (found := holder.child_by_field_name("parameters")) is None:
        holder = holder.child_by_field_name("declarator")  # C keeps them inside of the name
    if holder is None or found is None:
        return 0
    given = [one for one in found.named_children if one.type not in _NO_PARAMETERS]
    own = [one for one in given if (one.text or b"") in {b"self", b"cls", b"this", b"void"}]
    return sum(max(1, len(one.children_by_field_name("name"))) for one in given) - len(own)  # Go: `a, b int`


def _count(number: int, thing: str) -> str:
    return f"{number} {thing}{'' if number == 1 else 's'}"
