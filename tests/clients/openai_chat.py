"""The openai package for Python, sync and async, on /v1/chat/completions, /v1/embeddings and /v1/models."""

import asyncio
import json

import openai
from pydantic import BaseModel

from check import BROKE, FREE, GATEWAY, SLOW, WEB, aborted, check, close, counts, equal, forget, raised, script, true

client = openai.OpenAI(base_url=GATEWAY, api_key=WEB, max_retries=0, timeout=30)
QUESTION = [{"role": "user", "content": "say hello"}]
CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
TOOLS = [{"type": "function", "function": {"name": "get_weather", "description": "Weather", "parameters": CITY}}]
WEATHER = {"tool_calls": [{"name": "get_weather", "arguments": {"city": "Paris"}},
                          {"name": "get_weather", "arguments": {"city": "Zürich"}}]}


def ask(model, using=client, **more):
    return using.chat.completions.create(model=model, messages=QUESTION, **more)


def stream(model, **more):
    """Text, finish reasons, and all chunks of a streamed answer."""
    chunks = list(ask(model, stream=True, **more))
    choices = [choice for chunk in chunks for choice in chunk.choices]
    text = "".join(choice.delta.content or "" for choice in choices)
    return text, [choice.finish_reason for choice in choices if choice.finish_reason], chunks


def fail(fault):
    """What `faulty` answers from now on. It succeeds once before: so the gateway does not hold the failures of an
    earlier check against it."""
    ask("faulty")
    forget()
    script("faulty", {"text": "one two three four five six", "fault": fault})


def counting(**options):
    """A client with its usual retries, and the list of the requests that it sent."""
    sent = []
    http = openai.DefaultHttpxClient(event_hooks={"request": [sent.append]})
    return openai.OpenAI(base_url=GATEWAY, http_client=http, timeout=30, **{"api_key": WEB, **options}), sent


