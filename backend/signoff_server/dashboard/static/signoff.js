// What makes the pages live. Without it everything works by links and forms.
(() => {
  "use strict";
  const EACH = 1000, HIDDEN_EACH = 30000;
  const live = document.getElementById("live");
  const banner = document.getElementById("connection");

  // ---- A burst of events costs one request a second, and the last event of it is never left out.
  let due = null, asked = 0;
  function changed() {
    if (due !== null) return;
    const wait = Math.max(0, asked + EACH - Date.now());
    due = setTimeout(() => {
      due = null;
      asked = Date.now();
      document.querySelectorAll("[data-live]").forEach((part) => htmx.trigger(part, "refresh"));
    }, wait);
  }

  if (live !== null) {
    live.addEventListener("changed", changed);
    document.body.addEventListener("htmx:sse:after:connection", () => {
      banner.hidden = true;
      // What happened between the page and its stream, or while the server was away.
      changed();
    });
    document.body.addEventListener("htmx:sse:error", () => { banner.hidden = false; });
    // A page in the background gives its connection back (a browser has six for a server), and looks now and then.
    setInterval(() => { if (document.hidden) changed(); }, HIDDEN_EACH);
  }

  // ---- How many wait, where it is seen from another tab.
  const title = document.title;
  function counted() {
    const part = document.querySelector("[data-pending]");
    if (part === null) return;
    const count = Number(part.dataset.pending);
    document.title = count ? `(${count}) ${title}` : title;
    const icon = document.querySelector("link[rel=icon]");
    const dot = count ? '<circle cx="24" cy="8" r="8" fill="#d4351c"/>' : "";
    icon.href = "data:image/svg+xml," + encodeURIComponent(
      '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32"><rect width="32" height="32" rx="8" fill="#2f6f4f"/>' +
      '<path d="M9 17l5 5 10-12" fill="none" stroke="#fff" stroke-width="3.5" stroke-linecap="round" stroke-linejoin="round"/>' +
      dot + "</svg>");
  }

  // ---- How long there is.
  function left(milliseconds) {
    let seconds = Math.max(0, Math.floor(milliseconds / 1000));
    const counts = [[86400, "d"], [3600, "h"], [60, "min"], [1, "s"]].map(([size, unit]) => {
      const count = Math.floor(seconds / size);
      seconds -= count * size;
      return [count, unit];
    });
    const first = counts.findIndex(([count]) => count);
    if (first < 0) return "0 s";
    return counts.slice(first, first + 2).filter(([count]) => count).map(([count, unit]) => `${count} ${unit}`).join(" ");
  }
  // The server's clock counts, however wrong this one is.
  const skew = Number(document.body.dataset.now || Date.now()) - Date.now();
  function ticked() {
    const now = Date.now() + skew;
    document.querySelectorAll("time[data-until]").forEach((time) => { time.textContent = left(Number(time.dataset.until) - now); });
    document.querySelectorAll("time[data-since]").forEach((time) => { time.textContent = left(now - Number(time.dataset.since)); });
  }

  document.body.addEventListener("htmx:after:swap", () => { counted(); ticked(); });
  counted();
  ticked();
  setInterval(ticked, 1000);
})();
