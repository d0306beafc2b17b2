// Runs checks one after the other, and knows the gateway under test and the mock provider behind it.

import { isDeepStrictEqual, inspect } from 'node:util';

export const GATEWAY = `${process.env.GATEWAY_URL}/v1`;
export const CHAT = `${process.env.GATEWAY_URL}/api/chat`;
const MOCK = process.env.MOCK_URL;

// Keys of config.yaml: a usual one, one without money, and one with a single request in an hour.
export const [WEB, BROKE, SLOW] = ['web-key', 'broke-key', 'slow-key'];

let passed = 0;
let failed = 0;

// Runs `body` on a mock that has forgotten everything, and prints how it went.
export async function check(sentence, body) {
  await forget();
  try {
    await body();
    passed += 1;
    console.log(`ok   ${sentence}`);
  } catch (error) {
    failed += 1;
    const line = /_(?:chat|messages)\.mjs:(\d+)/.exec(error?.stack ?? '')?.[1] ?? '?';
    console.log(`FAIL ${sentence}: line ${line}: ${error}`);
  }
}

// The closing line, and the exit code.
export function close() {
  console.log(`${passed} passed, ${failed} failed`);
  process.exit(failed ? 1 : 0);
}

export function equal(got, wanted) {
  if (!isDeepStrictEqual(got, wanted)) throw new Error(`got ${inspect(got)}, wanted ${inspect(wanted)}`);
}

export function truth(held, what) {
  if (!held) throw new Error(what);
}

// The error that `body` rejects with, which is of this class.
export async function rejected(kind, body) {
  let answer;
  try {
    answer = await body();
  } catch (error) {
    truth(error instanceof kind, `got ${error?.constructor?.name} (${error}), wanted ${kind.name}`);
    return error;
  }
  throw new Error(`got the answer ${inspect(answer)}, wanted ${kind.name}`);
}

// A `fetch` that notes the requests it sends.
export function counting() {
  const sent = [];
  return { sent, fetch: (url, init) => (sent.push(url), fetch(url, init)) };
}

// The mock forgets scripts and counts.
export const forget = () => askMock('DELETE', '/_mock');

// Call n of `model` is answered by step n, the last one repeats. `headgate mock --help` lists the fields.
export const script = (model, ...steps) => askMock('PUT', `/_mock/models/${model}`, steps);

const NOTHING = { calls: 0, answered: 0, aborted: 0, open_calls: 0, input_tokens: 0, output_tokens: 0 };

// What the mock saw of `model`.
export const counts = async (model) => (await askMock('GET', '/_mock/counts')).models[model] ?? NOTHING;

// The requests for `model` that the mock saw, oldest first; `body` is text.
export const asked = (model) => askMock('GET', `/_mock/requests?model=${model}`);

// Whether the provider sees the end of its only call within the second that the gateway promises; checked for two, for
// the sake of slow machines.
export async function aborted(model) {
  for (const by = Date.now() + 2000; Date.now() < by; ) {
    const seen = await counts(model);
    if (seen.calls === 1 && seen.aborted === 1 && seen.open_calls === 0) return true;
    await new Promise((resume) => setTimeout(resume, 20));
  }
  return false;
}

async function askMock(method, path, body) {
  const reply = await fetch(MOCK + path, { method, body: body && JSON.stringify(body) });
  return reply.json();
}
