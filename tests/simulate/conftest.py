"""Tests here may be coroutines: each runs on asyncio's own loop and on uvloop."""

import asyncio
import inspect

import pytest
import uvloop

LOOPS = {"asyncio": asyncio.run, "uvloop": uvloop.run}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if inspect.iscoroutinefunction(metafunc.function):
        metafunc.fixturenames.append("loop_name")
        metafunc.parametrize("loop_name", LOOPS)


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    test = pyfuncitem.obj
    if not inspect.iscoroutinefunction(test):
        return None
    run = LOOPS[str(pyfuncitem.callspec.params["loop_name"])]
    run(test(**{name: pyfuncitem.funcargs[name] for name in inspect.signature(test).parameters}))
    return True
