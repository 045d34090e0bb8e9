// The page in a real browser, against a running broker in development mode.
// FOOTFALL_URL is the broker (http://127.0.0.1:18080), CHROMIUM the browser. Each scenario has a room of its own and
// waits for conditions only.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import puppeteer from 'puppeteer-core';

const URL_OF_BROKER = process.env.FOOTFALL_URL;
const CHROMIUM = process.env.CHROMIUM ?? '/usr/bin/chromium-headless-shell';
/** Generous: what is waited for takes milliseconds, the machine may be busy. */
const DEADLINE_MS = Number(process.env.PAGE_DEADLINE_MS ?? 20_000);

assert.ok(URL_OF_BROKER, 'FOOTFALL_URL is not set. This test needs a running broker in development mode, for example FOOTFALL_URL=http://127.0.0.1:18080.');

const ORIGIN = new URL(URL_OF_BROKER).origin;
const RUN = Date.now().toString(36);

let browser;
/** What no page may do in any scenario: report an error, or ask another host for something. */
const complaints = [];
const requests = [];

before(async () => {
  browser = await puppeteer
    .launch({ executablePath: CHROMIUM, headless: 'shell', args: ['--no-sandbox', '--disable-dev-shm-usage', '--disable-gpu'] })
    .catch((error) => assert.fail(`The browser at ${CHROMIUM} did not start (CHROMIUM names another one): ${error.message}`));
});

after(() => browser?.close());

// ---- how a tab is driven -------------------------------------------------------------------------------------------

/** Tabs of one context share localStorage, as the tabs of one browser do. */
async function inBrowser(scenario) {
  const context = await browser.createBrowserContext();
  try {
    await scenario(context);
  } finally {
    await context.close();
  }
}

async function openTab(context, query, prepare) {
  const tab = await context.newPage();
  tab.setDefaultTimeout(DEADLINE_MS);
  tab.on('console', (message) => ['error', 'warn'].includes(message.type()) && complaints.push(`${query}: ${message.text()}`));
  tab.on('pageerror', (error) => complaints.push(`${query}: ${error.message}`));
  tab.on('request', (request) => requests.push(request.url()));
  tab.on('requestfailed', (request) => complaints.push(`${query}: ${request.url()} ${request.failure()?.errorText}`));
  const network = await tab.createCDPSession();
  await network.send('Network.enable');
  network.on('Network.webSocketCreated', ({ url }) => requests.push(url));
  if (prepare) await tab.evaluateOnNewDocument(prepare);
  await tab.goto(`${ORIGIN}/${query}`);
  return tab;
}

async function enter(context, user, room, prepare) {
  const tab = await openTab(context, `?user=${user}&room=${room}`, prepare);
  await isConnected(tab);
  return tab;
}

const byTestId = (id) => `[data-testid="${id}"]`;
const isConnected = (tab) => tab.waitForSelector(`${byTestId('connection-state')}[data-state="connected"]`);

async function say(tab, text) {
  await tab.type(byTestId('message-input'), text);
  await tab.click(byTestId('send'));
}

const messages = (tab) =>
  tab.$$eval('[data-testid="message"]', (nodes) => nodes.map((node) => ({ id: node.dataset.id, text: node.querySelector('[data-testid="message-text"]').textContent, mine: node.dataset.mine, state: node.dataset.state })));

const texts = async (tab) => (await messages(tab)).map(({ text }) => text);

/** Until exactly these texts are there as stored messages, in any order. */
async function holds(tab, expected) {
  const wanted = [...expected].sort();
  const there = (wanted) => {
    const nodes = [...document.querySelectorAll('[data-testid="message"]')];
    if (nodes.some((node) => node.dataset.state !== 'stored' || !node.dataset.id)) return false;
    const texts = nodes.map((node) => node.querySelector('[data-testid="message-text"]').textContent).sort();
    return JSON.stringify(texts) === JSON.stringify(wanted);
  };
  await tab.waitForFunction(there, { polling: 50 }, wanted).catch(async () => assert.deepEqual((await texts(tab)).sort(), wanted));
}

