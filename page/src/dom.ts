// The few lines of DOM sugar the page needs. Text only ever enters as text nodes, so no message can become markup.

type Properties<T> = { [K in keyof T]?: T[K] } & {
  data?: Record<string, string>;
  aria?: Record<string, string>;
};

export function element<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  properties: Properties<Omit<HTMLElementTagNameMap[K], 'innerHTML' | 'outerHTML' | 'style' | 'children'>> = {},
  ...children: (Node | string)[]
): HTMLElementTagNameMap[K] {
  const node = document.createElement(tag);
  const { data, aria, ...rest } = properties;
  Object.assign(node, rest);
  for (const [name, value] of Object.entries(data ?? {})) node.setAttribute(`data-${name}`, value);
  for (const [name, value] of Object.entries(aria ?? {})) node.setAttribute(`aria-${name}`, value);
  node.append(...children);
  return node;
}

/** The element of index.html with this id; its absence is a mistake in the page itself. */
export function byId<T extends HTMLElement = HTMLElement>(id: string): T {
  const node = document.getElementById(id);
  if (!node) throw new Error(`index.html has no #${id}`);
  return node as T;
}

export function formError(form: HTMLElement, sentence: string): void {
  const place = form.querySelector('.form-error');
  if (place) place.textContent = sentence;
}

/** Makes `parent` hold exactly `nodes` in this order, moving only what is out of place, so that focus and selection survive. */
export function arrange(parent: HTMLElement, nodes: readonly Node[]): void {
  let next = parent.firstChild;
  for (const node of nodes) {
    if (node === next) next = node.nextSibling;
    else parent.insertBefore(node, next);
  }
  while (next) {
    const gone = next;
    next = next.nextSibling;
    gone.remove();
  }
}
