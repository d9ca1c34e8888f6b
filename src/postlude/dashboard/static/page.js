// What every page does beyond its HTML. Each of these only adds to what works without it.

import { follow } from "./live.js";

const main = document.querySelector("main");

function localTimes() {
  for (const each of document.querySelectorAll("time[datetime]")) {
    const moment = new Date(each.dateTime);
    each.title = moment.toLocaleString(undefined, { dateStyle: "medium", timeStyle: "long" });
  }
}

function themes() {
  const button = document.querySelector("[data-theme-button]");
  if (!button) return;
  const dark = matchMedia("(prefers-color-scheme: dark)");
  button.hidden = false;
  button.addEventListener("click", () => {
    const root = document.documentElement;
    const now = root.dataset.theme || (dark.matches ? "dark" : "light");
    root.dataset.theme = now === "dark" ? "light" : "dark";
    // In a cookie, so that the server gives the next page its colours at once.
    const kept = `${button.dataset.cookie}=${root.dataset.theme}`;
    document.cookie = `${kept}; path=${button.dataset.path}; max-age=31536000; samesite=lax`;
  });
}

function currentPage() {
  // On a phone the names of the pages are wider than the screen.
  document.querySelector("nav [aria-current]")?.scrollIntoView({ block: "nearest", inline: "nearest" });
}

function ticks() {
  const boxes = [...document.querySelectorAll('input[name="id"]')];
  const all = document.querySelector("[data-all]");
  if (all) {
    all.closest("label").hidden = boxes.length === 0;
    all.checked = boxes.length > 0 && boxes.every((box) => box.checked);
  }
  const chosen = boxes.filter((box) => box.checked).length;
  const said = document.querySelector("[data-chosen]");
  if (said) said.textContent = chosen ? `${chosen} chosen` : said.dataset.chosen;
}

document.addEventListener("change", (event) => {
  if (event.target.matches("[data-all]")) {
    for (const box of document.querySelectorAll('input[name="id"]')) box.checked = event.target.checked;
  }
  if (event.target.matches("select[data-go]")) event.target.form.requestSubmit();
  ticks();
});

// A `toggle` does not bubble: it is caught on its way down.
document.addEventListener(
  "toggle",
  (event) => {
    if (event.target.matches("details.asking[open]")) event.target.querySelector("input[name=reason]").focus();
  },
  true,
);

document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-copy]");
  if (!button || !navigator.clipboard) return;
  await navigator.clipboard.writeText(button.dataset.copy);
  const said = button.textContent;
  button.textContent = "Copied";
  setTimeout(() => (button.textContent = said), 1500);
});

document.addEventListener("submit", (event) => {
  if (event.target.method !== "post") {
    // Fields that were left empty would only make the address long.
    for (const field of event.target.elements) if (field.name && field.value === "") field.disabled = true;
    return;
  }
  // After the form was read: a button that is switched off does not say which one it was.
  setTimeout(() => {
    for (const button of event.target.querySelectorAll("button")) button.disabled = true;
  });
});

document.addEventListener("keydown", (event) => {
  if (event.key !== "/" || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.target.matches("input, select, textarea")) return;
  const field = document.querySelector('input[name="text"]');
  if (!field) return;
  event.preventDefault();
  field.focus();
});

function shown() {
  localTimes();
  ticks();
  for (const button of document.querySelectorAll("[data-copy]")) button.hidden = !navigator.clipboard;
}

themes();
currentPage();
shown();
if (main?.dataset.live) follow(main, document.querySelector(".live"), shown);
addEventListener("pageshow", (event) => {
  // A page that comes back as it was left has fields and buttons that were switched off on the way out.
  if (event.persisted) for (const each of document.querySelectorAll(":disabled:not([data-off])")) each.disabled = false;
});
