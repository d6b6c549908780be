"""Flows about what is deployed: Serve's options and features, compositions, other targets."""

from __future__ import annotations

from .words import KEEP, REPLACE, SWAP, TUNE, again, edit, flow, service

BATCHED = """
@serve.batch(max_batch_size=4, batch_wait_timeout_s=0.01)
async def many(self, xs):
    return [x * 2 for x in xs]
"""
TWO = """
@serve.deployment(ray_actor_options={"num_cpus": 0})
class Model:
    def __init__(self):
        self.w = 1
    def predict(self, x):
        return x + 1

@serve.deployment(ray_actor_options={"num_cpus": 0})
@serve.ingress(api)
class Service:
    def __init__(self, model):
        self.model = model
    @api.get("/answer")
    async def answer(self):
        return ["top", await self.model.predict.remote(1)]
"""
MULTIPLEXED = """
@serve.multiplexed(max_num_models_per_replica=2)
async def model(self, name):
    return name + "1"
"""
CPUS = "@serve.deployment(ray_actor_options={'num_cpus': 0})"
REMOTE = "import ray\n@ray.remote(num_cpus=0)\ndef far(x):\n    return x + 1"
ACTOR = "import ray\n@ray.remote(num_cpus=0)\nclass Far:\n    def m(self, x):\n        return x + 1"
PLAIN = """\
class Plain:
    def __init__(self):
        self.x = 1
    def __call__(self, n: int = 1):
        return n + 1"""

