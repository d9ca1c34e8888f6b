// Keeps a page as new as the store: when the server says that something has changed, the page is fetched again, and
// what differs is put in its place.

import { morph } from "./morph.js";

const PAUSE = 700; // milliseconds between two looks, however much changes

/**
 * @param {HTMLElement} main the part of the page that changes; `data-live` says where the server tells of it
 * @param {HTMLElement | null} sign says whether the page is live
 * @param {() => void} shown called when the page was changed
 */
export function follow(main, sign, shown) {
  let source = null;
  let looking = false;
  let again = false;
  let over = false;

  function say(state, text) {
    if (!sign || over) return;
    sign.dataset.state = state;
    if (sign.textContent !== text) sign.textContent = text;
  }

  async function look() {
    if (looking || over || document.hidden) {
      again = true;
      return;
    }
    looking = true;
    again = false;
    let pause = PAUSE;
    try {
      const answer = await fetch(location.href, { headers: { accept: "text/html" } });
      // Signed out, or the job was deleted: that is a page of its own.
      if (answer.redirected || [401, 403, 404].includes(answer.status)) return location.reload();
      if (!answer.ok) throw new Error(`The server answered ${answer.status}`);
      show(new DOMParser().parseFromString(await answer.text(), "text/html"));
      say("on", "Live");
    } catch {
      say("off", "Not live: trying again");
      again = true;
      pause = 5 * PAUSE;
    }
    setTimeout(() => {
      looking = false;
      if (again && !over) look();
    }, pause);
  }

  function show(page) {
    const next = page.querySelector("main");
    const nav = page.querySelector("#nav");
    if (!next) return;
    over = !next.dataset.live; // of what has ended nothing changes any more
    morph(main, next);
    if (nav) morph(document.querySelector("#nav"), nav);
    shown();
    if (!over) return;
    rest();
    if (sign) sign.hidden = true;
  }

  function listen() {
    if (source || over || document.hidden) return;
    source = new EventSource(main.dataset.live);
    source.addEventListener("open", () => {
      say("on", "Live");
      look();
    });
    source.addEventListener("changed", look);
    source.addEventListener("error", () => {
      say("off", "Not live: trying again");
      // The browser connects again by itself, unless the answer was none that it listens to: then the page says why.
      if (source.readyState !== EventSource.CLOSED) return;
      rest();
      look();
    });
  }

  function rest() {
    source?.close();
    source = null;
  }

  // A browser has few connections to one server: a page that nobody sees lets go of its own.
  document.addEventListener("visibilitychange", () => (document.hidden ? rest() : listen()));
  setInterval(listen, 5000);
  listen();
}
