// The page: a chat and a console, each with a connection of its own.

import { ChatView } from './chat_view';
import { fetchConfig } from './config';
import { Console } from './console/console';
import { byId, element } from './dom';
import { wireTabs } from './tabs';

wireTabs();
void start();

async function start(): Promise<void> {
  try {
    const config = await fetchConfig();
    byId('version').textContent = config.version;
    new ChatView(config);
    new Console(config);
  } catch (error) {
    byId('entry').hidden = false;
    byId('entry').append(element('p', { className: 'card', role: 'alert', textContent: `The broker does not say how to reach it. Reload to try again. (${String(error)})` }));
  }
}
