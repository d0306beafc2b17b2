// The openai package for JavaScript on /v1/chat/completions and /v1/models.

import OpenAI from 'openai';

import { BROKE, GATEWAY, WEB, aborted, check, close, counting, counts, equal, forget, rejected, script, truth } from './check.mjs';

const client = new OpenAI({ baseURL: GATEWAY, apiKey: WEB, maxRetries: 0, timeout: 30_000 });
const messages = [{ role: 'user', content: 'say hello' }];
const parameters = { type: 'object', properties: { city: { type: 'string' } }, required: ['city'] };
const weather = { type: 'function', function: { name: 'get_weather', description: 'Weather', parameters } };
const WEATHER = { tool_calls: [{ name: 'get_weather', arguments: { city: 'Paris' } }] };

const ask = (model, more = {}, using = client, options = {}) =>
  using.chat.completions.create({ model, messages, ...more }, options);

// Text, finish reasons, and all chunks of a streamed answer.
async function stream(model, more = {}) {
  const chunks = [];
  for await (const chunk of await ask(model, { stream: true, ...more })) chunks.push(chunk);
  const choices = chunks.flatMap((chunk) => chunk.choices);
  const text = choices.map((choice) => choice.delta.content ?? '').join('');
  return { text, finishes: choices.map((choice) => choice.finish_reason).filter(Boolean), chunks };
}

// What `faulty` answers from now on. It succeeds once before: so the gateway does not hold the failures of an earlier
// check against it.
async function fail(fault) {
  await ask('faulty');
  await forget();
  await script('faulty', { text: 'one two three four five six', fault });
}

// A client with its usual retries, and the list of the requests that it sent.
function usual(apiKey = WEB) {
  const { sent, fetch } = counting();
  return { sent, using: new OpenAI({ baseURL: GATEWAY, apiKey, fetch, timeout: 30_000 }) };
}

for (const tier of ['passed', 'translated']) {
  await check(`${tier}: a plain answer has the text and the usage that the provider billed`, async () => {
    await script(tier, { text: 'Grüße, 世界 😀!' });
    const reply = await ask(tier);
    equal(reply.choices[0].message.content, 'Grüße, 世界 😀!');
    equal(reply.choices[0].finish_reason, 'stop');
    const billed = await counts(tier);
    equal([reply.usage.prompt_tokens, reply.usage.completion_tokens], [billed.input_tokens, billed.output_tokens]);
    truth(reply._request_id, 'x-request-id is missing');
  });

  await check(`${tier}: a stream adds up to the same text, with usage where it was asked for`, async () => {
    await script(tier, { text: 'Grüße, 世界 😀!', bytes_per_write: 1 });
    const { text, finishes, chunks } = await stream(tier, { stream_options: { include_usage: true } });
    equal([text, finishes], ['Grüße, 世界 😀!', ['stop']]);
    const billed = await counts(tier);
    const { prompt_tokens, completion_tokens } = chunks.at(-1).usage;
    equal([prompt_tokens, completion_tokens], [billed.input_tokens, billed.output_tokens]);
    const bare = await stream(tier);
    truth(bare.chunks.every((chunk) => !chunk.usage), 'usage although nobody asked for it');
  });

  await check(`${tier}: the SDK's tool runner calls a streamed tool and sends its result back`, async () => {
    await script(tier, WEATHER, { text: '21 degrees.' });
    const asked = [];
    const get_weather = ({ city }) => (asked.push(city), '21');
    const tools = [{ ...weather, function: { ...weather.function, function: get_weather, parse: JSON.parse } }];
    const runner = client.chat.completions.runTools({ model: tier, messages, tools, stream: true });
    equal([await runner.finalContent(), asked], ['21 degrees.', ['Paris']]);
  });

  await check(`${tier}: an aborted stream ends the provider's call`, async () => {
    await script(tier, { words: 2000, gap_ms: 20 });
    const chunks = await ask(tier, { stream: true });
    for await (const chunk of chunks) {
      if (chunk.choices[0]?.delta.content) break;
    }
    truth(await aborted(tier), JSON.stringify(await counts(tier)));
  });

  await check(`${tier}: an aborted plain call ends the provider's call`, async () => {
    await script(tier, { fault: 'hang_before_head' });
    const stop = AbortSignal.timeout(300);
    await rejected(OpenAI.APIUserAbortError, () => ask(tier, {}, client, { signal: stop }));
    truth(await aborted(tier), JSON.stringify(await counts(tier)));
  });
}

