/** Parts of a page that show what the API says, and what becomes of them when it doesn't. */

import { ApiError } from "./api.js";
import { make, write } from "./dom.js";
import { shownError } from "./faults.js";
import { sentence } from "./words.js";

const RETRY_MS = 15_000;

/** Trouble said in an element with the role alert, with a button that tries again if there is something to try. */
export class Notice {
  /**
   * @param {HTMLElement} element empty and hidden
   * @param {() => void} [onRetry]
   */
  constructor(element, onRetry) {
    this.element = element;
    this.text = make("span");
    element.append(this.text);
    this.retry = make("button", { type: "button", class: "button compact", text: "Try again", onclick: onRetry, hidden: !onRetry });
    element.append(this.retry);
  }

  /** Says what is wrong, as the API's errors say it: without a capital and a full stop. */
  say(...parts) {
    const text = shownError(sentence(...parts));
    write(this.text, text);
    this.element.hidden = !text;
  }

  /** Takes it back; the keyboard does not stay on a button that is gone. */
  clear() {
    const focused = this.element.contains(document.activeElement);
    this.element.hidden = true;
    write(this.text, "");
    if (focused) this.element.closest("dialog, main").focus({ preventScroll: true });
  }
}

/** Fetches something and draws it; says so if it can't be had, keeps what was drawn, and tries again. */
export class Loading {
  /**
   * @param {HTMLElement} alert where trouble is said
   * @param {string} what what it is about, as the beginning of a sentence: "the loads"
   * @param {() => Promise<any>} fetch
   * @param {(found: any) => void} draw
   * @param {() => void} [onTrouble] called each time that it can't be had
   */
  constructor(alert, what, fetch, draw, onTrouble = () => {}) {
    this.notice = new Notice(alert, () => this.refresh());
    Object.assign(this, { what, fetch, draw, onTrouble });
    this.turn = 0;
  }

  /** Fetches and draws; of several at once only the last one counts. */
  async refresh() {
    const turn = this.stop();
    let found;
    try {
      found = await this.fetch();
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      if (turn === this.turn) this.#fail(error);
      return;
    }
    if (turn !== this.turn) return;
    this.notice.clear();
    this.draw(found);
  }

  /** Forgets what is under way. */
  stop() {
    clearTimeout(this.timer);
    this.turn += 1;
    return this.turn;
  }

  #fail(error) {
    const mayPass = error.status !== 422; // what was asked for stays wrong, however often
    this.notice.retry.hidden = !mayPass;
    this.notice.say(`${this.what} can’t be loaded: ${error.message}`);
    if (mayPass) this.timer = setTimeout(() => this.refresh(), RETRY_MS);
    this.onTrouble();
  }
}
