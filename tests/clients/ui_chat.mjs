// Chat pages on /api/chat: the transport and the Chat that useChat wraps, of every major version of the AI SDK since 5.

import { readFileSync, readdirSync } from 'node:fs';

import { BROKE, CHAT, WEB, aborted, asked, check, close, counts, equal, forget, script, truth } from './check.mjs';

const versionOf = (name) => JSON.parse(readFileSync(new URL(`node_modules/${name}/package.json`, import.meta.url))).version;

// On an older Node the newest version that npm finds for it may be one of the others.
const sdks = new Map();
for (const [core, react] of [['ai-5', 'react-5'], ['ai-6', 'react-6'], ['ai', '@ai-sdk/react']]) {
  sdks.set(versionOf(core), { ai: await import(core), Chat: (await import(react)).Chat });
}

const textOf = (message) => message.parts.filter((part) => part.type === 'text').map((part) => part.text).join('');

// Recorded answers of providers as pages get them, see tests/golden.
function* golden() {
  const root = `${process.env.GOLDEN}/streams`;
  for (const kind of readdirSync(root)) {
    for (const file of readdirSync(`${root}/${kind}`)) {
      if (file.endsWith('.ui.sse')) yield [`${kind}/${file}`, readFileSync(`${root}/${kind}/${file}`)];
    }
  }
}

