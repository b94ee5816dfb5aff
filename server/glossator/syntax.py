"""Ask tree-sitter what stands where in a text: the symbol around a place, the names it defines, its syntax errors."""

from __future__ import annotations

import functools
import importlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import log

from tree_sitter import Language, Node, Parser, Tree

from glossator.document import Point, Region, Snapshot

LARGEST_TEXT = 4_000_000  # bytes; what is larger is not parsed
LONGEST_PARSE = 0.25  # seconds of this thread; what takes longer is not parsed, and its syntax is unknown
SMALLEST_HEAD = 4096  # bytes that any parser takes in its stride
HEAD_GROWTH = 4  # times; each further head is so much longer
LARGEST_SYMBOL = 400  # lines; a larger one is no region that a model should write anew
LARGEST_STATEMENT = 100  # lines
MANY_NODES = 2000  # beside one another; who stands further off is no neighbour


@dataclass(frozen=True, slots=True)
class Grammar:
    """A grammar, where its wheel keeps it, and which of its nodes are symbols."""

    module: str
    symbols: frozenset[str]
    function: str = "language"
    containers: frozenset[str] = frozenset()  # symbols whose members are symbols of the file too
    wrappers: frozenset[str] = frozenset()  # a node around a symbol that belongs to it: decorators, export, template
    leading: frozenset[str] = field(default=frozenset({"comment"}))  # what belongs to a symbol when right above it


_PYTHON = Grammar(
    "tree_sitter_python",
    symbols=frozenset({"function_definition", "class_definition"}),
    containers=frozenset({"class_definition"}),
    wrappers=frozenset({"decorated_definition"}),
)
_JAVASCRIPT = Grammar(
    "tree_sitter_javascript",
    symbols=frozenset(
        {
            "function_declaration",
            "generator_function_declaration",
            "class_declaration",
            "method_definition",
            "lexical_declaration",
            "variable_declaration",
            "field_definition",
        }
    ),
    containers=frozenset({"class_declaration"}),
    wrappers=frozenset({"export_statement"}),
    leading=frozenset({"comment", "decorator"}),
)
_TYPESCRIPT = Grammar(
    "tree_sitter_typescript",
    function="language_typescript",
    symbols=_JAVASCRIPT.symbols
    | {
        "abstract_class_declaration",
        "interface_declaration",
        "type_alias_declaration",
        "enum_declaration",
        "internal_module",
        "module",
        "public_field_definition",
        "function_signature",
    },
    containers=_JAVASCRIPT.containers | {"abstract_class_declaration", "internal_module", "module"},
    wrappers=frozenset({"export_statement", "ambient_declaration", "expression_statement"}),
    leading=frozenset({"comment", "decorator"}),
)
_TSX = Grammar(
    _TYPESCRIPT.module,
    _TYPESCRIPT.symbols,
    function="language_tsx",
    containers=_TYPESCRIPT.containers,
    wrappers=_TYPESCRIPT.wrappers,
    leading=_TYPESCRIPT.leading,
)
_GO = Grammar(
    "tree_sitter_go",
    symbols=frozenset({"function_declaration", "method_declaration", "type_declaration"}),
)
_RUST = Grammar(
    "tree_sitter_rust",
    symbols=frozenset(
        {
            "function_item",
            "function_signature_item",
            "struct_item",
            "enum_item",
            "union_item",
            "trait_item",
            "impl_item",
            "mod_item",
            "const_item",
            "static_item",
            "type_item",
            "macro_definition",
        }
    ),
    containers=frozenset({"trait_item", "impl_item", "mod_item"}),
    leading=frozenset({"line_comment", "block_comment", "attribute_item"}),
)
_C_SYMBOLS = frozenset({"function_definition", "struct_specifier", "union_specifier", "enum_specifier"})
_C = Grammar("tree_sitter_c", symbols=_C_SYMBOLS, wrappers=frozenset({"type_definition"}))
_CPP = Grammar(
    "tree_sitter_cpp",
    symbols=_C_SYMBOLS | {"class_specifier", "namespace_definition", "concept_definition"},
    containers=frozenset({"class_specifier", "struct_specifier", "namespace_definition"}),
    wrappers=frozenset({"template_declaration", "type_definition"}),
)
_BASH = Grammar("tree_sitter_bash", symbols=frozenset({"function_definition"}))

# By LSP languageId; the second spellings are what some editors send instead.
GRAMMARS: Mapping[str, Grammar] = {
    "python": _PYTHON,
    "javascript": _JAVASCRIPT,
    "javascriptreact": _JAVASCRIPT,
    "typescript": _TYPESCRIPT,
    "typescriptreact": _TSX,
    "tsx": _TSX,
    "jsx": _JAVASCRIPT,
    "go": _GO,
    "rust": _RUST,
    "c": _C,
    "cpp": _CPP,
    "c++": _CPP,
    "shellscript": _BASH,
    "bash": _BASH,
    "sh": _BASH,
}