# The model is named like its tier.
for tier in ("passed", "translated"):

    @check(f"{tier}: a plain answer has the text, the finish reason and the usage that the provider billed")
    def _():
        script(tier, {"text": "Grüße, 世界 😀!"})
        reply = ask(tier)
        equal(reply.choices[0].message.content, "Grüße, 世界 😀!")
        equal(reply.choices[0].message.role, "assistant")
        equal(reply.choices[0].finish_reason, "stop")
        billed = counts(tier)
        equal((reply.usage.prompt_tokens, reply.usage.completion_tokens),
              (billed["input_tokens"], billed["output_tokens"]))
        equal(reply.usage.total_tokens, reply.usage.prompt_tokens + reply.usage.completion_tokens)
        true(reply._request_id, "x-request-id is missing")

    @check(f"{tier}: a stream adds up to the same text, with one id, one role and one finish reason")
    def _():
        script(tier, {"text": "Grüße, 世界 😀!", "bytes_per_write": 1})
        text, finishes, chunks = stream(tier)
        equal((text, finishes), ("Grüße, 世界 😀!", ["stop"]))
        equal(len({chunk.id for chunk in chunks}), 1)
        equal(chunks[0].choices[0].delta.role, "assistant")
        true(all(chunk.usage is None for chunk in chunks), "usage although nobody asked for it")

    @check(f"{tier}: usage comes in the last chunk of a stream, where it was asked for")
    def _():
        _, _, chunks = stream(tier, stream_options={"include_usage": True})
        equal(chunks[-1].choices, [])
        billed = counts(tier)
        equal((chunks[-1].usage.prompt_tokens, chunks[-1].usage.completion_tokens),
              (billed["input_tokens"], billed["output_tokens"]))
        true(all(chunk.usage is None for chunk in chunks[:-1]), "usage before the last chunk")

    @check(f"{tier}: an answer that reaches the cap says so")
    def _():
        script(tier, {"words": 50})
        equal(ask(tier, max_tokens=5).choices[0].finish_reason, "length")
        equal(stream(tier, max_completion_tokens=5)[1], ["length"])

    @check(f"{tier}: tools are called, and their results go back")
    def _():
        script(tier, WEATHER, {"text": "21 and 19 degrees."})
        first = ask(tier, tools=TOOLS).choices[0]
        equal(first.finish_reason, "tool_calls")
        calls = first.message.tool_calls
        equal([json.loads(call.function.arguments)["city"] for call in calls], ["Paris", "Zürich"])
        equal(len({call.id for call in calls}), 2)
        results = [{"role": "tool", "tool_call_id": call.id, "content": "21"} for call in calls]
        messages = QUESTION + [first.message.model_dump(exclude_none=True)] + results
        second = client.chat.completions.create(model=tier, messages=messages, tools=TOOLS)
        equal(second.choices[0].message.content, "21 and 19 degrees.")

    @check(f"{tier}: streamed tool calls add up in the SDK's own accumulator")
    def _():
        script(tier, WEATHER)
        with client.chat.completions.stream(model=tier, messages=QUESTION, tools=TOOLS) as events:
            kinds = {event.type for event in events}
            final = events.get_final_completion().choices[0]
        true("tool_calls.function.arguments.delta" in kinds, f"only {kinds}")
        equal([json.loads(call.function.arguments)["city"] for call in final.message.tool_calls], ["Paris", "Zürich"])
        equal(final.finish_reason, "tool_calls")

    @check(f"{tier}: a stream that is closed early ends the provider's call")
    def _():
        script(tier, {"words": 2000, "gap_ms": 20})
        chunks = ask(tier, stream=True)
        for _ in range(3):
            next(chunks)
        chunks.close()
        true(aborted(tier), f"{counts(tier)}")

    @check(f"{tier}: a plain call that times out at the client ends the provider's call")
    def _():
        script(tier, {"fault": "hang_before_head"})
        raised(openai.APITimeoutError, lambda: ask(tier, timeout=0.3))
        true(aborted(tier), f"{counts(tier)}")

    @check(f"{tier}: sixteen streams at once don't mix (async)")
    async def _():
        script(tier, {"echo": True, "gap_ms": 5})
        async with openai.AsyncOpenAI(base_url=GATEWAY, api_key=WEB, max_retries=0, timeout=30) as many:

            async def one(number):
                said = f"caller {number} says one two three"
                messages = [{"role": "user", "content": said}]
                chunks = await many.chat.completions.create(model=tier, messages=messages, stream=True)
                text, ids = "", set()
                async for chunk in chunks:
                    ids.add(chunk.id)
                    text += "".join(choice.delta.content or "" for choice in chunk.choices)
                equal(text, said)
                return ids

            ids = await asyncio.gather(*[one(number) for number in range(16)])
        equal(len(set().union(*ids)), 16)

    @check(f"{tier}: a cancelled task ends the provider's call (async)")
    async def _():
        script(tier, {"words": 2000, "gap_ms": 20})
        started = asyncio.Event()
        async with openai.AsyncOpenAI(base_url=GATEWAY, api_key=WEB, max_retries=0, timeout=30) as one:

            async def read():
                async for _ in await one.chat.completions.create(model=tier, messages=QUESTION, stream=True):
                    started.set()

            task = asyncio.create_task(read())
            await started.wait()
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        true(aborted(tier), f"{counts(tier)}")


class Sum(BaseModel):
    result: int


@check("a structured answer is parsed into its class")
def _():
    script("passed", {"text": '{"result": 4}'})
    reply = client.chat.completions.parse(model="passed", messages=QUESTION, response_format=Sum)
    equal(reply.choices[0].message.parsed, Sum(result=4))


@check("fields of newer SDKs are taken")
def _():
    ask("passed", max_completion_tokens=64, seed=7, stop=["ZZZ"], user="u1", metadata={"k": "v"}, store=False,
        reasoning_effort="low", response_format={"type": "text"}, extra_body={"x_unknown": {"a": 1}})


