"""Flows about classes: bases, members, data classes, enums, and objects that hold them."""

from __future__ import annotations

from .words import KEEP, REPLACE, SWAP, again, edit, flow, service

BASE = """
class Base:
    mark = "!"

    def __init__(self, word="one"):
        self.word = word

    def said(self):
        return self.word + self.mark
"""
POINT = "@dataclasses.dataclass\nclass Point:\n    x: int = 1"
COLOR = "class Color(enum.Enum):\n    RED = 'red'\n    BLUE = 'blue'"
NET = "class Net:\n    def forward(self, x):\n        return x + 0"
META = """
class Meta(type):
    def __new__(meta, name, bases, names):
        return super().__new__(meta, name, bases, {**names, "word": "one"})
"""
FACTORY = """
def make(word):
    class Made:
        def said(self):
            return word
    return Made
"""
# What a constructor does with `self` that makes no other member part of its state.
LOOKS_AT_ITSELF = {
    "id(self)": "self.key = id(self)",
    "print(self)": "print(self)",
    "logging of self": "logging.info('made %s', self)",
    "super().__init__()": "super().__init__()",
    "type(self).__name__": "self.name = type(self).__name__",
    "isinstance(self, ...)": "assert isinstance(self, object)",
    "hasattr(self, ...)": "self.has = hasattr(self, 'missing')",
    "self in an f-string": "self.text = f'{id(self)}'",
    "setattr(self, ...)": "setattr(self, 'x', 1)",
    "a loop": "for n in range(3):\n    self.n = n",
    "a comprehension": "self.squares = [n * n for n in range(3)]",
    "a with statement": "with contextlib.suppress(ValueError):\n    self.n = int('x')",
}
# Each kind of member: its text, an edit, what is asked of it, and the new answer.
MEMBERS = {
    "a property": ("@property\ndef m(self):\n    return 'one'", "one", "two", "self.m", "two"),
    "a property's setter": (
        "@property\ndef m(self):\n    return self._m\n"
        "@m.setter\ndef m(self, value):\n    self._m = value + '1'",
        "'1'",
        "'2'",
        "self.m = 'x'\nreturn self.m",
        "x2",
    ),
    "a static method": (
        "@staticmethod\ndef m():\n    return 'one'",
        "one",
        "two",
        "self.m()",
        "two",
    ),
    "a class method": (
        "@classmethod\ndef m(cls):\n    return cls.__name__ + '1'",
        "'1'",
        "'2'",
        "self.m()",
        "Service2",
    ),
    "a class attribute": ("m = 'one'", "one", "two", "self.m", "two"),
    "a list in a class attribute": ("m = [1, 2]", "2", "3", "self.m", [1, 3]),
    "a lambda in a class attribute": ("m = lambda self: 'one'", "one", "two", "self.m()", "two"),
    "a private method": ("def __m(self):\n    return 'one'", "one", "two", "self.__m()", "two"),
    "a class inside the class": (
        "class In:\n    def m(self):\n        return 'one'",
        "one",
        "two",
        "self.In().m()",
        "two",
    ),
    "a member that calls another": (
        "def a(self):\n    return self.b()\ndef b(self):\n    return 'one'",
        "one",
        "two",
        "self.a()",
        "two",
    ),
    "__len__": ("def __len__(self):\n    return 1", "1", "2", "len(self)", 2),
    "__getitem__": (
        "def __getitem__(self, k):\n    return k",
        "return k",
        "return -k",
        "self[1]",
        -1,
    ),
    "__contains__": (
        "def __contains__(self, x):\n    return True",
        "True",
        "False",
        "1 in self",
        False,
    ),
    "__eq__": ("def __eq__(self, x):\n    return True", "True", "False", "self == 1", False),
    "__enter__": (
        "def __enter__(self):\n    return 'one'\ndef __exit__(self, *_):\n    pass",
        "one",
        "two",
        "with self as word:\n    return word",
        "two",
    ),
}

