"""Jinja templates that models bring (``chat_template``): parsed, never rendered.

A loader renders them, and not each one in Jinja's sandbox: llama-cpp-python did not (CVE-2024-34359). From any value a
template reaches Python's internals by attributes alone (``__class__``, ``__globals__`` …), so it is refused for naming
them, and kept in quarantine where it puts the name of an attribute together. Hugging Face's own extensions are known.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import jinja2
from jinja2 import nodes
from jinja2.ext import Extension
from jinja2.parser import Parser
from jinja2.sandbox import (
    UNSAFE_ASYNC_GENERATOR_ATTRIBUTES,
    UNSAFE_COROUTINE_ATTRIBUTES,
    UNSAFE_FUNCTION_ATTRIBUTES,
    UNSAFE_GENERATOR_ATTRIBUTES,
)

from anfl.inspection.codes import Code, Finding

SUFFIXES = (".jinja", ".jinja2", ".j2")
_INTERNALS = (
    frozenset({"mro", "f_globals", "f_builtins", "f_locals", "f_back", "tb_frame", "gi_yieldfrom", "func_globals"})
    | UNSAFE_FUNCTION_ATTRIBUTES
    | UNSAFE_GENERATOR_ATTRIBUTES
    | UNSAFE_COROUTINE_ATTRIBUTES
    | UNSAFE_ASYNC_GENERATOR_ATTRIBUTES
)
_CALLED = frozenset({"popen", "system", "check_output", "import_module", "eval", "exec"})
"""What attacks call in the end."""
_WORDS = (
    "base|bases|builtins|call|class|closure|code|dict|func|getattribute|globals|import|init|loader|module|mro|reduce"
)
_DUNDER = re.compile(rf"__(?:{_WORDS}|reduce_ex|self|spec|subclasses|wrapped)__", re.IGNORECASE)
_PLAIN_FILTERS = (
    frozenset({"abs", "count", "d", "default", "float", "int", "length", "max", "min", "round", "sum"})
    | frozenset({"dictsort", "first", "items", "last", "list", "reverse", "sort", "unique"})
    | frozenset({"reject", "rejectattr", "select", "selectattr", "lower", "trim", "upper"})
)
"""What they give is no text that was not there."""
_PLAIN_METHODS = frozenset(["count", "get", "index", "items", "keys", "lower", "strip", "upper", "values"])
_PLAIN_FUNCTIONS = frozenset({"namespace", "range"})
_ATTRIBUTE_AT = {
    "groupby": 0,
    "selectattr": 0,
    "rejectattr": 0,
    "sum": 0,
    "unique": 1,
    "min": 1,
    "max": 1,
    "join": 1,
    "sort": 2,
}
"""Filters that look at an attribute, and where its name stands if not by ``attribute=``; `map` has others do so."""
_TOKENS = ("_token", "_tokens")
"""Ends of names of what a tokenizer's configuration says, which comes with the template."""


class _Generation(Extension):
    """Hugging Face's ``{% generation %}``: what an assistant says."""

    tags = {"generation"}  # noqa: RUF012 - Jinja declares it so

    def parse(self, parser: Parser) -> nodes.Node:
        line = next(parser.stream).lineno
        body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
        return nodes.Scope(body, lineno=line)


_ENVIRONMENT = jinja2.Environment(  # noqa: S701 - nothing is rendered
    extensions=[_Generation, "jinja2.ext.loopcontrols", "jinja2.ext.do"], trim_blocks=True, lstrip_blocks=True
)


def chat_template(source: str) -> list[Finding]:
    """What is questionable in a template.

    :raises RecursionError: it is nested too deeply.
    """
    try:
        tree = _ENVIRONMENT.parse(source)
    except jinja2.TemplateSyntaxError as error:
        return [Finding(Code.UNREADABLE, f"a template that Jinja does not parse: {error.message}")]
    found = {detail: Finding(Code.DANGEROUS_TEMPLATE, detail) for detail in _dangers(tree)}
    if not found:
        found = {detail: Finding(Code.COMPUTED_ATTRIBUTE, detail) for detail in _computed(tree)}
    if any(tree.find_all((nodes.Include, nodes.Import, nodes.FromImport, nodes.Extends))):
        found["loads"] = Finding(Code.CUSTOM_CODE, "a template that loads another one")
    return list(found.values())