for alias in ("vectors", "google-vectors"):

    @check(f"{alias}: embeddings, which the SDK asks for in base64, are the numbers that were asked for plainly")
    def _():
        inputs = ["say hello", "say goodbye"]
        packed = client.embeddings.create(model=alias, input=inputs, dimensions=16)
        plain = client.embeddings.create(model=alias, input=inputs, dimensions=16, encoding_format="float")
        equal([item.index for item in packed.data], [0, 1])
        equal([len(item.embedding) for item in packed.data], [16, 16])
        equal([item.embedding for item in packed.data], [item.embedding for item in plain.data])
        true(packed.data[0].embedding != packed.data[1].embedding, "two texts have the same vector")
        true(packed.usage.prompt_tokens > 0, "no usage")
        equal(packed.usage.total_tokens, packed.usage.prompt_tokens)


@check("a tier has no embeddings, and the error says what has")
def _():
    error = raised(openai.BadRequestError, lambda: client.embeddings.create(model="passed", input="say hello"))
    true("provider/model" in str(error), str(error))


@check("the list of models names tiers, and auto")
def _():
    models = {model.id for model in client.models.list()}
    true({"passed", "translated", "pair", "auto"} <= models, f"{models}")


@check("a fallback answers as the primary would, and the head says who it was")
def _():
    script("first", {"fault": {"status": {"status": 429, "retry_after": {"seconds": 1}}}})
    script("second", {"text": "the second one"})
    reply = client.chat.completions.with_raw_response.create(model="pair", messages=QUESTION)
    told = [reply.headers[f"x-headgate-{name}"] for name in ("tier", "model", "attempts")]
    equal(told, ["pair", "anthropic/second", "2"])
    equal(reply.parse().choices[0].message.content, "the second one")


@check("a fallback before the first content is not seen in a stream")
def _():
    script("first", {"fault": {"in_band_error": {"after": 0}}})
    script("second", {"text": "the second one"})
    text, finishes, chunks = stream("pair")
    equal((text, finishes, len({chunk.id for chunk in chunks})), ("the second one", ["stop"], 1))


SOON = {"ms": 50}
# What the provider answers; what the caller gets; how often the provider is asked, the SDK's own two retries included.
FAILURES = [
    ("400", {"status": 400}, openai.BadRequestError, 400, "invalid_request", 1),
    ("400 for its content", {"status": 400, "error": {"code": "content_policy_violation"}},
     openai.BadRequestError, 400, "content_policy_violation", 1),
    ("400 for its length", {"status": 400, "error": {"code": "context_length_exceeded"}},
     openai.BadRequestError, 400, "context_length_exceeded", 1),
    ("401", {"status": 401}, openai.InternalServerError, 502, "upstream_auth", 1),
    ("403", {"status": 403}, openai.InternalServerError, 502, "upstream_auth", 1),
    ("404", {"status": 404}, openai.NotFoundError, 404, "model_not_found", 1),
    ("413", {"status": 413}, openai.BadRequestError, 400, "context_length_exceeded", 1),
    ("422", {"status": 422}, openai.BadRequestError, 400, "invalid_request", 1),
    ("429 for quota", {"status": 429, "error": {"type": "insufficient_quota", "code": "insufficient_quota"}},
     openai.APIStatusError, 402, "insufficient_quota", 1),
    ("429", {"status": 429, "retry_after": SOON}, openai.RateLimitError, 429, "rate_limit_exceeded", 3),
    ("500", {"status": 500, "retry_after": SOON}, openai.InternalServerError, 502, "upstream_failed", 3),
    ("503", {"status": 503, "retry_after": SOON}, openai.InternalServerError, 503, "overloaded", 3),
    ("529", {"status": 529, "retry_after": SOON}, openai.InternalServerError, 503, "overloaded", 3),
]
for name, fault, kind, status, code, calls in FAILURES:
    for streamed in (False, True):

        @check(f"upstream {name}{', streamed' if streamed else ''}: {kind.__name__} {status} {code}, "
               f"after {calls} upstream call{'s' if calls > 1 else ''}")
        def _():
            fail({"status": fault})
            usual, sent = counting()
            error = raised(kind, lambda: ask("faulty", usual, stream=streamed))
            equal((error.status_code, error.code), (status, code))
            true(error.message and error.type and error.request_id, f"{error.body}, {error.request_id}")
            equal((len(sent), counts("faulty")["calls"]), (1, calls))