async function appears(tab, text) {
  await tab.waitForFunction((text) => [...document.querySelectorAll('[data-testid="message-text"]')].some((node) => node.textContent === text), { polling: 50 }, text);
}

const mineOf = async (tab, text) => (await messages(tab)).find((message) => message.text === text)?.mine;

// ---- scenarios -----------------------------------------------------------------------------------------------------

test('two tabs in a room see each message once, in the same order, and know their own', () =>
  inBrowser(async (context) => {
    const room = `order-${RUN}`;
    const [alice, bob] = [await enter(context, 'alice', room), await enter(context, 'bob', room)];
    const spoken = { alice: [], bob: [] };
    const speak = async (tab, name) => {
      for (let n = 1; n <= 8; n++) {
        spoken[name].push(`${name} ${n}`);
        await say(tab, `${name} ${n}`);
      }
    };
    await Promise.all([speak(alice, 'alice'), speak(bob, 'bob')]);
    const markup = '<img src=x onerror="document.title=1"> & <b>text</b>';
    await say(alice, markup);
    const all = [...spoken.alice, ...spoken.bob, markup];
    await Promise.all([holds(alice, all), holds(bob, all)]);

    assert.deepEqual((await messages(alice)).map(({ id }) => id), (await messages(bob)).map(({ id }) => id));
    const byAlice = (await texts(bob)).filter((text) => text.startsWith('alice'));
    assert.deepEqual(byAlice, spoken.alice, "a sender's messages keep the sender's order");
    for (const { text, mine } of await messages(alice)) assert.equal(mine, text.startsWith('bob') ? 'other' : 'tab', text);
    for (const { text, mine } of await messages(bob)) assert.equal(mine, text.startsWith('bob') ? 'tab' : 'other', text);

    await bob.type(byTestId('message-input'), 'hm');
    await alice.waitForFunction(() => document.querySelector('[data-testid="typing"]').textContent.startsWith('bob is typing'), { polling: 50 });
  }));

test("one user's two tabs tell each other apart", () =>
  inBrowser(async (context) => {
    const room = `tabs-${RUN}`;
    const [one, two] = [await enter(context, 'alice', room), await enter(context, 'alice', room)];
    await say(one, 'from one');
    await appears(two, 'from one');
    await say(two, 'from two');
    await Promise.all([holds(one, ['from one', 'from two']), holds(two, ['from one', 'from two'])]);
    assert.deepEqual([await mineOf(one, 'from one'), await mineOf(one, 'from two')], ['tab', 'user']);
    assert.deepEqual([await mineOf(two, 'from one'), await mineOf(two, 'from two')], ['user', 'tab']);
  }));

test('a reload shows the history once, in order, with my own still mine', () =>
  inBrowser(async (context) => {
    const room = `history-${RUN}`;
    const [alice, bob] = [await enter(context, 'alice', room), await enter(context, 'bob', room)];
    const all = [];
    for (let n = 1; n <= 3; n++) {
      for (const [tab, name] of [[alice, 'alice'], [bob, 'bob']]) {
        await say(tab, `${name} ${n}`);
        all.push(`${name} ${n}`);
        await holds(alice, all);
      }
    }
    const before = await messages(alice);
    await alice.reload();
    await isConnected(alice);
    await holds(alice, all);
    assert.deepEqual(await messages(alice), before);
    await say(bob, 'after the reload');
    await holds(alice, [...all, 'after the reload']);
    assert.deepEqual(await texts(alice), [...all, 'after the reload']);
  }));

