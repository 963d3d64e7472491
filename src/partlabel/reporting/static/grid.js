// Pages of photos: click, keys, ranges, the whole photo, where the model looks. htmx sends a page when it is confirmed.
(() => {
  const KEYS = { y: "present", n: "absent", s: "skip" };
  const full = document.getElementById("full");
  const tiles = () => [...document.querySelectorAll("#grid [data-tile]")];
  const answer = (tile) => tile.querySelector("input:checked")?.value;
  const set = (tile, value) => { tile.querySelector(`input[value=${value}]`).checked = true; };
  const toggle = (tile) => set(tile, answer(tile) === "present" ? "absent" : "present");
  const button = (key) => document.querySelector(`#grid button[data-key="${key}"]`);
  let current = 0, anchor = 0, looking = false;

  const count = () => {
    const all = tiles(), confirm = document.querySelector(".confirm-page"), rest = document.querySelector("#grid .rest");
    if (!confirm) return;
    const of = (value) => all.filter((tile) => answer(tile) === value).length;
    const open = of(undefined), skipped = of("skip");
    document.getElementById("count").textContent = open
      ? `${all.length - open} answered`
      : `${of("present")} yes, ${of("absent")} no${skipped ? `, ${skipped} ?` : ""}`;
    confirm.disabled = open > 0;
    rest.hidden = open === 0;
  };

  const look = (tile, on) => {
    const image = tile?.querySelector(".attention");
    if (!image) return;
    if (on && !image.src) image.src = image.dataset.src;
    image.hidden = !on;
  };
  const show = () => {
    const tile = tiles()[current];
    if (!tile) return;
    const small = tile.querySelector(".picture > img"), attention = tile.querySelector(".attention");
    const over = document.getElementById("full-attention");
    document.getElementById("full-photo").src = `/photo/${tile.dataset.row}`;
    document.getElementById("full-photo").alt = small.alt;
    document.getElementById("full-name").textContent = small.alt;
    if (attention && looking) over.src = attention.dataset.src;
    over.hidden = !(attention && looking);
    if (!full.open) full.showModal();
  };

  // Mark a photo; a key scrolls to it, and shows it where the whole photo is shown.
  const mark = (place, moved) => {
    const all = tiles();
    if (!all.length) return;
    look(all[current], false);
    current = Math.max(0, Math.min(place, all.length - 1));
    all.forEach((tile, at) => tile.classList.toggle("current", at === current));
    look(all[current], looking);
    if (moved) all[current].scrollIntoView({ block: "nearest" });
    if (full.open) show();
  };
  const range = (from, to) => {
    const all = tiles(), value = answer(all[from]);
    if (!value) return;
    for (let at = Math.min(from, to); at <= Math.max(from, to); at += 1) set(all[at], value);
  };
  const columns = () => {
    const all = tiles();
    return Math.max(1, all.filter((tile) => tile.offsetTop === all[0].offsetTop).length);
  };
  const ready = () => { anchor = 0; mark(0, false); count(); };

  const move = (by, extended) => {
    const from = current;
    mark(current + by, true);
    if (extended) range(from, current);
    anchor = current;
  };
  const keys = {
    arrowright: (event) => move(1, event.shiftKey),
    arrowleft: (event) => move(-1, event.shiftKey),
    arrowdown: (event) => move(columns(), event.shiftKey),
    arrowup: (event) => move(-columns(), event.shiftKey),
    x: () => { toggle(tiles()[current]); anchor = current; },
    " ": () => (full.open ? full.close() : show()),
    a: () => {
      looking = !looking;
      look(tiles()[current], looking);
      if (full.open) show();
    },
  };
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.altKey || event.metaKey) return;
    if (event.target.matches("input:not([type=radio], [type=checkbox]), select, textarea")) return;
    if (event.target.matches(".wishes input, a")) return;
    const key = event.key.toLowerCase();
    if (key in KEYS && tiles().length && !event.repeat) {
      set(tiles()[current], KEYS[key]);
      anchor = current;
      mark(current + 1, true);
    } else if (key in keys && tiles().length) keys[key](event);
    else if (["r", "u", "enter"].includes(key) && !event.repeat && !full.open) {
      if (key === "enter" && event.target.matches("button")) return;
      const found = button(key);
      if (!found || found.disabled || found.hidden) return;
      found.click();
    } else return;
    event.preventDefault();
    count();
  });

  document.addEventListener("click", (event) => {
    if (event.target.closest(".rest")) {
      for (const tile of tiles()) if (!answer(tile)) set(tile, "absent");
      count();
      return;
    }
    const tile = event.target.closest("[data-tile]");
    if (!tile || !event.target.closest(".picture")) return;
    const place = tiles().indexOf(tile);
    mark(place, false);
    if (event.target.closest(".whole")) {
      event.target.closest(".whole").blur();
      show();
      return;
    }
    if (event.shiftKey) range(anchor, place);
    else toggle(tile);
    anchor = place;
    count();
  });
  document.addEventListener("change", (event) => {
    const tile = event.target.closest("[data-tile]");
    if (tile) {
      anchor = tiles().indexOf(tile);
      mark(anchor, false);
      count();
    }
    event.target.blur(); // so that the keyboard shortcuts work again
  });
  const hover = (on) => (event) => {
    if (event.pointerType !== "mouse") return;
    const picture = event.target.closest?.(".picture");
    if (picture && !picture.contains(event.relatedTarget)) look(picture.closest("[data-tile]"), on);
  };
  document.addEventListener("pointerover", hover(true));
  document.addEventListener("pointerout", hover(false));

  document.addEventListener("htmx:afterSwap", (event) => { if (event.detail.target.id === "grid") ready(); });
  document.addEventListener("htmx:afterSettle", count);
  document.addEventListener("htmx:afterRequest", (event) => {
    if (event.detail.elt.id === "progress") return;
    document.getElementById("failed").hidden = event.detail.successful;
    count();
  });
  ready();
})();
