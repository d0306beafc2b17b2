// The AI SDK with its provider for OpenAI-compatible servers on /v1/chat/completions.

import { createOpenAICompatible } from '@ai-sdk/openai-compatible';
import { APICallError, RetryError, generateText, stepCountIs, streamText, tool } from 'ai';
import { z } from 'zod';

import { BROKE, GATEWAY, WEB, aborted, check, close, counting, counts, equal, forget, rejected, script, truth } from './check.mjs';

const prompt = 'say hello';

// A provider, and the list of the requests that it sent.
function provider(apiKey = WEB) {
  const { sent, fetch } = counting();
  const options = { name: 'headgate', baseURL: GATEWAY, apiKey, fetch, includeUsage: true };
  return { sent, model: createOpenAICompatible(options) };
}
const { model } = provider();

// All parts of a stream. An error is a part, or is thrown when the connection ends with it: then it is the last part
// here. `onError` only keeps the SDK from printing it.
async function parts(options) {
  const all = [];
  try {
    for await (const part of streamText({ prompt, onError: () => {}, ...options }).fullStream) all.push(part);
  } catch (error) {
    all.push({ type: 'error', error });
  }
  return all;
}
const textOf = (all) => all.filter((part) => part.type === 'text-delta').map((part) => part.text).join('');

// What `faulty` answers from now on. It succeeds once before: so the gateway does not hold the failures of an earlier
// check against it.
async function fail(fault) {
  await generateText({ model: model('faulty'), prompt });
  await forget();
  await script('faulty', { text: 'one two three four five six', fault });
}

const WEATHER = { tool_calls: [{ name: 'get_weather', arguments: { city: 'Paris' } }] };
function weather() {
  const asked = [];
  const execute = async ({ city }) => (asked.push(city), '21');
  const inputSchema = z.object({ city: z.string() });
  return { asked, tools: { get_weather: tool({ description: 'Weather', inputSchema, execute }) } };
}

for (const tier of ['passed', 'translated']) {
  await check(`${tier}: generateText has the text and the usage that the provider billed`, async () => {
    await script(tier, { text: 'Grüße, 世界 😀!' });
    const reply = await generateText({ model: model(tier), prompt });
    equal([reply.text, reply.finishReason], ['Grüße, 世界 😀!', 'stop']);
    const billed = await counts(tier);
    equal([reply.usage.inputTokens, reply.usage.outputTokens], [billed.input_tokens, billed.output_tokens]);
  });

  await check(`${tier}: streamText adds up to the same text, and ends with the usage`, async () => {
    await script(tier, { text: 'Grüße, 世界 😀!', bytes_per_write: 1 });
    const all = await parts({ model: model(tier) });
    const end = all.at(-1);
    equal([textOf(all), end.type, end.finishReason], ['Grüße, 世界 😀!', 'finish', 'stop']);
    const billed = await counts(tier);
    equal([end.totalUsage.inputTokens, end.totalUsage.outputTokens], [billed.input_tokens, billed.output_tokens]);
  });

  await check(`${tier}: a tool is called and its result goes back, plain and streamed`, async () => {
    await script(tier, WEATHER, { text: '21 degrees.' }, WEATHER, { text: '21 degrees.' });
    const { asked, tools } = weather();
    const several = { model: model(tier), tools, stopWhen: stepCountIs(3) };
    equal((await generateText({ prompt, ...several })).text, '21 degrees.');
    equal(textOf(await parts(several)), '21 degrees.');
    equal(asked, ['Paris', 'Paris']);
  });

  await check(`${tier}: an aborted stream ends the provider's call`, async () => {
    await script(tier, { words: 2000, gap_ms: 20 });
    const stop = new AbortController();
    const { fullStream } = streamText({ model: model(tier), prompt, abortSignal: stop.signal, onError: () => {} });
    for await (const part of fullStream) {
      if (part.type === 'text-delta') stop.abort();
    }
    truth(await aborted(tier), JSON.stringify(await counts(tier)));
  });
}

// This SDK retries by status alone, whatever the head says: what no retry can heal must not look as if one could.
const healing = {
  'a refused request': [{ status: 400 }, 400],
  'an account without quota': [{ status: 429, error: { code: 'insufficient_quota' } }, 402],
  'a prompt that was too long': [{ status: 413 }, 400],
};
for (const [name, [fault, status]] of Object.entries(healing)) {
  await check(`${name} is one call here and one upstream`, async () => {
    await fail({ status: fault });
    const { sent, model } = provider();
    const error = await rejected(APICallError, () => generateText({ model: model('faulty'), prompt }));
    equal([error.statusCode, sent.length, (await counts('faulty')).calls], [status, 1, 1]);
  });
}

await check('a failing provider costs at most three calls for each call of the SDK', async () => {
  await fail({ status: { status: 500, retry_after: { ms: 50 } } });
  const { sent, model } = provider();
  const error = await rejected(RetryError, () => generateText({ model: model('faulty'), prompt }));
  equal(error.lastError.statusCode, 502);
  equal([sent.length, (await counts('faulty')).calls], [3, 9]);
});

await check('a spent budget is one call, none of it upstream', async () => {
  const { sent, model } = provider(BROKE);
  const error = await rejected(APICallError, () => generateText({ model: model('passed'), prompt }));
  equal([error.statusCode, error.isRetryable], [402, false]);
  truth(error.responseBody.includes('budget_exceeded'), error.responseBody);
  equal([sent.length, (await counts('passed')).calls], [1, 0]);
});

const faults = {
  'tells an error': { in_band_error: { after: 3 } },
  'is cut': { cut: { after: 3 } },
  'ends without its end': { clean_end: { after: 3 } },
  'sends broken JSON': { malformed_frame: { after: 3 } },
};
for (const [name, fault] of Object.entries(faults)) {
  await check(`a stream that ${name} after content has an error part, after the content`, async () => {
    await fail(fault);
    const all = await parts({ model: model('faulty') });
    equal(textOf(all), 'one two three');
    truth(all.some((part) => part.type === 'error'), all.map((part) => part.type).join());
    truth(!all.some((part) => part.type === 'finish' && part.finishReason === 'stop'), 'it looks like a whole answer');
    equal((await counts('faulty')).calls, 1);
  });
}

close();