FLOWS = [
    flow(
        "a batched method is edited",
        edit("service", "x * 2", "x * 3"),
        cluster=True,
        service=service("await self.many(2)", more=BATCHED).replace(
            "def answer", "async def answer"
        ),
        rung=SWAP,
        answer=6,
    ),
    flow(
        "a batched method is run again",
        again("service"),
        cluster=True,
        service=service("await self.many(2)", init="self.x = 1", more=BATCHED).replace(
            "def answer", "async def answer"
        ),
        rung=KEEP,
        answer=4,
    ),
    flow(
        "a batch's size is edited",
        edit("service", "max_batch_size=4", "max_batch_size=8"),
        service=service("self.many._get_max_batch_size()", more=BATCHED),
        rung=SWAP,
        answer=8,
    ),
    flow(
        "a multiplexed loader is edited",
        edit("service", '"1"', '"2"'),
        service=service("await self.model('m')", more=MULTIPLEXED).replace(
            "def answer", "async def answer"
        ),
        cluster=True,
        rung=REPLACE,
        answer="m2",
        why="its first use leaves its code in the object",
    ),
    flow(
        "a route is edited beside a multiplexed loader",
        edit("service", "'m'", "'n'"),
        service=service("await self.model('m')", more=MULTIPLEXED).replace(
            "def answer", "async def answer"
        ),
        cluster=True,
        rung=SWAP,
        answer="n1",
    ),
    flow(
        "in a composition, a method of the callee is edited",
        edit("both", "x + 1", "x + 2"),
        both=TWO,
        target="Service.bind(Model.bind())",
        cluster=True,
        rung=SWAP,
        answer=["top", 3],
    ),
    flow(
        "in a composition, a method of the caller is edited",
        edit("both", '"top"', '"high"'),
        both=TWO,
        target="Service.bind(Model.bind())",
        cluster=True,
        rung=SWAP,
        answer=["high", 2],
    ),
    flow(
        "in a composition, the callee's constructor is edited",
        edit("both", "self.w = 1", "self.w = 2"),
        both=TWO.replace("x + 1", "x + self.w"),
        target="Service.bind(Model.bind())",
        cluster=True,
        rung=REPLACE,
        answer=["top", 3],
    ),
    flow(
        "a composition is run again",
        again("both"),
        both=TWO,
        target="Service.bind(Model.bind())",
        cluster=True,
        rung=KEEP,
        answer=["top", 2],
    ),
    flow(
        "a bound argument is edited",
        edit("bound", "'one'", "'two'"),
        service=service("self.w").replace(
            "    @api", "    def __init__(self, w):\n        self.w = w\n    @api"
        ),
        bound="bound = Service.bind('one')",
        target="bound",
        rung=REPLACE,
        answer="two",
    ),
    flow(
        "a method is edited beside a bound argument",
        edit("service", "+ '!'", "+ '?'"),
        again("bound"),
        service=service("self.w + '!'").replace(
            "    @api", "    def __init__(self, w):\n        self.w = w\n    @api"
        ),
        bound="bound = Service.bind('one')",
        target="bound",
        rung=SWAP,
        answer="one?",
    ),
    flow(
        "a `@ray.remote` function is run again",
        again("remote"),
        remote=REMOTE,
        service=service("await far.remote(1)").replace("def answer", "async def answer"),
        cluster=True,
        rung=KEEP,
        answer=2,
    ),
    flow(
        "a `@ray.remote` function is edited",
        edit("remote", "x + 1", "x + 2"),
        remote=REMOTE,
        service=service("await far.remote(1)").replace("def answer", "async def answer"),
        cluster=True,
        rung=SWAP,
        answer=3,
    ),
    flow(
        "a `@ray.remote` class that the constructor uses is run again",
        again("remote"),
        remote=ACTOR,
        service=service("await self.far.m.remote(1)", init="self.far = Far.remote()").replace(
            "def answer", "async def answer"
        ),
        cluster=True,
        rung=KEEP,
        answer=2,
    ),
    flow(
        "a `@ray.remote` class that the constructor uses is edited",
        edit("remote", "x + 1", "x + 2"),
        remote=ACTOR,
        service=service("await self.far.m.remote(1)", init="self.far = Far.remote()").replace(
            "def answer", "async def answer"
        ),
        cluster=True,
        rung=REPLACE,
        answer=3,
    ),
    flow(
        "`max_ongoing_requests` is edited",
        edit("service", CPUS, CPUS.replace("(", "(max_ongoing_requests=7, ", 1)),
        service=service("'one'"),
        rung=TUNE,
        answer="one",
    ),
    flow(
        "`num_replicas` is edited",
        edit("service", "num_replicas=1", "num_replicas=2"),
        service=service("'one'").replace("(ray", "(num_replicas=1, ray", 1),
        rung=TUNE,
        answer="one",
    ),
    flow(
        "`user_config` is edited",
        edit("service", "{'w': 'one'}", "{'w': 'two'}"),
        service=service(
            "self.w", more="def reconfigure(self, config):\n    self.w = config['w']"
        ).replace("(ray", "(user_config={'w': 'one'}, ray", 1),
        rung=TUNE,
        answer="two",
        cluster=True,
    ),
    flow(
        "`num_cpus` is edited",
        edit("service", "'num_cpus': 0}", "'num_cpus': 0.1}"),
        service=service("'one'"),
        rung=REPLACE,
        answer="one",
        why="it is booked for the process",
    ),
    flow(
        "a plain function is edited",
        edit("function", "n + 1", "n + 2"),
        function="def double(n: int = 1):\n    return n + 1",
        target="double",
        asks=("GET /",),
        rung=SWAP,
        answer=3,
    ),
    flow(
        "a plain class's `__call__` is edited",
        edit("plain", "n + 1", "n + 2"),
        plain=PLAIN,
        target="Plain",
        asks=("GET /",),
        rung=SWAP,
        answer=3,
    ),
    flow(
        "a plain class is run again",
        again("plain"),
        plain=PLAIN,
        target="Plain",
        asks=("GET /",),
        rung=KEEP,
        answer=2,
    ),
    flow(
        "a Serve class of its own `__call__` is edited",
        edit("plain", "n + 1", "n + 2"),
        plain="@serve.deployment(ray_actor_options={'num_cpus': 0})\n" + PLAIN,
        target="Plain",
        asks=("call __call__ [1]",),
        rung=SWAP,
        answer=3,
    ),
    flow(
        "a method turns from sync to async",
        edit("plain", "def more", "async def more"),
        plain="@serve.deployment(ray_actor_options={'num_cpus': 0})\n"
        + PLAIN
        + "\n    def more(self, n):\n        return n",
        target="Plain",
        asks=("call more [1]",),
        rung=REPLACE,
        answer=1,
        why="Serve remembers for the life of a replica how it calls a method",
    ),
    flow(
        "a torch module as the target is edited",
        edit("net", "x * 2", "x * 3"),
        net="import torch\nclass Net(torch.nn.Module):\n    def forward(self, x: float):\n"
        "        return x * 2\nnet = Net()",
        target="net",
        asks=('POST / {"inputs": [2.0]}',),
        rung=REPLACE,
        answer=[6.0],
        why="an object is its own state",
    ),
]
