#!/usr/bin/env python3
"""Computes what calls should have cost, without a line of the gateway's code, and compares each receipt to the nano-dollar.

    tests/receipts/check.py BINARY [--requests N] [--seed N] [--threads N]

Starts `headgate mock` and `headgate serve`, sends random requests in every client format over every provider kind, plain
and streamed, with cached tokens, long contexts, failures and fallbacks. Each request says in its text what usage the mock
is to report. The mock logs what it reported; from that log and the prices below every receipt's price is computed anew,
and the sum of them must be what the ledger has settled. Needs Python 3.9 and nothing else.
"""

import argparse
import collections
import decimal
import hashlib
import http.client
import json
import pathlib
import random
import re
import subprocess
import sys
import tempfile
import threading
import time
import uuid

KEY = "receipts-key"

# Dollars per million tokens: input, cache read, cache write, one-hour cache write, output; for calls with more input tokens
# than the first number. Copied by hand from the vendors' pages, or made up for models that the config prices.
PRICES = {
    "openai/gpt-4o-mini": [(0, "0.15 0.075 0.15 0.15 0.6")],
    "openai/gpt-6.1-terra": [(0, "1 0.05 1.25 1.25 5"), (272_000, "2 0.1 2.5 2.5 7.5")],
    "openai/odd-one": [(0, "0.123457 0.012345 0.154321 0.246913 0.765433")],
    "responses/gpt-6.2-sol": [(0, "2 0.1 2.5 5 10"), (272_000, "4 0.2 5 10 15")],
    "responses/odd-two": [(0, "3.000001 0.300001 3.750001 6.000001 15.000007")],
    "anthropic/claude-opus-5-5": [(0, "4 0.2 5 8 20")],
    "anthropic/claude-haiku-5-5": [(0, "0.1 0.01 0.125 0.2 0.5"), (100_000, "0.5 0.05 0.625 1 2.5")],
    "google/gemini-2.5-pro": [(0, "1.25 0.125 1.25 1.25 10"), (200_000, "2.5 0.25 2.5 2.5 15")],
    "google/odd-three": [(0, "0.333333 0.033333 0.333333 0.333333 0.999999")],
    "mistral/mistral-small-2603": [(0, "0.15 0.015 0.15 0.15 0.6")],
    "mistral/odd-four": [(0, "0.777777 0.077777 0.888888 0.999999 1.111111")],
}
KINDS = {
    "openai": ("openai", "openai"),
    "responses": ("openai-responses", "openai"),
    "anthropic": ("anthropic", "anthropic"),
    "google": ("gemini", "gemini"),
    "mistral": ("mistral", "openai"),
}
# In these formats cached tokens stand beside the input; in all others they are part of it.
BESIDE = {"anthropic"}
MOST_OUTPUT = 3_000


def pico(dollars_per_million):
    """Pico-dollars per token."""
    return int(decimal.Decimal(dollars_per_million) * 1_000_000)


def cost_pico(target, wire, usage):
    """Pico-dollars of one answered call, from what the mock reported."""
    whole, read, write, hour, output = (usage[n] for n in ("input", "cache_read", "cache_write", "cache_write_1h", "output"))
    if wire in BESIDE:
        parts = [whole, read, write - hour, hour, output]
    elif wire == "gemini":
        parts = [whole - read, read, 0, 0, output]
    else:
        parts = [whole - read - write, read, write, 0, output]
    assert min(parts) >= 0, (target, usage)
    context = sum(parts[:4])
    rates = [rates for above, rates in PRICES[target] if context > above or above == 0][-1]
    return sum(tokens * pico(rate) for tokens, rate in zip(parts, rates.split()))


