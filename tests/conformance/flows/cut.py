"""Flows about how a notebook is cut into cells, and which of them are run again."""

from __future__ import annotations

from .words import KEEP, REPLACE, SWAP, add, again, edit, flow, restart, service

WORDS = "def words():\n    return 'one'"
ROOT = "def root(x):\n    return math.sqrt(x)"
MODULE = "def words():\n    return 'one'\n"
SPACE = """
source = '''
from fastapi import FastAPI
from ray import serve
api = FastAPI()
def words():
    return "one"
@serve.deployment(ray_actor_options={"num_cpus": 0})
@serve.ingress(api)
class Service:
    def __init__(self):
        self.first = words()
    @api.get("/answer")
    def answer(self):
        return self.first + "!"
'''
space = {"__name__": "__main__"}
exec(source, space)
"""
NETS = """
NET = '''
class Net:
    def forward(self, x):
        return x + 0
'''
SERVER = '''
class Service:
    def __init__(self):
        self.net = Net()
    def answer(self):
        return self.net.forward(1)
'''
space = {"__name__": "__main__"}
exec(SERVER, space)
"""
MAGIC = "%%deploy service\n" + service("'one'") + "\nService"

FLOWS = [
    flow(
        "the class's cell is edited, `api` stands in a cell of its own",
        edit("service", "one", "two"),
        service=service("'one'"),
        rung=SWAP,
        answer="two",
    ),
    flow(
        "the class's cell is run again",
        again("service"),
        service=service("'one'"),
        rung=KEEP,
        answer="one",
    ),
    flow(
        "the class's cell is run three times more",
        *[again("service")] * 3,
        service=service("'one'", init="self.x = 1"),
        rung=KEEP,
        answer="one",
    ),
    flow(
        "every cell is run again",
        *map(again, ("imports", "api", "helper", "service")),
        helper=WORDS,
        service=service("words()"),
        rung=KEEP,
        answer="one",
    ),
    flow(
        "`api` stands in the class's cell, a method is edited",
        edit("service", "one", "two"),
        service="api = FastAPI()\n" + service("'one'"),
        rung=SWAP,
        answer="two",
    ),
    flow(
        "edited three times in a row",
        edit("service", "one", "two"),
        edit("service", "two", "three"),
        edit("service", "three", "four"),
        service=service("'one'"),
        rung=SWAP,
        answer="four",
    ),
    flow(
        "edited, and edited back",
        edit("service", "one", "two"),
        edit("service", "two", "one"),
        service=service("'one'"),
        rung=KEEP,
        answer="one",
    ),
    flow(
        "an import moves from the function's cell to the first one",
        edit("imports", "import asyncio", "import math, asyncio"),
        edit("helper", "import math\n", ""),
        helper=f"import math\n{ROOT}",
        service=service("root(4)"),
        rung=KEEP,
        answer=2.0,
    ),
    flow(
        "an import moves into the function's cell",
        edit("imports", "import math\n", ""),
        edit("helper", "def root", "import math\ndef root"),
        cells={"imports": "import math\nfrom fastapi import FastAPI\nfrom ray import serve"},
        helper=ROOT,
        service=service("root(4)"),
        rung=KEEP,
        answer=2.0,
    ),
    flow(
        "an import moves into the class's cell",
        edit("service", "@serve.deployment", "import math\n@serve.deployment"),
        helper="import math",
        service=service("math.sqrt(4)", init="self.pi = math.pi"),
        rung=KEEP,
        answer=2.0,
    ),
    flow(
        "`import numpy as np` turns into an import of its own module",
        edit("helper", "import os.path", "import os"),
        helper="import os.path\ndef words():\n    return os.path.join('a', 'b')",
        service=service("words()"),
        rung=KEEP,
        answer="a/b",
    ),
    flow(
        "only a helper's cell is edited",
        edit("helper", "one", "two"),
        helper=WORDS,
        service=service("words()"),
        rung=SWAP,
        answer="two",
    ),
    flow(
        "only a helper's cell is run again",
        again("helper"),
        helper=WORDS,
        service=service("words()", init="self.first = words()"),
        rung=KEEP,
        answer="one",
    ),
    flow(
        "a helper that the constructor calls is edited",
        edit("helper", "one", "two"),
        helper=WORDS,
        service=service("self.first", init="self.first = words()"),
        rung=REPLACE,
        answer="two",
    ),
    flow(
        "a helper moves into the class's cell",
        edit("helper", WORDS, "pass"),
        edit("service", "@serve.deployment", f"{WORDS}\n\n@serve.deployment"),
        helper=WORDS,
        service=service("words()"),
        rung=KEEP,
        answer="one",
    ),
    flow(
        "a helper moves to a new cell and is edited there",
        edit("helper", WORDS, "pass"),
        add("new", WORDS.replace("one", "two")),
        helper=WORDS,
        service=service("words()"),
        rung=SWAP,
        answer="two",
    ),
    flow(
        "a helper of a helper is edited",
        edit("inner", "one", "two"),
        inner=WORDS,
        outer="def said():\n    return words() + '!'",
        service=service("said()"),
        rung=SWAP,
        answer="two!",
    ),
    flow(
        "a helper that nothing uses is edited",
        edit("helper", "one", "two"),
        helper="def unused():\n    return 'one'",
        service=service("'here'"),
        rung=KEEP,
        answer="here",
    ),
    flow(
        "a cell is written that has nothing to do with it",
        add("new", "table = [1, 2, 3]\nsum(table)"),
        service=service("'one'"),
        rung=KEEP,
        answer="one",
    ),
    flow(
        "comments and blank lines come into the class's cell",
        edit("service", "    @api.get", "\n\n    # what is asked most\n    @api.get"),
        service=service("'one'", init="self.x = 1"),
        rung=KEEP,
        answer="one",
    ),
    flow(
        "a line of a helper is broken in two",
        edit("helper", "return ['a', 'b']", "return [\n        'a',\n        'b',\n    ]"),
        helper="def words():\n    return ['a', 'b']",
        service=service("words()"),
        rung=KEEP,
        answer=["a", "b"],
    ),
    flow(
        "the docstring of a route is edited",
        edit("service", "One.", "Two."),
        service=service("'''One.'''\nreturn 'here'"),
        rung=SWAP,
        answer="here",
        why="the API's description shows it",
    ),
    flow(
        "the docstring of the constructor is edited",
        edit("service", "One.", "Two."),
        service=service("'here'", init="'''One.'''\nself.x = 1"),
        rung=REPLACE,
        answer="here",
        why="it belongs to what the constructor may read",
    ),
    flow(
        "`from __future__ import annotations` from the first cell on, a method edited",
        edit("service", "n + 1", "n + 2"),
        cells={"imports": "from __future__ import annotations\nfrom fastapi import FastAPI"},
        more="from ray import serve",
        service=service("n + 1", takes="n: int = 1"),
        rung=SWAP,
        answer=3,
    ),
    flow(
        "`from __future__ import annotations` leaks into the class's cell",
        add("new", "from __future__ import annotations"),
        again("service"),
        service=service("n + 1", takes="n: int = 1"),
        rung=SWAP,
        answer=2,
        why="annotations are texts from there on; code may read them",
    ),
    flow(
        "a `%%deploy` cell is edited",
        edit("magic", "one", "two"),
        magic=MAGIC,
        target="",
        rung=SWAP,
        answer="two",
    ),
    flow(
        "a `%%deploy` cell is run again",
        again("magic"),
        magic=MAGIC,
        target="",
        rung=KEEP,
        answer="one",
    ),
    flow(
        "a `%%deploy` cell turns into an ordinary one",
        edit("magic", "%%deploy service\n", ""),
        magic=MAGIC,
        target="Service if 'Service' in globals() else None",
        rung=KEEP,
        answer="one",
    ),
    flow(
        "restart and run all",
        restart(),
        helper=WORDS,
        value="WORDS = ['a', 'b', {'c', 'd', 'e'}]",
        service=service("[words(), len(WORDS)]", init="self.words = WORDS"),
        rung=KEEP,
        answer=["one", 3],
    ),
    flow(
        "restart and run all, with an edit that was not run yet",
        edit("service", "one", "two", runs=False),
        restart(),
        service=service("'one'"),
        rung=SWAP,
        answer="two",
    ),
    flow(
        "`%run` of a script that has the class, edited",
        edit("script.py", "one", "two"),
        again("run"),
        files={
            "script.py": "from fastapi import FastAPI\nfrom ray import serve\napi = FastAPI()\n"
            + service("'one'")
        },
        cells={"imports": "import os", "api": "pass"},
        run="%run script.py",
        rung=SWAP,
        answer="two",
    ),
    flow(
        "`%run` of a script again",
        again("run"),
        files={
            "script.py": "from fastapi import FastAPI\nfrom ray import serve\napi = FastAPI()\n"
            "def words():\n    return 'one'\n" + service("words()", init="self.x = words()")
        },
        cells={"imports": "import os", "api": "pass"},
        run="%run script.py",
        rung=KEEP,
        answer="one",
    ),
    flow(
        "`%run` of a script that has a helper, edited",
        edit("script.py", "one", "two"),
        again("run"),
        files={"script.py": "WORD = 'one'\ndef words():\n    return WORD\n"},
        run="%run script.py",
        service=service("words()"),
        rung=SWAP,
        answer="two",
    ),
    flow(
        "`%run -i` of a script that has a helper, edited",
        edit("script.py", "one", "two"),
        again("run"),
        files={"script.py": "WORD = 'one'\ndef words():\n    return WORD\n"},
        run="%run -i script.py",
        service=service("words()"),
        rung=SWAP,
        answer="two",
    ),
    flow(
        "a module of the user's own is edited, under `%autoreload 2`",
        edit("flowmodule_a.py", "one", "two"),
        again("run"),
        files={"flowmodule_a.py": MODULE},
        load="%load_ext autoreload\n%autoreload 2\nimport flowmodule_a",
        run="x = 1",
        service=service("flowmodule_a.words()"),
        rung=REPLACE,
        answer="two",
        why="replicas import the module from its file, once per process",
    ),
    flow(
        "a module of the user's own is edited and reloaded",
        edit("flowmodule_b.py", "one", "two"),
        again("reload"),
        again("service"),
        files={"flowmodule_b.py": MODULE},
        load="import importlib, flowmodule_b",
        reload="importlib.reload(flowmodule_b)",
        service="from flowmodule_b import words\n" + service("words()"),
        rung=REPLACE,
        answer="two",
        why="replicas import the module from its file, once per process",
    ),
    flow(
        "a method is edited beside a module of the user's own, under `%autoreload 2`",
        edit("service", "+ '!'", "+ '?'"),
        files={"flowmodule_c.py": MODULE},
        load="%load_ext autoreload\n%autoreload 2\nfrom flowmodule_c import words",
        service=service("words() + '!'", init="self.x = words()"),
        rung=SWAP,
        answer="one?",
    ),
    flow(
        "code that `exec` runs in a namespace of its own, again",
        again("space"),
        space=SPACE,
        target="space['Service']",
        rung=KEEP,
        answer="one!",
    ),
    flow(
        "code that `exec` runs in a namespace of its own, a method edited",
        edit("space", '+ "!"', '+ "?"'),
        space=SPACE,
        target="space['Service']",
        rung=SWAP,
        answer="one?",
    ),
    flow(
        "code that `exec` runs in a namespace of its own, what the constructor calls edited",
        edit("space", 'return "one"', 'return "two"'),
        space=SPACE,
        target="space['Service']",
        rung=REPLACE,
        answer="two!",
    ),
    flow(
        "`exec` defines a class anew beside one that uses it",
        edit("net", "NET", "NET.replace('+ 0', '+ 1')"),
        space=NETS,
        net="exec(NET, space)",
        target="space['Service']",
        asks=("call answer",),
        rung=REPLACE,
        answer=2,
        why="the constructor makes one",
    ),
    flow(
        "a function is defined in two cells, the later one is edited",
        edit("second", "two", "three"),
        first=WORDS,
        second=WORDS.replace("one", "two"),
        service=service("words()"),
        rung=SWAP,
        answer="three",
    ),
]