def enclosing(snapshot: Snapshot, region: Region) -> Region:
    """Return the innermost symbol that holds *region*, with its decorators and comments: whole lines.

    Where none does, or the symbol is very large, the lines of the region, widened to the blank lines and symbols around.
    """
    grammar = GRAMMARS.get(snapshot.language)
    parsed = _parse(snapshot.language, snapshot.text) if grammar else None
    if grammar is None or parsed is None:
        return _paragraph(snapshot, region, ())
    tree, source = parsed
    places = _Places(snapshot, source)
    start, end = places.bytes_of(region)
    found: Node | None = None  # the innermost symbol, or what wraps it
    wrapping: Node | None = None
    for node in _path(tree.root_node, start, end):
        if _is_symbol(node, grammar):
            found = wrapping or node
        elif node.type in grammar.leading and (below := _below(node, grammar)) is not None:
            found = below
        elif node.type in grammar.wrappers and _wrapped(node, grammar) is not None:
            found = wrapping = wrapping or node
            continue
        wrapping = None
    if found is not None:
        lines = _whole_lines(places, found, grammar)
        if lines.end.line - lines.start.line <= LARGEST_SYMBOL:
            return lines
    statement, walls = _surroundings(places, tree.root_node, (start, end), grammar)
    return _paragraph(snapshot, statement or region, walls)


def errors(language: str, text: str) -> int | None:
    """Count the nodes that are wrong or missing in *text*; None where *language* has no grammar or parsing took too long."""
    parsed = _parse(language, text)
    if parsed is None:
        return None
    root = parsed[0].root_node
    if not root.has_error:
        return 0
    return sum(1 for node in _walk(root, only_errors=True) if node.is_error or node.is_missing)


def symbols(language: str, text: str) -> tuple[str, ...]:
    """Return the names that *text* defines, members as `Class.method`, in order; none where it cannot be parsed."""
    parsed = _parse(language, text)
    if parsed is None:
        return ()
    tree, source = parsed
    return tuple(name for name, _ in _names(tree.root_node, source, GRAMMARS[language]))


def outline(language: str, text: str) -> tuple[tuple[str, int, int], ...]:
    """Return each name of `symbols` with its lines, first and after the last, decorators and comments included."""
    return tuple((name, first, end) for name, _, first, end in definitions(language, text))


def definitions(language: str, text: str) -> tuple[tuple[str, Node, int, int], ...]:
    """Return what `outline` does, and the node of each name."""
    parsed = _parse(language, text)
    if parsed is None:
        return ()
    tree, source = parsed
    grammar = GRAMMARS[language]
    places = _Places(Snapshot.of(text, uri="", language=language), source)
    found = []
    for name, node in _names(tree.root_node, source, grammar):
        outer = node
        while outer.parent is not None and outer.parent.type in grammar.wrappers:
            outer = outer.parent
        lines = _whole_lines(places, outer, grammar)
        found.append((name, node, lines.start.line, lines.end.line + (lines.end.column > 0)))
    return tuple(found)


def code(language: str, text: str) -> tuple[tuple[int, str], ...] | None:
    """Return the tokens of *text* with their depth, comments and docstrings left out; None where there is no grammar."""
    parsed = _parse(language, text)
    if parsed is None:
        return None
    tree, source = parsed
    found: list[tuple[int, str]] = []
    todo: list[tuple[Node | bytes, int]] = [(tree.root_node, 0)]
    while todo:
        part, depth = todo.pop()
        if isinstance(part, bytes):
            if token := part.decode("utf-8", "replace").strip():
                found.append((depth, token))
        elif part.type in _COMMENTS or _is_docstring(part):
            continue
        else:
            # Between the children of a node may stand text that none of them covers.
            pieces: list[tuple[Node | bytes, int]] = []
            at = part.start_byte
            for child in part.children:
                pieces += [(source[at : child.start_byte], depth), (child, depth + 1)]
                at = child.end_byte
            pieces.append((source[at : part.end_byte], depth))
            todo.extend(reversed(pieces))
    return tuple(found)


_COMMENTS = frozenset({"comment", "line_comment", "block_comment"})


def _is_docstring(node: Node) -> bool:
    """Say whether this is the string that begins a module, a class or a function of Python."""
    parent = node.parent
    if node.type != "expression_statement" or parent is None or [one.type for one in node.children] != ["string"]:
        return False
    if next((one for one in parent.named_children if one.type not in _COMMENTS), None) != node:
        return False
    holder = parent.parent
    return parent.type == "module" or (
        parent.type == "block" and holder is not None and holder.type in {"function_definition", "class_definition"}
    )


