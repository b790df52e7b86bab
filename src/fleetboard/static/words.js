/** Numbers, times and sentences as the pages show them. */

const LOCALE = "en-GB";
const DAY_MS = 86_400_000;
const clock = new Intl.DateTimeFormat(LOCALE, { hour: "2-digit", minute: "2-digit" });
const weekday = new Intl.DateTimeFormat(LOCALE, { weekday: "short", day: "numeric", month: "short" });
const day = new Intl.DateTimeFormat(LOCALE, { day: "numeric", month: "short", year: "numeric" });
const decimals = [0, 1, 2, 3, 4].map((digits) => new Intl.NumberFormat(LOCALE, { maximumFractionDigits: digits }));
const money = new Intl.NumberFormat(LOCALE, { style: "currency", currency: "EUR" });

/** A number with at most so many decimals. */
export function number(value, digits = 0) {
  return decimals[digits].format(value);
}

/** One of something, or several. */
export function counted(count, one, several = `${one}s`) {
  return `${number(count)} ${count === 1 ? one : several}`;
}

/** Cents as euros. */
export function euros(cents) {
  return money.format(cents / 100);
}

/** A date without a time, as 2 Dec 2026. */
export function date(iso) {
  return day.format(new Date(`${iso}T00:00`));
}

/** A date as a field of type date wants it, so many days from today. */
export function dayFromNow(days) {
  const then = new Date();
  then.setDate(then.getDate() + days);
  const pad = (part) => String(part).padStart(2, "0");
  return `${then.getFullYear()}-${pad(then.getMonth() + 1)}-${pad(then.getDate())}`;
}

/** A moment near to now: today 14:00, tomorrow 09:30, Wed 2 Dec 09:30. */
export function moment(iso) {
  const then = new Date(iso);
  const midnight = new Date().setHours(0, 0, 0, 0);
  const days = Math.round((new Date(then).setHours(0, 0, 0, 0) - midnight) / DAY_MS);
  const named = { "-1": "yesterday", 0: "today", 1: "tomorrow" }[days] ?? weekday.format(then);
  return `${named} ${clock.format(then)}`;
}

/** A time of the day with seconds. */
export function timeOfDay(iso) {
  return new Date(iso).toLocaleTimeString(LOCALE);
}

/** Makes sentences of the API's bare ones: a capital in front, a full stop behind. */
export function sentence(...parts) {
  return parts.map((part) => part.charAt(0).toUpperCase() + part.slice(1).replace(/[.]?$/, ".")).join(" ");
}

/** A word with a capital. */
export function capital(word) {
  return word.charAt(0).toUpperCase() + word.slice(1);
}