@check("a provider's Retry-After reaches the caller")
def _():
    # Longer than retry.max_wait, so the gateway does not wait itself; and nobody else asks this target meanwhile.
    script("busy", {"fault": {"status": {"status": 429, "retry_after": {"seconds": 30}}}})
    error = raised(openai.RateLimitError, lambda: ask("busy"))
    true(28 <= int(error.response.headers["retry-after"]) <= 30, f"{error.response.headers}")
    equal(counts("busy")["calls"], 1)


@check("a spent budget is an APIStatusError that no SDK retries, and no upstream call")
def _():
    usual, sent = counting(api_key=BROKE)
    error = raised(openai.APIStatusError, lambda: ask("passed", usual))
    equal((error.status_code, error.code, error.response.headers["x-should-retry"]), (402, "budget_exceeded", "false"))
    equal((len(sent), counts("passed")["calls"]), (1, 0))


@check("a spent rate limit is a RateLimitError, and no upstream call")
def _():
    slow = openai.OpenAI(base_url=GATEWAY, api_key=SLOW, max_retries=0, timeout=30)

    def twice():
        ask("passed", slow)
        ask("passed", slow)

    error = raised(openai.RateLimitError, twice)
    equal(error.code, "rate_limit_exceeded")
    true(counts("passed")["calls"] <= 1, "the refused call went upstream")


@check("a refusal by policy is a PermissionDeniedError with the policy's own code and words")
def _():
    free, sent = counting(api_key=FREE)
    error = raised(openai.PermissionDeniedError, lambda: ask("complex", free))
    equal(error.code, "tier_not_allowed")
    true("upgrade" in error.message, error.message)
    equal((len(sent), counts("passed")["calls"]), (1, 0))


@check("a wrong key is an AuthenticationError")
def _():
    wrong, sent = counting(api_key="no-such-key")
    error = raised(openai.AuthenticationError, lambda: ask("passed", wrong))
    equal((error.code, len(sent)), ("invalid_api_key", 1))


@check("an unknown model is a NotFoundError that lists the known ones")
def _():
    error = raised(openai.NotFoundError, lambda: ask("no-such-model"))
    equal((error.code, error.param), ("model_not_found", "model"))
    true("translated" in error.message, error.message)


@check("a request that makes no sense is a BadRequestError that names the field, and no upstream call")
def _():
    for field, value in {"temperature": "hot", "max_tokens": -1, "messages": "hi"}.items():
        error = raised(openai.BadRequestError, lambda: ask("passed", extra_body={field: value}))
        true(field in (error.param or "") and field in error.message, f"{field}: {error.body}")
    equal(counts("passed")["calls"], 0)


FAULTS = {
    "tells an error": {"in_band_error": {"after": 3}},
    "is cut": {"cut": {"after": 3}},
    "is reset": {"reset": {"after": 3}},
    "ends without its end": {"clean_end": {"after": 3}},
    "says DONE too early": {"done_without_finish": {"after": 3}},
    "sends broken JSON": {"malformed_frame": {"after": 3}},
}
for name, fault in FAULTS.items():

    @check(f"a stream that {name} after content raises APIError, with the content before it")
    def _():
        fail(fault)
        usual, sent = counting()
        said = []

        def read():
            for chunk in ask("faulty", usual, stream=True):
                said.extend(choice.delta.content or "" for choice in chunk.choices)

        error = raised(openai.APIError, read)
        equal("".join(said), "one two three")
        equal((error.code, len(sent), counts("faulty")["calls"]), ("upstream_failed", 1, 1))


close()
