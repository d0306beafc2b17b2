// The AI SDK with its provider for Anthropic on /v1/messages: version 6, and the newest that this node runs.

import { createAnthropic as newest } from '@ai-sdk/anthropic';
import { createAnthropic as sixth } from 'anthropic-6';
import * as ai from 'ai';
import * as ai6 from 'ai-6';
import { z } from 'zod';

import { BROKE, GATEWAY, WEB, aborted, asked, check, close, counting, counts, equal, forget, rejected, script, truth } from './check.mjs';

// Which model names it knows is not the subject.
globalThis.AI_SDK_LOG_WARNINGS = false;

const prompt = 'say hello';
const WEATHER = { tool_calls: [{ name: 'get_weather', arguments: { city: 'Paris' } }, { name: 'get_weather', arguments: { city: 'Zürich' } }] };

for (const [version, { APICallError, generateText, stepCountIs, isStepCount, streamText, tool }, createAnthropic] of [
  ['6', ai6, sixth],
  ['newest', ai, newest],
]) {
  const provider = (apiKey = WEB) => {
    const { sent, fetch } = counting();
    return { sent, model: createAnthropic({ baseURL: GATEWAY, apiKey, fetch }) };
  };
  const { model } = provider();
  const steps = stepCountIs ?? isStepCount;

  // All parts of a stream; an error that is thrown is the last one.
  const parts = async (options) => {
    const all = [];
    try {
      for await (const part of streamText({ prompt, onError: () => {}, ...options }).fullStream) all.push(part);
    } catch (error) {
      all.push({ type: 'error', error });
    }
    return all;
  };
  // Packages of several versions have a class of that name each.
  const refused = async (call) => {
    const error = await rejected(Error, call);
    truth(APICallError.isInstance(error), `${error}`);
    return error;
  };
  const textOf = (all) => all.filter((part) => part.type === 'text-delta').map((part) => part.text).join('');

  // It succeeds once before: so the gateway does not hold the failures of an earlier check against it.
  const fail = async (fault) => {
    await generateText({ model: model('faulty'), prompt });
    await forget();
    await script('faulty', { text: 'one two three four five six', fault });
  };

  // `translated` has this client's format upstream, `passed` has OpenAI's.
  for (const tier of ['translated', 'passed']) {
    const name = `${version}, ${tier}`;

    await check(`${name}: plain and streamed answers have the text and the usage that the provider billed`, async () => {
      await script(tier, { text: 'Grüße, 世界 😀!', bytes_per_write: 1 });
      const reply = await generateText({ model: model(tier), prompt, maxOutputTokens: 100 });
      equal([reply.text, reply.finishReason], ['Grüße, 世界 😀!', 'stop']);
      const billed = await counts(tier);
      equal([reply.usage.inputTokens, reply.usage.outputTokens], [billed.input_tokens, billed.output_tokens]);

      const all = await parts({ model: model(tier), maxOutputTokens: 100 });
      const end = all.at(-1);
      equal([textOf(all), end.type, end.finishReason], ['Grüße, 世界 😀!', 'finish', 'stop']);
      equal(end.totalUsage.outputTokens, reply.usage.outputTokens);
    });

    await check(`${name}: parallel tools are called and their results go back, plain and streamed`, async () => {
      await script(tier, WEATHER, { text: 'Warm.' }, WEATHER, { text: 'Warm.' });
      const cities = [];
      const execute = async ({ city }) => (cities.push(city), '21');
      const inputSchema = z.object({ city: z.string() });
      const tools = { get_weather: tool({ description: 'Weather', inputSchema, execute }) };
      const several = { model: model(tier), tools, stopWhen: steps(3), maxOutputTokens: 100 };
      equal((await generateText({ prompt, ...several })).text, 'Warm.');
      equal(textOf(await parts(several)), 'Warm.');
      equal(cities, ['Paris', 'Zürich', 'Paris', 'Zürich']);
    });

    await check(`${name}: pictures and a request to think are taken`, async () => {
      const content = [{ type: 'text', text: '?' }, { type: 'image', image: 'iVBORw0KGgo=', mediaType: 'image/png' }];
      const providerOptions = { anthropic: { thinking: { type: 'enabled', budgetTokens: 1024 } } };
      await generateText({ model: model(tier), messages: [{ role: 'user', content }], providerOptions, maxOutputTokens: 50 });
      const [call] = await asked(tier);
      truth(call.body.includes('iVBORw0KGgo='), call.body);
      truth(/thinking|reasoning_effort/.test(call.body), call.body);
    });

    await check(`${name}: an aborted stream ends the provider's call`, async () => {
      await script(tier, { words: 2000, gap_ms: 20 });
      const stop = new AbortController();
      const options = { model: model(tier), prompt, maxOutputTokens: 4000, abortSignal: stop.signal, onError: () => {} };
      for await (const part of streamText(options).fullStream) {
        if (part.type === 'text-delta') stop.abort();
      }
      truth(await aborted(tier), JSON.stringify(await counts(tier)));
    });
  }

  // This SDK retries by status alone, whatever the head says.
  for (const [fault, status] of [
    [{ status: 400 }, 400],
    [{ status: 429, error: { code: 'insufficient_quota' } }, 402],
    [{ status: 404 }, 404],
    [{ status: 413 }, 400],
  ]) {
    await check(`${version}: a permanent ${fault.status} of the provider is a ${status}`, async () => {
      await fail({ status: fault });
      const { sent, model } = provider();
      const error = await refused(() => generateText({ model: model('faulty'), prompt }));
      equal([error.statusCode, sent.length, (await counts('faulty')).calls], [status, 1, 1]);
    });
  }

  await check(`${version}: a spent budget is one call, none of it upstream`, async () => {
    const { sent, model } = provider(BROKE);
    const error = await refused(() => generateText({ model: model('passed'), prompt }));
    equal([error.statusCode, error.isRetryable], [402, false]);
    equal([sent.length, (await counts('passed')).calls], [1, 0]);
  });

  for (const [name, fault] of Object.entries({
    'tells an error': { in_band_error: { after: 3 } },
    'is cut': { cut: { after: 3 } },
    'ends without its end': { clean_end: { after: 3 } },
  })) {
    await check(`${version}: a stream that ${name} after content has an error part, after the content`, async () => {
      await fail(fault);
      const all = await parts({ model: model('faulty') });
      equal(textOf(all), 'one two three');
      truth(all.some((part) => part.type === 'error'), all.map((part) => part.type).join());
      equal((await counts('faulty')).calls, 1);
    });
  }
}

close();