def _names(root: Node, source: bytes, grammar: Grammar) -> Iterator[tuple[str, Node]]:
    todo: list[tuple[Node, str]] = [(child, "") for child in reversed(root.named_children)]
    while todo:
        node, prefix = todo.pop()
        inside = prefix
        if _is_symbol(node, grammar):
            for name in _own_names(node, source):
                if node.type != "impl_item" or " for " in name:  # a bare `impl` names nothing new, its members do
                    yield prefix + name, node
                inside = f"{prefix}{name}."
            if node.type not in grammar.containers:
                continue
        todo.extend((child, inside) for child in reversed(node.named_children))


def _own_names(node: Node, source: bytes) -> Iterator[str]:
    if node.type in {"lexical_declaration", "variable_declaration", "type_declaration"}:
        for child in node.named_children:
            yield from _own_names(child, source)
        return
    name = node.child_by_field_name("name") or node.child_by_field_name("property")
    if node.type == "impl_item":
        name = node.child_by_field_name("type")
    declarator = node.child_by_field_name("declarator")
    while name is None and declarator is not None:
        inner = declarator.child_by_field_name("declarator")
        inner = inner or next((one for one in declarator.named_children if one.type.endswith("declarator")), None)
        name = declarator if inner is None else None
        declarator = inner
    if name is None:
        return
    text = _text(name, source)
    if node.type == "impl_item" and (trait := node.child_by_field_name("trait")) is not None:
        text = f"{_text(trait, source)} for {text}"
    elif (receiver := node.child_by_field_name("receiver")) is not None:
        kind = next((one.child_by_field_name("type") for one in receiver.named_children), None)
        text = f"{_text(kind or receiver, source).lstrip('*')}.{text}"
    yield text


def _text(node: Node, source: bytes) -> str:
    return source[node.start_byte : node.end_byte].decode("utf-8", "replace")


def _is_symbol(node: Node, grammar: Grammar) -> bool:
    if node.type not in grammar.symbols or not node.is_named:
        return False
    if node.type in {"lexical_declaration", "variable_declaration", "field_definition", "public_field_definition"}:
        # A variable is a symbol where it holds a function or a class.
        holders = [node, *node.named_children]
        values = (holder.child_by_field_name("value") for holder in holders)
        return any(value is not None and value.type in _FUNCTION_VALUES for value in values)
    if node.type in {"struct_specifier", "union_specifier", "enum_specifier", "class_specifier"}:
        return node.child_by_field_name("body") is not None
    return True


_FUNCTION_VALUES = frozenset({"arrow_function", "function_expression", "generator_function", "function", "class"})


class _Places:
    """Turns tree-sitter's bytes into the lines of a snapshot and back."""

    def __init__(self, snapshot: Snapshot, source: bytes) -> None:
        self.snapshot = snapshot
        self.source = source

    def point(self, offset: int) -> Point:
        return self.snapshot.point(len(self.source[:offset].decode("utf-8", "replace")))

    def bytes_of(self, region: Region) -> tuple[int, int]:
        """Return where the visible text of *region* stands; of a cursor, the character beside it."""
        text = self.snapshot.text
        start, end = sorted((self.snapshot.offset(region.start), self.snapshot.offset(region.end)))
        while start < end and text[start].isspace():
            start += 1
        while end > start and text[end - 1].isspace():
            end -= 1
        if start == end:
            line = self.snapshot.line(self.snapshot.point(start).line)
            first = self.snapshot.offset(Point(self.snapshot.point(start).line, 0))
            if line.strip():
                start = max(first + len(line) - len(line.lstrip()), min(start, first + len(line.rstrip()) - 1))
                end = start + 1
        return len(_encode(text[:start])), len(_encode(text[:end]))


def _path(root: Node, start: int, end: int) -> Iterator[Node]:
    """Go down from the root to the innermost node that holds the bytes; a tree may be deeper than Python's stack."""
    cursor = root.walk()
    while cursor.goto_first_child_for_byte(start) is not None:
        node = cursor.node
        if node is None or node.start_byte > start or node.end_byte < end:
            return
        yield node


def _surroundings(
    places: _Places, root: Node, part: tuple[int, int], grammar: Grammar
) -> tuple[Region | None, list[Region]]:
    """Return the outermost statement around *part* that is small enough, and the lines beside it that are not its own."""
    statement: Region | None = None
    walls: list[Region] = []
    parent = root
    for node in _path(root, *part):
        for _, child in zip(range(MANY_NODES), parent.named_children, strict=False):
            several = child.end_point.row > child.start_point.row
            if (child.start_byte > part[0] or child.end_byte < part[1]) and (several or _is_symbol(child, grammar)):
                walls.append(_whole_lines(places, child, grammar))
        if node.end_point.row - node.start_point.row <= LARGEST_STATEMENT and not _is_symbol(node, grammar):
            statement = _whole_lines(places, node, grammar)
            break
        parent = node
    return statement, walls


