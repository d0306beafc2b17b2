// examples/nextjs-chat in Chromium, with Headgate as its only server.

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { Headgate, Line } from './browser/headgate.mjs';
import { ChatPage, launch } from './browser/page.mjs';
import { serve } from './browser/serve.mjs';
import { until } from './browser/until.mjs';
import { aborted, asked, check, close, counts, equal, script, truth } from './check.mjs';

const folder = mkdtempSync(join(tmpdir(), 'headgate-browser-'));
const headgate = await Headgate.start(folder);
const line = await Line.to(headgate.port);
const site = await serve(process.env.PAGE, line.url);
const browser = await launch();

const TEXT = 'The gate at the head of a canal decides what flows, how much, where to, and shuts before the bank breaks.';
const WORDS = TEXT.split(' ');
const slow = { text: TEXT, gap_ms: 120 };
const broken = { status: { status: 500, retry_after: { ms: 10 } } };

// Runs `body` with a fresh page. What a page wrote to its console as an error is printed with a failure.
const onPage = (sentence, body) =>
  check(sentence, async () => {
    const chat = await ChatPage.open(browser, site);
    try {
      await body(chat);
    } catch (error) {
      await chat.shot(`FAILED ${sentence.replaceAll(/[^\w ]/g, '')}`);
      throw error;
    } finally {
      await chat.close();
    }
  });

const whole = async (chat) => {
  await chat.facts();
  equal([await chat.words(), await chat.answers.count()], [WORDS, 1]);
};

await onPage('an answer grows while it comes, and ends with its price', async (chat) => {
  await script('medium', slow);
  await chat.shot('empty');
  await chat.ask('What is a headgate?', 'standard');
  const some = await chat.grown(3);
  await chat.shot('streaming');
  truth((await chat.grown(some.length)).length < WORDS.length, 'the answer came at once');
  await whole(chat);
  truth(/medium · \d+ \+ 21 tokens · \$0\.000\d+/.test(await chat.facts()), await chat.facts());
  await chat.connection('connected');
  await chat.shot('answered');
});

await onPage('the end of a long answer is in sight', async (chat) => {
  await script('medium', { words: 800 });
  await chat.ask('Tell me all of it.', 'standard');
  await chat.facts();
  const [end, field] = [await chat.answers.last().locator('footer').boundingBox(), await chat.field.boundingBox()];
  truth(end.y + end.height <= field.y && end.y > 0, JSON.stringify({ end, field }));
  await chat.shot('long');
});

await onPage('the tier that is picked is the one that answers', async (chat) => {
  for (const [tier, model] of [['complex', 'large'], ['simple', 'small']]) {
    await script(model, { text: `hello from ${model}` });
    await chat.ask('hello', tier);
    await chat.tab.getByText(`answered by tier ${tier}`).waitFor();
    await chat.tab.getByText(`hello from ${model}`).waitFor();
    equal((await counts(model)).calls, 1);
  }
  equal(JSON.parse((await asked('small'))[0].body).messages.length, 3);
  await chat.shot('tiers');
});

await onPage("stop keeps what came, ends the provider's call, and is remembered", async (chat) => {
  await script('medium', { words: 2000, gap_ms: 20 });
  await chat.ask('Tell me all of it.', 'standard');
  await chat.grown(5);
  await chat.button('Stop').click();
  await chat.answers.last().locator('footer', { hasText: 'stopped' }).waitFor();
  truth(await aborted('medium'), JSON.stringify(await counts('medium')));
  const kept = await chat.words();
  await chat.shot('stopped');
  await chat.tab.reload();
  await chat.answers.waitFor();
  await chat.connection('connected');
  equal([await chat.words(), await chat.problem.count()], [kept, 0]);
});

await onPage('a failing provider is told in a sentence, and retry asks again', async (chat) => {
  await script('medium', { fault: broken });
  await chat.ask('What is a headgate?', 'standard');
  const sentence = await chat.complaint();
  truth(/^[A-Z].*\.$/.test(sentence), sentence);
  await chat.connection('connected');
  await chat.shot('provider-failed');
  await script('medium', { text: TEXT });
  await chat.button('Retry').click();
  await whole(chat);
  equal(await chat.problem.count(), 0);
});

