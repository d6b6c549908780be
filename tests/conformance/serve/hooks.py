"""Hooks and options: reconfigure, health, shutdown, scaling, policies, routers, actors, groups."""

from __future__ import annotations

from .case import case

NOTE = """
def note(folder, text):
    with open(f"{folder}/notes", "a") as file:
        file.write(text + " ")
"""
READ = """
def notes():
    path = folder / "notes"
    return path.read_text().split() if path.exists() else []
"""

CASES = [
    case(
        "user-config",
        """
@serve.deployment(ray_actor_options=SMALL, user_config={"a": 1})
class Model:
    def __init__(self):
        self.seen = []
    def reconfigure(self, config):
        self.seen.append(config)
    def __call__(self):
        return self.seen
app = Model.bind()
""",
        "seen = handle.remote().result()",
    ),
    case(
        "user-config-with-rank",
        """
@serve.deployment(ray_actor_options=SMALL, user_config={"a": 1})
class Model:
    def __init__(self):
        self.seen = []
    async def reconfigure(self, config, rank):
        self.seen.append([config, rank.rank, type(rank).__name__])
    def __call__(self):
        return self.seen
app = Model.bind()
""",
        "seen = handle.remote().result()",
        sample=True,
    ),
    case(
        "rank-without-user-config",
        """
@serve.deployment(ray_actor_options=SMALL)
class Model:
    def reconfigure(self, config, *, rank):
        self.seen = [config, rank.rank]
    def __call__(self):
        return self.seen
app = Model.bind()
""",
        "seen = handle.remote().result()",
    ),
    case(
        "rank-with-a-default-and-keywords",
        """
@serve.deployment(ray_actor_options=SMALL, user_config={"x": 2})
class Model:
    def reconfigure(self, config, rank=None, **more):
        self.seen = [config, rank.rank, more]
    def __call__(self):
        return self.seen
app = Model.bind()
""",
        "seen = handle.remote().result()",
    ),
    case(
        "keywords-alone-are-no-rank",
        """
@serve.deployment(ray_actor_options=SMALL, user_config={"x": 2})
class Model:
    def reconfigure(self, config, **more):
        self.seen = [config, more]
    def __call__(self):
        return self.seen
app = Model.bind()
""",
        "seen = handle.remote().result()",
    ),
    case(
        "ranks-of-replicas",
        """
@serve.deployment(ray_actor_options=SMALL, num_replicas=3)
class Model:
    def reconfigure(self, config, rank):
        self.rank = rank.rank
    def told(self):
        return self.rank, serve.get_replica_context().rank.rank, serve.get_replica_context().world_size
app = Model.bind()
""",
        "ask = lambda: sorted(handle.broadcast('told').results(timeout_s=10))\n"
        "until(lambda: len(ask()), 3); seen = ask()",
    ),
    case(
        "user-config-changes",
        """
@serve.deployment(ray_actor_options=SMALL, user_config={"a": 1})
class Model:
    def __init__(self):
        self.seen = []
    def reconfigure(self, config, rank):
        self.seen.append([config, rank.rank])
    def __call__(self):
        return self.seen[-1]
app = Model.bind()
""",
        "before = handle.remote().result(); cell('app = Model.options(user_config={\"a\": 2}).bind()')\n"
        "redeploy(); seen = [before, until(lambda: handle.remote().result(), [{'a': 2}, 0])]",
    ),
    case(
        "user-config-without-reconfigure",
        """
@serve.deployment(ray_actor_options=SMALL, user_config={"a": 1}, max_constructor_retry_count=1)
class Model:
    def __call__(self):
        return 1
app = Model.bind()
""",
        "seen = until(lambda: status().status, 'gone', 8)[:8]",
        listed="a failed first deploy is taken away again, so that its name is free; Serve keeps it as failed",
    ),
    case(
        "reconfigure-before-the-first-request",
        """
@serve.deployment(ray_actor_options=SMALL, user_config={"a": 1})
class Model:
    def __init__(self):
        self.order = ["init"]
    def reconfigure(self, config):
        self.order.append("reconfigure")
    def check_health(self):
        self.order.append("health")
    def __call__(self):
        return self.order[:3]
app = Model.bind()
""",
        "seen = handle.remote().result()",
    ),
    case(
        "del-at-delete",
        NOTE
        + """
@serve.deployment(ray_actor_options=SMALL)
class Model:
    def __init__(self, folder):
        self.folder = folder
    def __call__(self):
        return 1
    def __del__(self):
        note(self.folder, "del")
app = Model.bind(FOLDER)
""",
        READ + "one = handle.remote().result(); delete(); seen = [one, until(notes, ['del'], 10)]",
        sample=True,
    ),
    case(
        "async-del-at-delete",
        NOTE
        + """
@serve.deployment(ray_actor_options=SMALL)
class Model:
    def __init__(self, folder):
        self.folder = folder
    async def __del__(self):
        await asyncio.sleep(0.01)
        note(self.folder, "async-del")
app = Model.bind(FOLDER)
""",
        READ + "delete(); seen = until(notes, ['async-del'], 10)",
    ),
    case(
        "del-of-an-ingress-after-its-lifespan",
        NOTE
        + """
from contextlib import asynccontextmanager
WHERE = FOLDER
@asynccontextmanager
async def lifespan(app):
    note(WHERE, "up")
    yield
    note(WHERE, "down")
api = FastAPI(lifespan=lifespan)
@serve.deployment(ray_actor_options=SMALL)
@serve.ingress(api)
class Model:
    @api.get("/")
    def read(self):
        return 1
    def __del__(self):
        note(WHERE, "del")
app = Model.bind()
""",
        READ
        + "one = http.get('/').json(); delete(); seen = [one, until(notes, ['up', 'down', 'del'], 10)]",
    ),
    case(
        "del-when-scaled-down",
        NOTE
        + """
@serve.deployment(ray_actor_options=SMALL, num_replicas=2, graceful_shutdown_timeout_s=5)
class Model:
    def __init__(self, folder):
        self.folder = folder
    def __del__(self):
        note(self.folder, "del")
app = Model.bind(FOLDER)
""",
        READ + "cell('app = Model.options(num_replicas=1).bind(FOLDER)'); redeploy()\n"
        "seen = [len(until(notes, ['del'], 20)) >= 1]",
    ),
    case(
        "del-of-a-failed-constructor",
        NOTE
        + """
@serve.deployment(ray_actor_options=SMALL, max_constructor_retry_count=1)
class Model:
    def __init__(self, folder):
        self.folder = folder
        raise ValueError("never")
    def __del__(self):
        note(self.folder, "del")
app = Model.bind(FOLDER)
""",
        READ + "until(lambda: len(notes()) > 0, True, 10); seen = sorted(set(notes()))",
    ),
    case(
        "a-graceful-shutdown-waits-for-requests",
        """
@serve.deployment(ray_actor_options=SMALL, graceful_shutdown_timeout_s=15)
class Model:
    async def __call__(self):
        await asyncio.sleep(2)
        return "finished"
app = Model.bind()
""",
        "r = handle.remote(); time.sleep(0.5); end = thread(delete); seen = r.result(); end()",
    ),
    case(
        "a-health-check-that-fails",
        NOTE
        + """
@serve.deployment(ray_actor_options=SMALL, health_check_period_s=0.3, health_check_timeout_s=2)
class Model:
    def __init__(self, folder):
        note(folder, "made")
        self.sick = False
    def check_health(self):
        if self.sick:
            raise RuntimeError("sick")
    def fall_ill(self):
        self.sick = True
    def __call__(self):
        return self.sick
app = Model.bind(FOLDER)
""",
        READ + "handle.fall_ill.remote().result(); until(lambda: len(notes()), 2, 30)\n"
        "seen = [len(notes()), until(lambda: handle.remote().result(), False)]",
    ),
    case(
        "a-health-check-that-fails-at-the-start",
        """
@serve.deployment(ray_actor_options=SMALL)
class Model:
    async def check_health(self):
        return True
    def __call__(self):
        return "well"
app = Model.bind()
""",
        "seen = [handle.remote().result(), handle.check_health.remote().result()]",
    ),
    case(
        "hooks-of-routers-and-scaling",
        """
@serve.deployment(ray_actor_options=SMALL)
class Model:
    def record_routing_stats(self):
        return {"stat": 1.0}
    async def record_autoscaling_stats(self):
        return {"load": 2.0}
    def record_replica_metadata(self):
        return {"zone": "here"}
    def __call__(self):
        return "fine"
app = Model.bind()
""",
        "seen = [handle.remote().result(), handle.record_routing_stats.remote().result(),\n"
        "        handle.record_autoscaling_stats.remote().result()]",
    ),
    case(
        "an-autoscaling-policy",
        """
def two(ctx):
    return 2, {}
@serve.deployment(ray_actor_options=SMALL, autoscaling_config={
    "min_replicas": 1, "max_replicas": 3, "metrics_interval_s": 0.2, "upscale_delay_s": 0,
    "downscale_delay_s": 0, "policy": {"policy_function": two}})
class Model:
    def __call__(self):
        return 1
app = Model.bind()
""",
        "seen = until(lambda: status().deployments['Model'].replica_states.get('RUNNING'), 2)",
    ),
    case(
        "an-edit-of-an-autoscaling-policy",
        """
def wanted(ctx):
    return 1, {}
def make():
    return serve.deployment(ray_actor_options=SMALL, autoscaling_config={
        "min_replicas": 1, "max_replicas": 3, "metrics_interval_s": 0.2, "upscale_delay_s": 0,
        "downscale_delay_s": 0, "policy": {"policy_function": wanted}})(Model)
class Model:
    def __call__(self):
        return 1
app = make().bind()
""",
        "cell('def wanted(ctx):\\n    return 3, {}\\n'); cell('app = make().bind()'); redeploy()\n"
        "seen = until(lambda: status().deployments['Model'].replica_states.get('RUNNING'), 3)",
    ),
    case(
        "an-autoscaling-policy-class",
        """
class Fixed:
    def __init__(self, n):
        self.n = n
    def __call__(self, ctx):
        return self.n, {}
@serve.deployment(ray_actor_options=SMALL, autoscaling_config={
    "min_replicas": 1, "max_replicas": 3, "metrics_interval_s": 0.2, "upscale_delay_s": 0,
    "downscale_delay_s": 0, "policy": {"policy_function": Fixed, "policy_kwargs": {"n": 2}}})
class Model:
    def __call__(self):
        return 1
app = Model.bind()
""",
        "seen = until(lambda: status().deployments['Model'].replica_states.get('RUNNING'), 2)",
    ),
    case(
        "scaled-to-zero-and-back",
        """
@serve.deployment(ray_actor_options=SMALL, autoscaling_config={
    "min_replicas": 0, "initial_replicas": 0, "max_replicas": 1, "metrics_interval_s": 0.2,
    "upscale_delay_s": 0})
class Model:
    def __call__(self):
        return "awake"
app = Model.bind()
""",
        "none = status().deployments['Model'].replica_states.get('RUNNING', 0)\n"
        "seen = [none, handle.remote().result(timeout_s=60)]",
    ),
    case(
        "a-request-router",
        """
from ray.serve.request_router import RequestRouter
class Last(RequestRouter):
    async def choose_replicas(self, candidate_replicas, pending_request=None):
        return [[sorted(candidate_replicas, key=lambda r: str(r.replica_id))[-1]]]
@serve.deployment(ray_actor_options=SMALL, num_replicas=2, request_router_config={"request_router_class": Last})
class Child:
    def __call__(self):
        return serve.get_replica_context().replica_tag
@serve.deployment(ray_actor_options=SMALL)
class Parent:
    def __init__(self, child):
        self.child = child
    async def __call__(self):
        return len({await self.child.remote() for _ in range(8)})
app = Parent.bind(Child.bind())
""",
        "seen = handle.remote().result()",
    ),
    case(
        "an-edit-of-a-request-router",
        """
from ray.serve.request_router import RequestRouter
class Fixed(RequestRouter):
    async def choose_replicas(self, candidate_replicas, pending_request=None):
        return [[sorted(candidate_replicas, key=lambda r: str(r.replica_id))[0]]]
class Child:
    def __call__(self):
        return serve.get_replica_context().rank.rank
@serve.deployment(ray_actor_options=SMALL)
class Parent:
    def __init__(self, child):
        self.child = child
    async def __call__(self):
        return sorted({await self.child.remote() for _ in range(12)})
def make():
    child = serve.deployment(ray_actor_options=SMALL, num_replicas=2,
                             request_router_config={"request_router_class": Fixed})(Child)
    return Parent.bind(child.bind())
app = make()
""",
        """
before = len(handle.remote().result())
cell('''
import itertools
class Fixed(RequestRouter):
    turns = itertools.count()
    async def choose_replicas(self, candidate_replicas, pending_request=None):
        every = sorted(candidate_replicas, key=lambda r: str(r.replica_id))
        return [[every[next(Fixed.turns) % len(every)]]]
''')
cell('app = make()'); redeploy()
seen = [before, until(lambda: len(handle.remote().result()), 2)]
""",
    ),
    case(
        "deployment-actors",
        """
from ray.serve.config import DeploymentActorConfig
@ray.remote
class Counter:
    def __init__(self, start=0):
        self.n = start
    def more(self):
        self.n += 1
        return self.n
@serve.deployment(ray_actor_options=SMALL, deployment_actors=[DeploymentActorConfig(
    name="counter", actor_class=Counter, init_kwargs={"start": 5}, actor_options={"num_cpus": 0})])
class Model:
    async def __call__(self):
        return await serve.get_deployment_actor("counter").more.remote()
app = Model.bind()
""",
        "seen = [handle.remote().result(), handle.remote().result()]",
    ),
    case(
        "an-edit-of-a-deployment-actor",
        """
from ray.serve.config import DeploymentActorConfig
@ray.remote
class Counter:
    def say(self):
        return "one"
def make():
    return serve.deployment(ray_actor_options=SMALL, deployment_actors=[DeploymentActorConfig(
        name="counter", actor_class=Counter, actor_options={"num_cpus": 0})])(Model)
class Model:
    async def __call__(self):
        return await serve.get_deployment_actor("counter").say.remote()
app = make().bind()
""",
        "before = handle.remote().result()\n"
        "cell('@ray.remote\\nclass Counter:\\n    def say(self):\\n        return \"two\"\\n')\n"
        "cell('app = make().bind()'); redeploy()\n"
        "seen = [before, until(lambda: handle.remote().result(), 'two')]",
    ),
    case(
        "a-placement-group",
        """
@serve.deployment(placement_group_bundles=[{"CPU": 0.1}, {"CPU": 0.1}],
                  placement_group_strategy="PACK", ray_actor_options={"num_cpus": 0.1})
class Model:
    def __call__(self):
        pg = ray.util.get_current_placement_group()
        return [pg is not None, pg.bundle_count if pg else 0]
app = Model.bind()
""",
        "seen = handle.remote().result()",
    ),
    case(
        "a-gang",
        """
from ray.serve.config import GangSchedulingConfig
@serve.deployment(num_replicas=2, ray_actor_options=SMALL,
                  gang_scheduling_config=GangSchedulingConfig(gang_size=2))
class Model:
    def told(self):
        gang = serve.get_replica_context().gang_context
        return [gang.rank, gang.world_size]
app = Model.bind()
""",
        "ask = lambda: sorted(handle.broadcast('told').results(timeout_s=10))\n"
        "until(lambda: len(ask()), 2); seen = ask()",
    ),
    case(
        "backpressure-over-http",
        """
@serve.deployment(ray_actor_options=SMALL, max_ongoing_requests=1, max_queued_requests=1,
                  backpressure_config={"status_code": 429, "retry_after_s": 3})
class Model:
    async def __call__(self, request: Request):
        await asyncio.sleep(2)
        return "done"
app = Model.bind()
""",
        """
ts = []
for n in range(5):
    ts.append(thread(lambda: http.get('/')))
    time.sleep(0.15)
rs = [t() for t in ts]
seen = [sorted({r.status_code for r in rs}), sorted({r.headers.get('retry-after', '') for r in rs})]
""",
    ),
    case(
        "resources-and-names",
        """
@serve.deployment(name="Second", ray_actor_options={"num_cpus": 0.05, "resources": {}})
class Model:
    def __call__(self):
        return ray.get_runtime_context().get_assigned_resources()
app = Model.bind()
""",
        "seen = [handle.remote().result(), sorted(status().deployments)]",
    ),
    case(
        "an-environment-variable",
        """
@serve.deployment(ray_actor_options={"num_cpus": 0.05, "runtime_env": {"env_vars": {"COLOUR": "red"}}})
class Model:
    def __init__(self):
        self.colour = os.environ.get("COLOUR")
    def __call__(self):
        return self.colour
app = Model.bind()
""",
        "seen = handle.remote().result()",
    ),
    case(
        "logging-of-a-replica",
        """
import logging
@serve.deployment(ray_actor_options=SMALL, logging_config={"log_level": "DEBUG"})
class Model:
    def __call__(self):
        return logging.getLogger("ray.serve").level
app = Model.bind()
""",
        "seen = handle.remote().result()",
    ),
]
