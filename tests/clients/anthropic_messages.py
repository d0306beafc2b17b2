"""The anthropic package for Python, sync and async, on /v1/messages, count_tokens and /v1/models."""

import asyncio

import anthropic

from check import (BROKE, FREE, GATEWAY, SLOW, WEB, aborted, check, close, counts, equal, forget, raised, script,
                   true)

BASE = GATEWAY.removesuffix("/v1")
client = anthropic.Anthropic(base_url=BASE, api_key=WEB, max_retries=0, timeout=30)
QUESTION = [{"role": "user", "content": "say hello"}]
CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
TOOLS = [{"name": "get_weather", "description": "Weather", "input_schema": CITY}]
WEATHER = {"text": "", "tool_calls": [{"name": "get_weather", "arguments": {"city": "Paris"}},
                                      {"name": "get_weather", "arguments": {"city": "Zürich"}}]}


def ask(model, using=client, **more):
    return using.messages.create(**{"model": model, "max_tokens": 1000, "messages": QUESTION, **more})


def fail(fault):
    """What `faulty` answers from now on. It succeeds once before: so the gateway does not hold the failures of an
    earlier check against it."""
    ask("faulty")
    forget()
    script("faulty", {"text": "one two three four five six", "fault": fault})


def counting(**options):
    """A client with its usual retries, and the list of the requests that it sent."""
    sent = []
    http = anthropic.DefaultHttpxClient(event_hooks={"request": [sent.append]})
    return anthropic.Anthropic(base_url=BASE, http_client=http, timeout=30, **{"api_key": WEB, **options}), sent


def raised_as(kind, function):
    """As `raised`, for a class or one below it: newer SDKs have classes of their own for some statuses."""
    try:
        answer = function()
    except kind as error:
        return error
    raise AssertionError(f"got the answer {answer!r}, wanted {kind.__name__}")


# The model is named like its tier: `translated` has this client's format upstream, `passed` has OpenAI's.
for tier in ("translated", "passed"):

    @check(f"{tier}: a plain answer has the text, the stop reason and the usage that the provider billed")
    def _():
        script(tier, {"text": "Grüße, 世界 😀!"})
        reply = ask(tier, system="be brief", stop_sequences=["ZZZ"], metadata={"user_id": "u1"})
        equal([(block.type, block.text) for block in reply.content], [("text", "Grüße, 世界 😀!")])
        equal((reply.type, reply.role, reply.stop_reason), ("message", "assistant", "end_turn"))
        billed = counts(tier)
        equal((reply.usage.input_tokens, reply.usage.output_tokens), (billed["input_tokens"], billed["output_tokens"]))
        true(reply._request_id, "request-id is missing")

    @check(f"{tier}: a stream adds up to the same message in the SDK's own accumulator")
    def _():
        script(tier, {"text": "Grüße, 世界 😀!", "bytes_per_write": 1})
        with client.messages.stream(model=tier, max_tokens=1000, messages=QUESTION) as stream:
            text = "".join(stream.text_stream)
            final = stream.get_final_message()
        equal((text, final.content[0].text, final.stop_reason), ("Grüße, 世界 😀!",) * 2 + ("end_turn",))
        billed = counts(tier)
        equal((final.usage.input_tokens, final.usage.output_tokens), (billed["input_tokens"], billed["output_tokens"]))

    @check(f"{tier}: the events come in their order, every block opened and closed")
    def _():
        script(tier, {**WEATHER, "text": "Let me look."})
        types = [event.type for event in ask(tier, stream=True, tools=TOOLS)]
        equal((types[0], types[1], types[-2], types[-1]),
              ("message_start", "content_block_start", "message_delta", "message_stop"))
        equal((types.count("content_block_start"), types.count("content_block_stop")), (3, 3))

    @check(f"{tier}: an answer that reaches the cap says so")
    def _():
        script(tier, {"words": 50})
        equal(ask(tier, max_tokens=5).stop_reason, "max_tokens")
        with client.messages.stream(model=tier, max_tokens=5, messages=QUESTION) as stream:
            equal(stream.get_final_message().stop_reason, "max_tokens")

    @check(f"{tier}: tools are called, and their results go back")
    def _():
        script(tier, WEATHER, {"text": "21 and 19 degrees."})
        first = ask(tier, tools=TOOLS)
        equal((first.stop_reason, [call.input["city"] for call in first.content]), ("tool_use", ["Paris", "Zürich"]))
        equal(len({call.id for call in first.content}), 2)
        results = [{"type": "tool_result", "tool_use_id": call.id, "content": "21"} for call in first.content]
        history = QUESTION + [{"role": "assistant", "content": first.content}, {"role": "user", "content": results}]
        equal(ask(tier, messages=history, tools=TOOLS).content[0].text, "21 and 19 degrees.")

    @check(f"{tier}: streamed tool calls add up in the SDK's own accumulator")
    def _():
        script(tier, WEATHER)
        with client.messages.stream(model=tier, max_tokens=1000, messages=QUESTION, tools=TOOLS) as stream:
            kinds = {event.type for event in stream}
            final = stream.get_final_message()
        true("input_json" in kinds, f"only {kinds}")
        equal(([call.input["city"] for call in final.content], final.stop_reason), (["Paris", "Zürich"], "tool_use"))

    @check(f"{tier}: images, cache marks and fields that only the provider knows are taken")
    def _():
        image = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="}}
        system = [{"type": "text", "text": "be brief", "cache_control": {"type": "ephemeral"}}]
        messages = [{"role": "user", "content": [image, {"type": "text", "text": "?"}]}]
        ask(tier, system=system, messages=messages, thinking={"type": "enabled", "budget_tokens": 1024},
            max_tokens=2000, service_tier="auto", extra_body={"temperature": 0.1, "top_k": 5})

    @check(f"{tier}: a stream that is closed early ends the provider's call")
    def _():
        script(tier, {"words": 2000, "gap_ms": 20, "ignore_max_tokens": True})
        events = ask(tier, stream=True)
        for _ in range(4):
            next(events)
        events.close()
        true(aborted(tier), f"{counts(tier)}")

    @check(f"{tier}: sixteen streams at once don't mix (async)")
    async def _():
        script(tier, {"echo": True, "gap_ms": 5})
        async with anthropic.AsyncAnthropic(base_url=BASE, api_key=WEB, max_retries=0, timeout=30) as many:

            async def one(number):
                said = f"caller {number} says one two three"
                messages = [{"role": "user", "content": said}]
                async with many.messages.stream(model=tier, max_tokens=1000, messages=messages) as stream:
                    equal(await stream.get_final_text(), said)

            await asyncio.gather(*[one(number) for number in range(16)])


