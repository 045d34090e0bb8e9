// The two views. Arrow keys move between the tabs, as in the ARIA practices; the console's address is #console.

import { byId } from './dom';

const NAMES = ['chat', 'console'] as const;
type Name = (typeof NAMES)[number];

export function wireTabs(): void {
  const show = (name: Name, focus = false) => {
    document.body.dataset['view'] = name;
    for (const other of NAMES) {
      const tab = byId(`tab-${other}`);
      const chosen = other === name;
      tab.ariaSelected = String(chosen);
      tab.tabIndex = chosen ? 0 : -1;
      if (chosen && focus) tab.focus();
      byId(other).hidden = !chosen;
    }
  };
  const choose = (name: Name, focus = false) => {
    history.replaceState(null, '', name === 'chat' ? location.pathname + location.search : `#${name}`);
    show(name, focus);
  };
  for (const [index, name] of NAMES.entries()) {
    const tab = byId(`tab-${name}`);
    tab.addEventListener('click', () => choose(name));
    tab.addEventListener('keydown', ({ key }) => {
      const step = key === 'ArrowRight' ? 1 : key === 'ArrowLeft' ? -1 : 0;
      if (step) choose(NAMES[(index + step + NAMES.length) % NAMES.length]!, true);
    });
  }
  show(location.hash === '#console' ? 'console' : 'chat');
}
