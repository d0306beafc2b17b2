"""ChatOpenAI of langchain-openai on /v1/chat/completions."""

import asyncio

import openai
from langchain_core.messages import HumanMessage, ToolMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI
from pydantic import BaseModel

from check import BROKE, GATEWAY, WEB, check, close, counts, equal, forget, script, true

WEATHER = {"tool_calls": [{"name": "get_weather", "arguments": {"city": "Paris"}}]}


def chat(model, key=WEB):
    """With the retries that it has by itself."""
    return ChatOpenAI(base_url=GATEWAY, api_key=key, model=model, stream_usage=True, timeout=30)


def added(chunks):
    total = None
    for chunk in chunks:
        total = chunk if total is None else total + chunk
    return total


def failure(function, kind=openai.APIStatusError):
    """The error that `function` raises. LangChain has subclasses of its own of the SDK's errors."""
    try:
        answer = function()
    except kind as error:
        return error
    raise AssertionError(f"got the answer {answer!r}, wanted {kind.__name__}")


def fail(fault):
    """What `faulty` answers from now on. It succeeds once before: so the gateway does not hold the failures of an
    earlier check against it."""
    chat("faulty").invoke("say hello")
    forget()
    script("faulty", {"text": "one two three four five six", "fault": fault})


@tool
def get_weather(city: str) -> str:
    """Weather of a city."""
    return f"21 degrees in {city}"


class Sum(BaseModel):
    """The result of an addition."""

    result: int


for tier in ("passed", "translated"):

    @check(f"{tier}: invoke has the text, the finish reason and the usage that the provider billed")
    def _():
        script(tier, {"text": "Grüße, 世界 😀!"})
        reply = chat(tier).invoke("say hello")
        equal((reply.content, reply.response_metadata["finish_reason"]), ("Grüße, 世界 😀!", "stop"))
        billed = counts(tier)
        equal((reply.usage_metadata["input_tokens"], reply.usage_metadata["output_tokens"]),
              (billed["input_tokens"], billed["output_tokens"]))

    @check(f"{tier}: the chunks of a stream add up to text and usage")
    def _():
        script(tier, {"text": "Grüße, 世界 😀!"})
        total = added(chat(tier).stream("say hello"))
        equal(total.content, "Grüße, 世界 😀!")
        equal(total.usage_metadata["output_tokens"], counts(tier)["output_tokens"])

    @check(f"{tier}: a bound tool is called, plain and streamed, and its result goes back")
    def _():
        script(tier, WEATHER, WEATHER, {"text": "Warm."})
        bound = chat(tier).bind_tools([get_weather])
        question = HumanMessage("weather in Paris?")
        plain, streamed = bound.invoke([question]), added(bound.stream([question]))
        equal([call["args"] for call in plain.tool_calls], [{"city": "Paris"}])
        equal([call["args"] for call in streamed.tool_calls], [{"city": "Paris"}])
        [call] = streamed.tool_calls
        result = ToolMessage(get_weather.invoke(call["args"]), tool_call_id=call["id"])
        equal(bound.invoke([question, streamed, result]).content, "Warm.")

    @check(f"{tier}: a structured answer through a forced tool call")
    def _():
        script(tier, {"tool_calls": [{"name": "Sum", "arguments": {"result": 4}}]})
        equal(chat(tier).with_structured_output(Sum, method="function_calling").invoke("2 + 2?"), Sum(result=4))

    @check(f"{tier}: eight calls at once keep their answers apart (async)")
    async def _():
        script(tier, {"echo": True})
        questions = [f"question number {number}" for number in range(8)]
        equal([reply.content for reply in await chat(tier).abatch(questions)], questions)


@check("a structured answer in JSON mode of the provider")
def _():
    script("passed", {"text": '{"result": 4}'})
    equal(chat("passed").with_structured_output(Sum, method="json_schema").invoke("2 + 2?"), Sum(result=4))


@check("a spent budget is an APIStatusError, and no upstream call")
def _():
    error = failure(lambda: chat("passed", BROKE).invoke("say hello"))
    equal((error.status_code, error.code, counts("passed")["calls"]), (402, "budget_exceeded", 0))


@check("a provider that fails is asked three times, not nine")
def _():
    fail({"status": {"status": 500, "retry_after": {"ms": 50}}})
    error = failure(lambda: chat("faulty").invoke("say hello"))
    equal((error.status_code, error.code, counts("faulty")["calls"]), (502, "upstream_failed", 3))


for name, fault in {"is cut": {"cut": {"after": 3}}, "tells an error": {"in_band_error": {"after": 3}},
                    "ends without its end": {"clean_end": {"after": 3}}}.items():

    @check(f"a stream that {name} after content raises, with the content before it")
    def _():
        fail(fault)
        said = []
        failure(lambda: said.extend(chunk.content for chunk in chat("faulty").stream("say hello")), openai.APIError)
        equal("".join(said), "one two three")
        equal(counts("faulty")["calls"], 1)


@check("an asynchronous stream that is left early ends the provider's call")
async def _():
    script("passed", {"words": 2000, "gap_ms": 20})
    chunks = chat("passed").astream("say hello")
    async for chunk in chunks:
        if chunk.content:
            break
    await chunks.aclose()
    by = asyncio.get_running_loop().time() + 2
    while counts("passed")["aborted"] == 0 and asyncio.get_running_loop().time() < by:
        await asyncio.sleep(0.02)
    true(counts("passed")["aborted"] == 1, f"{counts('passed')}")


close()