test('the first visit asks for a name, and rooms not in view count what is unread', () =>
  inBrowser(async (context) => {
    const room = `rooms-${RUN}`;
    const alice = await openTab(context, '');
    await alice.waitForSelector(byTestId('name-input'), { visible: true });
    await alice.type(byTestId('name-input'), 'alice');
    await alice.click(byTestId('enter'));
    await isConnected(alice);
    await alice.type(byTestId('room-input'), room);
    await alice.click(byTestId('room-join'));
    await alice.waitForSelector(`${byTestId(`room-${room}`)}[aria-current]`);
    const bob = await enter(context, 'bob', room);
    await say(bob, 'are you there?');
    await appears(alice, 'are you there?');
    await alice.click(byTestId('room-lobby'));
    await say(bob, 'one');
    await say(bob, 'two');
    await alice.waitForFunction((id) => document.querySelector(`[data-testid="${id}"]`).textContent === '2', { polling: 50 }, `unread-${room}`);
    await alice.click(byTestId(`room-${room}`));
    await holds(alice, ['are you there?', 'one', 'two']);
    await alice.waitForSelector(byTestId(`unread-${room}`), { hidden: true });
  }));

/** In the page: sockets can be cut, and no new one comes through until they may again. */
function breakableSockets() {
  const Real = window.WebSocket;
  const open = new Set();
  let broken = false;
  class Dead extends EventTarget {
    readyState = 0;
    constructor(url) {
      super();
      this.url = url;
      setTimeout(() => {
        this.readyState = 3;
        this.onclose?.({ code: 1006, reason: '', wasClean: false });
      });
    }
    send() {}
    close() {}
  }
  window.WebSocket = new Proxy(Real, {
    construct(_, [url, protocols]) {
      if (broken) return new Dead(url);
      const socket = new Real(url, protocols);
      open.add(socket);
      return socket;
    },
  });
  window.cutSockets = () => {
    broken = true;
    for (const socket of open) socket.close();
    open.clear();
  };
  window.mendSockets = () => {
    broken = false;
  };
  window.statesSeen = [];
  addEventListener('DOMContentLoaded', () => {
    const pill = document.querySelector('[data-testid="connection-state"]');
    new MutationObserver(() => window.statesSeen.push(pill.dataset.state)).observe(pill, { attributeFilter: ['data-state'] });
  });
}

test('what was said while the connection was lost arrives once, and so does what was written meanwhile', () =>
  inBrowser(async (context) => {
    const room = `loss-${RUN}`;
    const [alice, bob] = [await enter(context, 'alice', room, breakableSockets), await enter(context, 'bob', room)];
    await say(alice, 'before');
    await Promise.all([holds(alice, ['before']), holds(bob, ['before'])]);

    await alice.evaluate(() => window.cutSockets());
    await alice.waitForSelector(`${byTestId('connection-state')}[data-state="reconnecting"]`);
    for (const text of ['lost 1', 'lost 2', 'lost 3']) await say(bob, text);
    await holds(bob, ['before', 'lost 1', 'lost 2', 'lost 3']);
    await say(alice, 'written in the dark');
    await alice.waitForSelector(`${byTestId('message')}[data-state="pending"]`);
    assert.deepEqual(await texts(alice), ['before', 'written in the dark']);

    await alice.evaluate(() => {
      window.statesSeen.length = 0;
      window.mendSockets();
    });
    await isConnected(alice);
    const all = ['before', 'lost 1', 'lost 2', 'lost 3', 'written in the dark'];
    await Promise.all([holds(alice, all), holds(bob, all)]);
    assert.deepEqual(await texts(alice), all);
    assert.deepEqual(await texts(bob), all);
    assert.equal(await alice.$(byTestId('gap')), null, 'nothing may be missing');
    const seen = await alice.evaluate(() => window.statesSeen);
    assert.equal(seen.at(-1), 'connected', seen.join(' '));
    for (const text of ['before', 'written in the dark']) assert.equal(await mineOf(alice, text), 'tab', 'of an earlier session, still mine');
  }));

