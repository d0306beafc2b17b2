// Chat pages of version 4 of the AI SDK on /api/chat: what useChat calls there, and the guide's own request by hand.

import { readFileSync, readdirSync } from 'node:fs';

import { callChatApi, processDataStream } from 'ui-utils-4';

import { BROKE, CHAT, SLOW, WEB, aborted, asked, check, close, counts, equal, forget, rejected, script, truth } from './check.mjs';

let ids = 0;
const generateId = () => `id-${(ids += 1)}`;
const user = (text) => ({ role: 'user', content: text, parts: [{ type: 'text', text }] });

// One request as useChat makes it: the message that comes of it, how it ended, and each state on the way.
async function send(messages, body, { key = WEB, onToolCall, stop = new AbortController(), onUpdate = () => {} } = {}) {
  const outcome = { message: undefined, end: undefined };
  await callChatApi({
    api: CHAT,
    body: { id: 'chat-1', messages, ...body },
    headers: { authorization: `Bearer ${key}` },
    abortController: () => stop,
    restoreMessagesOnFailure() {},
    onUpdate({ message }) {
      outcome.message = message;
      onUpdate(message);
    },
    onFinish: (_, end) => (outcome.end = end),
    onToolCall,
    generateId,
    lastMessage: messages.at(-1),
  });
  return outcome;
}

async function fail(fault) {
  await send([user('say hello')], { tier: 'faulty' });
  await forget();
  await script('faulty', { text: 'one two three four five six', fault });
}

for (const tier of ['passed', 'translated']) {
  await check(`${tier}: a message has its text, and the usage that the provider billed`, async () => {
    await script(tier, { text: 'Grüße, 世界 😀!', bytes_per_write: 1 });
    const { message, end } = await send([user('say hello')], { tier });
    equal([message.content, end.finishReason], ['Grüße, 世界 😀!', 'stop']);
    const billed = await counts(tier);
    equal([end.usage.promptTokens, end.usage.completionTokens], [billed.input_tokens, billed.output_tokens]);
  });

  await check(`${tier}: the page runs its own tool, and the result goes back`, async () => {
    const call = { tool_calls: [{ name: 'get_weather', arguments: { city: 'Paris' } }] };
    await script(tier, { text: 'Let me look.', ...call }, { text: '21 degrees.' });
    const tools = { get_weather: { description: 'Weather', parameters: { type: 'object' } } };
    const onToolCall = ({ toolCall }) => ({ city: toolCall.args.city, celsius: 21 });
    const question = user('weather in Paris?');
    const first = await send([question], { tier, tools }, { onToolCall });
    equal([first.end.finishReason, first.message.toolInvocations[0].state], ['tool-calls', 'result']);
    const { message } = await send([question, first.message], { tier, tools }, { onToolCall });
    equal([message.id, message.content], [first.message.id, 'Let me look.21 degrees.']);
    truth((await asked(tier))[1].body.includes('celsius'), 'the result was not sent');
  });

  await check(`${tier}: stop ends the provider's call`, async () => {
    await script(tier, { words: 2000, gap_ms: 20 });
    const stop = new AbortController();
    await rejected(DOMException, () => send([user('say hello')], { tier }, { stop, onUpdate: () => stop.abort() }));
    truth(await aborted(tier), JSON.stringify(await counts(tier)));
  });
}

await check('a request by hand gets lines of a data stream', async () => {
  await script('passed', { text: 'hello' });
  const headers = { authorization: `Bearer ${WEB}`, 'content-type': 'application/json' };
  const body = '{"messages":[{"role":"user","content":"hello"}]}';
  const reply = await fetch(CHAT, { method: 'POST', headers, body });
  equal([reply.status, reply.headers.get('x-vercel-ai-data-stream')], [200, 'v1']);
  truth((await reply.text()).includes('0:"hello"\n'), 'no line with the text');
});

await check('a spent budget and a full window are JSON that tells what to do', async () => {
  const refused = async (key) => JSON.parse((await rejected(Error, () => send([user('hi')], {}, { key }))).message);
  const broke = await refused(BROKE);
  truth(broke.error.startsWith('Key budget $0.000001 per day reached; '), broke.error);
  await send([user('hi')], {}, { key: SLOW }).catch(() => {});
  const slow = await refused(SLOW);
  equal([slow.code, typeof slow.error], ['rate_limit_exceeded', 'string']);
});

for (const [what, fault] of Object.entries({ 'tells an error': { in_band_error: { after: 3 } }, 'is cut': { cut: { after: 3 } } })) {
  await check(`a stream that ${what} after content is an error`, async () => {
    await fail(fault);
    let kept = '';
    const onUpdate = (message) => (kept = message.content);
    const error = await rejected(Error, () => send([user('say hello')], { tier: 'faulty' }, { onUpdate }));
    equal(kept, 'one two three');
    truth(error.message && !error.message.startsWith('{'), error.message);
  });
}

await check('every recorded answer is a data stream that the SDK reads', async () => {
  let seen = 0;
  const root = `${process.env.GOLDEN}/streams`;
  for (const kind of readdirSync(root)) {
    for (const file of readdirSync(`${root}/${kind}`).filter((name) => name.endsWith('.ui4.sse'))) {
      const text = readFileSync(`${root}/${kind}/${file}`, 'utf8');
      // What the golden files say of a failure stands in for the frame of the run.
      const answer = text.split('\n').filter((line) => !line.startsWith('! ')).join('\n');
      let said = '';
      const onTextPart = (part) => (said += part);
      await processDataStream({ stream: new Blob([answer]).stream(), onTextPart });
      const texts = answer.split('\n').filter((line) => line.startsWith('0:'));
      equal([file, said], [file, texts.map((line) => JSON.parse(line.slice(2))).join('')]);
      seen += 1;
    }
  }
  truth(seen > 30, `${seen} answers`);
});

close();
