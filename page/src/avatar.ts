// A face for a name: its initials on a colour that is the same in every tab.

export function dressAvatar(node: HTMLElement, name: string): void {
  node.textContent = initials(name);
  node.style.setProperty('--hue', String(hue(name)));
}

function initials(name: string): string {
  const words = name.split(/[^\p{L}\p{N}]+/u).filter(Boolean);
  const first = [...(words[0] ?? name)];
  const second = words.length > 1 ? [...words.at(-1)!].slice(0, 1) : first.slice(1, 2);
  return [...first.slice(0, 1), ...second].join('').toUpperCase();
}

function hue(name: string): number {
  let hash = 2166136261;
  for (const character of name) hash = Math.imul(hash ^ character.codePointAt(0)!, 16777619);
  return (hash >>> 0) % 360;
}
