/** Elements made by hand: text stays text, whatever the server sends. */

/**
 * Makes an element.
 * @param {string} tag
 * @param {Record<string, any>} attributes `class`, `text`, `onclick` and the like, `data` (an object); any other name
 *   is an attribute. What is null, undefined or false is left out.
 * @param {...(Node | string | null)} children
 * @returns {HTMLElement}
 */
export function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name === "text") element.textContent = value;
    else if (name === "data") Object.assign(element.dataset, value);
    else if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.filter((child) => child !== null));
  return element;
}

/** Writes a text only if it differs, so that nothing is announced twice and nobody's selection is lost. */
export function write(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** Shows a sentence in an element that is hidden while there is none. */
export function say(element, text) {
  write(element, text);
  element.hidden = !text;
}

/** Elements of a list or table, one an item. What stays is not moved, so that the keyboard stays where it is. */
export class Rows {
  /**
   * @param {HTMLElement} parent
   * @param {HTMLElement} home where the keyboard goes if the row that it is on is gone
   * @param {(item: object) => HTMLElement} build
   */
  constructor(parent, home, build) {
    this.parent = parent;
    this.home = home;
    this.build = build;
    this.rows = new Map(); // id -> [item as JSON, element]
  }

  /** Shows these items, in this order; elements of items that did not change stay the same. */
  show(items) {
    const before = this.rows;
    this.rows = new Map();
    for (const item of items) {
      const told = JSON.stringify(item);
      const [same, element] = before.get(item.id) ?? [];
      this.rows.set(item.id, [told, same === told ? element : this.build(item)]);
    }
    const wanted = [...this.rows.values()].map(([, element]) => element);
    const keep = new Set(wanted);
    const gone = [...this.parent.children].filter((child) => !keep.has(child));
    const focused = gone.some((child) => child.contains(document.activeElement));
    for (const child of gone) child.remove();
    if (focused) this.home.focus({ preventScroll: true });
    wanted.forEach((element, index) => {
      const there = this.parent.children[index] ?? null;
      if (there !== element) this.parent.insertBefore(element, there);
    });
  }

  /** The element of an item, if it is on show. */
  get(id) {
    return this.rows.get(id)?.[1];
  }
}
