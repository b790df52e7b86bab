/** Native dialogs over the page: Escape, the cross and the ground beside them close them. */

export class Dialog {
  /**
   * @param {HTMLDialogElement} element with buttons [data-close] in it
   * @param {() => HTMLElement} home where the keyboard goes if what it came from is gone
   * @param {() => void} [onClose]
   */
  constructor(element, home, onClose = () => {}) {
    this.element = element;
    this.home = home;
    for (const button of element.querySelectorAll("[data-close]")) {
      button.addEventListener("click", () => this.close());
    }
    // Its content covers the dialog, so a press on the dialog itself is one beside it.
    element.addEventListener("pointerdown", ({ target }) => target === element && this.close());
    element.addEventListener("close", () => {
      onClose();
      this.#giveBack();
    });
  }

  /** Shows it; the keyboard starts at what has `autofocus`. */
  open() {
    this.opener = document.activeElement;
    this.element.showModal();
  }

  /** Closes it. */
  close() {
    this.element.close();
  }

  #giveBack() {
    const back = this.opener?.isConnected && this.opener !== document.body ? this.opener : this.home();
    back.focus({ preventScroll: true });
  }
}
