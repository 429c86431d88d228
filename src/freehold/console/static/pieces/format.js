// Numbers and times as people read them. An absent value is a dash; why it is absent stands next to it.

export const NONE = "–";
const absent = (value) => value === null || value === undefined;

export const count = (n) => (absent(n) ? NONE : Number(n).toLocaleString("en"));
export const percent = (share) => (absent(share) ? NONE : `${Number((100 * share).toFixed(Math.abs(share) < 0.1 ? 1 : 0))}%`);
/** A difference of two shares, in points of a hundred. */
export const points = (difference) => (absent(difference) ? NONE : `${difference > 0 ? "+" : difference < 0 ? "−" : "±"}${Math.abs(100 * difference).toFixed(1)} points`);
export const ms = (value) => (absent(value) ? NONE : value < 1000 ? `${value.toFixed(0)} ms` : `${(value / 1000).toFixed(1)} s`);
export const seconds = (s) => (absent(s) ? NONE : s < 90 ? `${s.toFixed(0)} s` : s < 5400 ? `${Number((s / 60).toFixed(1))} min` : s < 172_800 ? `${Number((s / 3600).toFixed(1))} h` : `${Math.round(s / 86_400)} days`);
export const gib = (bytes) => (absent(bytes) ? NONE : `${(bytes / 2 ** 30).toFixed(1)} GiB`);
/** Money arrives as text, so that no digit is lost on the way. */
export const usd = (amount) => (absent(amount) ? NONE : Number(amount).toLocaleString("en", { style: "currency", currency: "USD", maximumFractionDigits: Math.abs(amount) < 1 ? 4 : 2 }));
/** Words that came without a capital letter and a full stop, as a sentence. */
export const sentence = (words) => (words ? `${words[0].toUpperCase()}${words.slice(1)}${/[.!?]$/.test(words) ? "" : "."}` : "");
export const number = (value, digits = 3) => (absent(value) ? NONE : Number(value).toFixed(digits).replace("-", "−"));

const utc = (iso, options) => (absent(iso) ? NONE : new Date(iso).toLocaleString("en-GB", { timeZone: "UTC", ...options }));
export const clock = (iso) => utc(iso, { hour: "2-digit", minute: "2-digit", second: "2-digit" });
export const day = (iso) => utc(iso, { day: "numeric", month: "short", year: "numeric" });
export const moment = (iso) => (absent(iso) ? NONE : `${utc(iso, { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" })} UTC`);
/** How long ago by the server's clock, which `now` is of: the browser's may be wrong. */
export const ago = (iso, now) => (absent(iso) ? NONE : `${seconds(Math.max(0, (new Date(now) - new Date(iso)) / 1000))} ago`);
