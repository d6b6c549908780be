"""Ingresses: every form, websockets, disconnects, builders."""

from __future__ import annotations

from .case import case

CASES = [
    case(
        "ingress-of-an-app",
        """
api = FastAPI(title="T")
class Item(BaseModel):
    name: str
    price: float = 1.0
@serve.deployment(ray_actor_options=SMALL)
@serve.ingress(api)
class Model:
    def __init__(self, factor):
        self.factor = factor
    @api.get("/items/{n}")
    def read(self, n: int, q: str | None = None):
        return {"n": n * self.factor, "q": q}
    @api.post("/items", status_code=201)
    async def write(self, item: Item) -> Item:
        return item
app = Model.bind(10)
""",
        "seen = [http.get('/items/2?q=x').json(), http.get('/items/x').status_code,\n"
        "        http.post('/items', json={'name': 'n'}).json(), http.post('/items', json={}).status_code,\n"
        "        http.get('/none').json(), http.get('/openapi.json').json()]",
        sample=True,
    ),
    case(
        "ingress-of-a-builder",
        """
def build():
    api = FastAPI()
    @api.get("/")
    def root():
        o = serve.get_replica_context().servable_object
        return {"built": True, "n": o.n}
    return api
@serve.deployment(ray_actor_options=SMALL)
@serve.ingress(build)
class Model:
    def __init__(self):
        self.n = 3
app = Model.bind()
""",
        "seen = http.get('/').json()",
    ),
    case(
        "ingress-built-late",
        """
@serve.deployment(ray_actor_options=SMALL)
@serve.ingress()
class Model:
    def __init__(self, word):
        self.word = word
    def __serve_build_asgi_app__(self):
        api = FastAPI()
        @api.get("/")
        def root():
            return self.word
        return api
app = Model.bind("late")
""",
        "seen = http.get('/').json()",
    ),
    case(
        "ingress-of-a-subclass",
        """
api = FastAPI()
class Base:
    @api.get("/base")
    def base(self):
        return ["base", self.name()]
    def name(self):
        return "b"
@serve.deployment(ray_actor_options=SMALL)
@serve.ingress(api)
class Model(Base):
    def name(self):
        return "m"
    @api.get("/own")
    def own(self):
        return ["own", self.name()]
app = Model.bind()
""",
        "seen = [http.get('/own').json(), http.get('/base').status_code]",
    ),
    case(
        "ingress-of-a-router",
        """
from fastapi import APIRouter
router = APIRouter()
@serve.deployment(ray_actor_options=SMALL)
@serve.ingress(router)
class Model:
    @router.get("/r")
    def r(self):
        return "routed"
app = Model.bind()
""",
        "seen = [http.get('/r').status_code, http.get('/r').text]",
        listed="plain Serve answers 500: it runs the router without the application around it that FastAPI asks for",
    ),
    case(
        "ingress-with-middleware-and-dependencies",
        """
from fastapi import Depends, Header, HTTPException
api = FastAPI()
@api.middleware("http")
async def mark(request, call_next):
    response = await call_next(request)
    response.headers["x-mark"] = "m"
    return response
def who(x_who: str = Header("nobody")):
    if x_who == "bad":
        raise HTTPException(403, "bad one")
    return x_who
@api.exception_handler(KeyError)
async def lost(request, error):
    return JSONResponse({"lost": str(error)}, status_code=418)
@serve.deployment(ray_actor_options=SMALL)
@serve.ingress(api)
class Model:
    @api.get("/")
    def read(self, name: str = Depends(who)):
        return name
    @api.get("/lost")
    def gone(self):
        raise KeyError("k")
    @api.get("/broken")
    def broken(self):
        return 1 / 0
app = Model.bind()
""",
        "r = http.get('/', headers={'x-who': 'me'})\n"
        "seen = [r.json(), r.headers['x-mark'], http.get('/', headers={'x-who': 'bad'}).json(),\n"
        "        http.get('/lost').status_code, http.get('/lost').json(), http.get('/broken').status_code,\n"
        "        http.get('/broken').text]",
    ),
    case(
        "ingress-with-lifespan-state",
        """
from contextlib import asynccontextmanager
@asynccontextmanager
async def lifespan(app):
    app.state.model = "loaded"
    yield {"more": "state"}
api = FastAPI(lifespan=lifespan)
@serve.deployment(ray_actor_options=SMALL)
@serve.ingress(api)
class Model:
    @api.get("/")
    def read(self, request: Request):
        return [request.app.state.model, getattr(request.state, "more", None)]
app = Model.bind()
""",
        "seen = http.get('/').json()",
        listed="plain Serve drops what a lifespan yields; uvicorn hands it to each request, as here",
    ),
    case(
        "ingress-of-included-routers",
        """
from fastapi import APIRouter
def crud(name):
    router = APIRouter()
    @router.get("/")
    def read():
        return name
    return router
api = FastAPI()
for each in ("users", "orders"):
    api.include_router(crud(each), prefix=f"/{each}")
@serve.deployment(ray_actor_options=SMALL)
@serve.ingress(api)
class Model:
    @api.get("/own")
    def own(self):
        return "own"
app = Model.bind()
""",
        "seen = [http.get('/users/').text, http.get('/orders/').text, http.get('/own').json(),\n"
        "        sorted(http.get('/openapi.json').json()['paths'])]",
    ),
    case(
        "ingress-called-by-handle",
        """
api = FastAPI()
@serve.deployment(ray_actor_options=SMALL)
@serve.ingress(api)
class Model:
    @api.get("/")
    def read(self, x: int = 1):
        return x + 1
    def own(self, x):
        return x * 2
app = Model.bind()
""",
        "seen = [handle.own.remote(4).result(), handle.read.remote(5).result()]",
    ),
    case(
        "ingress-that-mounts",
        """
from starlette.staticfiles import StaticFiles
sub = FastAPI()
@sub.get("/inner")
def inner(request: Request):
    return [request.url.path, request.scope["root_path"]]
api = FastAPI()
api.mount("/sub", sub)
@serve.deployment(ray_actor_options=SMALL)
@serve.ingress(api)
class Model:
    @api.get("/outer")
    def outer(self, request: Request):
        return [request.url.path, request.scope["root_path"], str(request.url_for("outer")).split("/", 3)[-1]]
app = Model.bind()
""",
        "seen = [http.get('/outer').json(), http.get('/sub/inner').json()]",
    ),
    case(
        "ingress-of-gradio-like-asgi",
        """
async def asgi(scope, receive, send):
    if scope["type"] == "lifespan":
        while True:
            message = await receive()
            await send({"type": message["type"] + ".complete"})
            if message["type"] == "lifespan.shutdown":
                return
    body = f"{scope['type']} {scope['method']} {scope['path']}".encode()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
    await send({"type": "http.response.body", "body": body})
@serve.deployment(ray_actor_options=SMALL)
@serve.ingress(lambda: asgi)
class Model:
    pass
app = Model.bind()
""",
        "seen = [http.get('/a').text, http.post('/').text]",
    ),
    case(
        "ingress-whose-constructor-makes-the-app",
        """
from ray.serve._private.http_util import ASGIAppReplicaWrapper
class Ingress(ASGIAppReplicaWrapper):
    def __init__(self, build):
        super().__init__(build())
def build():
    api = FastAPI()
    @api.get("/")
    def root():
        return "made by the constructor"
    return api
app = serve.deployment(ray_actor_options=SMALL)(Ingress).bind(build)
""",
        "seen = http.get('/').json()",
    ),
    case(
        "every-verb-and-body",
        """
@serve.deployment(ray_actor_options=SMALL)
class Model:
    async def __call__(self, request: Request):
        return [request.method, (await request.body()).decode(), dict(request.query_params)]
app = Model.bind()
""",
        "seen = [http.request(v, '/', content=b'b', params={'q': '1'}).json()\n"
        "        for v in ('GET', 'POST', 'PUT', 'PATCH', 'DELETE')]",
    ),
    case(
        "every-kind-of-answer",
        """
@serve.deployment(ray_actor_options=SMALL)
class Model:
    def __call__(self, request: Request):
        kind = request.query_params["k"]
        return {
            "str": "text", "bytes": b"bytes", "dict": {"a": 1}, "list": [1, 2], "none": None,
            "int": 3, "float": 1.5, "bool": True,
            "response": PlainTextResponse("teapot", 418, {"x-h": "v"}),
        }[kind]
app = Model.bind()
""",
        """
seen = []
for k in ("str", "bytes", "dict", "list", "none", "int", "float", "bool", "response"):
    r = http.get('/', params={'k': k})
    seen.append([k, r.status_code, r.headers.get('content-type'), r.text, r.headers.get('x-h')])
""",
    ),
    case(
        "an-error-over-http",
        """
@serve.deployment(ray_actor_options=SMALL)
class Model:
    def __call__(self, request: Request):
        raise ValueError("over http")
app = Model.bind()
""",
        "r = http.get('/'); seen = [r.status_code, r.headers.get('content-type'), r.text.splitlines()[:1]]",
    ),
    case(
        "a-call-without-the-request",
        """
@serve.deployment(ray_actor_options=SMALL)
class Model:
    def __call__(self):
        return "no request"
app = Model.bind()
""",
        "seen = http.get('/').text",
    ),
    case(
        "no-call-at-all",
        """
@serve.deployment(ray_actor_options=SMALL)
class Model:
    def other(self):
        return 1
app = Model.bind()
""",
        "seen = [http.get('/').status_code, handle.other.remote().result(), error(handle.remote().result)[0]]",
    ),
    case(
        "a-websocket",
        """
api = FastAPI()
@serve.deployment(ray_actor_options=SMALL)
@serve.ingress(api)
class Model:
    @api.websocket("/ws")
    async def ws(self, socket: WebSocket):
        await socket.accept()
        try:
            while True:
                await socket.send_text("echo " + await socket.receive_text())
        except WebSocketDisconnect:
            pass
app = Model.bind()
""",
        """
from websockets.sync.client import connect
with connect(url.replace("http", "ws") + "/ws") as socket:
    socket.send("a")
    first = socket.recv()
    socket.send("b")
    seen = [first, socket.recv()]
""",
        sample=True,
    ),
    case(
        "a-websocket-that-closes",
        """
api = FastAPI()
@serve.deployment(ray_actor_options=SMALL)
@serve.ingress(api)
class Model:
    @api.websocket("/ws")
    async def ws(self, socket: WebSocket, q: str = "none"):
        await socket.accept(subprotocol="chat" if "chat" in socket.scope["subprotocols"] else None)
        await socket.send_json({"q": q})
        await socket.send_bytes(b"raw")
        await socket.close(4001, "enough")
app = Model.bind()
""",
        """
from websockets.sync.client import connect
from websockets.exceptions import ConnectionClosed
with connect(url.replace("http", "ws") + "/ws?q=x", subprotocols=["chat"]) as socket:
    got = [socket.recv(), socket.recv().decode(), socket.subprotocol]
    try:
        socket.recv()
    except ConnectionClosed as closed:
        got += [closed.rcvd.code, closed.rcvd.reason]
seen = got
""",
    ),
    case(
        "a-websocket-that-is-refused",
        """
api = FastAPI()
@serve.deployment(ray_actor_options=SMALL)
@serve.ingress(api)
class Model:
    @api.websocket("/ws")
    async def ws(self, socket: WebSocket):
        await socket.close(4003)
app = Model.bind()
""",
        """
from websockets.sync.client import connect
seen = [error(lambda: connect(url.replace("http", "ws") + "/ws")),
        error(lambda: connect(url.replace("http", "ws") + "/none"))]
""",
    ),
    case(
        "a-client-that-leaves",
        """
api = FastAPI()
@serve.deployment(ray_actor_options=SMALL)
@serve.ingress(api)
class Model:
    def __init__(self):
        self.said = "nothing"
    @api.get("/slow")
    async def slow(self):
        try:
            await asyncio.sleep(20)
        except asyncio.CancelledError:
            self.said = "cancelled"
            raise
    @api.get("/said")
    def told(self):
        return self.said
app = Model.bind()
""",
        """
import httpx
try:
    httpx.get(url + "/slow", timeout=0.5)
except httpx.TimeoutException:
    pass
seen = until(lambda: http.get("/said").json(), "cancelled", 10)
""",
    ),
    case(
        "background-tasks",
        """
from fastapi import BackgroundTasks
api = FastAPI()
@serve.deployment(ray_actor_options=SMALL)
@serve.ingress(api)
class Model:
    def __init__(self):
        self.done = []
    @api.post("/work")
    def work(self, tasks: BackgroundTasks):
        tasks.add_task(self.done.append, "task")
        return "begun"
    @api.get("/done")
    def told(self):
        return self.done
app = Model.bind()
""",
        "seen = [http.post('/work').json(), until(lambda: http.get('/done').json(), ['task'], 10)]",
    ),
    case(
        "files-and-forms",
        """
from fastapi import File, Form, UploadFile
api = FastAPI()
@serve.deployment(ray_actor_options=SMALL)
@serve.ingress(api)
class Model:
    @api.post("/file")
    async def file(self, upload: UploadFile, note: str = Form("")):
        return [upload.filename, len(await upload.read()), note]
app = Model.bind()
""",
        "seen = http.post('/file', files={'upload': ('a.txt', b'x' * 200000)}, data={'note': 'n'}).json()",
    ),
    case(
        "headers-and-cookies",
        """
@serve.deployment(ray_actor_options=SMALL)
class Model:
    def __call__(self, request: Request):
        answer = JSONResponse({"a": request.headers.get("x-a"), "c": request.cookies.get("c")})
        answer.set_cookie("d", "1")
        answer.headers.append("x-many", "1")
        answer.headers.append("x-many", "2")
        return answer
app = Model.bind()
""",
        "r = http.get('/', headers={'x-a': 'v', 'cookie': 'c=2'})\n"
        "seen = [r.json(), r.cookies.get('d'), r.headers.get_list('x-many')]",
    ),
    case(
        "an-app-builder",
        """
class Args(BaseModel):
    n: int = 2
@serve.deployment(ray_actor_options=SMALL)
class Model:
    def __init__(self, n):
        self.n = n
    def __call__(self):
        return self.n
def build(args: Args):
    return Model.options(num_replicas=1).bind(args.n)
app = build(Args(n=7))
""",
        "seen = handle.remote().result()",
    ),
    case(
        "an-ingress-that-calls-others",
        """
@serve.deployment(ray_actor_options=SMALL)
class Embed:
    def __call__(self, text):
        return [len(text), text.upper()]
api = FastAPI()
@serve.deployment(ray_actor_options=SMALL)
@serve.ingress(api)
class Front:
    def __init__(self, embed: DeploymentHandle):
        self.embed = embed
    @api.get("/embed")
    async def embed_it(self, text: str):
        return await self.embed.remote(text)
app = Front.bind(Embed.bind())
""",
        "seen = http.get('/embed', params={'text': 'abc'}).json()",
    ),
    case(
        "a-driver-with-a-plain-call",
        """
@serve.deployment(ray_actor_options=SMALL)
class Model:
    def predict(self, n):
        return n + 1
@serve.deployment(ray_actor_options=SMALL)
class Driver:
    def __init__(self, model):
        self.model = model
    async def __call__(self, request: Request):
        return await self.model.predict.remote(int(request.query_params["n"]))
app = Driver.bind(Model.bind())
""",
        "seen = http.get('/', params={'n': 4}).json()",
    ),
]
