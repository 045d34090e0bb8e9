// The sidebar: joined rooms, with what is unread in each.

import { arrange, element } from './dom';
import type { Room } from './room';

export class RoomList {
  #entries = new Map<Room, HTMLElement>();

  constructor(
    private readonly list: HTMLElement,
    private readonly choose: (room: Room) => void,
    private readonly leave: (room: Room) => void,
  ) {}

  show(rooms: Iterable<Room>, current: Room | undefined): void {
    const entries = new Map<Room, HTMLElement>();
    for (const room of rooms) entries.set(room, this.#entries.get(room) ?? this.#entry(room));
    this.#entries = entries;
    for (const [room, entry] of entries) {
      const button = entry.querySelector('.room')!;
      if (room === current) button.setAttribute('aria-current', 'true');
      else button.removeAttribute('aria-current');
      entry.classList.toggle('denied', room.denied !== undefined);
      const badge = entry.querySelector<HTMLElement>('.badge')!;
      badge.hidden = room.unread === 0;
      badge.textContent = room.unread > 99 ? '99+' : String(room.unread);
      badge.ariaLabel = `${room.unread} unread`;
      entry.querySelector<HTMLElement>('.leave-room')!.hidden = entries.size === 1;
    }
    arrange(this.list, [...entries.values()]);
  }

  #entry(room: Room): HTMLElement {
    const choose = element(
      'button',
      { type: 'button', className: 'room', data: { testid: `room-${room.name}` } },
      element('span', { className: 'room-name', textContent: room.name }),
      element('span', { className: 'badge', hidden: true, data: { testid: `unread-${room.name}` } }),
    );
    choose.addEventListener('click', () => this.choose(room));
    const leave = element('button', { type: 'button', className: 'leave-room', textContent: '×', title: `Leave ${room.name}`, ariaLabel: `Leave ${room.name}` });
    leave.addEventListener('click', () => this.leave(room));
    return element('li', {}, choose, leave);
  }
}
