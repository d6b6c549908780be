"""Flows about FastAPI: routes, models, dependencies, routers, middleware, start-up."""

from __future__ import annotations

from .words import KEEP, REPLACE, SWAP, again, edit, flow, service

REPLY = "class Reply(BaseModel):\n    text: str = 'one'"
QUESTION = "class Question(BaseModel):\n    text: str = Field(min_length=1)"
ROUTER = """
router = APIRouter()

@router.get("/more")
def more():
    return "one"

api.include_router(router, prefix="/r")
"""
CRUD = """
def crud(name):
    router = APIRouter()
    @router.get("/")
    def read():
        return name + "!"
    return router

for name in ("users", "orders"):
    api.include_router(crud(name), prefix=f"/{name}")
"""
MIDDLEWARE = """
@api.middleware("http")
async def mark(request, call_next):
    request.state.mark = "one"
    return await call_next(request)
"""
HANDLER = """
class Refused(Exception):
    pass

@api.exception_handler(Refused)
async def refused(request, error):
    from fastapi.responses import JSONResponse
    return JSONResponse("one")
"""
RAISES = "if True:\n    raise Refused"
APP = """
app = FastAPI()

@app.get("/answer")
def answer():
    return "one"

@app.get("/other")
def other():
    return "other"
"""
ROUTE = '@app.get("/answer")\ndef answer():\n    return "one"'
LIFESPAN = """
@contextlib.asynccontextmanager
async def lifespan(app):
    app.state.word = "one"
    yield

"""
STARTS = """
app = FastAPI()

@app.on_event("startup")
def begin():
    app.state.word = "one"

@app.get("/answer")
def answer(request: Request):
    return request.app.state.word + "!"
"""
CUSTOM = """
from fastapi.routing import APIRoute

class Marked(APIRoute):
    def get_route_handler(self):
        handler = super().get_route_handler()
        async def marked(request):
            response = await handler(request)
            response.body = response.body.replace(b"x", b"1")
            return response
        return marked

app = FastAPI()
app.router.route_class = Marked

@app.get("/answer")
def answer():
    return "xy"
"""
POST = ('POST /ask {"text": "hi"}',)
ASK = """

    @api.post("/ask")
    def ask(self, question: Question):
        return question.text + '!'"""

