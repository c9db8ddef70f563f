"""The process in which the CDK runs, which is JavaScript: begun early, asked directly, and left at once.

All of it is time that ``cdk synth`` waits for; no template depends on it. `tests/benchmarks/synthesis.py` measures it.
"""

import atexit
import contextlib
import gc
import os
import sys
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import jsii

from stacks.kernel import wire

_NODE = Path(__file__).with_name("node")
_CORE = "aws-cdk-lib"
FIRST = (f"{_CORE}.App", f"{_CORE}.aws_lambda.Function", f"{_CORE}.aws_ec2.Vpc")
"""With these three the CDK reads most of what any stack needs."""


@contextlib.contextmanager
def starting() -> Iterator[None]:
    """Around the imports of everything that uses the CDK, which may ask it nothing while it is imported.

    The kernel starts and reads the CDK's packages while Python reads its own modules. Afterwards it is ready. Nobody
    looks for garbage from here on: one run that ends soon, and a tenth of its time.

    :raises Exception: what goes wrong when a package is loaded, such as no ``node`` on the path.
    """
    load, loaded = jsii.JSIIAssembly.load, list[Future[Any]]()

    def begin(*package: str) -> None:
        loaded.append(thread.submit(load, *package))
        if package[0] == _CORE:
            loaded.extend(thread.submit(_read, name) for name in FIRST)

    gc.disable()
    ours = os.name == "posix" and not {"JSII_NODE", "JSII_RUNTIME"} & os.environ.keys()
    if ours:
        os.environ["JSII_NODE"] = str(_NODE)
    with ThreadPoolExecutor(1) as thread:
        jsii.JSIIAssembly.load = begin  # type: ignore[method-assign, assignment]  # for as long as packages are read
        try:
            yield
        finally:
            jsii.JSIIAssembly.load = load  # type: ignore[method-assign]
    if ours:
        del os.environ["JSII_NODE"]
    for each in loaded:
        each.result()
    wire.speak()


def _read(name: str) -> None:
    """Have the CDK read what its class ``name`` needs, by asking it what changes nothing."""
    jsii.kernel.sinvoke(type(name, (), {"__jsii_type__": name}), "isConstruct", [False])


def end() -> None:
    """End this process with success, whose memory nobody needs to have taken apart."""
    atexit._run_exitfuncs()  # the kernel's end is one
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)