@check("a beta that the client switches on reaches the provider of its format and is named as dropped elsewhere")
def _():
    reply = client.messages.with_raw_response.create
    asked = {"max_tokens": 9, "messages": QUESTION, "extra_headers": {"anthropic-beta": "one-2026"}}
    true("x-headgate-dropped" not in reply(model="translated", **asked).headers, "dropped on its own format")
    equal(reply(model="passed", **asked).headers["x-headgate-dropped"], "anthropic-beta")


@check("tokens are counted before the call, without one")
def _():
    few = client.messages.count_tokens(model="passed", messages=QUESTION).input_tokens
    many = client.messages.count_tokens(model="passed", messages=QUESTION, system="word " * 300, tools=TOOLS)
    true(few > 0 and many.input_tokens > few + 300, f"{few}, {many}")
    equal(counts("passed")["calls"], 0)


@check("the list of models names tiers, and auto")
def _():
    models = {model.id: model for model in client.models.list()}
    true({"passed", "translated", "pair", "auto"} <= set(models), f"{set(models)}")
    equal((models["pair"].type, models["pair"].display_name), ("model", "pair"))


@check("a fallback of another format answers as the primary would, plain and streamed")
def _():
    for streamed in (False, True):
        script("first", {"fault": {"status": {"status": 429, "retry_after": {"seconds": 1}}}})
        script("second", {"text": "the second one"})
        if streamed:
            with client.messages.stream(model="pair", max_tokens=99, messages=QUESTION) as stream:
                equal(stream.get_final_text(), "the second one")
        else:
            equal(ask("pair").content[0].text, "the second one")


