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

  // ---- How many wait, where it is seen from another tab; the title says it too, as it comes.
  function counted() {
    const part = document.querySelector("[data-pending]");
    if (part === null) return;
    const count = Number(part.dataset.pending);
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

  // ---- What a swap must not take away: the row that one stands on, what is selected, and what is being typed.
  const rows = () => [...document.querySelectorAll(".rows > li[data-href]")];
  const boxes = () => [...document.querySelectorAll('.rows input[type=checkbox][name="id"]')];
  let here = null, known = null;
  const picked = new Set();
  document.body.addEventListener("change", (event) => {
    if (!event.target.matches?.('.rows input[type=checkbox][name="id"]')) return;
    if (event.target.checked) picked.add(event.target.value); else picked.delete(event.target.value);
  });
  function mark(row) {
    document.querySelector(".rows > li.here")?.classList.remove("here");
    here = row?.id ?? null;
    row?.classList.add("here");
  }
  // What was unfolded stays so; a swap would fold it as it came from the server.
  const unfolded = new Set();
  function nameOf(details) {
    const part = details.closest("[id]");
    return `${part.id}/${[...part.querySelectorAll("details")].indexOf(details)}`;
  }
  document.addEventListener("toggle", (event) => {
    if (!event.target.matches?.("[data-live] details")) return;
    if (event.target.open) unfolded.add(nameOf(event.target)); else unfolded.delete(nameOf(event.target));
  }, true);
  function kept() {
    document.querySelectorAll("[data-live] details").forEach((details) => {
      if (unfolded.has(nameOf(details))) details.open = true;
    });
    if (here !== null) document.getElementById(here)?.classList.add("here");
    boxes().forEach((box) => { box.checked = picked.has(box.value); });
    // A box that left the page with its row is no longer part of the form.
    const there = new Set(boxes().map((box) => box.value));
    picked.forEach((id) => { if (!there.has(id)) picked.delete(id); });
  }

  // ---- What changed is said once, in a sentence, to whoever listens instead of looking.
  function say(text) {
    const box = document.getElementById("announce");
    if (box !== null && text) box.textContent = text;
  }
  function told() {
    const part = document.getElementById("pending");
    if (part === null) return;
    const before = known, now = new Set(rows().map((row) => row.id));
    known = now;
    if (before === null) return;
    const come = [...now].filter((id) => !before.has(id)).length;
    const gone = [...before].filter((id) => document.getElementById("gone-" + id.slice(4)) !== null).length;
    const parts = [];
    if (come) parts.push(come === 1 ? "One new request." : `${come} new requests.`);
    if (gone) parts.push(gone === 1 ? "One was decided." : `${gone} were decided.`);
    say(parts.join(" "));
  }

  // ---- A form for what has ended meanwhile is closed; words that were typed into it stay.
  let stood = null;
  function stands() {
    const part = document.getElementById("standing");
    if (part === null) return;
    const decide = document.querySelector("[data-while=pending]");
    if (decide !== null && part.dataset.status !== "pending") {
      const typed = decide.querySelector("textarea").value.trim() !== "";
      decide.querySelectorAll("button").forEach((button) => { button.disabled = true; });
      decide.querySelector(".closed").hidden = false;
      decide.hidden = !typed;
    }
    const resolve = document.querySelector("[data-while-unknown]");
    if (resolve !== null && part.dataset.unknown === "true") resolve.hidden = false;
    if (stood !== null && stood !== part.dataset.status) say(part.querySelector(".stand").textContent.trim().replace(/\s+/g, " "));
    stood = part.dataset.status;
  }

  // ---- Keys. Everything that they do can be done by links and buttons; none of them decides.
  const KEYS = [["j", "next one"], ["k", "one before"], ["Enter", "open it"], ["x", "select it"], ["a", "go to approve"],
    ["r", "go to reject, and say why"], ["/", "search"], ["?", "these keys"]];
  function explain() {
    let dialog = document.getElementById("keys");
    if (dialog === null) {
      dialog = document.createElement("dialog");
      dialog.id = "keys";
      dialog.setAttribute("aria-labelledby", "keys-title");
      const title = Object.assign(document.createElement("h2"), {id: "keys-title", textContent: "Keys"});
      const list = Object.assign(document.createElement("dl"), {className: "facts"});
      for (const [key, does] of KEYS) {
        const name = document.createElement("dt");
        name.append(Object.assign(document.createElement("kbd"), {textContent: key}));
        list.append(name, Object.assign(document.createElement("dd"), {textContent: does}));
      }
      const close = Object.assign(document.createElement("button"), {textContent: "Close", type: "button"});
      close.addEventListener("click", () => dialog.close());
      dialog.append(title, list, close);
      document.body.append(dialog);
    }
    dialog.showModal();
  }
  function step(by) {
    const every = rows();
    if (!every.length) return;
    const at = every.findIndex((row) => row.id === here);
    const row = every[at < 0 ? (by > 0 ? 0 : every.length - 1) : Math.min(every.length - 1, Math.max(0, at + by))];
    mark(row);
    row.scrollIntoView({block: "nearest"});
    row.querySelector(".title a")?.focus({preventScroll: true});
  }
  function toForm(target) {
    const row = document.getElementById(here ?? "");
    const field = document.getElementById(target);
    if (field !== null && field.checkVisibility() && !field.disabled) field.focus();
    else if (row !== null) location.assign(row.dataset.href + "#" + target);
  }
  const DO = {
    j: () => step(1),
    k: () => step(-1),
    x: () => document.getElementById(here ?? "")?.querySelector("input[type=checkbox]")?.click(),
    a: () => toForm("approve"),
    r: () => toForm("reason"),
    "/": () => document.querySelector("[data-search], input[type=search]")?.focus(),
    "?": explain,
    Enter: () => { const row = document.getElementById(here ?? ""); if (row !== null) location.assign(row.dataset.href); },
  };
  document.addEventListener("keydown", (event) => {
    const on = event.target;
    const typing = on.isContentEditable || (on.matches?.("input, textarea, select") && on.type !== "checkbox" && on.type !== "radio");
    if (typing || event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
    if (document.querySelector("dialog[open]") !== null || !Object.hasOwn(DO, event.key)) return;
    // Enter on a link, a button or a summary does what it always does.
    if (event.key === "Enter" && on.matches?.("a, button, summary, input")) return;
    event.preventDefault();
    DO[event.key]();
  });
  document.addEventListener("focusin", (event) => {
    const row = event.target.closest?.(".rows > li[data-href]");
    if (row && row.id && row.id !== here) mark(row);
  });
  if (location.hash === "#approve" || location.hash === "#reason") document.getElementById(location.hash.slice(1))?.focus();

  document.body.addEventListener("htmx:after:swap", () => { counted(); ticked(); kept(); told(); stands(); });
  counted();
  ticked();
  boxes().forEach((box) => { if (box.checked) picked.add(box.value); });
  told();
  stands();
  setInterval(ticked, 1000);
})();
