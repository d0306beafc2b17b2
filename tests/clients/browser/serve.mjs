// Serves a folder of files, and nothing else, on a free port of this machine.

import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import http from 'node:http';
import { extname, join, normalize } from 'node:path';

const TYPES = { '.html': 'text/html', '.js': 'text/javascript', '.css': 'text/css', '.json': 'application/json' };

// A page knows its gateway since it was built; this one was built for nowhere, so that it need not be built in every run.
export const NOWHERE = 'http://headgate.invalid';

// `gateway` takes the place of NOWHERE in scripts, and gets the calls to /api, as from a web server in front of both.
export async function serve(folder, gateway) {
  const server = http.createServer(async (request, response) => {
    const { pathname } = new URL(request.url, NOWHERE);
    if (pathname.startsWith('/api/')) return handOn(request, response, gateway + pathname);
    const file = join(folder, normalize(pathname === '/' ? '/index.html' : pathname));
    try {
      const bytes = await readFile(file);
      response.setHeader('content-type', TYPES[extname(file)] ?? 'application/octet-stream');
      response.end(file.endsWith('.js') ? bytes.toString().replaceAll(NOWHERE, gateway) : bytes);
    } catch {
      response.writeHead(404).end();
    }
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return `http://127.0.0.1:${server.address().port}`;
}

function handOn(request, response, url) {
  const { method, headers } = request;
  const call = http.request(url, { method, headers }, (answer) => {
    response.writeHead(answer.statusCode, answer.headers);
    answer.pipe(response);
    answer.on('error', () => response.destroy());
  });
  call.on('error', () => response.destroy());
  response.on('close', () => call.destroy());
  request.pipe(call);
}
