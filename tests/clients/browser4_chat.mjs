// A chat component of version 4 of the AI SDK in Chromium, unchanged, with Headgate behind `/api` of its site.

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { build } from 'esbuild';

import { Headgate } from './browser/headgate.mjs';
import { launch } from './browser/page.mjs';
import { serve } from './browser/serve.mjs';
import { until } from './browser/until.mjs';
import { aborted, check, close, counts, equal, script, truth } from './check.mjs';

const folder = mkdtempSync(join(tmpdir(), 'headgate-browser4-'));
writeFileSync(join(folder, 'index.html'), '<!doctype html><div id="page"></div><script src="/guide.js"></script>');
await build({
  entryPoints: [new URL('browser/guide.tsx', import.meta.url).pathname],
  outfile: join(folder, 'guide.js'),
  bundle: true,
  absWorkingDir: import.meta.dirname,
  jsx: 'automatic',
  alias: { '@ai-sdk/react': 'react-4' },
  define: { 'process.env.NODE_ENV': '"production"' },
});
const headgate = await Headgate.start(folder);
const site = await serve(folder, headgate.url);
const browser = await launch();

const onPage = (sentence, body) =>
  check(sentence, async () => {
    const tab = await browser.newPage();
    tab.setDefaultTimeout(20_000);
    try {
      await tab.goto(site);
      await tab.getByRole('textbox').fill('What is a headgate?');
      const said = () => tab.locator('.p-4 > div:not(.animate-pulse)').nth(1).innerText();
      await body(tab, { send: () => tab.getByRole('button', { name: 'Send' }).click(), said });
    } finally {
      await tab.close();
    }
  });

await onPage('an answer grows while it comes', async (tab, { send, said }) => {
  await script('medium', { text: 'one two three four five six', gap_ms: 100 });
  await send();
  await tab.getByText('Thinking...').waitFor();
  const some = await said();
  await until('it has grown', async () => (await said()).length > some.length);
  truth(some !== (await until('it is whole', async () => (await said()).endsWith('six') && said())), some);
  await tab.getByText('Thinking...').waitFor({ state: 'detached' });
  equal([await said(), await tab.getByText('disconnected').count()], ['one two three four five six', 0]);
});

await onPage("stop keeps what came and ends the provider's call", async (tab, { send, said }) => {
  await script('medium', { words: 2000, gap_ms: 20 });
  await send();
  await until('some of it is there', async () => (await said()).length > 10);
  await tab.getByRole('button', { name: 'Stop' }).click();
  await tab.getByText('Thinking...').waitFor({ state: 'detached' });
  truth(await aborted('medium'), JSON.stringify(await counts('medium')));
  truth((await said()).length > 10, 'nothing was kept');
});

await onPage('a failing provider leaves it disconnected, and retry gets the answer', async (tab, { send, said }) => {
  await script('medium', { fault: { status: { status: 500, retry_after: { ms: 10 } } } });
  await send();
  await tab.getByText('disconnected...').waitFor();
  await script('medium', { text: 'one two three' });
  await tab.getByRole('button', { name: 'Retry' }).click();
  await until('the answer is there', async () => (await said()) === 'one two three');
  await tab.getByText('disconnected...').waitFor({ state: 'detached' });
});

await onPage('an answer that its provider cuts leaves it disconnected', async (tab, { send, said }) => {
  await script('medium', { text: 'one two three', gap_ms: 50, fault: { cut: { after: 2 } } });
  await send();
  await tab.getByText('disconnected...').waitFor();
  equal(await said(), 'one two');
});

await browser.close();
await headgate.kill();
rmSync(folder, { recursive: true });
close();
