// SPDX-License-Identifier: MPL-2.0
// Keeps an open page true: when something changed it reads the page again and exchanges only the rows that differ,
// so that scroll, focus and selection stay. Without this script the page is complete, only not live.
"use strict";

(() => {
  const live = document.querySelector(".live");
  const hears = document.querySelector("main").dataset.hears;
  let timer = 0;
  let tag = "";

  const say = (state, text) => {
    live.dataset.state = state;
    live.textContent = text;
  };

  const ago = (from) => {
    const minutes = Math.round((Date.now() - from) / 60000);
    const ahead = minutes < 0;
    const n = Math.abs(minutes);
    const text = n < 1 ? "now" : n < 60 ? `${n} min` : n < 2880 ? `${Math.round(n / 60)} h` : `${Math.round(n / 1440)} days`;
    return n < 1 ? text : ahead ? `in ${text}` : `${text} ago`;
  };

  const tellTimes = () => {
    for (const each of document.querySelectorAll("time[datetime]:not(.moment)")) {
      const from = Date.parse(each.dateTime);
      if (!Number.isNaN(from)) {
        each.title = each.title || each.textContent;
        each.textContent = ago(from);
      }
    }
  };

  const exchange = (old, fresh) => {
    const there = new Map([...old.children].map((each) => [each.dataset.key, each]));
    let place = old.firstElementChild;
    for (const next of [...fresh.children]) {
      const now = there.get(next.dataset.key);
      there.delete(next.dataset.key);
      if (now && now.dataset.tag === next.dataset.tag) {
        if (now === place) place = place.nextElementSibling;
        else old.insertBefore(now, place);
        continue;
      }
      if (now && next.matches("section") && now.querySelector("tbody") && next.querySelector("tbody")) {
        now.dataset.tag = next.dataset.tag;
        now.firstElementChild.replaceWith(next.firstElementChild);
        exchange(now.querySelector("tbody"), next.querySelector("tbody"));
        if (now === place) place = place.nextElementSibling;
        else old.insertBefore(now, place);
        continue;
      }
      if (now === place && now) place = place.nextElementSibling;
      if (now) now.replaceWith(next);
      else old.insertBefore(next, place);
      next.classList.add("changed");
    }
    for (const gone of there.values()) gone.remove();
  };

  const refresh = async () => {
    timer = 0;
    try {
      const answer = await fetch(location.pathname + location.search, {
        headers: tag ? { Accept: "text/html", "If-None-Match": tag } : { Accept: "text/html" },
        cache: "no-store",
      });
      if (answer.status === 304) return;
      if (!answer.ok) throw new Error(String(answer.status));
      tag = answer.headers.get("ETag") || "";
      const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
      exchange(document.querySelector("main"), fresh.querySelector("main"));
      document.querySelector("header .within").replaceWith(fresh.querySelector("header .within"));
      tellTimes();
    } catch {
      say("off", "Could not read what changed; trying again");
      soon(5000);
    }
  };

  const soon = (wait) => {
    if (!timer) timer = setTimeout(refresh, wait);
  };

  tellTimes();
  setInterval(tellTimes, 30000);
  // That a source answers is no change, only that it stops; how long ago it did is read now and then.
  if (hears === "events") setInterval(() => soon(0), 60000);
  const source = new EventSource("/api/live");
  source.addEventListener("open", () => {
    say("on", "Live");
    soon(50);
  });
  source.addEventListener("change", (event) => {
    const isEvents = JSON.parse(event.data).table === "events";
    // Events come many times a second; nobody reads faster than once.
    if (isEvents === (hears === "events")) soon(isEvents ? 1000 : 250);
  });
  source.addEventListener("resync", () => soon(250));
  source.addEventListener("error", () => {
    say("off", "Not live; connecting again");
    // A stream that was refused for good is not tried again by the browser itself.
    if (source.readyState === EventSource.CLOSED) setTimeout(() => location.reload(), 15000);
  });
})();