def _wrapped(node: Node, grammar: Grammar) -> Node | None:
    """Return the symbol inside a wrapper, through further wrappers."""
    inner: Node | None = node
    while inner is not None and inner.type in grammar.wrappers:
        inner = next((one for one in inner.named_children if one.type in grammar.symbols | grammar.wrappers), None)
    return inner if inner is not None and inner is not node and _is_symbol(inner, grammar) else None


def _below(node: Node, grammar: Grammar) -> Node | None:
    """Return the symbol that a comment or attribute stands right above."""
    last = node
    below: Node | None = node
    while below is not None and below.type in grammar.leading:
        if below.start_point.row > last.end_point.row + 1:
            return None
        last, below = below, below.next_named_sibling
    if below is None or below.start_point.row > last.end_point.row + 1:
        return None
    return below if _is_symbol(below, grammar) or _wrapped(below, grammar) is not None else None


def _whole_lines(places: _Places, node: Node, grammar: Grammar) -> Region:
    """Return the lines of *node* and of the comments and attributes right above it, the last line's end included."""
    first = places.point(node.start_byte).line
    last = places.point(max(node.start_byte, node.end_byte - 1)).line
    above = node.prev_named_sibling
    if above is None and node.parent is not None and node.parent.type == "block":
        above = node.parent.prev_named_sibling  # in Python a comment that begins a body stands before it
    while above is not None and above.type in grammar.leading:
        place = places.point(above.start_byte)
        above_last = places.point(max(above.start_byte, above.end_byte - 1)).line
        alone = not places.snapshot.line(place.line)[: place.column].strip()
        if above_last < first - 1 or place.line == first or not alone:
            break
        first = place.line
        above = above.prev_named_sibling
    return _lines(places.snapshot, first, last)


def _lines(snapshot: Snapshot, first: int, last: int) -> Region:
    end = snapshot.point(snapshot.offset(Point(last + 1, 0)))
    return Region(Point(first, 0), end)


def _paragraph(snapshot: Snapshot, region: Region, walls: Sequence[Region]) -> Region:
    """Return the whole lines of *region*, and those around it up to a blank line or one of the *walls*."""
    count = len(snapshot.lines)
    start, end = sorted((region.start, region.end))
    first = max(0, min(start.line, count - 1))
    last = max(first, min(end.line, count - 1))
    if end.column == 0 and last > first and end.line == last:
        last -= 1  # a selection of whole lines ends at the start of the next
    blocked = {line for wall in walls for line in range(wall.start.line, max(wall.end.line, wall.start.line + 1))}

    def open_line(number: int) -> bool:
        return bool(snapshot.line(number).strip()) and number not in blocked

    while first > 0 and open_line(first) and open_line(first - 1) and last - first < LARGEST_SYMBOL:
        first -= 1
    while last + 1 < count and open_line(last) and open_line(last + 1) and last - first < LARGEST_SYMBOL:
        last += 1
    return _lines(snapshot, first, last)


def _walk(root: Node, *, only_errors: bool) -> Iterator[Node]:
    todo = [root]
    while todo:
        node = todo.pop()
        yield node
        todo.extend(child for child in node.children if child.has_error or child.is_missing or not only_errors)


def _parse(language: str, text: str, clock: Callable[[], float] = time.thread_time) -> tuple[Tree, bytes] | None:
    grammar = GRAMMARS.get(language)
    if grammar is None:
        return None
    source = _encode(text)
    parser = Parser(_language(grammar.module, grammar.function))
    if len(source) > LARGEST_TEXT or not _is_soon_parsed(parser, source, clock):
        return None
    return parser.parse(source), source


def _is_soon_parsed(parser: Parser, source: bytes, clock: Callable[[], float]) -> bool:
    """Say whether *source* can be expected to be parsed within the time allowed, from how ever longer heads of it go.

    Deep nesting and binary data cost the square of their length or more, and a parse that runs cannot be stopped.
    """
    size, before, spent = SMALLEST_HEAD, 0.0, 0.0
    while size < len(source):
        began = clock()
        parser.parse(source[:size])
        taken = clock() - began
        longer = min(len(source), size * HEAD_GROWTH)
        growth = max(taken / before, HEAD_GROWTH) if before else HEAD_GROWTH
        spent += taken
        if spent + taken * growth ** log(longer / size, HEAD_GROWTH) > LONGEST_PARSE:
            return False
        size, before = longer, taken
    return True


def _encode(text: str) -> bytes:
    return text.encode("utf-8", "replace")  # a lone surrogate becomes `?`, one for one


@functools.cache
def _language(module: str, function: str) -> Language:
    return Language(getattr(importlib.import_module(module), function)())
