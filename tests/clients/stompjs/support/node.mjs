// A node of a test's own, to be killed and started again.

import { spawn } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { until } from './client.mjs';
import { demanded } from './settings.mjs';

/** A debug build on a busy machine, with a database to open. */
const START_DEADLINE = 30_000;

/** The settings of the node under test, which are also a template: see `settingsFor`. */
const template = process.env.FOOTFALL_CONFIG ?? fileURLToPath(new URL('../../footfall.toml', import.meta.url));

/** Starts a node with the test settings, free ports and a directory of its own, in which it also runs. */
export async function startNode(t) {
  const binary = demanded('FOOTFALL_BIN', 'the path of the footfall binary, since they start and kill a node of their own');
  const directory = await mkdtemp(join(tmpdir(), 'footfall-stompjs-'));
  const { text, port } = await settingsFor(await readFile(template, 'utf8'));
  const file = join(directory, 'footfall.toml');
  await writeFile(file, text);
  const node = { binary, directory, file, base: `http://127.0.0.1:${port}`, process: null, output: '', exit: null };
  t.after(async () => {
    await killNode(node);
    await rm(directory, { recursive: true, force: true });
  });
  await restartNode(node);
  return node;
}

/** Starts it again, on the same port and the same data. */
export async function restartNode(node) {
  node.exit = null;
  // Variables named FOOTFALL_… are settings of a node, and the ones of these tests are not.
  const environment = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('FOOTFALL_')));
  node.process = spawn(node.binary, [], {
    cwd: node.directory,
    env: { ...environment, FOOTFALL_CONFIG: node.file },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const collect = (chunk) => (node.output = (node.output + chunk).slice(-20_000));
  node.process.stdout.on('data', collect);
  node.process.stderr.on('data', collect);
  node.process.on('error', (error) => (node.exit = { error }));
  node.process.on('exit', (code, signal) => (node.exit = { code, signal }));
  await until('the node is ready', () => isReady(node), START_DEADLINE);
}

/** kill -9, and waits for its end. */
export async function killNode(node) {
  if (node.exit) return;
  node.process.kill('SIGKILL');
  await exited(node);
}

/** Waits until the process has ended; returns its exit code and signal. */
export function exited(node, deadline) {
  return until('the node has ended', () => node.exit, deadline);
}

async function isReady(node) {
  if (node.exit) throw new Error(`The node ended instead of becoming ready: ${JSON.stringify(node.exit)}\n${node.output}`);
  try {
    return (await fetch(`${node.base}/health/ready`, { signal: AbortSignal.timeout(1000) })).ok;
  } catch {
    return false;
  }
}

/**
 * Every port 18000–18999 of the test settings becomes a free one, the same for the same; the first in the file is the
 * one to connect to. Relative paths are the directory's own, because the node runs there.
 */
async function settingsFor(text) {
  const named = [...new Set(text.match(/\b18\d{3}\b/g) ?? [])];
  if (named.length === 0) throw new Error(`${template} names no port between 18000 and 18999.`);
  const free = new Map();
  for (const port of named) free.set(port, await freePort());
  return { text: text.replace(/\b18\d{3}\b/g, (port) => free.get(port)), port: free.get(named[0]) };
}

function freePort() {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.on('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address();
      server.close(() => resolve(port));
    });
  });
}
