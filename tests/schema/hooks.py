"""What the description leaves open because every gateway has its own: names of models, a run, a response.

Each format is asked for models behind a provider of the same format. Translation refuses what it has no words for, which
is no matter of the description.
"""

import json
import os
import re
import urllib.request

import schemathesis

MODELS = {
    "ChatCompletionRequest": ["chat", "auto", "openai/first"],
    "ResponseRequest": ["responses"],
    "CompactionRequest": ["responses", "chat"],
    "MessageRequest": ["messages"],
    "EmbeddingRequest": ["vectors"],
    "ChatPageRequest": ["chat", "messages", "auto", None],
}


@schemathesis.hook
def before_load_schema(context, raw_schema):
    components = raw_schema["components"]
    for name, models in MODELS.items():
        components["schemas"][name]["properties"]["model"] = {"enum": models}
    # Ids of stored responses are random, and none that is made up can be gone on from.
    components["schemas"]["InputTokensRequest"]["properties"]["previous_response_id"] = {"type": "null"}
    run, _ = call("/v1/chat/completions", {"model": "chat", "messages": [{"role": "user", "content": "Say hello."}]})
    know(components["parameters"]["Run"], run["x-headgate-run"])
    know(components["parameters"]["Response"], a_response())
    # What is deleted is another one, so that the others go on being there.
    delete = raw_schema["paths"]["/v1/responses/{id}"]["delete"]
    deleted = dict(components["parameters"]["Response"])
    know(deleted, a_response())
    delete["parameters"] = [deleted, *delete["parameters"][1:]]


def know(parameter, known):
    parameter["example"] = known
    parameter["schema"] = {"anyOf": [{"enum": [known]}, {"type": "string"}]}


def a_response():
    """The id of a stored response that was streamed."""
    _, events = call("/v1/responses", {"model": "responses", "input": "Say hello.", "stream": True})
    return re.search(r'"id": ?"(resp_[^"]+)"', events).group(1)


@schemathesis.hook
def map_body(context, body):
    """JSON Schema takes 1.0 for an integer. The gateway wants one written as one, because the text goes to the provider."""
    if isinstance(body, dict):
        return {name: map_body(context, value) for name, value in body.items()}
    if isinstance(body, list):
        return [map_body(context, value) for value in body]
    if isinstance(body, float) and body.is_integer() and abs(body) < 2**53:
        return int(body)
    return body


def call(path, body):
    """Headers and text of an answer."""
    headers = {"authorization": "Bearer key-of-the-schema-check", "content-type": "application/json"}
    request = urllib.request.Request(os.environ["GATEWAY_URL"] + path, json.dumps(body).encode(), headers)
    with urllib.request.urlopen(request) as reply:
        return reply.headers, reply.read().decode()
