"""Runs checks one after the other, and knows the gateway under test and the mock provider behind it."""

import asyncio
import inspect
import json
import os
import sys
import time
import traceback
from urllib.request import Request, urlopen

GATEWAY = os.environ["GATEWAY_URL"] + "/v1"
MOCK = os.environ["MOCK_URL"]

# The keys of config.yaml: a usual one, one of team `free`, one without money, one with a single request.
WEB, FREE, BROKE, SLOW = "web-key", "free-key", "broke-key", "slow-key"

_passed = _failed = 0
# One loop for all checks: some SDKs keep their connections from call to call.
_loop = asyncio.Runner()


def check(sentence):
    """Runs the decorated function at once, on a mock that has forgotten everything, and prints how it went."""

    def run(function):
        global _passed, _failed
        forget()
        try:
            result = function()
            if inspect.isawaitable(result):
                _loop.run(result)
        except Exception as error:
            _failed += 1
            place = traceback.extract_tb(error.__traceback__)
            lines = [frame.lineno for frame in place if frame.filename == function.__code__.co_filename]
            print(f"FAIL {sentence}: line {lines[-1] if lines else '?'}: {type(error).__name__}: {error}", flush=True)
        else:
            _passed += 1
            print(f"ok   {sentence}", flush=True)

    return run


def close():
    """The closing line, and the exit code."""
    print(f"{_passed} passed, {_failed} failed", flush=True)
    sys.exit(1 if _failed else 0)


def equal(got, wanted):
    if got != wanted:
        raise AssertionError(f"got {got!r}, wanted {wanted!r}")


def true(held, what):
    if not held:
        raise AssertionError(what)


def raised(kind, function):
    """The error of class `kind`, and no other class, that `function` raises."""
    try:
        answer = function()
    except Exception as error:
        true(type(error) is kind, f"got {type(error).__name__} ({error}), wanted {kind.__name__}")
        return error
    raise AssertionError(f"got the answer {answer!r}, wanted {kind.__name__}")


def forget():
    """The mock forgets scripts and counts."""
    _ask_mock("DELETE", "/_mock")


def script(model, *steps):
    """Call n of `model` is answered by step n, the last one repeats. `headgate mock --help` lists the fields."""
    _ask_mock("PUT", f"/_mock/models/{model}", list(steps))


def counts(model):
    """What the mock saw of `model`: calls, answered, aborted, open_calls, input_tokens, output_tokens."""
    nothing = {"calls": 0, "answered": 0, "aborted": 0, "open_calls": 0, "input_tokens": 0, "output_tokens": 0}
    return _ask_mock("GET", "/_mock/counts")["models"].get(model, nothing)


def aborted(model):
    """Whether the provider sees the end of its only call within the second that the gateway promises; checked for two,
    for the sake of slow machines."""
    by = time.monotonic() + 2
    while time.monotonic() < by:
        seen = counts(model)
        if (seen["calls"], seen["aborted"], seen["open_calls"]) == (1, 1, 0):
            return True
        time.sleep(0.02)
    return False


def _ask_mock(method, path, body=None):
    data = None if body is None else json.dumps(body).encode()
    with urlopen(Request(MOCK + path, data, method=method), timeout=10) as reply:
        return json.load(reply)
