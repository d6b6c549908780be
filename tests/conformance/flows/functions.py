"""Flows about functions: caches, decorators, closures, defaults, and each kind of statement."""

from __future__ import annotations

from .words import KEEP, REPLACE, SWAP, again, edit, flow, service

WORDS = "def words():\n    return 'one'"
CACHED = "@functools.cache\ndef load(name):\n    return [name, 'one']"
SETTINGS = """
class Settings(BaseModel):
    prompt: str = "one"

@functools.lru_cache
def settings():
    return Settings()
"""
LOUD = """
def loud(function):
    @functools.wraps(function)
    def wrapper(*args, **kwargs):
        return function(*args, **kwargs) + "!"
    return wrapper
"""
BARE = """
def bare(function):
    def wrapper(*args, **kwargs):
        return function(*args, **kwargs) + "!"
    return wrapper
"""
REPEATED = """
def repeated(times):
    def decorate(function):
        @functools.wraps(function)
        def wrapper(*args, **kwargs):
            return function(*args, **kwargs) * times
        return wrapper
    return decorate
"""
TOLD = """
@functools.singledispatch
def told(value):
    return "thing"

@told.register
def _(value: int):
    return "number"

@told.register
def _(value: str):
    return "text"
"""

# Each kind of code: the body of a helper, an edit of it, and the answers before and after.
STATEMENTS = {
    "an f-string": ("x = 2\nreturn f'one {x:>3}'", "{x:>3}", "{x:<3}|", "one 2  |"),
    "a comprehension": ("return [x * 2 for x in range(3)]", "x * 2", "x * 3", [0, 3, 6]),
    "a comprehension's condition": (
        "return {x: 1 for x in 'ab' if x}",
        "if x",
        "if x > 'a'",
        {"b": 1},
    ),
    "a walrus": ("if (n := 4) > 3:\n    return n\nreturn 0", "n := 4", "n := 5", 5),
    "a match statement": (
        "match {'kind': 'b', 'x': 3}:\n    case {'kind': 'a'}:\n        return 1\n"
        "    case {'kind': 'b', 'x': x}:\n        return x",
        "return x",
        "return x + 1",
        4,
    ),
    "a finally": (
        "out = []\ntry:\n    out.append(1)\nfinally:\n    out.append(2)\nreturn out",
        "out.append(2)",
        "out.append(3)",
        [1, 3],
    ),
    "an except clause": (
        "try:\n    return {}['x']\nexcept KeyError as error:\n    return f'no {error}'",
        "no {error}",
        "not {error}",
        "not 'x'",
    ),
    "a with statement": (
        "with contextlib.suppress(ValueError):\n    int('x')\nreturn 1",
        "return 1",
        "return 2",
        2,
    ),
    "several lambdas on one line": (
        "f, g = (lambda x: x + 1), (lambda x: x + 2)\nreturn [f(0), g(0)]",
        "x + 2",
        "x + 3",
        [1, 3],
    ),
    "a nested function": (
        "def inner(x):\n    def most():\n        return x + 1\n    return most()\nreturn inner(1)",
        "x + 1",
        "x + 2",
        3,
    ),
    "a generator": (
        "def numbers():\n    yield 1\n    yield from (2, 3)\nreturn list(numbers())",
        "yield 1",
        "yield 0",
        [0, 2, 3],
    ),
    "a nonlocal variable": (
        "n = 0\ndef more():\n    nonlocal n\n    n += 1\n    return n\nreturn more() + more()",
        "n += 1",
        "n += 2",
        6,
    ),
    "an import inside": ("from math import floor\nreturn floor(2.5)", "floor", "ceil", 3),
    "a class inside": (
        "class Here:\n    def one(self):\n        return 'one'\nreturn Here().one()",
        "'one'",
        "'two'",
        "two",
    ),
    "a sign of a number": ("return [0, 1.0, True]", "[0, 1.0", "[0.0, 1", [0.0, 1, True]),
    "the order of names": ("a, b = 'one', 'two'\nreturn a", "return a", "return b", "two"),
    "an attribute's name": ("return 'One'.lower()", "lower", "upper", "ONE"),
}