test('the console shows every frame with its time, and no token', () =>
  inBrowser(async (context) => {
    const destination = `/topic/rooms.console-${RUN}`;
    const tab = await openTab(context, '?user=carol#console');
    const token = await (await tab.waitForFunction(() => document.querySelector('[data-testid="console-token"]').value, { polling: 50 })).jsonValue();
    assert.match(token, /^[\w-]+\.[\w-]+\.[\w-]+$/);
    const fill = (id, value) => tab.$eval(byTestId(id), (field, value) => (field.value = value), value);
    const frame = (direction, command, text = '') =>
      tab
        .waitForFunction(
          (direction, command, text) => [...document.querySelectorAll(`[data-testid="console-frame"][data-direction="${direction}"][data-command="${command}"]`)].find((node) => node.textContent.includes(text)),
          { polling: 50 },
          direction,
          command,
          text,
        )
        .then((handle) => handle.asElement());

    await tab.click(byTestId('console-connect'));
    await tab.waitForSelector(`${byTestId('console-state')}[data-state="connected"]`);
    await frame('in', 'CONNECTED', 'carol');
    await fill('console-sub-destination', destination);
    await fill('console-sub-headers', 'history: 5\nreceipt: subscribed');
    await tab.select(byTestId('console-sub-ack'), 'client-individual');
    await tab.$eval(byTestId('console-subscribe'), (button) => button.click());
    await frame('out', 'SUBSCRIBE', destination);
    await frame('in', 'RECEIPT', 'subscribed');

    await fill('console-send-destination', destination);
    await fill('console-send-headers', 'content-type: text/plain\nreceipt: sent');
    await fill('console-send-body', 'hello from the console');
    await tab.$eval(byTestId('console-send'), (button) => button.click());
    await frame('out', 'SEND', 'hello from the console');
    await frame('in', 'RECEIPT', 'sent');
    const message = await frame('in', 'MESSAGE', 'hello from the console');
    await (await message.waitForSelector(byTestId('console-ack'))).evaluate((button) => button.click());
    await frame('out', 'ACK');

    const rows = await tab.$$eval('[data-testid="console-frame"]', (nodes) => nodes.map((node) => ({ time: node.querySelector('time').textContent, size: node.querySelector('.size').textContent, text: node.textContent })));
    for (const { time, size } of rows) {
      assert.match(time, /^\d\d:\d\d:\d\d\.\d{3}$/);
      assert.match(size, /^\d+(\.\d)? (B|KiB)$/);
    }
    assert.match(rows[0].text, /CONNECT.*Authorization.*Bearer ••••/s);
    const log = await tab.$eval('[data-testid="console-log"]', (node) => node.innerHTML);
    for (const part of token.split('.')) assert.ok(!log.includes(part), 'no part of the token is in the log');

    await tab.$eval(byTestId('console-unsubscribe'), (button) => button.click());
    await frame('out', 'UNSUBSCRIBE');
    await tab.$eval(byTestId('console-disconnect'), (button) => button.click());
    await frame('out', 'DISCONNECT');
    await frame('in', 'RECEIPT', 'close-');
    await tab.waitForSelector(`${byTestId('console-state')}[data-state="closed"]`);
    await tab.type(byTestId('console-filter'), 'hello from');
    const shown = await tab.$$eval('[data-testid="console-frame"]', (nodes) => nodes.filter((node) => !node.hidden).map((node) => node.dataset.command));
    assert.deepEqual(shown.sort(), ['MESSAGE', 'SEND']);
  }));

test('nothing is wider than a window of 360 pixels', () =>
  inBrowser(async (context) => {
    const tab = await enter(context, 'alice', `narrow-${RUN}`);
    await tab.setViewport({ width: 360, height: 700 });
    await say(tab, `${'long'.repeat(60)} and more`);
    await tab.waitForSelector(`${byTestId('message')}[data-state="stored"]`);
    const tooWide = () => [...document.querySelectorAll('body, main, .conversation, .scroll, .messages, .message, .console-forms, .log')].filter((node) => node.clientWidth > 0 && node.scrollWidth > node.clientWidth + 1).map((node) => node.className || node.tagName);
    assert.deepEqual(await tab.evaluate(tooWide), []);
    await tab.click(byTestId('tab-console'));
    assert.deepEqual(await tab.evaluate(tooWide), []);
  }));

test('no page complained in any scenario, and none asked another host for anything', () => {
  assert.deepEqual(complaints, []);
  assert.ok(requests.length > 0);
  const hosts = new Set(requests.filter((url) => !/^(data|blob):/.test(url)).map((url) => new URL(url).host));
  assert.deepEqual([...hosts], [new URL(ORIGIN).host]);
});
