"""Jinja templates that models bring (``chat_template``): parsed, never rendered.

A loader renders them, and not each one in Jinja's sandbox: llama-cpp-python did not (CVE-2024-34359). From any value a
template reaches Python's internals by attributes alone (``__class__``, ``__globals__`` …), so it is refused for naming
them, and kept in quarantine where it puts the name of an attribute together. Hugging Face's own extensions are known.
"""

import re
from collections.abc import Callable, Iterator

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
    made = _made_names(tree)
    for item in tree.find_all(nodes.Getitem):
        if not isinstance(item.arg, nodes.Slice) and _makes_text(item.arg, made):
            yield "a template that computes the name of an attribute"
    for used in tree.find_all(nodes.Filter):
        if used.name == "attr" and not (used.args and isinstance(used.args[0], nodes.Const)):
            yield "a template that computes the name of an attribute"
        if used.name in ("map", "select", "reject") and any(not isinstance(arg, nodes.Const) for arg in used.args[:1]):
            yield "a template that computes the name of a filter"


def _made_names(tree: nodes.Template) -> set[str]:
    """Variables, and members of namespaces, that may hold a text which the template put together."""
    made: set[str] = set()
    while True:
        before = len(made)
        for node in tree.find_all((nodes.Assign, nodes.AssignBlock, nodes.For, nodes.With, nodes.Macro)):
            match node:
                case nodes.Assign(target=target, node=value) if _makes_text(value, made):
                    made |= _targets(target)
                case nodes.AssignBlock(target=target):
                    made |= _targets(target)
                case nodes.For(target=target, iter=value) if _makes_text(value, made):
                    made |= _targets(target)
                case nodes.With(targets=targets, values=values) if any(_makes_text(value, made) for value in values):
                    made |= {name for target in targets for name in _targets(target)}
                case nodes.Macro(name=name, args=args) if _is_given_text(tree, name, made):
                    made |= {argument.name for argument in args}
        if len(made) == before:
            return made


def _is_given_text(tree: nodes.Template, macro: str, made: set[str]) -> bool:
    calls = (
        call for call in tree.find_all(nodes.Call) if isinstance(call.node, nodes.Name) and call.node.name == macro
    )
    return any(_makes_text(given, made) for call in calls for given in (*call.args, *(k.value for k in call.kwargs)))


def _targets(target: nodes.Node) -> set[str]:
    if isinstance(target, nodes.NSRef):
        return {target.attr}
    names = [target] if isinstance(target, nodes.Name) else target.find_all(nodes.Name)
    return {name.name for name in names}


def _makes_text(node: nodes.Node, made: set[str]) -> bool:
    """Whether an expression may give a text that neither stands in the template nor came from outside."""
    waiting = [node]
    while waiting:
        each = waiting.pop()
        if _RULES.get(type(each), _never)(each, made):
            return True
        waiting += each.iter_child_nodes()
    return False


def _never(_: nodes.Node, __: set[str]) -> bool:
    return False


def _always(_: nodes.Node, __: set[str]) -> bool:
    return True


def _has_text(node: nodes.Node, _: set[str]) -> bool:
    operands = (operand for operand in node.iter_child_nodes() if isinstance(operand, nodes.Const))
    return any(isinstance(operand.value, str) for operand in operands)


def _is_made(node: nodes.Node, made: set[str]) -> bool:
    return (node.name if isinstance(node, nodes.Name) else getattr(node, "attr", "")) in made


def _of_text(node: nodes.Node, _: set[str]) -> bool:
    """A part of a text that stands in the template."""
    return isinstance(node, nodes.Getitem) and isinstance(node.node, nodes.Const) and isinstance(node.node.value, str)


def _calls(node: nodes.Node, _: set[str]) -> bool:
    called = node.node if isinstance(node, nodes.Call) else None
    if isinstance(called, nodes.Name):
        return called.name not in _PLAIN_FUNCTIONS
    return not (isinstance(called, nodes.Getattr) and called.attr in _PLAIN_METHODS)


_RULES: dict[type[nodes.Node], Callable[[nodes.Node, set[str]], bool]] = {
    nodes.Concat: _always,
    nodes.Add: _has_text,
    nodes.Mul: _has_text,
    nodes.Mod: _has_text,
    nodes.Filter: lambda node, _: getattr(node, "name", "") not in _PLAIN_FILTERS,
    nodes.Name: _is_made,
    nodes.Getattr: _is_made,
    nodes.Getitem: _of_text,
    nodes.Call: _calls,
}