SOON = {"ms": 50}
# What the provider answers; what the caller gets; how often the provider is asked, the SDK's own two retries included.
FAILURES = [
    ("400", {"status": 400}, anthropic.BadRequestError, 400, "invalid_request_error", 1),
    ("400 for its content", {"status": 400, "error": {"code": "content_policy_violation"}},
     anthropic.BadRequestError, 400, "invalid_request_error", 1),
    ("401", {"status": 401}, anthropic.InternalServerError, 502, "api_error", 1),
    ("404", {"status": 404}, anthropic.NotFoundError, 404, "not_found_error", 1),
    ("429 for quota", {"status": 429, "error": {"type": "insufficient_quota", "code": "insufficient_quota"}},
     anthropic.APIStatusError, 402, "billing_error", 1),
    ("429", {"status": 429, "retry_after": SOON}, anthropic.RateLimitError, 429, "rate_limit_error", 3),
    ("500", {"status": 500, "retry_after": SOON}, anthropic.InternalServerError, 502, "api_error", 3),
    ("529", {"status": 529, "retry_after": SOON}, anthropic.InternalServerError, 503, "overloaded_error", 3),
]
for name, fault, kind, status, error_type, calls in FAILURES:
    for streamed in (False, True):

        @check(f"upstream {name}{', streamed' if streamed else ''}: {status} {error_type}, after {calls} upstream "
               f"call{'s' if calls > 1 else ''}")
        def _():
            fail({"status": fault})
            usual, sent = counting()
            error = raised_as(kind, lambda: ask("faulty", usual, stream=streamed))
            equal((error.status_code, error.body["type"], error.body["error"]["type"]), (status, "error", error_type))
            equal(error.body["request_id"], error.request_id)
            equal((len(sent), counts("faulty")["calls"]), (1, calls))


@check("a spent budget is a billing error that no SDK retries, and no upstream call")
def _():
    usual, sent = counting(api_key=BROKE)
    error = raised_as(anthropic.APIStatusError, lambda: ask("passed", usual))
    equal((error.status_code, error.body["error"]["type"]), (402, "billing_error"))
    equal(error.body["error"]["details"]["error_code"], "budget_exceeded")
    equal((len(sent), counts("passed")["calls"]), (1, 0))


@check("a spent rate limit is a RateLimitError, and no upstream call")
def _():
    slow = anthropic.Anthropic(base_url=BASE, api_key=SLOW, max_retries=0, timeout=30)

    def twice():
        ask("passed", slow)
        ask("passed", slow)

    equal(raised(anthropic.RateLimitError, twice).body["error"]["type"], "rate_limit_error")
    true(counts("passed")["calls"] <= 1, "the refused call went upstream")


@check("a refusal by policy is a PermissionDeniedError with the policy's own words")
def _():
    free, sent = counting(api_key=FREE)
    error = raised(anthropic.PermissionDeniedError, lambda: ask("complex", free))
    equal(error.body["error"]["details"]["error_code"], "tier_not_allowed")
    true("upgrade" in error.message, error.message)
    equal((len(sent), counts("passed")["calls"]), (1, 0))


@check("a wrong key is an AuthenticationError, sent in either header")
def _():
    for wrong in (anthropic.Anthropic(base_url=BASE, api_key="no", max_retries=0),
                  anthropic.Anthropic(base_url=BASE, auth_token="no", max_retries=0)):
        error = raised(anthropic.AuthenticationError, lambda: ask("passed", wrong))
        equal(error.body["error"]["type"], "authentication_error")


@check("a request that makes no sense is a BadRequestError that names the field, and no upstream call")
def _():
    for field, value in {"temperature": "hot", "max_tokens": -1, "messages": "hi"}.items():
        error = raised(anthropic.BadRequestError, lambda: ask("passed", extra_body={field: value}))
        equal(error.body["error"]["details"]["param"], field)
    equal(counts("passed")["calls"], 0)


FAULTS = {
    "tells an error": {"in_band_error": {"after": 3}},
    "is cut": {"cut": {"after": 3}},
    "ends without its end": {"clean_end": {"after": 3}},
    "sends broken JSON": {"malformed_frame": {"after": 3}},
}
for name, fault in FAULTS.items():

    @check(f"a stream that {name} after content raises APIStatusError, with the content before it")
    def _():
        fail(fault)
        usual, sent = counting()
        said = []

        def read():
            for event in ask("faulty", usual, stream=True):
                said.append(getattr(getattr(event, "delta", None), "text", ""))

        error = raised_as(anthropic.APIStatusError, read)
        equal("".join(said), "one two three")
        equal((error.body["error"]["type"], len(sent), counts("faulty")["calls"]), ("api_error", 1, 1))


close()
