// This tab's own name. `sender-session` tells browsers apart, not tabs, so each SEND says in a header of its own which tab it
// is from; sessionStorage keeps the name over a reload.

import { newId } from './ids';

const KEY = 'footfall.tab';

export const TAB = sessionStorage.getItem(KEY) ?? newId();
sessionStorage.setItem(KEY, TAB);
