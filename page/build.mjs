// Bundles the page: `node build.mjs <outdir>` writes index.html, page.js and page.css, and nothing else.
import { build } from 'esbuild';
import { copyFile, mkdir, readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { join, resolve } from 'node:path';

const here = fileURLToPath(new URL('.', import.meta.url));
const out = resolve(process.argv[2] ?? process.env.OUT ?? join(here, 'dist'));
const stompjs = JSON.parse(await readFile(join(here, 'node_modules/@stomp/stompjs/package.json'), 'utf8'));

await mkdir(out, { recursive: true });
await build({
  absWorkingDir: here,
  entryPoints: [
    { in: 'src/main.ts', out: 'page' },
    { in: 'style.css', out: 'page' },
  ],
  outdir: out,
  bundle: true,
  minify: true,
  sourcemap: false,
  format: 'iife',
  target: ['es2022', 'chrome110', 'firefox115', 'safari16.4'],
  charset: 'utf8',
  banner: { js: `/* footfall's page, with @stomp/stompjs ${stompjs.version} (${stompjs.license}) */` },
  logLevel: 'warning',
});
await copyFile(join(here, 'index.html'), join(out, 'index.html'));