for (const [version, { ai, Chat }] of sdks) {
  const name = `ai ${version}`;
  const transport = (body, key = WEB) =>
    new ai.DefaultChatTransport({ api: CHAT, headers: { authorization: `Bearer ${key}` }, body });
  const page = (tier, options = {}) =>
    new Chat({ transport: transport({ tier, ...options.body }, options.key), onError: () => {}, ...options });

  // What `faulty` answers from now on. It succeeds once before: so the gateway does not hold the failures of an earlier
  // check against it.
  async function fail(fault) {
    await page('faulty').sendMessage({ text: 'say hello' });
    await forget();
    await script('faulty', { text: 'one two three four five six', fault });
  }

  // A recorded answer as the SDK reads it: all chunks, and the message that they make.
  async function read(bytes) {
    const parsed = ai.parseJsonEventStream({ stream: new Blob([bytes]).stream(), schema: ai.uiMessageChunkSchema });
    const chunks = [];
    for await (const { success, value, error } of parsed) {
      if (!success) throw error;
      chunks.push(value);
    }
    const stream = new ReadableStream({
      start(controller) {
        chunks.forEach((chunk) => controller.enqueue(chunk));
        controller.close();
      },
    });
    let message;
    for await (const state of ai.readUIMessageStream({ stream, terminateOnError: true })) message = state;
    return { chunks, message };
  }

  for (const tier of ['passed', 'translated']) {
    await check(`${name}, ${tier}: a message has its text, and the usage that the provider billed`, async () => {
      await script(tier, { text: 'Grüße, 世界 😀!', bytes_per_write: 1 });
      const chat = page(tier);
      await chat.sendMessage({ text: 'say hello' });
      if (chat.error) throw chat.error;
      const message = chat.messages.at(-1);
      equal([chat.status, chat.messages.length, message.role, textOf(message)], ['ready', 2, 'assistant', 'Grüße, 世界 😀!']);
      truth(message.parts.every((part) => part.state === undefined || part.state === 'done'), 'every part is done');
      const [billed, { usage, costUsd }] = [await counts(tier), message.metadata];
      equal([usage.inputTokens, usage.outputTokens], [billed.input_tokens, billed.output_tokens]);
      truth(Number(costUsd) > 0, `a price: ${costUsd}`);
    });

    await check(`${name}, ${tier}: the page runs its own tool, and the answer goes on in the same message`, async () => {
      const call = { tool_calls: [{ name: 'get_weather', arguments: { city: 'Paris' } }] };
      await script(tier, { text: 'Let me look.', ...call }, { text: '21 degrees.' });
      const inputSchema = { type: 'object', properties: { city: { type: 'string' } } };
      let done;
      const whole = new Promise((resolve) => (done = resolve));
      const chat = page(tier, {
        body: { tools: { get_weather: { description: 'Weather', inputSchema } } },
        sendAutomaticallyWhen: ai.lastAssistantMessageIsCompleteWithToolCalls,
        onToolCall({ toolCall: { toolName: tool, toolCallId, input } }) {
          chat.addToolOutput({ tool, toolCallId, output: { city: input.city, celsius: 21 } });
        },
        onFinish({ message }) {
          if (textOf(message).includes('21')) done();
        },
        onError: (error) => done(error),
      });
      await chat.sendMessage({ text: 'weather in Paris?' });
      const error = await whole;
      if (error) throw error;
      equal([chat.messages.length, textOf(chat.messages[1])], [2, 'Let me look.21 degrees.']);
      const bodies = (await asked(tier)).map((request) => request.body);
      truth(bodies[0].includes('"get_weather"') && bodies[1].includes('celsius'), bodies.join('\n'));
    });

    await check(`${name}, ${tier}: regenerate asks again without the answer, and puts the new one in its place`, async () => {
      await script(tier, { text: 'the first one' }, { text: 'the second one' });
      const chat = page(tier);
      await chat.sendMessage({ text: 'say hello' });
      await chat.regenerate();
      if (chat.error) throw chat.error;
      equal([chat.messages.length, textOf(chat.messages[1])], [2, 'the second one']);
      truth(!(await asked(tier))[1].body.includes('the first one'), 'the old answer was sent along');
    });

    await check(`${name}, ${tier}: a stopped page keeps what came, and a stopped answer ends the provider's call`, async () => {
      await script(tier, { words: 2000, gap_ms: 20 });
      const chat = page(tier);
      const sent = chat.sendMessage({ text: 'say hello' });
      while (!chat.messages[1] || !textOf(chat.messages[1])) await new Promise((resume) => setTimeout(resume, 5));
      await chat.stop();
      await sent;
      equal(chat.status, 'ready');
      truth(textOf(chat.messages[1]), 'no text was kept');
      // A page that only left might come back for its answer.
      const headers = { authorization: `Bearer ${WEB}` };
      truth((await fetch(`${CHAT}/${chat.id}/stop`, { method: 'POST', headers })).ok, 'the answer was not stopped');
      truth(await aborted(tier), JSON.stringify(await counts(tier)));
    });
  }

  await check(`${name}: a page that comes back gets the whole answer of its chat, and nothing once that is over`, async () => {
    await script('passed', { text: 'one two three four five six', gap_ms: 50 });
    const left = page('passed');
    const sent = left.sendMessage({ text: 'say hello' });
    while (!left.messages[1] || !textOf(left.messages[1])) await new Promise((resume) => setTimeout(resume, 5));
    await left.stop();
    await sent;
    const back = page('passed', { id: left.id, messages: left.messages.slice(0, 1) });
    await back.resumeStream();
    equal([back.status, back.messages.length, textOf(back.messages[1])], ['ready', 2, 'one two three four five six']);
    equal((await counts('passed')).calls, 1);
    equal(await transport({}).reconnectToStream({ chatId: left.id }), null);
  });

  await check(`${name}: a page that names no tier gets the usual one`, async () => {
    await script('passed', { text: 'hello' });
    const chat = page(undefined);
    await chat.sendMessage({ text: 'say hello' });
    equal(textOf(chat.messages.at(-1)), 'hello');
  });

  await check(`${name}: a file goes to the model`, async () => {
    await script('translated', { text: 'a picture' });
    const chat = page('translated');
    const file = { type: 'file', mediaType: 'image/png', url: 'data:image/png;base64,iVBORw0KGgo=' };
    await chat.sendMessage({ text: 'what is it?', files: [file] });
    if (chat.error) throw chat.error;
    truth((await asked('translated'))[0].body.includes('iVBORw0KGgo='), 'the model saw no picture');
  });

  const refusals = {
    'a spent budget': [() => page('passed', { key: BROKE }), 'Key budget $0.000001 per day reached; it resets at '],
    'an unknown key': [() => page('passed', { key: 'no-such-key' }), 'Unknown or missing API key; '],
    'an unknown tier': [() => page('no-such-tier'), 'Model `no-such-tier` is not served to this key; '],
  };
  for (const [what, [refused, sentence]] of Object.entries(refusals)) {
    await check(`${name}: ${what} is told in a sentence that a page can show`, async () => {
      const chat = refused();
      await chat.sendMessage({ text: 'say hello' });
      equal(chat.status, 'error');
      truth(chat.error.message.startsWith(sentence), chat.error.message);
    });
  }

  await check(`${name}: a failing provider is told in a sentence, after at most three calls`, async () => {
    await fail({ status: { status: 500, retry_after: { ms: 50 } } });
    const chat = page('faulty');
    await chat.sendMessage({ text: 'say hello' });
    truth(chat.status === 'error' && !chat.error.message.startsWith('{'), chat.error?.message);
    equal((await counts('faulty')).calls, 3);
  });

  const faults = {
    'tells an error': { in_band_error: { after: 3 } },
    'is cut': { cut: { after: 3 } },
    'ends without its end': { clean_end: { after: 3 } },
  };
  for (const [what, fault] of Object.entries(faults)) {
    await check(`${name}: a stream that ${what} after content is an error, and keeps the content`, async () => {
      await fail(fault);
      const chat = page('faulty');
      await chat.sendMessage({ text: 'say hello' });
      equal([chat.status, textOf(chat.messages.at(-1))], ['error', 'one two three']);
      truth(chat.error.message && !chat.error.message.startsWith('{'), chat.error.message);
    });
  }

  await check(`${name}: every recorded answer holds to the SDK's own schema and makes a message`, async () => {
    let seen = 0;
    for (const [file, bytes] of golden()) {
      const { chunks, message } = await read(bytes).catch((error) => {
        throw new Error(`${file}: ${error}`);
      });
      const said = (type) => chunks.filter((chunk) => chunk.type === type).map((chunk) => chunk.delta).join('');
      const parts = (type) => (message?.parts ?? []).filter((part) => part.type === type).map((part) => part.text).join('');
      equal([file, parts('text'), parts('reasoning')], [file, said('text-delta'), said('reasoning-delta')]);
      seen += 1;
    }
    truth(seen > 30, `${seen} answers`);
  });

  await check(`${name}: reasoning comes back to its provider with its signature`, async () => {
    const recorded = [...golden()].find(([file]) => file === 'anthropic/thinking.ui.sse');
    const { message } = await read(recorded[1]);
    equal(message.parts.find((part) => part.type === 'reasoning').text, '925 / 5 = 185');
    await script('translated', { text: 'yes' });
    const chat = page('translated', { messages: [{ id: 'q', role: 'user', parts: [{ type: 'text', text: '925 / 5?' }] }, message] });
    await chat.sendMessage({ text: 'sure?' });
    if (chat.error) throw chat.error;
    const sent = JSON.parse((await asked('translated'))[0].body).messages[1].content;
    equal(sent[0], { type: 'thinking', thinking: '925 / 5 = 185', signature: 'c2ln' });
  });
}

close();
