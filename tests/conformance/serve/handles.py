"""Composition, handles and what they can be told; hooks, contexts and options."""

from __future__ import annotations

from .case import case

ECHO = """
@serve.deployment(ray_actor_options=SMALL)
class Echo:
    def __call__(self, x="none"):
        return f"echo {x}"
    def other(self, *args, **kwargs):
        return [list(args), kwargs]
    async def slow(self, s):
        await asyncio.sleep(s)
        return s
app = Echo.bind()
"""

CASES = [
    case(
        "call-and-methods",
        ECHO,
        "seen = [handle.remote().result(), handle.remote('x').result(),\n"
        "        handle.other.remote(1, k=2).result(),\n"
        "        handle.options(method_name='other').remote(3).result()]",
    ),
    case(
        "a-result-with-timeout",
        ECHO,
        "seen = error(lambda: handle.slow.remote(5).result(timeout_s=0.2))",
    ),
    case(
        "a-cancelled-call", ECHO, "r = handle.slow.remote(9); r.cancel(); seen = error(r.result)[0]"
    ),
    case(
        "a-handle-in-a-pickle",
        ECHO,
        "import ray.cloudpickle as p; h = p.loads(p.dumps(handle)); seen = h.remote('p').result()",
    ),
    case(
        "a-handle-in-an-actor",
        ECHO,
        """
@ray.remote(num_cpus=0)
class Caller:
    async def ask(self, h):
        return await h.remote("actor")
caller = Caller.remote()
seen = ray.get(caller.ask.remote(handle))
ray.kill(caller)
""",
    ),
    case(
        "awaited-in-the-kernel",
        ECHO,
        """
async def ask():
    return [await handle.remote(n) for n in range(2)]
seen = asyncio.run(ask())
""",
    ),
    case(
        "chained-responses",
        """
@serve.deployment(ray_actor_options=SMALL)
class Add:
    def __init__(self, n):
        self.n = n
    def __call__(self, x):
        return x + self.n
@serve.deployment(ray_actor_options=SMALL)
class Chain:
    def __init__(self, one, two):
        self.one, self.two = one, two
    async def __call__(self, x):
        return await self.two.remote(self.one.remote(x))
app = Chain.bind(Add.bind(1), Add.bind(10))
""",
        "seen = [handle.remote(1).result(), handle.remote(handle.remote(1)).result()]",
        sample=True,
    ),
    case(
        "a-response-given-twice",
        """
@serve.deployment(ray_actor_options=SMALL)
class One:
    def __call__(self, x):
        return x
@serve.deployment(ray_actor_options=SMALL)
class Twice:
    def __init__(self, one):
        self.one = one
    async def __call__(self):
        r = self.one.remote(4)
        return [await r, await r, await self.one.remote(r)]
app = Twice.bind(One.bind())
""",
        "seen = handle.remote().result()",
    ),
    case(
        "gathered",
        """
@serve.deployment(ray_actor_options=SMALL, max_ongoing_requests=10)
class One:
    async def __call__(self, x):
        return x * x
@serve.deployment(ray_actor_options=SMALL)
class Many:
    def __init__(self, one):
        self.one = one
    async def __call__(self, n):
        return await asyncio.gather(*(self.one.remote(x) for x in range(n)))
app = Many.bind(One.bind())
""",
        "seen = handle.remote(6).result()",
    ),
    case(
        "a-diamond",
        """
@serve.deployment(ray_actor_options=SMALL)
class Leaf:
    def __init__(self):
        self.n = 0
    def __call__(self):
        self.n += 1
        return self.n
@serve.deployment(ray_actor_options=SMALL)
class Side:
    def __init__(self, leaf, name):
        self.leaf, self.name = leaf, name
    async def __call__(self):
        return self.name, await self.leaf.remote()
@serve.deployment(ray_actor_options=SMALL)
class Top:
    def __init__(self, sides, **named):
        self.sides = [*sides, *named.values()]
    async def __call__(self):
        return [await side.remote() for side in self.sides]
leaf = Leaf.bind()
app = Top.bind([Side.bind(leaf, "l"), Side.options(name="Second").bind(leaf, "r")], third=Side.bind(leaf, "n"))
""",
        "seen = [handle.remote().result(), sorted(status().deployments)]",
    ),
    case(
        "nested-handles-in-arguments",
        """
@serve.deployment(ray_actor_options=SMALL)
class Leaf:
    def __call__(self, x):
        return x
@serve.deployment(ray_actor_options=SMALL)
class Top:
    def __init__(self, tree):
        self.tree = tree
    async def __call__(self):
        return [await self.tree["a"][0].remote(1), await self.tree["b"].remote(2), type(self.tree["b"]).__name__]
app = Top.bind({"a": [Leaf.bind()], "b": Leaf.bind()})
""",
        "seen = handle.remote().result()",
    ),
    case(
        "a-handle-got-by-name-in-a-replica",
        """
@serve.deployment(ray_actor_options=SMALL)
class Leaf:
    def __call__(self, x):
        return ["leaf", x]
@serve.deployment(ray_actor_options=SMALL)
class Top:
    def __init__(self, leaf):
        pass
    async def __call__(self):
        return await serve.get_deployment_handle("Leaf").remote(1)
app = Top.bind(Leaf.bind())
""",
        "seen = handle.remote().result()",
    ),
    case(
        "the-application-handle-in-a-replica",
        """
@serve.deployment(ray_actor_options=SMALL)
class Self:
    def one(self):
        return 1
    async def __call__(self):
        return await serve.get_app_handle(serve.get_replica_context().app_name).one.remote()
app = Self.bind()
""",
        "seen = handle.remote().result()",
    ),
    case(
        "an-object-ref-of-a-response",
        """
@serve.deployment(ray_actor_options=SMALL)
class Leaf:
    def __call__(self, x):
        return x
@serve.deployment(ray_actor_options=SMALL)
class Top:
    def __init__(self, leaf):
        self.leaf = leaf
    async def __call__(self):
        return await (await self.leaf.remote(5)._to_object_ref())
app = Top.bind(Leaf.bind())
""",
        "seen = error(handle.remote().result)",
        listed="on the fast data path deployments call each other by gRPC: there is no object",
    ),
    case(
        "object-refs-as-arguments",
        ECHO,
        "seen = handle.remote(ray.put('ref')).result()",
    ),
    case(
        "a-function-deployment",
        """
@serve.deployment(ray_actor_options=SMALL)
def double(x: int = 4):
    return 2 * x
app = double.bind()
""",
        "seen = [handle.remote().result(), handle.remote(3).result(), handle.any_name.remote(5).result()]",
    ),
    case(
        "an-async-function-deployment",
        """
@serve.deployment(ray_actor_options=SMALL)
async def double(request: Request):
    return {"q": request.query_params.get("q"), "path": request.url.path}
app = double.bind()
""",
        "seen = [http.get('/', params={'q': 'x'}).json(), http.get('/deeper').json()]",
    ),
    case(
        "an-async-constructor",
        """
@serve.deployment(ray_actor_options=SMALL)
class Model:
    async def __init__(self, n):
        await asyncio.sleep(0.01)
        self.n = n
    def __call__(self):
        return self.n
app = Model.bind(n=8)
""",
        "seen = handle.remote().result()",
    ),
    case(
        "options-of-a-handle",
        ECHO,
        "h = handle.options(method_name='other'); g = h.options(stream=False)\n"
        "seen = [g.remote(1).result(), h.deployment_name, g.app_name]",
    ),
    case(
        "an-unknown-option-of-a-handle",
        ECHO,
        "seen = error(lambda: handle.options(colour='red'))",
    ),
    case(
        "broadcast",
        """
@serve.deployment(ray_actor_options=SMALL, num_replicas=2)
class Model:
    def one(self, x):
        return x
app = Model.bind()
""",
        "until(lambda: len(handle.broadcast('one', 4).results(timeout_s=10)), 2)\n"
        "seen = sorted(handle.broadcast('one', 4).results(timeout_s=10))",
    ),
    case(
        "the-context-of-a-replica",
        """
@serve.deployment(ray_actor_options=SMALL, name="Renamed")
class Model:
    def __init__(self):
        c = serve.get_replica_context()
        self.early = [c.app_name, c.deployment, c.servable_object is None, c.rank.rank]
    def __call__(self):
        c = serve.get_replica_context()
        o = c.servable_object
        return [self.early, c.app_name, c.deployment, o is self, type(o).__name__, c.world_size, c.rank.rank]
app = Model.bind()
""",
        "seen = handle.remote().result()",
        sample=True,
    ),
    case(
        "the-servable-object-of-an-ingress",
        """
api = FastAPI()
class Base:
    pass
@serve.deployment(ray_actor_options=SMALL)
@serve.ingress(api)
class Model:
    def __init__(self):
        self.n = 5
    @api.get("/")
    def read(self):
        o = serve.get_replica_context().servable_object
        return [o is self, type(o).__name__, isinstance(o, Base), o.n]
app = Model.bind()
""",
        "seen = http.get('/').json()",
    ),
    case(
        "the-servable-object-of-a-function",
        """
@serve.deployment(ray_actor_options=SMALL)
def work():
    o = serve.get_replica_context().servable_object
    return [callable(o), o.__name__]
app = work.bind()
""",
        "seen = handle.remote().result()",
    ),
    case(
        "the-request-context",
        """
@serve.deployment(ray_actor_options=SMALL)
class Model:
    def __call__(self, request: Request):
        return [len(request.headers.get("x-request-id", "")) > 0, request.method, request.url.path,
                request.scope.get("root_path")]
app = Model.bind()
""",
        "seen = http.post('/a/b?x=1').json()",
    ),
    case(
        "a-constructor-that-fails",
        """
@serve.deployment(ray_actor_options=SMALL, max_constructor_retry_count=1)
class Model:
    def __init__(self):
        self.n = 1
    def __call__(self):
        return "good"
app = Model.bind()
""",
        """
cell('''
@serve.deployment(ray_actor_options=SMALL, max_constructor_retry_count=1, max_surge_percent=100)
class Model:
    def __init__(self):
        raise ValueError("never")
    def __call__(self):
        return "bad"
app = Model.bind()
''')
try:
    redeploy()
    said = "deployed"
except Exception as raised:
    said = "raised"
seen = [said, handle.remote().result()]
""",
        alone=True,
    ),
    case(
        "defaults-of-new",
        """
@serve.deployment(ray_actor_options=SMALL)
class Model:
    def __new__(cls):
        made = super().__new__(cls)
        made.early = "new"
        return made
    def __init__(self, n):
        self.n = n
    def __call__(self):
        return [self.early, self.n]
app = Model.bind(3)
""",
        "seen = handle.remote().result()",
    ),
    case(
        "concurrent-calls-and-threads",
        """
@serve.deployment(ray_actor_options=SMALL, max_ongoing_requests=3)
class Model:
    def __init__(self):
        self.now = self.most = 0
    async def __call__(self):
        self.now += 1
        self.most = max(self.most, self.now)
        await asyncio.sleep(0.3)
        self.now -= 1
        return self.most
    def told(self):
        return self.most
app = Model.bind()
""",
        "for r in [handle.remote() for _ in range(8)]: r.result()\nseen = handle.told.remote().result()",
    ),
    case(
        "load-shedding",
        """
@serve.deployment(ray_actor_options=SMALL, max_ongoing_requests=1, max_queued_requests=1)
class Model:
    async def __call__(self):
        await asyncio.sleep(1.5)
        return "done"
app = Model.bind()
""",
        """
rs = []
for n in range(4):
    rs.append(handle.remote())
    time.sleep(0.2)
seen = sorted(error(r.result)[0] for r in rs)
""",
    ),
    case(
        "load-shedding-over-http",
        """
@serve.deployment(ray_actor_options=SMALL, max_ongoing_requests=1, max_queued_requests=1)
class Model:
    async def __call__(self, request: Request):
        await asyncio.sleep(2)
        return "done"
app = Model.bind()
""",
        """
ts = []
for n in range(5):
    ts.append(thread(lambda: http.get('/').status_code))
    time.sleep(0.15)
codes = [t() for t in ts]
seen = sorted(set(codes))
""",
    ),
]