def up(pico_dollars):
    """Nano-dollars, rounded up once."""
    return -(-pico_dollars // 1_000)


class Server:
    """A `headgate` command that runs until the end of the block."""

    def __init__(self, binary, arguments, folder, sign):
        self.output = (folder / f"{arguments[0]}.err").open("w+")
        self.process = subprocess.Popen(
            [binary, *arguments], cwd=folder, stdout=self.output, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL
        )
        self.folder, self.name = folder, arguments[0]
        deadline = time.monotonic() + 60
        while not (found := re.search(sign + r"\s+http://([^ /\s]+)", self.text())):
            if self.process.poll() is not None or time.monotonic() > deadline:
                sys.exit(f"headgate {self.name} did not start:\n{self.text()}")
            time.sleep(0.05)
        self.address = found.group(1)

    def text(self):
        return (self.folder / f"{self.name}.err").read_text()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(30)
        self.output.close()


class Client:
    """One connection."""

    def __init__(self, address):
        self.connection = http.client.HTTPConnection(address, timeout=120)

    def send(self, method, path, body=None, headers=None):
        """Status, headers in lower case, body. Once more where an idle connection had been closed."""
        text = None if body is None else json.dumps(body)
        headers = {"authorization": f"Bearer {KEY}", "content-type": "application/json", **(headers or {})}
        for last in (False, True):
            try:
                self.connection.request(method, path, text, headers)
                reply = self.connection.getresponse()
                return reply.status, {n.lower(): v for n, v in reply.getheaders()}, self.rest(reply)
            except (http.client.RemoteDisconnected, BrokenPipeError, ConnectionResetError):
                self.connection.close()
                if last:
                    raise


    def rest(self, reply):
        """The body; of a stream that was broken off in the middle what came of it."""
        try:
            return reply.read()
        except http.client.IncompleteRead as broken:
            self.connection.close()
            return broken.partial


def steps(rng, provider):
    """How the mock answers one model, call after call: mostly well, now and then not at all, or half."""
    faults = [500, 503, 529, 429]
    for _ in range(997):
        dice = rng.random()
        step = {"usage": "asked", "words": rng.randint(1, 40)}
        if provider == "mistral":
            # It tells the usage of a stream without being asked for it.
            step["framing"] = {"usage_on_finish": True}
        if dice < 0.2:
            step["fault"] = {"status": {"status": rng.choice(faults), "retry_after": {"ms": 1}}}
        elif dice < 0.21:
            step["fault"] = {"cut": {"after": 2}}
        yield step


def config(mock, rng):
    """Every target alone, and tiers that fall back from one provider kind to another."""
    base = {"openai": f"http://{mock}/v1", "anthropic": f"http://{mock}", "gemini": f"http://{mock}/v1beta"}
    names = ("input", "cache_read", "cache_write", "cache_write_1h", "output")
    tiers = {}
    for number, target in enumerate(PRICES):
        others = [other for other in PRICES if other.split("/")[0] != target.split("/")[0]]
        tiers[f"tier-{number}"] = {
            "primary": target,
            "fallback": rng.sample(others, 2),
            "max_tokens": MOST_OUTPUT,
        }
    return {
        "server": {"listen": "127.0.0.1:0", "admin_listen": "127.0.0.1:0", "max_body": "8MiB"},
        "store": "sqlite:headgate.db",
        "keys": [{"name": "receipts", "sha256": hashlib.sha256(KEY.encode()).hexdigest(),
                  "models": [f"{provider}/*" for provider in KINDS]}],
        "providers": {name: {"kind": kind, "base_url": base[wire]} for name, (kind, wire) in KINDS.items()},
        "default_tier": "tier-0",
        "tiers": tiers,
        "prices": {target: dict(zip(names, bands[0][1].split())) for target, bands in PRICES.items() if "/odd-" in target},
        "limits": [{"scope": "global", "usd": 1_000_000, "per": "month"}],
        "request": {"max_tokens": MOST_OUTPUT},
        "retry": {"attempts": 3},
        "breaker": {"errors": 1_000, "open": "1s"},
    }


def question(rng):
    """Text of a user and what it asks the mock to report; a few are long enough for the dearer bands."""
    size = rng.choice([200_000, 400_000, 700_000]) if rng.random() < 0.02 else rng.randint(200, 4_000)
    # An Anthropic counts cached tokens on top, and no count may be above one token per byte.
    whole = rng.randint(1, size // 2)
    read = rng.choice([0, rng.randint(0, whole)])
    write = rng.choice([0, rng.randint(0, whole - read)])
    hour = rng.choice([0, rng.randint(0, write)])
    usage = {"input": whole, "output": rng.randint(1, MOST_OUTPUT), "cache_read": read, "cache_write": write,
             "cache_write_1h": hour}
    text = "lorem ipsum " * (size // 12 + 1) + "usage=" + json.dumps(usage)
    return text, hour > 0


def request(rng):
    """Path and body of a random request."""
    model = rng.choice([*PRICES, *(f"tier-{number}" for number in range(len(PRICES)))])
    text, for_an_hour = question(rng)
    stream = rng.random() < 0.5
    part = {"type": "text", "text": text}
    if for_an_hour:
        # Only who says so is held the price of an hour.
        part["cache_control"] = {"type": "ephemeral", "ttl": "1h"}
    messages = [{"role": "user", "content": [part]}]
    form = rng.choice(["chat", "messages", "responses", "page"])
    if form == "chat":
        return form, "/v1/chat/completions", {"model": model, "messages": messages, "max_tokens": MOST_OUTPUT, "stream": stream}
    if form == "messages":
        return form, "/v1/messages", {"model": model, "messages": messages, "max_tokens": MOST_OUTPUT, "stream": stream}
    if form == "responses":
        part["type"] = "input_text"
        return form, "/v1/responses", {"model": model, "input": messages, "max_output_tokens": MOST_OUTPUT, "stream": stream,
                                       "store": False}
    page = {"id": uuid.uuid4().hex, "trigger": "submit-message", "model": model,
            "messages": [{"id": "m1", "role": "user", "parts": [part]}]}
    return form, "/api/chat", page


def drive(address, seed, numbers, runs, failures):
    """Sends the requests with these numbers and notes the run of each."""
    client = Client(address)
    try:
        for number in numbers:
            rng = random.Random(f"{seed}/{number}")
            form, path, body = request(rng)
            request_id = f"receipt-{number}"
            status, headers, reply = client.send("POST", path, body, {"x-request-id": request_id})
            if "x-headgate-run" not in headers:
                raise AssertionError(f"{request_id} {path}: {status} without a run: {reply[:300]}")
            runs[number] = (headers["x-headgate-run"], form, body.get("stream", form == "page"), status)
    except Exception as error:  # a thread has nobody else to tell
        failures.append(error)


def receipts(address, runs):
    """The receipt of every run. They are written after the answer has gone, so that some have to be waited for."""
    client, found = Client(address), {}
    for number, (run, *_) in runs.items():
        deadline = time.monotonic() + 60
        while True:
            status, _, body = client.send("GET", f"/v1/requests/{run}")
            if status == 200:
                found[number] = json.loads(body)
                break
            if time.monotonic() > deadline:
                sys.exit(f"no receipt of {run}: {status} {body[:300]}")
            time.sleep(0.05)
    return found


def settled_nano(binary, folder):
    """What the ledger has settled."""
    shown = subprocess.run([binary, "usage", "--json"], cwd=folder, check=True, capture_output=True, text=True)
    rows = json.loads(shown.stdout)["limits"]
    (row,) = [row for row in rows if (row["scope"], row["unit"], row["per"]) == ("global", "usd", "month")]
    assert row["held_nano"] == 0, f"money is still held: {row}"
    return row["settled_nano"]


def compare(runs, found, calls):
    """Every receipt against its calls. Returns the sum of all prices and what was seen, by kind."""
    targets = {target.split("/")[1]: target for target in PRICES}
    total, seen, wrong = 0, collections.Counter(), []
    for number, (run, form, stream, _) in sorted(runs.items()):
        receipt, own = found[number], calls.get(f"receipt-{number}", [])
        total += receipt["price_nano"]
        sent = [attempt for attempt in receipt["attempts"] if attempt.get("error") != "connect"]
        answered = [call for call in own if call["status"] == 200]
        seen["stream" if stream else "plain"] += 1
        seen[f"client {form}"] += 1
        if len(sent) != len(own):
            wrong.append(f"{run}: {len(sent)} attempts, the mock had {len(own)} calls")
        if any(call["end"] != "answered" for call in answered):
            # A cut answer has no bill to compare with: something, and at most the hold.
            seen["broken off"] += 1
            if not (0 < receipt["price_nano"] <= receipt["hold_nano"] and receipt["counted"]):
                wrong.append(f"{run}: broken off and priced {receipt['price_nano']} of {receipt['hold_nano']}")
            continue
        expected = up(sum(cost_pico(targets[call["model"]], call["format"], call["usage"]) for call in answered))
        for call in answered:
            seen[f"answered by {targets[call['model']].split('/')[0]}"] += 1
            usage = call["usage"]
            seen["cached"] += usage["cache_read"] + usage["cache_write"] > 0
            seen["kept for an hour"] += call["format"] in BESIDE and usage["cache_write_1h"] > 0
            seen["long context"] += usage["input"] > 100_000
        seen["fallback"] += len({call["model"] for call in own}) > 1
        seen["nothing answered"] += not answered
        if receipt["price_nano"] != expected or receipt["counted"]:
            wrong.append(f"{run} ({form}): receipt {receipt['price_nano']}, computed {expected}, counted {receipt['counted']}: "
                         f"{json.dumps(own)}")
        elif expected:
            seen["equal to the nano-dollar"] += 1
    return total, seen, wrong


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("binary", type=lambda path: str(pathlib.Path(path).resolve()))
    arguments.add_argument("--requests", type=int, default=400)
    arguments.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 32))
    arguments.add_argument("--threads", type=int, default=8)
    given = arguments.parse_args()
    print(f"seed {given.seed}, {given.requests} requests", flush=True)
    rng = random.Random(given.seed)
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        log = folder / "calls.jsonl"
        with Server(given.binary, ["mock", "--listen", "127.0.0.1:0", "--log", str(log)], folder, "kind anthropic:") as mock:
            for target in PRICES:
                provider, model = target.split("/")
                script = list(steps(rng, provider))
                status, _, body = Client(mock.address).send("PUT", f"/_mock/models/{model}", script)
                assert status == 200, body
            (folder / "config.yaml").write_text(json.dumps(config(mock.address, rng)))
            with Server(given.binary, ["serve"], folder, "clients:") as gateway:
                runs, failures, shares = {}, [], [range(n, given.requests, given.threads) for n in range(given.threads)]
                threads = [threading.Thread(target=drive, args=(gateway.address, given.seed, share, runs, failures))
                           for share in shares]
                for thread in threads:
                    thread.start()
                for thread in threads:
                    thread.join()
                if failures:
                    sys.exit(f"a request failed: {failures[0]!r}")
                found = receipts(gateway.address, runs)
            settled = settled_nano(given.binary, folder)
        calls = collections.defaultdict(list)
        for line in log.read_text().splitlines():
            call = json.loads(line)
            calls[call["request_id"]].append(call)
        total, seen, wrong = compare(runs, found, calls)
    for what, count in sorted(seen.items()):
        print(f"  {count:6} {what}")
    if settled != total:
        wrong.append(f"the ledger settled {settled}, the receipts sum up to {total}")
    if wrong:
        sys.exit("\n".join([f"{len(wrong)} differences:", *wrong[:20]]))
    print(f"{len(runs)} receipts, {total} n$ in all, settled {settled} n$: no difference")


if __name__ == "__main__":
    main()