FLOWS = [
    *(
        flow(
            f"a method is edited below a constructor with {what}",
            edit("service", "return 'one'", "return 'two'"),
            service=service("self.said()", init=init, more="def said(self):\n    return 'one'"),
            rung=SWAP,
            answer="two",
        )
        for what, init in LOOKS_AT_ITSELF.items()
    ),
    *(
        flow(
            f"{what} is edited",
            edit("service", old, new),
            service=service(said, init="self.x = {}", more=member),
            rung=SWAP,
            answer=answer,
        )
        for what, (member, old, new, said, answer) in MEMBERS.items()
    ),
    flow(
        "a base class in another cell is edited",
        edit("base", "return self.word", "return 'so ' + self.word"),
        again("service"),
        base=BASE,
        service=service("self.said()", init="super().__init__()", bases="Base"),
        rung=SWAP,
        answer="so one!",
    ),
    flow(
        "a base class in another cell is run again",
        again("base"),
        again("service"),
        base=BASE,
        service=service("self.said()", init="super().__init__()", bases="Base"),
        rung=KEEP,
        answer="one!",
    ),
    flow(
        "the constructor of a base class is edited",
        edit("base", 'word="one"', 'word="two"'),
        again("service"),
        base=BASE,
        service=service("self.said()", init="super().__init__()", bases="Base"),
        rung=REPLACE,
        answer="two!",
    ),
    flow(
        "an attribute of a base class is edited",
        edit("base", 'mark = "!"', 'mark = "?"'),
        again("service"),
        base=BASE,
        service=service("self.said()", init="super().__init__()", bases="Base"),
        rung=SWAP,
        answer="one?",
    ),
    flow(
        "a method comes that overrides the base's",
        edit("service", "    @api", "    def said(self):\n        return 'own'\n    @api"),
        base=BASE,
        service=service("self.said()", init="super().__init__()", bases="Base"),
        rung=SWAP,
        answer="own",
    ),
    flow(
        "a base class goes away",
        edit("service", "Service(Base)", "Service"),
        base="class Base:\n    mark = '!'",
        service=service("getattr(self, 'mark', 'none')", bases="Base"),
        rung=REPLACE,
        answer="none",
        why="the object is an instance of what it was made as",
    ),
    flow(
        "two bases change places",
        edit("service", "Service(A, B)", "Service(B, A)"),
        bases="class A:\n    def m(self):\n        return 'a'\n"
        "class B:\n    def m(self):\n        return 'b'",
        service=service("self.m()", bases="A, B"),
        rung=SWAP,
        answer="b",
    ),
    flow(
        "a method of a generic base is edited",
        edit("base", "one", "two"),
        again("service"),
        base="T = typing.TypeVar('T')\nclass Base(typing.Generic[T]):\n"
        "    def m(self):\n        return 'one'",
        service=service("self.m()", init="self.x = 1", bases="Base[int]"),
        rung=SWAP,
        answer="two",
    ),
    flow(
        "a method is edited below an abstract base and a protocol",
        edit("service", "return 'one'", "return 'two'"),
        base="import abc\nclass Says(typing.Protocol):\n    def m(self) -> str: ...\n"
        "class Base(abc.ABC):\n    @abc.abstractmethod\n    def m(self): ...",
        service=service(
            "self.m()",
            init="self.x = 1",
            more="def m(self):\n    return 'one'",
            bases="Base, Says",
        ),
        rung=SWAP,
        answer="two",
    ),
    flow(
        "`__init_subclass__` of a base is edited",
        edit("base", "one", "two"),
        again("service"),
        base="class Base:\n    def __init_subclass__(cls):\n        cls.word = 'one'",
        service=service("self.word", bases="Base"),
        rung=REPLACE,
        answer="two",
        why="it runs when the class is made",
    ),
    flow(
        "`__getattr__` is edited",
        edit("service", "'one'", "'two'"),
        service=service("self.missing", more="def __getattr__(self, name):\n    return 'one'"),
        rung=REPLACE,
        answer="two",
        why="it may be asked while the object is made",
    ),
    flow(
        "a method of a metaclass that makes classes is edited",
        edit("meta", "one", "two"),
        again("service"),
        meta=META,
        service=service("self.word", bases="metaclass=Meta"),
        rung=REPLACE,
        answer="two",
        why="what else it did to the class, while that was made, cannot be told",
    ),
    flow(
        "a route is edited below a metaclass",
        edit("service", "+ '!'", "+ '?'"),
        meta=META,
        service=service("self.word + '!'", bases="metaclass=Meta"),
        rung=SWAP,
        answer="one?",
    ),
    flow(
        "a class attribute that the constructor reads is edited",
        edit("service", "size = 3", "size = 4"),
        service=service("self.n", init="self.n = self.size", more="size = 3"),
        rung=REPLACE,
        answer=4,
    ),
    flow(
        "a method that the constructor calls is edited",
        edit("service", "return 'one'", "return 'two'"),
        service=service("self.w", init="self.w = self.m()", more="def m(self):\n    return 'one'"),
        rung=REPLACE,
        answer="two",
    ),
    flow(
        "a constructor comes",
        edit("service", "    @api", "    def __init__(self):\n        self.x = 'two'\n    @api"),
        service=service("getattr(self, 'x', 'one')"),
        rung=REPLACE,
        answer="two",
    ),
    flow(
        "a dataclass that a route makes is edited alone",
        edit("point", "x: int = 1", "x: int = 2"),
        point=POINT,
        service=service("Point()"),
        rung=SWAP,
        answer={"x": 2},
    ),
    flow(
        "a dataclass is run again",
        again("point"),
        point=POINT,
        service=service("[self.p, Point()]", init="self.p = Point()"),
        rung=KEEP,
        answer=[{"x": 1}, {"x": 1}],
    ),
    flow(
        "a method is edited beside a dataclass in the state",
        edit("service", "+ 1", "+ 2"),
        point=POINT,
        service=service("self.p.x + 1", init="self.p = Point()"),
        rung=SWAP,
        answer=3,
    ),
    flow(
        "a dataclass in the state is edited",
        edit("point", "x: int = 1", "x: int = 2"),
        point=POINT,
        service=service("self.p.x", init="self.p = Point()"),
        rung=REPLACE,
        answer=2,
    ),
    flow(
        "a frozen dataclass with slots and a field's factory is edited",
        edit("point", "[1]", "[2]"),
        point="@dataclasses.dataclass(frozen=True, slots=True)\nclass Point:\n"
        "    xs: list = dataclasses.field(default_factory=lambda: [1])",
        service=service("Point().xs"),
        rung=SWAP,
        answer=[2],
    ),
    flow(
        "a frozen dataclass with slots is run again",
        again("point"),
        again("service"),
        point="@dataclasses.dataclass(frozen=True, slots=True)\nclass Point:\n"
        "    xs: list = dataclasses.field(default_factory=list)\n    n: int = 1",
        service=service("[Point(), hash(Point) == hash(Point)]", init="self.p = Point"),
        rung=KEEP,
        answer=[{"xs": [], "n": 1}, True],
    ),
    flow(
        "the service is a dataclass, a method of it is edited",
        edit("service", "+ '!'", "+ '?'"),
        service=service("self.word + '!'", more="word: str = 'one'").replace(
            "class Service:", "@dataclasses.dataclass\nclass Service:"
        ),
        rung=SWAP,
        answer="one?",
    ),
    flow(
        "a value of an enum is edited",
        edit("color", "'blue'", "'green'"),
        color=COLOR,
        service=service("[c.value for c in Color]"),
        rung=SWAP,
        answer=["red", "green"],
    ),
    flow(
        "an enum is run again",
        again("color"),
        again("service"),
        color=COLOR,
        service=service("self.c is Color.RED", init="self.c = Color.RED"),
        rung=KEEP,
        answer=True,
    ),
    flow(
        "a method is edited beside a member of an enum in the state",
        edit("service", "'one'", "'two'"),
        color=COLOR,
        service=service("['one', self.c is Color.RED]", init="self.c = Color.RED"),
        rung=SWAP,
        answer=["two", True],
    ),
    flow(
        "a method of an enum is edited",
        edit("color", "'one'", "'two'"),
        color=COLOR + "\n    def said(self):\n        return 'one'",
        service=service("Color.RED.said()"),
        rung=SWAP,
        answer="two",
    ),
    flow(
        "an enum with `auto()` and flags gets a member",
        edit("flags", "B = enum.auto()", "B = enum.auto()\n    C = enum.auto()"),
        flags="class Flags(enum.Flag):\n    A = enum.auto()\n    B = enum.auto()",
        service=service("[f.value for f in Flags]"),
        rung=SWAP,
        answer=[1, 2, 4],
    ),
    flow(
        "a NamedTuple's default is edited",
        edit("pair", "b: int = 2", "b: int = 3"),
        pair="class Pair(typing.NamedTuple):\n    a: int = 1\n    b: int = 2",
        service=service("list(Pair())"),
        rung=SWAP,
        answer=[1, 3],
    ),
    flow(
        "a NamedTuple and a namedtuple are run again",
        again("pair"),
        again("service"),
        pair="import collections\nclass Pair(typing.NamedTuple):\n    a: int = 1\n"
        "Other = collections.namedtuple('Other', 'x y')",
        service=service("[Pair().a, Other(1, 2).y]", init="self.p = Pair()"),
        rung=KEEP,
        answer=[1, 2],
    ),
    flow(
        "a TypedDict is edited",
        edit("typed", "a: int", "b: int"),
        typed="class Typed(typing.TypedDict):\n    a: int",
        service=service("list(Typed.__annotations__)"),
        rung=SWAP,
        answer=["b"],
    ),
    flow(
        "`total_ordering`: a comparison is edited",
        edit("ordered", "self.n < other.n", "self.n > other.n"),
        ordered="@functools.total_ordering\nclass Ordered:\n    def __init__(self, n):\n"
        "        self.n = n\n    def __eq__(self, other):\n        return self.n == other.n\n"
        "    def __lt__(self, other):\n        return self.n < other.n",
        service=service("[o.n for o in sorted([Ordered(1), Ordered(2)])]"),
        rung=SWAP,
        answer=[2, 1],
    ),
    flow(
        "the class of an object that the constructor makes is edited",
        edit("net", "x + 0", "x + 1"),
        net=NET,
        service=service("self.net.forward(1)", init="self.net = Net()"),
        rung=REPLACE,
        answer=2,
    ),
    flow(
        "the class of an object that the constructor makes is run again",
        again("net"),
        again("service"),
        net=NET,
        service=service("self.net.forward(1)", init="self.net = Net()"),
        rung=KEEP,
        answer=1,
    ),
    flow(
        "a torch module in the state, a route edited",
        edit("service", "+ 1", "+ 2"),
        net="import torch\nclass Net(torch.nn.Module):\n    def __init__(self):\n"
        "        super().__init__()\n        self.w = torch.nn.Linear(2, 2)\n"
        "    def forward(self, x):\n        return self.w(x)",
        service=service(
            "int(self.net(torch.zeros(1, 2)).shape[1]) + 1", init="self.net = Net().eval()"
        ),
        rung=SWAP,
        answer=4,
    ),
    flow(
        "a class that a factory made is edited by the factory's argument",
        edit("made", "make('one')", "make('two')"),
        factory=FACTORY,
        made="Made = make('one')",
        service=service("Made().said()"),
        rung=SWAP,
        answer="two",
    ),
    flow(
        "a class that a factory made is made again",
        again("factory"),
        again("made"),
        again("service"),
        factory=FACTORY,
        made="Made = make('one')",
        service=service("self.made.said()", init="self.made = Made()"),
        rung=KEEP,
        answer="one",
    ),
    flow(
        "two classes of one name come from two cells",
        edit("second", "'b'", "'c'"),
        first="class Part:\n    def m(self):\n        return 'a'\nA = Part",
        second="class Part:\n    def m(self):\n        return 'b'\nB = Part",
        service=service("[A().m(), B().m()]"),
        rung=SWAP,
        answer=["a", "c"],
    ),
    flow(
        "`type()` makes a class with other members",
        edit("made", "'one'", "'two'"),
        made="Made = type('Made', (), {'said': lambda self: 'one'})",
        service=service("Made().said()"),
        rung=SWAP,
        answer="two",
    ),
    flow(
        "a descriptor's class is edited",
        edit("descriptor", "'one'", "'two'"),
        again("service"),
        descriptor="class Says:\n    def __get__(self, obj, cls=None):\n        return 'one'",
        service=service("self.m", more="m = Says()"),
        rung=SWAP,
        answer="two",
    ),
    flow(
        "an exception's class is edited",
        edit("error", "'one'", "'two'"),
        error="class Refused(Exception):\n    def __str__(self):\n        return 'one'",
        service=service("try:\n    raise Refused\nexcept Refused as error:\n    return str(error)"),
        rung=SWAP,
        answer="two",
    ),
    flow(
        "`__slots__`: a method is edited",
        edit("service", "+ '!'", "+ '?'"),
        service=service(
            "self.x + '!'", init="self.x = 'one'", more="__slots__ = ('x', '__weakref__')"
        ),
        rung=REPLACE,
        answer="one?",
        why="the state stands in slots of the class that made it",
    ),
]