FLOWS = [
    flow(
        "a model that a route makes is edited alone",
        edit("reply", "'one'", "'two'"),
        reply=REPLY,
        service=service("Reply()"),
        rung=SWAP,
        answer={"text": "two"},
    ),
    flow(
        "a model that a route makes is run again alone",
        again("reply"),
        reply=REPLY,
        service=service("Reply()", init="self.x = 1"),
        rung=KEEP,
        answer={"text": "one"},
    ),
    flow(
        "a model that a route takes is edited, both cells run",
        edit("question", "min_length=1", "min_length=3"),
        again("service"),
        question=QUESTION,
        service=service("0") + ASK,
        asks=('POST /ask {"text": "hiya"}',),
        rung=SWAP,
        answer="hiya!",
    ),
    flow(
        "a model that a route takes is run again alone",
        again("question"),
        question=QUESTION,
        service=service("0") + ASK,
        asks=POST,
        rung=KEEP,
        answer="hi!",
    ),
    flow(
        "a model that a route takes gets a validator",
        edit(
            "question",
            "min_length=1)",
            "min_length=1)\n    @field_validator('text')\n    @classmethod\n"
            "    def up(cls, v):\n        return v.upper()",
        ),
        again("service"),
        question="from pydantic import field_validator\n" + QUESTION,
        service=service("0") + ASK,
        asks=POST,
        rung=SWAP,
        answer="HI!",
    ),
    flow(
        "a model inside a model is edited",
        edit("inner", "n: int = 1", "n: int = 2"),
        again("outer"),
        again("service"),
        inner="class Inner(BaseModel):\n    n: int = 1",
        outer="class Outer(BaseModel):\n    inner: Inner = Inner()",
        service=service("Outer()"),
        rung=SWAP,
        answer={"inner": {"n": 2}},
    ),
    flow(
        "a generic model is run again with the class",
        again("model"),
        again("service"),
        model="T = typing.TypeVar('T')\n"
        "class Page(BaseModel, typing.Generic[T]):\n    items: list[T]",
        service=service("Page[int](items=[1])", init="self.x = Page[int](items=[])"),
        rung=KEEP,
        answer={"items": [1]},
    ),
    flow(
        "a response model is edited",
        edit("reply", "text: str", "words: str"),
        again("service"),
        reply="class Reply(BaseModel):\n    text: str = 'one'",
        service=service("{}").replace("'/answer'", "'/answer', response_model=Reply"),
        rung=SWAP,
        answer={"words": "one"},
    ),
    flow(
        "a path is edited",
        edit("service", "'/answer'", "'/reply'"),
        service=service("'one'"),
        asks=("GET /reply",),
        rung=SWAP,
        answer="one",
    ),
    flow(
        "the old path is gone when a path is edited",
        edit("service", "'/answer'", "'/reply'"),
        service=service("'one'"),
        rung=SWAP,
        answer=[404, {"detail": "Not Found"}],
    ),
    flow(
        "a route's method is renamed",
        edit("service", "def answer", "def reply"),
        service=service("'one'", init="self.x = 1"),
        rung=SWAP,
        answer="one",
    ),
    flow(
        "a route is removed from its cell",
        edit("service", ASK, ""),
        question=QUESTION,
        service=service("0") + ASK,
        asks=POST,
        rung=SWAP,
        answer=[404, {"detail": "Not Found"}],
    ),
    flow(
        "a route comes",
        edit("service", "return 0", "return 0\n" + ASK),
        question=QUESTION,
        service=service("0"),
        asks=POST,
        rung=SWAP,
        answer="hi!",
    ),
    flow(
        "a route's status code is edited",
        edit("service", "status_code=200", "status_code=201"),
        service=service("'one'").replace("'/answer'", "'/answer', status_code=200"),
        rung=SWAP,
        answer=[201, "one"],
    ),
    flow(
        "a route turns from sync to async",
        edit("service", "def answer", "async def answer"),
        service=service("'one'", init="self.x = 1"),
        rung=REPLACE,
        answer="one",
        why="a handle may call it too, and Serve remembers for a replica's life how",
    ),
    flow(
        "a parameter's default is edited",
        edit("service", "n: int = 1", "n: int = 2"),
        service=service("n", takes="n: int = 1"),
        rung=SWAP,
        answer=2,
    ),
    flow(
        "the title of the API is edited, both cells run",
        edit("api", "FastAPI()", "FastAPI(title='Mine')"),
        again("service"),
        service=service("api.title"),
        rung=SWAP,
        answer="Mine",
    ),
    flow(
        "`api` and the class are run again",
        again("api"),
        again("service"),
        service=service("'one'", init="self.x = 1"),
        rung=KEEP,
        answer="one",
    ),
    flow(
        "a cell with `include_router` is run again",
        again("router"),
        router=ROUTER,
        service=service("0"),
        asks=("GET /r/more",),
        rung=KEEP,
        answer="one",
    ),
    flow(
        "a cell with `include_router` is edited",
        edit("router", '"one"', '"two"'),
        again("service"),
        router=ROUTER,
        service=service("0"),
        asks=("GET /r/more",),
        rung=SWAP,
        answer="two",
    ),
    flow(
        "a router's cell and the class's are run again",
        again("router"),
        again("service"),
        router=ROUTER,
        service=service("0", init="self.x = 1"),
        asks=("GET /r/more",),
        rung=KEEP,
        answer="one",
    ),
    flow(
        "routers that a function makes: each keeps its path",
        edit("routers", '"!"', '"?"'),
        again("service"),
        routers=CRUD,
        service=service("0"),
        asks=("GET /orders/",),
        rung=SWAP,
        answer="orders?",
    ),
    flow(
        "routers that a function makes are run again",
        again("routers"),
        again("service"),
        routers=CRUD,
        service=service("0"),
        asks=("GET /users/",),
        rung=KEEP,
        answer="users!",
    ),
    flow(
        "a router's prefix is edited, with `api`",
        again("api"),
        edit("router", '"/r"', '"/s"'),
        again("service"),
        router=ROUTER,
        service=service("0"),
        asks=("GET /s/more",),
        rung=SWAP,
        answer="one",
    ),
    flow(
        "a middleware's cell is edited",
        edit("middleware", '"one"', '"two"'),
        again("service"),
        middleware=MIDDLEWARE,
        service=service("request.state.mark", takes="request: Request"),
        rung=SWAP,
        answer="two",
    ),
    flow(
        "a middleware's cell is edited, with `api`",
        again("api"),
        edit("middleware", '"one"', '"two"'),
        again("service"),
        middleware=MIDDLEWARE,
        service=service("request.state.mark", takes="request: Request"),
        rung=SWAP,
        answer="two",
    ),
    flow(
        "all cells are run again, a middleware's among them",
        again("api"),
        again("middleware"),
        again("service"),
        middleware=MIDDLEWARE,
        service=service("request.state.mark", takes="request: Request"),
        rung=KEEP,
        answer="one",
    ),
    flow(
        "an exception handler's cell is edited",
        edit("handler", '"one"', '"two"'),
        again("service"),
        handler=HANDLER,
        service=service(RAISES),
        rung=SWAP,
        answer="two",
    ),
    flow(
        "an exception handler's cell is run again",
        again("handler"),
        again("service"),
        handler=HANDLER,
        service=service(RAISES),
        rung=SWAP,
        answer="one",
        why="the first run's handler stays, for the exception's class of that run",
    ),
    flow(
        "all cells of an exception handler are run again",
        again("api"),
        again("handler"),
        again("service"),
        handler=HANDLER,
        service=service(RAISES, init="self.x = 1"),
        rung=KEEP,
        answer="one",
    ),
    flow(
        "a plain app's cell is edited",
        edit("app", '"one"', '"two"'),
        app=APP,
        target="app",
        rung=SWAP,
        answer="two",
    ),
    flow(
        "a plain app's cell is run again",
        again("app"),
        app=APP,
        target="app",
        rung=KEEP,
        answer="one",
    ),
    flow(
        "a plain app's route is edited in a cell of its own",
        edit("route", '"one"', '"two"'),
        app="app = FastAPI()",
        route=ROUTE,
        target="app",
        rung=SWAP,
        answer="two",
    ),
    flow(
        "a plain app's route is run again in a cell of its own",
        again("route"),
        app="app = FastAPI()",
        route=ROUTE,
        target="app",
        rung=KEEP,
        answer="one",
    ),
    flow(
        "a plain app's route is renamed",
        edit("app", "def answer", "def reply"),
        app=APP,
        target="app",
        rung=SWAP,
        answer="one",
    ),
    flow(
        "a plain app's route is removed",
        edit("app", '@app.get("/other")\ndef other():\n    return "other"', ""),
        app=APP,
        target="app",
        asks=("GET /other",),
        rung=SWAP,
        answer=[404, {"detail": "Not Found"}],
    ),
    flow(
        "only a helper of a plain app is edited",
        edit("helper", '"one"', '"two"'),
        helper='def words():\n    return "one"',
        app=APP.replace('return "one"', "return words()"),
        target="app",
        rung=SWAP,
        answer="two",
    ),
    flow(
        "a route is edited below a lifespan",
        edit("app", '"!"', '"?"'),
        lifespan=LIFESPAN,
        app='app = FastAPI(lifespan=lifespan)\n@app.get("/answer")\n'
        'def answer(request: Request):\n    return request.app.state.word + "!"',
        target="app",
        rung=SWAP,
        answer="one?",
    ),
    flow(
        "a lifespan is edited",
        edit("lifespan", '"one"', '"two"'),
        again("app"),
        lifespan=LIFESPAN,
        app='app = FastAPI(lifespan=lifespan)\n@app.get("/answer")\n'
        'def answer(request: Request):\n    return request.app.state.word + "!"',
        target="app",
        rung=REPLACE,
        answer="two!",
    ),
    flow(
        "a class is edited below a lifespan of its `api`",
        edit("service", "+ '!'", "+ '?'"),
        lifespan=LIFESPAN,
        app="api = FastAPI(lifespan=lifespan)",
        service=service("request.app.state.word + '!'", takes="request: Request"),
        rung=SWAP,
        answer="one?",
    ),
    flow(
        "a lifespan of a class's `api` is edited",
        edit("lifespan", '"one"', '"two"'),
        again("app"),
        again("service"),
        lifespan=LIFESPAN,
        app="api = FastAPI(lifespan=lifespan)",
        service=service("request.app.state.word", takes="request: Request"),
        rung=REPLACE,
        answer="two",
    ),
    flow(
        "what a lifespan calls is edited",
        edit("helper", '"one"', '"two"'),
        helper='def load():\n    return "one"',
        lifespan=LIFESPAN.replace('"one"', "load()"),
        app="api = FastAPI(lifespan=lifespan)",
        service=service("request.app.state.word", takes="request: Request"),
        rung=REPLACE,
        answer="two",
    ),
    flow(
        "a route is edited below `on_event`",
        edit("app", '"!"', '"?"'),
        app=STARTS,
        target="app",
        rung=SWAP,
        answer="one?",
    ),
    flow(
        "what `on_event` does is edited",
        edit("app", '"one"', '"two"'),
        app=STARTS,
        target="app",
        rung=REPLACE,
        answer="two!",
    ),
    flow(
        "an app with `on_event` is run again",
        again("app"),
        app=STARTS,
        target="app",
        rung=KEEP,
        answer="one!",
    ),
    flow(
        "a dependency is edited, both cells run",
        edit("user", "'one'", "'two'"),
        again("service"),
        user="def user():\n    return 'one'",
        service=service("who", takes="who: str = Depends(user)"),
        rung=SWAP,
        answer="two",
    ),
    flow(
        "an `Annotated` dependency in a cell of its own is edited",
        edit("user", "'one'", "'two'"),
        again("alias"),
        again("service"),
        user="def user():\n    return 'one'",
        alias="User = typing.Annotated[str, Depends(user)]",
        service=service("who", takes="who: User"),
        rung=SWAP,
        answer="two",
    ),
    flow(
        "an `Annotated` dependency in a cell of its own is run again",
        again("user"),
        again("alias"),
        again("service"),
        user="def user():\n    return 'one'",
        alias="User = typing.Annotated[str, Depends(user)]",
        service=service("who", takes="who: User", init="self.x = 1"),
        rung=KEEP,
        answer="one",
    ),
    flow(
        "the inner one of a chain of dependencies is edited",
        edit("inner", "'one'", "'two'"),
        again("outer"),
        again("service"),
        inner="def inner():\n    return 'one'",
        outer="def outer(x=Depends(inner)):\n    return x + '!'",
        service=service("who", takes="who: str = Depends(outer)"),
        rung=SWAP,
        answer="two!",
    ),
    flow(
        "what a dependency calls is edited alone",
        edit("helper", "'one'", "'two'"),
        helper="def name():\n    return 'one'",
        user="def user():\n    return name()",
        service=service("who", takes="who: str = Depends(user)"),
        rung=SWAP,
        answer="two",
    ),
    flow(
        "a dependency with `yield` is edited",
        edit("user", "'one'", "'two'"),
        again("service"),
        user="def user():\n    yield 'one'",
        service=service("who", takes="who: str = Depends(user)"),
        rung=SWAP,
        answer="two",
    ),
    flow(
        "a class as a dependency is edited",
        edit("user", "'one'", "'two'"),
        again("service"),
        user="class User:\n    def __init__(self, name: str = 'one'):\n        self.name = name",
        service=service("who.name", takes="who: User = Depends(User)"),
        rung=SWAP,
        answer="two",
    ),
    flow(
        "`dependency_overrides` are edited",
        edit("overrides", "'one'", "'two'"),
        again("service"),
        user="def user():\n    return 'user'",
        overrides="api.dependency_overrides[user] = lambda: 'one'",
        service=service("who", takes="who: str = Depends(user)"),
        rung=SWAP,
        answer="two",
    ),
    flow(
        "a mounted app is edited",
        edit("sub", "'one'", "'two'"),
        again("app"),
        sub="sub = FastAPI()\n@sub.get('/x')\ndef x():\n    return 'one'",
        app="app = FastAPI()\napp.mount('/sub', sub)",
        target="app",
        asks=("GET /sub/x",),
        rung=SWAP,
        answer="two",
    ),
    flow(
        "a route class of one's own is edited",
        edit("app", 'b"1"', 'b"2"'),
        app=CUSTOM,
        target="app",
        rung=SWAP,
        answer="2y",
    ),
    flow(
        "a route is edited below a route class of one's own",
        edit("app", '"xy"', '"xz"'),
        app=CUSTOM,
        target="app",
        rung=SWAP,
        answer="1z",
    ),
    flow(
        "a response class of one's own is edited",
        edit("response", 'b"1"', 'b"2"'),
        again("service"),
        response="from fastapi.responses import JSONResponse\nclass Numbers(JSONResponse):\n"
        '    def render(self, content):\n        return b"1"',
        service=service("0").replace("'/answer'", "'/answer', response_class=Numbers"),
        rung=SWAP,
        answer=2,
    ),
    flow(
        "a streamed answer's generator is edited",
        edit("helper", "'1'", "'2'"),
        helper="def parts():\n    yield '1'\n    yield '0'",
        service=service(
            "from fastapi.responses import StreamingResponse\nreturn StreamingResponse(parts())"
        ),
        rung=SWAP,
        answer=20,
    ),
    flow(
        "a background task is edited",
        edit("helper", "SEEN.append(1)", "SEEN.append(2)"),
        value="SEEN = []",
        helper="def note():\n    SEEN.append(1)",
        service=service(
            "tasks.add_task(note)\nreturn list(SEEN)",
            takes="tasks: BackgroundTasks",
        ).replace("@serve.dep", "from fastapi import BackgroundTasks\n@serve.dep"),
        asks=("GET /answer", "GET /answer"),
        rung=SWAP,
        answer=[1, 1, 2],
        fresh=[2],
    ),
]
