// A gateway that can be killed and comes back at its place, on a line that can be cut.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import net from 'node:net';

import { until } from './until.mjs';

export class Headgate {
  // `folder` keeps its store over restarts.
  static async start(folder) {
    const headgate = new Headgate();
    headgate.port = await freePort();
    headgate.url = `http://127.0.0.1:${headgate.port}`;
    // What `run` tells the gateway of the other checks is not for this one.
    const others = Object.entries(process.env).filter(([name]) => !name.startsWith('HEADGATE_'));
    headgate.env = {
      ...Object.fromEntries(others),
      RUST_LOG: 'off',
      HEADGATE_SERVER__LISTEN: `127.0.0.1:${headgate.port}`,
      HEADGATE_STORE: `sqlite:${folder}/browser.db`,
      HEADGATE_PROVIDERS__OPENAI__BASE_URL: `${process.env.MOCK_URL}/v1`,
      HEADGATE_PROVIDERS__ANTHROPIC__BASE_URL: process.env.MOCK_URL,
    };
    await headgate.run();
    return headgate;
  }

  async run() {
    const command = ['serve', '--config', process.env.BROWSER_CONFIG];
    const child = spawn(process.env.HEADGATE, command, { env: this.env, stdio: ['ignore', 'ignore', 'inherit'] });
    this.process = child;
    process.once('exit', () => child.kill('SIGKILL'));
    const ready = () => {
      if (child.exitCode !== null) throw new Error('the gateway did not start');
      return fetch(`${this.url}/readyz`).then((reply) => reply.ok, () => false);
    };
    await until('the gateway is ready', ready);
  }

  // As a crash: no drain, no goodbye.
  async kill() {
    const gone = once(this.process, 'exit');
    this.process.kill('SIGKILL');
    await gone;
  }
}

// Also after a time limit of `run`, a gateway does not outlive its checks.
process.on('SIGTERM', () => process.exit(1));

// Hands bytes on to a port, until it is cut.
export class Line {
  static async to(port) {
    const line = new Line();
    line.open = new Set();
    line.server = net.createServer((near) => {
      const far = net.connect(port, '127.0.0.1');
      line.open.add(near);
      near.on('close', () => (line.open.delete(near), far.destroy()));
      far.on('close', () => near.destroy());
      for (const end of [near, far]) end.on('error', () => {});
      near.pipe(far);
      far.pipe(near);
    });
    line.server.listen(0, '127.0.0.1');
    await once(line.server, 'listening');
    line.url = `http://127.0.0.1:${line.server.address().port}`;
    return line;
  }

  cut() {
    for (const near of this.open) near.resetAndDestroy();
  }
}

async function freePort() {
  const server = net.createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address();
  server.close();
  await once(server, 'close');
  return port;
}
