/** The sign-in page: asks for a session, and goes on to where the user wanted to be. */

import { api } from "./api.js";
import { spoil } from "./faults.js";
import { sentence } from "./words.js";

const form = document.querySelector("[data-sign-in]");
const alert = form.querySelector("[data-sign-in-alert]");
const button = form.querySelector("button");

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  if (button.disabled) return;
  button.disabled = true;
  say("");
  const { user, password } = Object.fromEntries(new FormData(form));
  try {
    await api("/api/session", { method: "POST", body: { user: user.trim(), password }, public: true });
    location.assign(form.dataset.next);
  } catch (error) {
    button.disabled = false;
    say(sentence(...(Object.values(error.fields ?? {}).length ? Object.values(error.fields) : [error.message])));
    form.elements.password.value = "";
    form.elements[error.fields?.user ? "user" : "password"].focus();
  }
});

function say(text) {
  alert.textContent = text;
  alert.hidden = !text;
}

spoil();