def chat_templates(document: object) -> Iterator[str]:
    """Those of a tokenizer's or processor's configuration: one, or several by name."""
    given = document.get("chat_template") if isinstance(document, dict) else None
    several = given if isinstance(given, list) else list(given.values()) if isinstance(given, dict) else [given]
    for each in several:
        template = each.get("template") if isinstance(each, dict) else each
        if isinstance(template, str):
            yield template


def _dangers(tree: nodes.Template) -> Iterator[str]:
    for node in tree.find_all((nodes.Getattr, nodes.Const, nodes.Keyword, nodes.Call, nodes.Name)):
        match node:
            case nodes.Getattr(attr=name) if (name[0] == "_" and "__" in name) or name in _INTERNALS:
                yield f"a template that asks for the attribute {name}"
            case nodes.Const(value=str() as text) if (named := _DUNDER.search(text)) is not None:
                yield f"a template that names {named.group()}"
            case nodes.Const(value=str() as text) if text in _INTERNALS:
                yield f"a template that names {text}"
            case nodes.Keyword(key=name) | nodes.Name(name=name) if _DUNDER.search(name):
                yield f"a template that names {name}"
            case nodes.Call(node=nodes.Getattr(attr=name)) if name in _CALLED:
                yield f"a template that calls {name}"


def _computed(tree: nodes.Template) -> Iterator[str]:
    """Attributes whose names a template puts together: what stands in brackets is an attribute's name as well."""
    texts = _names(tree, _holds_text)
    names = _Names(texts, _names(tree, lambda node, made: _makes_text(node, _Names(texts, made))))
    for item in tree.find_all(nodes.Getitem):
        if not isinstance(item.arg, nodes.Slice) and _makes_text(item.arg, names):
            yield "a template that computes the name of an attribute"
    for used in tree.find_all(nodes.Filter):
        if used.name == "attr" and not (used.args and isinstance(used.args[0], nodes.Const)):
            yield "a template that computes the name of an attribute"
        if any(_makes_text(given, names) for given in _attributes(used)):
            yield "a template that computes the name of an attribute"
        if used.name in ("map", "select", "reject") and any(not isinstance(arg, nodes.Const) for arg in used.args[:1]):
            yield "a template that computes the name of a filter"


def _attributes(used: nodes.Filter) -> list[nodes.Node]:
    """What may name an attribute that a filter looks at."""
    if used.name != "map" and used.name not in _ATTRIBUTE_AT:
        return []
    at = _ATTRIBUTE_AT.get(used.name)
    found: list[nodes.Node] = [*used.args[1:]] if at is None else [*used.args[at : at + 1]]
    if at is None and not (used.args and getattr(used.args[0], "value", None) in ("attr", *_ATTRIBUTE_AT)):
        found = []
    found += (given.value for given in used.kwargs if given.key == "attribute")
    return found + [given for given in (used.dyn_args, used.dyn_kwargs) if given is not None]


@dataclass(frozen=True)
class _Names:
    """Variables, and members of namespaces: ``texts`` may hold texts of the template, ``made`` what it put together."""

    texts: set[str]
    made: set[str]


def _names(tree: nodes.Template, gives: Callable[[nodes.Node, set[str]], bool]) -> set[str]:
    """Variables, and members of namespaces, that may hold what ``gives`` says that an expression gives."""
    found: set[str] = set()
    while True:
        before = len(found)
        for node in tree.find_all((nodes.Assign, nodes.AssignBlock, nodes.For, nodes.With, nodes.Macro, nodes.Keyword)):
            match node:
                case nodes.Assign(target=target, node=value) if gives(value, found):
                    found |= _targets(target)
                case nodes.AssignBlock(target=target):
                    found |= _targets(target)
                case nodes.For(target=target, iter=value) if gives(value, found):
                    found |= _targets(target)
                case nodes.With(targets=targets, values=values) if any(gives(value, found) for value in values):
                    found |= {name for target in targets for name in _targets(target)}
                case nodes.Macro(args=args, defaults=defaults) if any(
                    gives(given, found) for given in (*defaults, *_given(tree, node.name))
                ):
                    found |= {argument.name for argument in args}
                case nodes.Keyword(key=name, value=value) if gives(value, found):
                    found.add(name)
        if len(found) == before:
            return found


