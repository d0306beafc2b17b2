// What a reader does with a chat page, and sees on it.

import { mkdirSync, mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { chromium } from 'playwright-core';

import { until } from './until.mjs';

const FLAGS = ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking'];
FLAGS.push('--disable-component-update', '--disable-sync');

const shots = process.env.SCREENSHOTS ?? mkdtempSync(join(tmpdir(), 'headgate-screenshots-'));
mkdirSync(shots, { recursive: true });
console.log(`screenshots: ${shots}`);

export const launch = () => chromium.launch({ executablePath: process.env.CHROMIUM, headless: true, args: FLAGS });

export class ChatPage {
  // A tab of its own, with nothing stored.
  static async open(browser, url, options = {}) {
    const context = await browser.newContext({ viewport: { width: 900, height: 620 }, ...options });
    const chat = new ChatPage();
    chat.tab = await context.newPage();
    chat.tab.setDefaultTimeout(20_000);
    await chat.tab.goto(url);
    await chat.field.waitFor();
    return chat;
  }

  get field() {
    return this.tab.getByRole('textbox', { name: 'Message' });
  }

  get answers() {
    return this.tab.locator('article[data-role=assistant]');
  }

  get problem() {
    return this.tab.locator('main').getByRole('alert');
  }

  button(name) {
    return this.tab.getByRole('button', { name });
  }

  async ask(text, tier) {
    if (tier) await this.tab.getByRole('combobox', { name: 'Tier' }).selectOption(tier);
    await this.field.fill(text);
    await this.button('Send').click();
  }

  // Words of the last answer.
  async words() {
    if ((await this.answers.count()) === 0) return [];
    const texts = await this.answers.last().locator('p').allInnerTexts();
    return texts.join(' ').split(/\s+/).filter(Boolean);
  }

  // The words, once there are more than `count`.
  grown(count) {
    return until(`the answer has more than ${count} words`, async () => {
      const words = await this.words();
      return words.length > count && words;
    });
  }

  // The last answer's line of facts, once it tells the price, which comes with the end.
  async facts() {
    const facts = this.answers.last().locator('footer').filter({ hasText: '$' });
    await facts.waitFor();
    return facts.innerText();
  }

  connection(state) {
    return this.tab.getByRole('status').filter({ hasText: new RegExp(`^${state}$`) }).waitFor();
  }

  // The sentence that the page shows, once it shows one.
  async complaint() {
    await this.problem.waitFor();
    return this.problem.locator('p').innerText();
  }

  shot(name) {
    return this.tab.screenshot({ path: join(shots, `${name}.png`) });
  }

  close() {
    return this.tab.context().close();
  }
}
