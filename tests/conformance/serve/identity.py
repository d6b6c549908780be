"""Classes of the notebook in arguments and results, and exceptions through handles."""

from __future__ import annotations

from .case import case

PAIR = """
@dataclasses.dataclass
class Pair:
    x: int
    y: int = 2
@serve.deployment(ray_actor_options=SMALL)
class Model:
    def check(self, p):
        return [isinstance(p, Pair), p == Pair(1), type(p) is Pair]
    def give(self):
        return Pair(1)
    def keep(self, p):
        self.kept = p
    def same(self):
        return isinstance(self.kept, Pair)
app = Model.bind()
"""

CASES = [
    case(
        "a-dataclass-there-and-back",
        PAIR,
        "p = handle.give.remote().result()\n"
        "seen = [handle.check.remote(Pair(1)).result(), isinstance(p, Pair), p == Pair(1)]",
        sample=True,
    ),
    case(
        "a-dataclass-whose-cell-ran-again",
        PAIR,
        "cell('''@dataclasses.dataclass\nclass Pair:\n    x: int\n    y: int = 2\n''')\n"
        "redeploy(); p = handle.give.remote().result()\n"
        "seen = [handle.check.remote(Pair(1)).result(), isinstance(p, Pair), p == Pair(1)]",
    ),
    case(
        "an-enum",
        """
class Color(enum.Enum):
    RED = 1
    BLUE = 2
class Level(enum.IntEnum):
    LOW = 1
@serve.deployment(ray_actor_options=SMALL)
class Model:
    def __init__(self, color):
        self.color = color
    def check(self, c, level):
        return [c is Color.RED, self.color is Color.BLUE, level is Level.LOW, c in Color]
    def give(self):
        return Color.RED, Level.LOW, [Color.BLUE]
app = Model.bind(Color.BLUE)
""",
        "c, l, [b] = handle.give.remote().result()\n"
        "seen = [handle.check.remote(Color.RED, Level.LOW).result(),\n"
        "        c is Color.RED, l is Level.LOW, b is Color.BLUE]",
    ),
    case(
        "a-pydantic-model",
        """
class Item(BaseModel):
    name: str
    tags: list[str] = []
class Box(BaseModel):
    item: Item
@serve.deployment(ray_actor_options=SMALL)
class Model:
    def check(self, b):
        return [isinstance(b, Box), isinstance(b.item, Item), b == Box(item=Item(name="n"))]
    def give(self):
        return Box(item=Item(name="n"))
app = Model.bind()
""",
        "b = handle.give.remote().result()\n"
        "seen = [handle.check.remote(Box(item=Item(name='n'))).result(), isinstance(b, Box),\n"
        "        isinstance(b.item, Item), b == Box(item=Item(name='n'))]",
    ),
    case(
        "an-exception-of-the-notebook",
        """
class Refused(Exception):
    def __init__(self, code):
        super().__init__(code)
        self.code = code
class Never(Refused):
    pass
@serve.deployment(ray_actor_options=SMALL)
class Model:
    def refuse(self):
        raise Never(7)
app = Model.bind()
""",
        """
try:
    handle.refuse.remote().result()
except Refused as raised:
    seen = ["caught", isinstance(raised, Never), getattr(raised, "cause", raised).code]
except Exception as raised:
    seen = ["not caught", type(raised).__name__]
""",
        sample=True,
    ),
    case(
        "an-exception-between-deployments",
        """
class Refused(Exception):
    pass
@serve.deployment(ray_actor_options=SMALL)
class Child:
    def __call__(self, x):
        raise Refused(f"no {x}")
@serve.deployment(ray_actor_options=SMALL)
class Parent:
    def __init__(self, child):
        self.child = child
    async def __call__(self, x):
        try:
            return await self.child.remote(x)
        except Refused as error:
            return "caught", type(error).__name__ in ("Refused", "RayTaskError(Refused)")
app = Parent.bind(Child.bind())
""",
        "seen = handle.remote(3).result()",
    ),
    case(
        "a-nested-class",
        """
class Outer:
    class Inner:
        def __eq__(self, other):
            return isinstance(other, Outer.Inner)
        __hash__ = None
@serve.deployment(ray_actor_options=SMALL)
class Model:
    def check(self, i):
        return [isinstance(i, Outer.Inner), i == Outer.Inner(), type(i).__name__]
    def give(self):
        return Outer.Inner()
app = Model.bind()
""",
        "i = handle.give.remote().result()\n"
        "seen = [handle.check.remote(Outer.Inner()).result(), isinstance(i, Outer.Inner)]",
    ),
    case(
        "a-generic-class",
        """
from typing import Generic, TypeVar
T = TypeVar("T")
class Box(Generic[T]):
    def __init__(self, value: T):
        self.value = value
class IntBox(Box[int]):
    pass
@serve.deployment(ray_actor_options=SMALL)
class Model:
    def check(self, b):
        return [isinstance(b, Box), isinstance(b, IntBox), b.value]
    def give(self):
        return IntBox(4)
app = Model.bind()
""",
        "b = handle.give.remote().result()\n"
        "seen = [handle.check.remote(IntBox(3)).result(), isinstance(b, Box), type(b) is IntBox]",
    ),
    case(
        "a-named-tuple",
        """
from typing import NamedTuple
class Point(NamedTuple):
    x: int
    y: int = 0
@serve.deployment(ray_actor_options=SMALL)
class Model:
    def check(self, p):
        return [isinstance(p, Point), p == Point(1), p.y]
    def give(self):
        return Point(5)
app = Model.bind()
""",
        "p = handle.give.remote().result()\n"
        "seen = [handle.check.remote(Point(1)).result(), type(p) is Point, p.x]",
    ),
    case(
        "a-base-class-of-the-deployment",
        """
class Named:
    def __init__(self, name="n"):
        self.name = name
    def __eq__(self, other):
        return type(other) is type(self) and other.name == self.name
    __hash__ = None
@serve.deployment(ray_actor_options=SMALL)
class Model(Named):
    def check(self, n):
        return [isinstance(n, Named), n == Named("n"), isinstance(self, Named)]
    def give(self):
        return Named("there")
app = Model.bind()
""",
        "n = handle.give.remote().result()\n"
        "seen = [handle.check.remote(Named('n')).result(), isinstance(n, Named), n == Named('there')]",
    ),
    case(
        "a-class-of-two-deployments",
        """
@dataclasses.dataclass(frozen=True)
class Job:
    n: int
@serve.deployment(ray_actor_options=SMALL)
class Child:
    def __call__(self, job):
        return isinstance(job, Job), Job(job.n + 1)
@serve.deployment(ray_actor_options=SMALL)
class Parent:
    def __init__(self, child):
        self.child = child
    async def __call__(self, job):
        there, back = await self.child.remote(job)
        return isinstance(job, Job), there, isinstance(back, Job), back == Job(2), back
app = Parent.bind(Child.bind())
""",
        "*said, job = handle.remote(Job(1)).result(); seen = [said, job == Job(2)]",
        sample=True,
    ),
    case(
        "an-instance-in-a-global",
        """
class Settings:
    def __init__(self, mode):
        self.mode = mode
DEFAULT = Settings("fast")
@serve.deployment(ray_actor_options=SMALL)
class Model:
    def check(self, s):
        return [isinstance(s, Settings), isinstance(DEFAULT, Settings), type(s) is type(DEFAULT)]
    def give(self):
        return DEFAULT
app = Model.bind()
""",
        "seen = [handle.check.remote(Settings('x')).result(),\n"
        "        isinstance(handle.give.remote().result(), Settings)]",
    ),
    case(
        "an-abstract-class",
        """
import abc
class Shape(abc.ABC):
    @abc.abstractmethod
    def area(self): ...
class Square(Shape):
    def __init__(self, a):
        self.a = a
    def area(self):
        return self.a ** 2
@serve.deployment(ray_actor_options=SMALL)
class Model:
    def check(self, s):
        return [isinstance(s, Shape), s.area()]
    def give(self):
        return Square(3)
app = Model.bind()
""",
        "s = handle.give.remote().result()\n"
        "seen = [handle.check.remote(Square(2)).result(), isinstance(s, Shape), s.area()]",
    ),
    case(
        "a-class-with-slots",
        """
class Slim:
    __slots__ = ("x",)
    def __init__(self, x):
        self.x = x
@serve.deployment(ray_actor_options=SMALL)
class Model:
    def check(self, s):
        return [isinstance(s, Slim), s.x]
    def give(self):
        return Slim(2)
app = Model.bind()
""",
        "s = handle.give.remote  # Ray's pickler does not take them from __main__; neither may we\n"
        "seen = [error(handle.check.remote(Slim(1)).result), error(s().result)]",
    ),
    case(
        "what-is-kept-survives-an-edit",
        PAIR,
        """
handle.keep.remote(Pair(3)).result()
before = handle.same.remote().result()
seen = [before, handle.check.remote(Pair(1)).result()]
""",
    ),
    case(
        "the-error-of-an-unknown-method",
        """
@serve.deployment(ray_actor_options=SMALL)
class Model:
    size = 3
    def predict(self):
        return 1
    def _own(self):
        return 2
    @property
    def wide(self):
        return 3
app = Model.bind()
""",
        """
try:
    handle.nothing.remote().result()
except Exception as raised:
    seen = str(raised).splitlines()[-1]
""",
        sample=True,
    ),
    case(
        "errors-of-every-kind",
        """
@serve.deployment(ray_actor_options=SMALL)
class Model:
    def zero(self):
        return 1 / 0
    async def key(self):
        return {}["k"]
    def stop(self):
        raise StopIteration("s")
    def leave(self):
        assert False, "left"
    def arguments(self, a, *, b):
        return a, b
app = Model.bind()
""",
        "seen = [error(handle.zero.remote().result), error(handle.key.remote().result),\n"
        "        error(handle.leave.remote().result)[0], error(handle.arguments.remote().result),\n"
        "        error(handle.arguments.remote(1, 2).result), error(handle.stop.remote().result)[0]]",
    ),
    case(
        "an-error-with-a-cause",
        """
@serve.deployment(ray_actor_options=SMALL)
class Model:
    def __call__(self):
        try:
            return {}["inner"]
        except KeyError as error:
            raise RuntimeError("outer") from error
app = Model.bind()
""",
        """
try:
    handle.remote().result()
except Exception as raised:
    seen = ["inner" in str(raised), "outer" in str(raised), isinstance(raised, RuntimeError)]
""",
    ),
    case(
        "results-that-cannot-be-pickled",
        """
@serve.deployment(ray_actor_options=SMALL)
class Model:
    def __call__(self):
        return threading.Lock()
app = Model.bind()
""",
        "seen = error(handle.remote().result)[0]",
    ),
]
