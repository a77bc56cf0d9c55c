"""What a stranger's template may do, and that it ends."""

import json
import resource

import pytest

pytest.importorskip("jinja2", reason="templates are Jinja's")

from jinja2 import TemplateAssertionError, TemplateRuntimeError, UndefinedError
from jinja2.ext import loopcontrols
from jinja2.sandbox import ImmutableSandboxedEnvironment, SecurityError

from edgewright.generation.template_sandbox import MOST_CHARACTERS, Sandbox, rendering


def rendered(template, **given):
    with rendering():
        return Sandbox().from_string(template).render(**given)


@pytest.fixture(autouse=True)
def no_more_memory():
    """A bomb that goes off is a MemoryError, not the end of the machine."""
    limits = resource.getrlimit(resource.RLIMIT_AS)
    with open("/proc/self/statm") as file:  # noqa: PTH123 - a file of the kernel
        now = int(file.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (now + 2**29, limits[1]))
    yield
    resource.setrlimit(resource.RLIMIT_AS, limits)


BOMBS = (
    "{% for a in range(100000000) %}x{% endfor %}",
    "{{ 'x' * 10000000000 }}",
    "{{ 10 ** 10 ** 10 }}",
    "{{ '%10000000000d' % 1 }}",
    "{{ 'x'.ljust(10000000000) }}",
    "{{ 'x'.zfill(10000000000) }}",
    "{{ ('x\t' * 1000).expandtabs(10000000) }}",
    "{{ '{:10000000000}'.format(1) }}",
    "{{ '{a:10000000000}'.format_map({'a': 1}) }}",
    "{{ ['{:10000000000}'] | map('format', 1) | list }}",
    "{{ (9).to_bytes(10000000000, 'big') }}",
    "{% for a in range(99) %}{{ text * 99999 }}{% endfor %}",
    "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
    "{% for _ in ten %}" * 9 + "{% endfor %}" * 9,
    "{% set n = namespace(x='xx') %}{% for a in range(99) %}{% set n.x = n.x ~ n.x %}{% endfor %}",
    "{% set n = namespace(x='xx') %}{% for a in range(99) %}{% set n.x = n.x + n.x %}{% endfor %}",
    "{% set n = namespace(x=['x']) %}{% for a in range(99) %}{% set n.x = n.x + n.x %}{% endfor %}",
    "{% set n = namespace(x=['x']) %}{% for a in range(99) %}{% set n.x = [n.x, n.x] %}{% endfor %}{{ n.x }}",
    "{% set n = namespace(x=['x']) %}{% for a in range(99) %}{% set n.x = [n.x, n.x] %}{% endfor %}{{ n.x | string }}",
    "{% set n = namespace(x=['x']) %}{% for a in range(99) %}{% set n.x = [n.x, n.x] %}{% endfor %}{{ n.x | tojson }}",
    "{% set n = namespace(x=['x']) %}{% for a in range(99) %}{% set n.x = [n.x, n.x] %}{% endfor %}{{ n.x ~ '' }}",
    "{% set n = namespace(x={}) %}{% for a in range(99) %}{% set n.x = {1: n.x, 2: n.x} %}{% endfor %}{{ n.x }}",
    "{% set x = 'x' * 99999 %}{{ x.replace('x', x) }}",
    "{% set x = 'x' * 99999 %}{{ x | replace('x', x) }}",
    "{% set x = 'x' * 99999 %}{{ x.join(x) }}",
    "{% set x = 'x' * 99999 %}{{ x | join(x) }}",
    "{% set n = namespace(x=[]) %}{% for a in range(9999) %}{% set n.x = n.x + [('x' * 999999) | upper] %}{% endfor %}",
    "{% set n = namespace(x=[]) %}{% for a in range(9999) %}{% set n.x = n.x + [text[a:]] %}{% endfor %}",
    "{{ [1] | tojson(indent=1000000000) }}",
    "{{ range(9999) | list | tojson(separators=(text, ':')) }}",
    "{{ range(9999) | list | tojson(indent=text) }}",
    "{{ 1.5 | round(1000000000, 'floor') }}",
    "{{ 1.5 | round(-1000000000, 'ceil') }}",
    "{{ (text * 40) | list | sort }}",
    "{{ [[1], [2]] | sum(start=[]) }}",
    "{% macro m(n) %}{% if n %}{{ m(n - 1) }}{{ m(n - 1) }}{% endif %}{% endmacro %}{{ m(60) }}",
    "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
)