await check('the list of models names tiers, and auto', async () => {
  const models = [];
  for await (const model of client.models.list()) models.push(model.id);
  truth(['passed', 'translated', 'pair', 'auto'].every((name) => models.includes(name)), models.join());
});

await check('a fallback answers as the primary would, and the head says who it was', async () => {
  await script('first', { fault: { status: { status: 500 } } });
  await script('second', { text: 'the second one' });
  const { data, response } = await ask('pair').withResponse();
  const told = ['tier', 'model', 'attempts'].map((name) => response.headers.get(`x-headgate-${name}`));
  equal(told, ['pair', 'anthropic/second', '2']);
  equal(data.choices[0].message.content, 'the second one');
});

// What the provider answers; what the caller gets; how often the provider is asked, the SDK's own two retries included.
const soon = { ms: 50 };
const quota = { type: 'insufficient_quota', code: 'insufficient_quota' };
const failures = [
  ['400', { status: 400 }, OpenAI.BadRequestError, 400, 'invalid_request', 1],
  ['401', { status: 401 }, OpenAI.InternalServerError, 502, 'upstream_auth', 1],
  ['404', { status: 404 }, OpenAI.NotFoundError, 404, 'model_not_found', 1],
  ['429 for quota', { status: 429, error: quota }, OpenAI.APIError, 402, 'insufficient_quota', 1],
  ['429', { status: 429, retry_after: soon }, OpenAI.RateLimitError, 429, 'rate_limit_exceeded', 3],
  ['500', { status: 500, retry_after: soon }, OpenAI.InternalServerError, 502, 'upstream_failed', 3],
  ['529', { status: 529, retry_after: soon }, OpenAI.InternalServerError, 503, 'overloaded', 3],
];
for (const [name, fault, kind, status, code, calls] of failures) {
  for (const streamed of [false, true]) {
    const what = `${kind.name} ${status} ${code}, after ${calls} upstream call${calls > 1 ? 's' : ''}`;
    await check(`upstream ${name}${streamed ? ', streamed' : ''}: ${what}`, async () => {
      await fail({ status: fault });
      const { sent, using } = usual();
      const error = await rejected(kind, () => ask('faulty', { stream: streamed }, using));
      equal([error.status, error.code], [status, code]);
      equal([sent.length, (await counts('faulty')).calls], [1, calls]);
    });
  }
}

await check('a spent budget is an APIError 402 that is not retried, and no upstream call', async () => {
  const { sent, using } = usual(BROKE);
  const error = await rejected(OpenAI.APIError, () => ask('passed', {}, using));
  equal([error.status, error.code], [402, 'budget_exceeded']);
  equal([sent.length, (await counts('passed')).calls], [1, 0]);
});

await check('a wrong key is an AuthenticationError', async () => {
  const { sent, using } = usual('no-such-key');
  const error = await rejected(OpenAI.AuthenticationError, () => ask('passed', {}, using));
  equal([error.code, sent.length], ['invalid_api_key', 1]);
});

const faults = {
  'tells an error': { in_band_error: { after: 3 } },
  'is cut': { cut: { after: 3 } },
  'is reset': { reset: { after: 3 } },
  'ends without its end': { clean_end: { after: 3 } },
  'says DONE too early': { done_without_finish: { after: 3 } },
  'sends broken JSON': { malformed_frame: { after: 3 } },
};
for (const [name, fault] of Object.entries(faults)) {
  await check(`a stream that ${name} after content rejects, with the content before it`, async () => {
    await fail(fault);
    const { sent, using } = usual();
    let said = '';
    const error = await rejected(OpenAI.APIError, async () => {
      for await (const chunk of await ask('faulty', { stream: true }, using)) said += chunk.choices[0]?.delta.content ?? '';
    });
    equal(said, 'one two three');
    equal([error.code, sent.length, (await counts('faulty')).calls], ['upstream_failed', 1, 1]);
  });
}

close();