await onPage('an answer that its provider cuts is told, kept, and replaced by a retry', async (chat) => {
  await script('medium', { text: TEXT, gap_ms: 50, fault: { cut: { after: 4 } } });
  await chat.ask('What is a headgate?', 'standard');
  await chat.complaint();
  equal(await chat.words(), WORDS.slice(0, 4));
  await chat.shot('provider-cut');
  await script('medium', { text: TEXT });
  await chat.button('Retry').click();
  await whole(chat);
});

await onPage('a reload in mid-answer takes the answer up again, once', async (chat) => {
  await script('medium', slow);
  await chat.ask('What is a headgate?', 'standard');
  await chat.grown(4);
  await chat.tab.reload();
  const some = await chat.grown(1);
  truth(some.length < WORDS.length, 'the answer was over');
  await chat.shot('resumed-after-reload');
  await whole(chat);
  equal((await counts('medium')).calls, 1);
});

await onPage('a reload before the first word takes the answer up again', async (chat) => {
  await script('medium', { text: TEXT, latency_ms: 1500 });
  await chat.ask('What is a headgate?', 'standard');
  await until('the provider is asked', async () => (await counts('medium')).calls === 1);
  await chat.tab.reload();
  await whole(chat);
  equal((await counts('medium')).calls, 1);
});

await onPage('an answer that ended while the page was away is there when it comes back, and paid once', async (chat) => {
  await script('medium', slow);
  await chat.ask('What is a headgate?', 'standard');
  await chat.grown(4);
  await chat.tab.goto('about:blank');
  await until('the answer is over', async () => (await counts('medium')).answered === 1);
  await chat.tab.goto(site);
  await whole(chat);
  equal((await counts('medium')).calls, 1);
});

await onPage('a cut line is taken up again, and nothing is there twice', async (chat) => {
  await script('medium', slow);
  await chat.ask('What is a headgate?', 'standard');
  await chat.grown(4);
  line.cut();
  await chat.connection('reconnecting');
  await chat.shot('reconnecting');
  await chat.connection('connected');
  await whole(chat);
  equal((await counts('medium')).calls, 1);
});

await onPage('a gateway that is killed in mid-answer and comes back: the loss is told, and retry asks again', async (chat) => {
  await script('medium', slow);
  await chat.ask('What is a headgate?', 'standard');
  await chat.grown(4);
  await headgate.kill();
  await chat.connection('reconnecting');
  await headgate.run();
  truth((await chat.complaint()).includes('ask again'), await chat.complaint());
  const kept = await chat.words();
  equal(kept, WORDS.slice(0, kept.length));
  truth(kept.length >= 4 && kept.length < WORDS.length, kept.join(' '));
  await chat.shot('gateway-lost');
  await chat.tab.reload();
  truth((await chat.complaint()).includes('ask again'), 'the loss is forgotten after a reload');
  await chat.button('Retry').click();
  await whole(chat);
});

await onPage('a question to a gateway that is away is asked when it is back', async (chat) => {
  await script('medium', { text: TEXT });
  await headgate.kill();
  await chat.ask('What is a headgate?', 'standard');
  await chat.connection('reconnecting');
  await headgate.run();
  await whole(chat);
  equal((await counts('medium')).calls, 1);
});

await onPage('a gateway that stays away leaves the page disconnected, and retry works when it is back', async (chat) => {
  await script('medium', slow);
  await chat.ask('What is a headgate?', 'standard');
  await chat.grown(4);
  await headgate.kill();
  await chat.tab.getByText('Headgate cannot be reached.').waitFor({ timeout: 40_000 });
  await chat.connection('disconnected');
  await chat.shot('disconnected');
  await headgate.run();
  await chat.button('Retry').click();
  await chat.tab.getByText('ask again').waitFor();
  await chat.connection('connected');
  await chat.button('Retry').click();
  await whole(chat);
});

await browser.close();
await headgate.kill();
rmSync(folder, { recursive: true });
close();
