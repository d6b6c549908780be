"""Batching, streaming and multiplexing."""

from __future__ import annotations

from .case import case

CASES = [
    case(
        "batch-sizes",
        """
@serve.deployment(ray_actor_options=SMALL, max_ongoing_requests=20)
class Model:
    @serve.batch(max_batch_size=4, batch_wait_timeout_s=0.5)
    async def __call__(self, xs: list[int]) -> list[Any]:
        return [(x * 2, len(xs) <= 4) for x in xs]
app = Model.bind()
""",
        "seen = sorted(r.result() for r in [handle.remote(x) for x in range(8)])",
        sample=True,
    ),
    case(
        "batch-one-error-for-all",
        """
@serve.deployment(ray_actor_options=SMALL, max_ongoing_requests=20)
class Model:
    @serve.batch(max_batch_size=3, batch_wait_timeout_s=0.5)
    async def run(self, xs: list[int]) -> list[int]:
        raise ValueError("no batch today")
app = Model.bind()
""",
        "rs = [handle.run.remote(x) for x in range(3)]; seen = [error(r.result) for r in rs]",
    ),
    case(
        "batch-wrong-length",
        """
@serve.deployment(ray_actor_options=SMALL)
class Model:
    @serve.batch(max_batch_size=2, batch_wait_timeout_s=0.05)
    async def run(self, xs: list[int]) -> list[int]:
        return [1, 2, 3]
app = Model.bind()
""",
        "seen = error(handle.run.remote(1).result)",
    ),
    case(
        "batch-errors-as-results",
        """
@serve.deployment(ray_actor_options=SMALL, max_ongoing_requests=20)
class Model:
    @serve.batch(max_batch_size=4, batch_wait_timeout_s=0.3)
    async def run(self, xs: list[int]) -> list[Any]:
        return [ValueError(f"odd {x}") if x % 2 else x for x in xs]
app = Model.bind()
""",
        "seen = [error(handle.run.remote(x).result) for x in (0, 1)]",
    ),
    case(
        "batch-several-arguments",
        """
@serve.deployment(ray_actor_options=SMALL, max_ongoing_requests=20)
class Model:
    @serve.batch(max_batch_size=2, batch_wait_timeout_s=0.3)
    async def add(self, xs: list[int], ys: list[int]) -> list[int]:
        return [x + y for x, y in zip(xs, ys)]
app = Model.bind()
""",
        "seen = [r.result() for r in [handle.add.remote(1, 2), handle.add.remote(3, ys=4)]]",
    ),
    case(
        "batch-function-deployment",
        """
@serve.deployment(ray_actor_options=SMALL, max_ongoing_requests=20)
@serve.batch(max_batch_size=3, batch_wait_timeout_s=0.3)
async def double(xs: list[int]) -> list[int]:
    return [2 * x for x in xs]
app = double.bind()
""",
        "seen = [r.result() for r in [handle.remote(x) for x in range(3)]]",
    ),
    case(
        "batch-streaming",
        """
@serve.deployment(ray_actor_options=SMALL, max_ongoing_requests=20)
class Model:
    @serve.batch(max_batch_size=2, batch_wait_timeout_s=0.2)
    async def count(self, upto: list[int]):
        for n in range(3):
            yield [f"{n}/{u}" for u in upto]
    async def __call__(self, n: int):
        async for each in self.count(n):
            yield each
app = Model.bind()
""",
        "seen = list(handle.options(stream=True).remote(5))",
    ),
    case(
        "batch-setters",
        """
@serve.deployment(ray_actor_options=SMALL, max_ongoing_requests=20)
class Model:
    @serve.batch(max_batch_size=8, batch_wait_timeout_s=5)
    async def run(self, xs: list[int]) -> list[int]:
        return [len(xs)] * len(xs)
    def reconfigure(self, config):
        self.run.set_max_batch_size(config["size"])
        self.run.set_batch_wait_timeout_s(config["wait"])
app = Model.options(user_config={"size": 2, "wait": 0.05}).bind()
""",
        "seen = handle.run.remote(1).result()",
    ),
    case(
        "batch-over-http",
        """
api = FastAPI()
@serve.deployment(ray_actor_options=SMALL, max_ongoing_requests=20)
@serve.ingress(api)
class Model:
    @serve.batch(max_batch_size=4, batch_wait_timeout_s=0.05)
    async def run(self, xs: list[int]) -> list[int]:
        return [x + 1 for x in xs]
    @api.get("/one")
    async def one(self, x: int) -> int:
        return await self.run(x)
app = Model.bind()
""",
        "ts = [thread(lambda x=x: http.get('/one', params={'x': x}).json()) for x in range(4)]\n"
        "seen = [t() for t in ts]",
    ),
    case(
        "batch-cancelled-request",
        """
@serve.deployment(ray_actor_options=SMALL, max_ongoing_requests=20)
class Model:
    @serve.batch(max_batch_size=1, batch_wait_timeout_s=0)
    async def run(self, xs: list[float]) -> list[str]:
        await asyncio.sleep(xs[0])
        return ["done"] * len(xs)
app = Model.bind()
""",
        "r = handle.run.remote(5.0); time.sleep(0.3); r.cancel()\n"
        "seen = [error(r.result)[0], handle.run.remote(0.0).result()]",
    ),
    case(
        "stream-async-generator",
        """
@serve.deployment(ray_actor_options=SMALL)
class Model:
    async def tokens(self, n):
        for each in range(n):
            yield f"t{each}"
app = Model.bind()
""",
        "seen = list(handle.options(stream=True).tokens.remote(4))",
    ),
    case(
        "stream-sync-generator",
        """
@serve.deployment(ray_actor_options=SMALL)
class Model:
    def tokens(self, n):
        for each in range(n):
            yield f"t{each}"
app = Model.bind()
""",
        "seen = list(handle.options(stream=True).tokens.remote(4))",
    ),
    case(
        "stream-without-option",
        """
@serve.deployment(ray_actor_options=SMALL)
class Model:
    def tokens(self, n):
        yield n
    async def more(self, n):
        yield n
app = Model.bind()
""",
        "seen = [error(handle.tokens.remote(4).result), error(handle.more.remote(4).result)]",
    ),
    case(
        "stream-option-on-plain-method",
        """
@serve.deployment(ray_actor_options=SMALL)
class Model:
    def one(self, n):
        return n
app = Model.bind()
""",
        "seen = error(lambda: list(handle.options(stream=True).one.remote(4)))",
    ),
    case(
        "stream-error-midway",
        """
@serve.deployment(ray_actor_options=SMALL)
class Model:
    async def tokens(self):
        yield 1
        raise RuntimeError("half way")
app = Model.bind()
""",
        "g = handle.options(stream=True).tokens.remote(); seen = [next(g), error(lambda: next(g))]",
    ),
    case(
        "stream-between-deployments",
        """
@serve.deployment(ray_actor_options=SMALL)
class Child:
    async def tokens(self, n):
        for each in range(n):
            yield each
@serve.deployment(ray_actor_options=SMALL)
class Parent:
    def __init__(self, child):
        self.child = child.options(stream=True)
    async def __call__(self, n):
        async for each in self.child.tokens.remote(n):
            yield each * 10
app = Parent.bind(Child.bind())
""",
        "seen = list(handle.options(stream=True).remote(3))",
        sample=True,
    ),
    case(
        "stream-over-http",
        """
@serve.deployment(ray_actor_options=SMALL)
class Model:
    def tokens(self):
        for each in range(5):
            yield f"{each},"
    def __call__(self, request: Request):
        return StreamingResponse(self.tokens(), media_type="text/plain", status_code=201)
app = Model.bind()
""",
        "r = http.get('/'); seen = [r.status_code, r.text, r.headers['content-type']]",
    ),
    case(
        "stream-call-is-generator-over-http",
        """
@serve.deployment(ray_actor_options=SMALL)
class Model:
    async def __call__(self, request: Request):
        for each in range(3):
            yield f"{each};"
app = Model.bind()
""",
        "r = http.get('/'); seen = [r.status_code, r.text]",
    ),
    case(
        "stream-sse-of-fastapi",
        """
api = FastAPI()
@serve.deployment(ray_actor_options=SMALL)
@serve.ingress(api)
class Model:
    @api.get("/events")
    async def events(self):
        async def lines():
            for n in range(3):
                yield f"data: {n}\\n\\n"
        return StreamingResponse(lines(), media_type="text/event-stream")
app = Model.bind()
""",
        "r = http.get('/events'); seen = [r.text, r.headers['content-type']]",
    ),
    case(
        "stream-cancelled-by-the-caller",
        """
@serve.deployment(ray_actor_options=SMALL)
class Model:
    def __init__(self):
        self.ended = "no"
    async def tokens(self):
        try:
            while True:
                yield 1
                await asyncio.sleep(0.05)
        finally:
            self.ended = "yes"
    def told(self):
        return self.ended
app = Model.bind()
""",
        "g = handle.options(stream=True).tokens.remote(); first = next(g); g.cancel()\n"
        "seen = [first, until(lambda: handle.told.remote().result(), 'yes')]",
    ),
    case(
        "multiplexed-models",
        """
@serve.deployment(ray_actor_options=SMALL)
class Model:
    def __init__(self):
        self.loaded = []
    @serve.multiplexed(max_num_models_per_replica=2)
    async def get(self, model_id: str):
        self.loaded.append(model_id)
        return f"model {model_id}"
    async def __call__(self, x):
        model = await self.get(serve.get_multiplexed_model_id())
        return model, x
    def told(self):
        return self.loaded
app = Model.bind()
""",
        "asked = [handle.options(multiplexed_model_id=m).remote(1).result() for m in 'abacb']\n"
        "seen = [asked, handle.told.remote().result()]",
    ),
    case(
        "multiplexed-models-are-unloaded",
        """
class Weights:
    def __init__(self, name, folder):
        self.name, self.folder = name, folder
    def __del__(self):
        with open(self.folder + "/gone", "a") as file:
            file.write(self.name)
@serve.deployment(ray_actor_options=SMALL)
class Model:
    def __init__(self, folder):
        self.folder = folder
    @serve.multiplexed(max_num_models_per_replica=1)
    async def get(self, model_id: str):
        return Weights(model_id, self.folder)
    async def __call__(self):
        return (await self.get(serve.get_multiplexed_model_id())).name
app = Model.bind(FOLDER)
""",
        "said = [handle.options(multiplexed_model_id=m).remote().result() for m in 'abc']\n"
        "text = lambda: (folder / 'gone').read_text() if (folder / 'gone').exists() else ''\n"
        "before = until(text, 'aabb', 20); delete(); seen = [said, before, until(text, 'aabbcc', 15)]",
    ),
    case(
        "multiplexed-by-http-header",
        """
api = FastAPI()
@serve.deployment(ray_actor_options=SMALL)
@serve.ingress(api)
class Model:
    @serve.multiplexed(max_num_models_per_replica=2)
    async def get(self, model_id: str):
        return f"model {model_id}"
    @api.get("/")
    async def ask(self):
        return await self.get(serve.get_multiplexed_model_id())
app = Model.bind()
""",
        "seen = http.get('/', headers={'serve_multiplexed_model_id': 'seven'}).json()",
    ),
    case(
        "multiplexed-without-id",
        """
@serve.deployment(ray_actor_options=SMALL)
class Model:
    async def __call__(self):
        return serve.get_multiplexed_model_id()
app = Model.bind()
""",
        "seen = handle.remote().result()",
    ),
    case(
        "multiplexed-load-fails",
        """
@serve.deployment(ray_actor_options=SMALL)
class Model:
    @serve.multiplexed
    async def get(self, model_id: str):
        raise KeyError(model_id)
    async def __call__(self):
        return await self.get(serve.get_multiplexed_model_id())
app = Model.bind()
""",
        "seen = error(handle.options(multiplexed_model_id='x').remote().result)",
    ),
    case(
        "multiplexed-between-deployments",
        """
@serve.deployment(ray_actor_options=SMALL)
class Child:
    @serve.multiplexed(max_num_models_per_replica=3)
    async def get(self, model_id: str):
        return model_id.upper()
    async def __call__(self):
        return await self.get(serve.get_multiplexed_model_id())
@serve.deployment(ray_actor_options=SMALL)
class Parent:
    def __init__(self, child):
        self.child = child
    async def __call__(self, model):
        return await self.child.options(multiplexed_model_id=model).remote()
app = Parent.bind(Child.bind())
""",
        "seen = [handle.remote(m).result() for m in ('one', 'two')]",
    ),
]