def _given(tree: nodes.Template, macro: str) -> Iterator[nodes.Node]:
    """What a macro is called with."""
    for call in tree.find_all(nodes.Call):
        if isinstance(call.node, nodes.Name) and call.node.name == macro:
            yield from (*call.args, *(given.value for given in call.kwargs))


def _targets(target: nodes.Node) -> set[str]:
    if isinstance(target, nodes.NSRef):
        return {target.attr}
    names = [target] if isinstance(target, nodes.Name) else target.find_all(nodes.Name)
    return {name.name for name in names}


def _holds_text(node: nodes.Node, texts: set[str]) -> bool:
    """Whether an expression may give a text that stands in the template, or several."""
    match node:
        case nodes.Const(value=value):
            return isinstance(value, str)
        case nodes.Name(name=name):
            return name in texts
        case nodes.Getattr(node=of, attr=name):
            return name in texts or _holds_text(of, texts)
        case nodes.Getitem(node=of, arg=arg):
            return getattr(arg, "value", None) in texts or _holds_text(of, texts)
        case nodes.CondExpr(expr1=one, expr2=other):
            return any(_holds_text(each, texts) for each in (one, other) if each is not None)
        case nodes.Call(node=nodes.Getattr(node=of), args=args):
            return any(_holds_text(each, texts) for each in (of, *args))
        case nodes.Call() | nodes.Compare() | nodes.Test() | nodes.Not():
            return False
        case _:
            return any(_holds_text(each, texts) for each in node.iter_child_nodes())


def _makes_text(node: nodes.Node, names: _Names) -> bool:
    """Whether an expression may give a text that neither stands in the template nor came from outside."""
    waiting = [node]
    while waiting:
        each = waiting.pop()
        if _RULES.get(type(each), _never)(each, names):
            return True
        waiting += each.iter_child_nodes()
    return False


def _never(_: nodes.Node, __: _Names) -> bool:
    return False


def _always(_: nodes.Node, __: _Names) -> bool:
    return True


def _of_texts(node: nodes.Node, names: _Names) -> bool:
    return any(_holds_text(operand, names.texts) for operand in node.iter_child_nodes())


def _is_made(node: nodes.Node, names: _Names) -> bool:
    name = node.name if isinstance(node, nodes.Name) else getattr(node, "attr", "")
    return name in names.made or (isinstance(node, nodes.Name) and name.endswith(_TOKENS))


def _part_of_text(node: nodes.Node, names: _Names) -> bool:
    """A part of a text that stands in the template."""
    if not isinstance(node, nodes.Getitem):
        return False
    of_text = isinstance(node.node, nodes.Const) and isinstance(node.node.value, str)
    return of_text or (isinstance(node.arg, nodes.Slice) and _holds_text(node.node, names.texts))


def _filters(node: nodes.Node, names: _Names) -> bool:
    if not isinstance(node, nodes.Filter):
        return False
    turns = node.name == "reverse" and node.node is not None and _holds_text(node.node, names.texts)
    return turns or node.name not in _PLAIN_FILTERS


def _calls(node: nodes.Node, _: _Names) -> bool:
    called = node.node if isinstance(node, nodes.Call) else None
    if isinstance(called, nodes.Name):
        return called.name not in _PLAIN_FUNCTIONS
    return not (isinstance(called, nodes.Getattr) and called.attr in _PLAIN_METHODS)


_RULES: dict[type[nodes.Node], Callable[[nodes.Node, _Names], bool]] = {
    nodes.Concat: _always,
    nodes.Add: _of_texts,
    nodes.Mul: _of_texts,
    nodes.Mod: _of_texts,
    nodes.Filter: _filters,
    nodes.Name: _is_made,
    nodes.Getattr: _is_made,
    nodes.Getitem: _part_of_text,
    nodes.Call: _calls,
}