FLOWS = [
    *(
        flow(
            f"{what} is edited in a helper",
            edit("helper", old, new),
            helper="def words():\n" + "\n".join("    " + line for line in body.splitlines()),
            service=service("words()"),
            rung=SWAP,
            answer=answer,
        )
        for what, (body, old, new, answer) in STATEMENTS.items()
    ),
    flow(
        "a function with `functools.cache` is edited, after it was used",
        edit("load", "one", "two"),
        load=CACHED,
        service=service("load('a')"),
        rung=SWAP,
        answer=["a", "two"],
    ),
    flow(
        "a function with `functools.cache` is run again",
        again("load"),
        again("service"),
        load=CACHED,
        service=service("self.x", init="self.x = load('a')"),
        rung=KEEP,
        answer=["a", "one"],
    ),
    flow(
        "a method is edited beside a cached loader of the constructor's",
        edit("service", "+ ['a']", "+ ['b']"),
        load=CACHED,
        service=service("self.x + ['a']", init="self.x = load('a')"),
        rung=SWAP,
        answer=["a", "one", "b"],
    ),
    flow(
        "a cached loader of the constructor's is edited",
        edit("load", "one", "two"),
        load=CACHED,
        service=service("self.x", init="self.x = load('a')"),
        rung=REPLACE,
        answer=["a", "two"],
    ),
    flow(
        "what a cached function calls is edited",
        edit("helper", "one", "two"),
        helper=WORDS,
        load="@functools.lru_cache(maxsize=4)\ndef load(n):\n    return [n, words()]",
        service=service("load(1)"),
        rung=SWAP,
        answer=[1, "two"],
    ),
    flow(
        "the size of a cache is edited",
        edit("load", "maxsize=4", "maxsize=8"),
        load="@functools.lru_cache(maxsize=4)\ndef load(n):\n    return n",
        service=service("[load(1), load.cache_parameters()['maxsize']]"),
        rung=SWAP,
        answer=[1, 8],
    ),
    flow(
        "settings by `lru_cache` and `Depends`, edited with the class",
        edit("settings", "one", "two"),
        again("service"),
        settings=SETTINGS,
        service=service("s.prompt", takes="s: Settings = Depends(settings)"),
        rung=SWAP,
        answer="two",
    ),
    flow(
        "settings by `lru_cache` and `Depends`, run again",
        again("settings"),
        again("service"),
        settings=SETTINGS,
        service=service("s.prompt", takes="s: Settings = Depends(settings)"),
        rung=KEEP,
        answer="one",
    ),
    flow(
        "a method with `lru_cache` is edited",
        edit("service", "one", "two"),
        service=service(
            "self.said()", more="@functools.lru_cache\ndef said(self):\n    return 'one'"
        ),
        rung=SWAP,
        answer="two",
    ),
    flow(
        "a `cached_property` is edited, after it was used",
        edit("service", "one", "two"),
        service=service(
            "self.said", more="@functools.cached_property\ndef said(self):\n    return 'one'"
        ),
        rung=REPLACE,
        answer="two",
        why="its first use leaves the outcome in the object",
    ),
    flow(
        "a route is edited beside a `cached_property`",
        edit("service", "+ '!'", "+ '?'"),
        service=service(
            "self.said + '!'", more="@functools.cached_property\ndef said(self):\n    return 'one'"
        ),
        rung=SWAP,
        answer="one?",
    ),
    flow(
        "a `singledispatch` function's default is edited",
        edit("told", '"thing"', '"something"'),
        told=TOLD,
        service=service("[told(1), told('a'), told(None)]"),
        rung=SWAP,
        answer=["number", "text", "something"],
    ),
    flow(
        "a registered function of a `singledispatch` is edited",
        edit("told", '"text"', '"words"'),
        told=TOLD,
        service=service("[told(1), told('a'), told(None)]"),
        rung=SWAP,
        answer=["number", "words", "thing"],
    ),
    flow(
        "a `singledispatch` function is run again",
        again("told"),
        told=TOLD,
        service=service("told(1)", init="self.x = told(2)"),
        rung=KEEP,
        answer="number",
    ),
    flow(
        "an argument of a partial is edited",
        edit("partial", "'one'", "'two'"),
        helper="def say(word, mark='!'):\n    return word + mark",
        partial="said = functools.partial(say, 'one', mark='?')",
        service=service("said()"),
        rung=SWAP,
        answer="two?",
    ),
    flow(
        "the function of a partial is edited",
        edit("helper", "word + mark", "word * 2 + mark"),
        again("partial"),
        helper="def say(word, mark='!'):\n    return word + mark",
        partial="said = functools.partial(say, 'one')",
        service=service("said()"),
        rung=SWAP,
        answer="oneone!",
    ),
    flow(
        "a partial is run again",
        again("helper"),
        again("partial"),
        helper="def say(word, mark='!'):\n    return word + mark",
        partial="said = functools.partial(say, 'one')",
        service=service("said()", init="self.said = said"),
        rung=KEEP,
        answer="one!",
    ),
    flow(
        "a `partialmethod` is edited",
        edit("service", "'one')", "'two')"),
        service=service(
            "self.said()",
            more="def say(self, w):\n    return w\nsaid = functools.partialmethod(say, 'one')",
        ),
        rung=SWAP,
        answer="two",
    ),
    flow(
        "one of two lambdas on a line is edited",
        edit("lambdas", "x + 2", "x + 3"),
        lambdas="f, g = (lambda x: x + 1), (lambda x: x + 2)",
        service=service("[f(0), g(0)]"),
        rung=SWAP,
        answer=[1, 3],
    ),
    flow(
        "lambdas on one line are run again",
        again("lambdas"),
        lambdas="f, g = (lambda x: x + 1), (lambda x: x + 2)",
        service=service("[f(0), g(0)]", init="self.f = f"),
        rung=KEEP,
        answer=[1, 2],
    ),
    flow(
        "a decorator of one's own with `wraps` is edited",
        edit("loud", '"!"', '"?"'),
        again("helper"),
        loud=LOUD,
        helper=f"@loud\n{WORDS}",
        service=service("words()"),
        rung=SWAP,
        answer="one?",
    ),
    flow(
        "a decorator of one's own without `wraps` is edited",
        edit("bare", '"!"', '"?"'),
        again("helper"),
        bare=BARE,
        helper=f"@bare\n{WORDS}",
        service=service("words()"),
        rung=SWAP,
        answer="one?",
    ),
    flow(
        "a function below a decorator without `wraps` is edited",
        edit("helper", "one", "two"),
        bare=BARE,
        helper=f"@bare\n{WORDS}",
        service=service("words()"),
        rung=SWAP,
        answer="two!",
    ),
    flow(
        "the argument of a decorator is edited",
        edit("helper", "repeated(2)", "repeated(3)"),
        repeated=REPEATED,
        helper=f"@repeated(2)\n{WORDS}",
        service=service("words()"),
        rung=SWAP,
        answer="oneoneone",
    ),
    flow(
        "decorators are run again, with all that they decorate",
        again("loud"),
        again("helper"),
        again("service"),
        loud=LOUD,
        helper=f"@loud\n{WORDS}",
        service=service("words()", init="self.x = words()"),
        rung=KEEP,
        answer="one!",
    ),
    flow(
        "two decorators change places",
        edit("helper", "@loud\n@repeated(2)", "@repeated(2)\n@loud"),
        loud=LOUD,
        repeated=REPEATED,
        helper=f"@loud\n@repeated(2)\n{WORDS}",
        service=service("words()"),
        rung=SWAP,
        answer="one!one!",
    ),
    flow(
        "a decorator of a method is edited",
        edit("loud", '"!"', '"?"'),
        again("service"),
        loud=LOUD,
        service=service("self.said()", more="@loud\ndef said(self):\n    return 'one'"),
        rung=SWAP,
        answer="one?",
    ),
    flow(
        "a decorator of a route is edited",
        edit("loud", '"!"', '"?"'),
        again("service"),
        loud=LOUD,
        service=service("'one'").replace("    def answer", "    @loud\n    def answer"),
        rung=SWAP,
        answer="one?",
    ),
    flow(
        "what a closure holds is edited",
        edit("made", "maker('one')", "maker('two')"),
        maker="def maker(word):\n    def said():\n        return word\n    return said",
        made="said = maker('one')",
        service=service("said()"),
        rung=SWAP,
        answer="two",
    ),
    flow(
        "a closure is made again",
        again("maker"),
        again("made"),
        maker="def maker(word):\n    def said():\n        return word\n    return said",
        made="said = maker(['one'])",
        service=service("said()", init="self.x = said()"),
        rung=KEEP,
        answer=["one"],
    ),
    flow(
        "a default argument is edited",
        edit("helper", "'one'", "'two'"),
        helper="def words(word='one'):\n    return word",
        service=service("words()"),
        rung=SWAP,
        answer="two",
    ),
    flow(
        "a keyword-only default is edited",
        edit("helper", "'one'", "'two'"),
        helper="def words(*, word='one'):\n    return word",
        service=service("words()"),
        rung=SWAP,
        answer="two",
    ),
    flow(
        "a default that a global variable gave is edited",
        edit("value", "one", "two"),
        again("helper"),
        value="WORD = 'one'",
        helper="def words(word=WORD):\n    return word",
        service=service("words()"),
        rung=SWAP,
        answer="two",
    ),
    flow(
        "one of two functions that call each other is edited",
        edit("odd", "return False", "return None"),
        even="def even(n):\n    return True if n == 0 else odd(n - 1)",
        odd="def odd(n):\n    return False if n == 0 else even(n - 1)\n\n"
        "def never():\n    return False",
        service=service("[even(4), never()]"),
        rung=SWAP,
        answer=[True, None],
    ),
    flow(
        "a recursive function is run again",
        again("helper"),
        helper="def down(n):\n    return [] if n == 0 else [n, *down(n - 1)]",
        service=service("down(2)", init="self.x = down(3)"),
        rung=KEEP,
        answer=[2, 1],
    ),
    flow(
        "a context manager of one's own is edited",
        edit("helper", "yield 'one'", "yield 'two'"),
        helper="@contextlib.contextmanager\ndef opened():\n    yield 'one'",
        service=service("with opened() as word:\n    return word"),
        rung=SWAP,
        answer="two",
    ),
    flow(
        "an async helper is edited",
        edit("helper", "one", "two"),
        helper="async def words():\n    await asyncio.sleep(0)\n    return 'one'",
        service=service("asyncio.run(words())"),
        rung=SWAP,
        answer="two",
    ),
    flow(
        "an async generator is edited",
        edit("helper", "one", "two"),
        helper="async def words():\n    yield 'one'\n    yield 'end'",
        service=service(
            "async def all():\n    return [w async for w in words()]\nreturn asyncio.run(all())"
        ),
        rung=SWAP,
        answer=["two", "end"],
    ),
    flow(
        "a name comes to shadow a builtin",
        edit("helper", "pass", "def len(x):\n    return 'many'"),
        helper="pass",
        service=service("len([1])"),
        rung=SWAP,
        answer="many",
    ),
    flow(
        "a function that shadows a builtin is edited",
        edit("helper", "[::-1]", "[:1]"),
        helper="def sorted(items):\n    return items[::-1]",
        service=service("sorted([1, 2])"),
        rung=SWAP,
        answer=[1],
    ),
    flow(
        "an annotation of a helper is edited",
        edit("helper", "n: int", "n: float"),
        helper="def words(n: int = 1):\n    return str(words.__annotations__['n'])",
        service=service("words()"),
        rung=SWAP,
        answer="<class 'float'>",
    ),
    flow(
        "a function's attribute is edited",
        edit("helper", "words.mark = 'one'", "words.mark = 'two'"),
        helper="def words():\n    return words.mark\nwords.mark = 'one'",
        service=service("words()"),
        rung=SWAP,
        answer="two",
    ),
    flow(
        "functions in a table are edited",
        edit("table", "return 'b'", "return 'c'"),
        table="def a():\n    return 'a'\ndef b():\n    return 'b'\nTABLE = {'a': a, 'b': b}",
        service=service("[TABLE[k]() for k in sorted(TABLE)]"),
        rung=SWAP,
        answer=["a", "c"],
    ),
]
