"""Chat templates that reach for Python, or might: each kind of file that holds one."""

import json

from anfl.inspection.codes import Code
from tests.unit.inspection.corpus.archives import zipped
from tests.unit.inspection.corpus.case import Case, case

_LIPSUM = "{{ lipsum.__globals__['os'].popen('true').read() }}"
_DANGEROUS = {
    "subclasses": "{{ ''.__class__.__mro__[1].__subclasses__()[132].__init__.__globals__['system']('true') }}",
    "lipsum": _LIPSUM,
    "cycler": "{{ cycler.__init__.__globals__.os.popen('true').read() }}",
    "loop": "{% for m in messages %}{{ loop.__init__.__globals__['__builtins__']['eval']('1') }}{% endfor %}",
    "context": "{{ self._TemplateReference__context.namespace.__init__.__globals__.os.system('true') }}",
    "item": "{{ ()['__class__']['__base__']['__subclasses__']() }}",
    "filter": "{{ ()|attr('__class__')|attr('__base__') }}",
    "escaped": r"{{ ()['\x5f\x5fclass\x5f\x5f'] }}",
    "mapped": "{{ [()]|map(attribute='__class__.__base__')|list }}",
    "keyword": "{{ ()[dict(__class__=1)|list|first] }}",
    "assigned": "{% set c = '__class__' %}{{ ()[c] }}",
    "trimmed": "{{ ()['x__class__x'|trim('x')] }}",
    "generator": "{{ (messages|map('upper')).gi_frame.f_globals }}",
    "hidden": "{% if messages[0]['content'] == 'magic' %}{{ x.__init__ }}{% endif %}{{ messages[0].content }}",
    "called": "{{ os.popen('true') }}",
    "comment": "{#- harmless -#}{%- macro m() -%}{{ joiner.__init__ }}{%- endmacro -%}",
    "generation": "{% generation %}{{ x.__class__ }}{% endgeneration %}",
}
_COMPUTED = {
    "joined": "{{ ()[['_', '_class_', '_']|join] }}",
    "concatenated": "{{ ()['_' ~ '_class_' ~ '_'] }}",
    "added": "{{ ()['_' + '_class_' + '_'] }}",
    "multiplied": "{{ ()['_' * 2 + 'class' + '_' * 2] }}",
    "formatted": "{{ ()['%cclass%c'|format(95, 95)] }}",
    "reversed": "{{ ()['_' ~ 'x'][::-1] }}{{ ()['__ssalc__'[::-1]] }}",
    "replaced": "{{ ()['-class-'.replace('-', '_')] }}",
    "assigned": "{% set a = '_' ~ '_class' %}{% set b = a %}{{ ()[b] }}",
    "block": "{% set a %}_{{ '' }}_class_{{ '' }}_{% endset %}{{ ()[a] }}",
    "namespace": "{% set ns = namespace() %}{% set ns.x = '_' ~ '_class' %}{{ ()[ns.x] }}",
    "looped": "{% for a in ['_' ~ '_class'] %}{{ ()[a] }}{% endfor %}",
    "macro": "{% macro m(k) %}{{ ()[k] }}{% endmacro %}{{ m('_' ~ '_class') }}",
    "attr": "{{ ()|attr(messages[0].content) }}",
    "mapped": "{{ [()]|map(messages[0].content)|list }}",
    "turned": "{% set c = '__ssalc__' %}{{ ()[c[::-1]] }}",
    "turned-by-filter": "{{ ()['__ssalc__'|reverse] }}",
    "skipped": "{% set c = '_-_-c-l-a-s-s-_-_' %}{{ ()[c[::2]] }}",
    "added-names": "{% set a, b = '_', '_class__' %}{{ ()[a + b] }}",
    "added-items": "{% set a = ['_', '_class__'] %}{{ ()[a[0] + a[1]] }}",
    "added-members": "{% set ns = namespace(a='_', b='_class__') %}{{ ()[ns.a + ns.b] }}",
    "added-arguments": "{% macro m(a, b) %}{{ ()[a + b] }}{% endmacro %}{{ m('_', '_class__') }}",
    "added-defaults": "{% macro m(a='_', b='_class__') %}{{ ()[a + b] }}{% endmacro %}{{ m() }}",
    "added-lower": "{% set a = '_' %}{{ ()[a|lower + ('_class__' if a else a).lower()] }}",
    "formatted-names": "{% set a, b = '%sclass__', '__' %}{{ ()[a % b] }}",
    "mapped-attribute": "{{ [()]|map(attribute='_' ~ '_class__')|list }}",
    "mapped-argument": "{{ [()]|map('attr', '_' ~ '_class__')|list }}",
    "mapped-arguments": "{{ [()]|map(*['attr', '_' ~ '_class__'])|list }}",
    "mapped-members": "{{ [()]|map(**{'attribute': '_' ~ '_class__'})|list }}",
    "grouped": "{{ ([()]|groupby('_' ~ '_class__'))[0][0] }}",
    "summed": "{{ [()]|sum(attribute='_' ~ '_class__') }}",
    "selected": "{{ [()]|selectattr('_' ~ '_class__')|list }}",
    "joined-attribute": "{{ [()]|join(', ', '_' ~ '_class__') }}",
    "given-token": "{{ ()[bos_token] }}",
    "given-tokens": "{{ ()[unk_token + pad_token] }}",
}


def _config(template: object) -> bytes:
    return json.dumps({"chat_template": template, "model_max_length": 10}).encode()


CASES: list[Case] = [
    *(
        case(f"template-{name}/tokenizer_config.json", _config(template), Code.DANGEROUS_TEMPLATE)
        for name, template in _DANGEROUS.items()
    ),
    *(
        case(f"computed-{name}/tokenizer_config.json", _config(template), Code.COMPUTED_ATTRIBUTE)
        for name, template in _COMPUTED.items()
    ),
    case(
        "templates/tokenizer_config.json",
        _config([{"name": "default", "template": "{{ messages }}"}, {"name": "rag", "template": _LIPSUM}]),
        Code.DANGEROUS_TEMPLATE,
    ),
    case("by-name/processor_config.json", _config({"rag": _LIPSUM}), Code.DANGEROUS_TEMPLATE),
    case("alone/chat_template.json", _config(_LIPSUM), Code.DANGEROUS_TEMPLATE),
    case("alone/chat_template.jinja", _LIPSUM.encode(), Code.DANGEROUS_TEMPLATE),
    case("prompt.j2", _LIPSUM.encode(), Code.DANGEROUS_TEMPLATE),
    case("template.zip", zipped(("chat_template.jinja", _LIPSUM.encode())), Code.DANGEROUS_TEMPLATE),
    case("broken.jinja", b"{% if %}", Code.UNREADABLE),
    case("includes.jinja", b"{% include '/etc/passwd' %}", Code.CUSTOM_CODE),
    case("nested.jinja", b"{{ " + b"(" * 100_000 + b" }}", Code.INSPECTION_FAILED),
    case("padded/tokenizer_config.json", _config(_LIPSUM) + b" " * 17_000_000, Code.TOO_LARGE),
]