@pytest.mark.parametrize("template", BOMBS)
def test_a_bomb_is_refused_before_it_goes_off(template):
    with pytest.raises((OverflowError, TypeError, RecursionError, SecurityError, TemplateRuntimeError)):
        rendered(template, text="x" * 99999, ten="0123456789")


@pytest.mark.parametrize("name", ["center", "indent", "wordwrap", "batch", "slice", "format", "urlize", "xmlattr"])
def test_a_filter_of_no_use_to_a_conversation_is_not_there(name):
    with pytest.raises(TemplateAssertionError, match=name):
        rendered(f"{{{{ 'x' | {name} }}}}")


@pytest.mark.parametrize(
    "template",
    [
        "{{ ''.__class__.__mro__[1].__subclasses__() }}",
        "{{ texts.append({}) }}",
        "{{ cycler.__init__.__globals__.os.system('true') }}",
        "{{ text.format_map({}).__class__.__base__.__subclasses__() }}",
        "{{ text.encode('utf-8') }}",
        "{{ lipsum(10) }}",
        "{{ undefined.attribute }}",
        "{% include '/etc/passwd' %}",
    ],
)
def test_a_strangers_template_reaches_nothing(template):
    with pytest.raises((SecurityError, UndefinedError, TypeError)):
        rendered(template, text="x", texts=["x"])


@pytest.mark.parametrize(
    "template",
    [
        "{{ a ~ 1 ~ none ~ [2, 'x'] }}",
        "{{ [1, 'b', a] | join('-') }}{{ rows | join(', ', attribute='n') }}",
        "{{ a.replace('b', 'cd', 1) }}{{ a | replace('b', '') | upper | trim }}",
        "{{ ', '.join(['x', 'y']) }}{{ a[1:] }}{{ a[::-1] }}{{ rows[0].n }}{{ rows[-1]['n'] }}",
        "{{ rows | map(attribute='n') | list }}{{ rows | selectattr('n', 'equalto', 2) | list | length }}",
        "{{ rows | tojson }}{{ rows | tojson(indent=2) }}{{ {'b': 1, 'a': '<'} | tojson(sort_keys=true) }}",
        "{% for r in rows %}{{ loop.index }}/{{ loop.length }}{{ loop.last }}{{ loop.previtem }}{% endfor %}",
        "{% for r in rows if r.n > 1 %}{{ r.n }}{% else %}none{% endfor %}",
        "{% for k, v in rows[0].items() %}{{ k, v }}{% endfor %}",
        "{% for k in rows[0] %}{{ k }}{% endfor %}{% for c in a %}{{ c }}{% break %}{% endfor %}",
        "{% macro m(x, y=2) %}{{ x + y }}{% endmacro %}{{ m(1) }}{% set z %}{{ a }}!{% endset %}{{ z }}",
        "{{ 2.345 | round(2) }}{{ 2.3 | round(method='ceil') }}{{ [1] | tojson(separators=(',', ':')) }}",
        "{{ rows[0].get('n') }}{{ 7 // 2 + 7 % 2 }}{{ 2 ** 3 }}{{ 2 * 3.5 }}{{ 'ab' * 2 }}{{ [1] * 2 }}{{ 1 + 1.5 }}",
        "{{ none }}{{ true }}{{ [] }}{{ {'a': [1, 'x']} }}{{ rows | string }}{{ (1, 2) | sum }}",
        "{{ a.split('b') }}{{ a.startswith('a') }}{{ a in 'xabc' }}{{ a is defined }}{{ b | default('d') }}",
    ],
)
def test_what_templates_do_is_done_as_jinja_does_it(template):
    given = {"a": "abc", "rows": [{"n": 1}, {"n": 2}]}
    plain = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=[loopcontrols])
    plain.filters["tojson"] = lambda value, **options: json.dumps(value, ensure_ascii=False, **options)
    assert rendered(template, **given) == plain.from_string(template).render(**given)


def test_a_conversation_as_long_as_a_text_may_be_is_rendered():
    words = "x" * (MOST_CHARACTERS - 9)
    assert rendered("{% for w in words %}{{ '<' + w.strip() + '>' }}{% endfor %}", words=[words]) == f"<{words}>"


def test_each_rendering_counts_anew():
    template = Sandbox().from_string("{% for w in words %}{{ w * 1000 }}{% endfor %}")
    for _ in range(5):
        with rendering():
            assert len(template.render(words=["x" * 4000])) == 4_000_000
