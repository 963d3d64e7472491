// All tags of one photo: chips, a search in the vocabulary, new tags, keyboard shortcuts, "rest absent" after a confirmation.
(() => {
  const KEYS = { y: "present", n: "absent", s: "skip" };
  const SHOWN = 30; // tags without an answer that are shown before "more" or a search
  const dialog = document.getElementById("confirm");
  const tags = () => [...document.querySelectorAll("#tags [data-tag]")];
  const chosen = (tag) => tag.querySelector("input:checked")?.value;
  const name = (tag) => tag.querySelector("legend").firstChild.textContent.trim();
  const search = () => document.querySelector("#tags .search");
  const visible = () => tags().filter((tag) => !tag.hidden);
  const failed = document.getElementById("failed"), unsaved = failed.textContent;
  let current = 0, all = false;

  const chips = () => {
    const list = document.querySelector("#tags .chips");
    list.querySelectorAll("button").forEach((chip) => chip.remove());
    for (const tag of tags()) {
      if (chosen(tag) !== "present") continue;
      const chip = document.createElement("button");
      chip.type = "button";
      chip.className = "chip";
      chip.textContent = `${name(tag)} ×`;
      chip.setAttribute("aria-label", `remove ${name(tag)}`);
      chip.addEventListener("click", () => {
        if ("fresh" in tag.dataset) tag.remove(); else tag.querySelector("input:checked").checked = false;
        show();
      });
      list.append(chip);
    }
  };
  const mark = (moved) => {
    const shown = visible();
    current = Math.max(0, Math.min(current, shown.length - 1));
    tags().forEach((tag) => tag.classList.toggle("current", tag === shown[current]));
    if (moved) shown[current]?.scrollIntoView({ block: "nearest" });
  };
  const show = () => {
    const box = search(), save = document.querySelector("#tags .save");
    if (!box) return;
    const wanted = box.value.trim().toLowerCase();
    let open = 0;
    for (const tag of tags()) {
      const matches = name(tag).toLowerCase().includes(wanted);
      if (!chosen(tag)) open += 1;
      tag.hidden = wanted ? !matches : !all && !chosen(tag) && open > SHOWN;
    }
    box.hidden = false;
    const typed = box.value.trim(), exists = tags().some((tag) => name(tag).toLowerCase() === wanted);
    document.querySelector("#tags .adding").hidden = !typed || exists;
    document.querySelector("#tags .add").textContent = `Add “${typed}” as a new tag`;
    const more = document.querySelector("#tags .more"), hidden = tags().length - visible().length;
    more.hidden = hidden === 0 || wanted !== "";
    more.textContent = `${hidden} less probable tags`;
    const answered = tags().filter(chosen).length;
    document.getElementById("count").textContent = `${answered} of ${tags().length}`;
    save.disabled = answered === 0;
    const rest = document.querySelector("#tags .rest");
    rest.hidden = false;
    rest.disabled = open === 0;
    chips();
    mark(false);
  };
  const ready = () => { current = 0; all = false; show(); };

  const set = (tag, value) => { if (tag) tag.querySelector(`input[value=${value}]`).checked = true; };
  const found = () => { // a tag of exactly this name, else the first one without an answer, else the first one
    const wanted = search().value.trim().toLowerCase(), matches = visible();
    return matches.find((tag) => name(tag).toLowerCase() === wanted) ?? matches.find((tag) => !chosen(tag)) ?? matches[0];
  };
  const clear = () => { search().value = ""; search().blur(); show(); };

  // A new tag: the server says whether the name can be one, and whether it repeats a class.
  const tagOf = (wanted) => tags().find((tag) => name(tag).toLowerCase() === wanted.toLowerCase());
  const put = (wanted) => {
    let tag = tagOf(wanted);
    if (!tag) {
      const field = `new${Math.max(-1, ...[...document.querySelectorAll("#tags input[name^=new]")].map((each) => +each.name.slice(3))) + 1}`;
      tag = document.getElementById("new-tag").content.querySelector("[data-tag]").cloneNode(true);
      tag.dataset.fresh = "";
      tag.querySelector("legend").firstChild.textContent = `${wanted} `;
      tag.querySelector("input[type=hidden]").value = wanted;
      tag.querySelectorAll("input").forEach((input) => { input.name = (input.type === "hidden" ? "" : "t") + field; });
      document.querySelector("#tags .tag-list").prepend(tag);
    }
    set(tag, "present");
    doubt();
    clear();
  };
  const doubt = (text = "", choices = []) => {
    const box = document.querySelector("#tags .doubt");
    if (!box) return;
    box.hidden = !text;
    box.replaceChildren(text);
    for (const [label, use] of choices) {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = label;
      button.addEventListener("click", use);
      box.append(button);
    }
    [...box.querySelectorAll("button")].find((button) => button.textContent.startsWith("Use"))?.focus();
  };
  const add = async () => {
    const form = document.getElementById("photo"), typed = search().value.trim();
    if (!typed) return;
    if (tagOf(typed)) return put(typed);
    const asked = new URLSearchParams({ row: form.elements.row.value, name: typed });
    let answer;
    try {
      const response = await fetch(`/tag?${asked}`);
      if (!response.ok) throw new Error(response.status);
      answer = await response.json();
    } catch {
      return doubt("The server did not answer. Please try again.");
    }
    if (form !== document.getElementById("photo")) return; // another photo by now
    const { name: wanted, problem, instead } = answer;
    const choices = [];
    if (instead && (tagOf(instead) || (answer.is_new && !answer.answered))) choices.push([`Use “${instead}”`, () => put(instead)]);
    if (wanted && !instead) return put(wanted);
    if (wanted) choices.push([`Add “${wanted}” anyway`, () => put(wanted)]);
    const settled = answer.answered ? ` “${instead}” has an answer on this photo already.` : "";
    doubt((problem ?? `There is a class “${instead}”: is it the same?`) + settled, choices);
  };

  const searching = (event) => {
    if (event.key === "Escape") { doubt(); clear(); }
    else if (event.key === "Enter") {
      if (event.shiftKey || (search().value.trim() && !visible().length)) add();
      else {
        if (search().value.trim()) set(found(), "present");
        clear();
      }
    } else return;
    event.preventDefault();
  };
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.altKey || event.metaKey || dialog.open) return;
    if (event.target === search()) return searching(event);
    if (event.target.matches("input:not([type=radio], [type=checkbox]), select, textarea, a")) return;
    const key = event.key.toLowerCase();
    if (key in KEYS && !event.repeat) {
      const tag = visible()[current];
      set(tag, KEYS[key]);
      show();
      current = visible().indexOf(tag) + 1;
      mark(true);
    } else if (key === "arrowdown" || key === "arrowup") {
      current += key === "arrowdown" ? 1 : -1;
      mark(true);
    } else if (key === "escape") doubt();
    else if (key === "/") search()?.focus();
    else if (["r", "u", "enter"].includes(key) && !event.repeat) {
      if (key === "enter" && event.target.matches("button")) return;
      const button = document.querySelector(`#tags button[data-key="${key}"]`);
      if (!button || button.disabled) return;
      button.click();
    } else return;
    event.preventDefault();
  });

  document.addEventListener("click", (event) => {
    if (event.target.closest(".more")) { all = true; show(); }
    if (event.target.closest(".add")) add();
    if (!event.target.closest(".rest")) return;
    const open = tags().filter((tag) => !chosen(tag)).length;
    document.getElementById("confirm-count").textContent = open === 1 ? "tag" : `${open} tags`;
    dialog.returnValue = "";
    dialog.showModal();
  });
  dialog.addEventListener("close", () => {
    if (dialog.returnValue !== "yes") return;
    for (const tag of tags()) if (!chosen(tag)) set(tag, "absent");
    show();
  });
  document.addEventListener("input", (event) => { if (event.target === search()) { current = 0; doubt(); show(); } });
  document.addEventListener("change", (event) => {
    const tag = event.target.closest("[data-tag]");
    if (!tag) return;
    show();
    current = visible().indexOf(tag);
    mark(false);
    event.target.blur(); // so that the keyboard shortcuts work again
  });
  document.addEventListener("htmx:afterSwap", (event) => { if (event.detail.target.id === "tags") ready(); });
  document.addEventListener("htmx:afterSettle", show);
  const why = (xhr) => {
    try { const { detail } = JSON.parse(xhr.responseText); return typeof detail === "string" ? detail : "the form is not valid"; }
    catch { return "the server did not say why"; }
  };
  document.addEventListener("htmx:afterRequest", (event) => {
    if (event.detail.elt.id === "progress") return;
    failed.hidden = event.detail.successful;
    failed.textContent = event.detail.xhr.status === 422 ? `Not saved: ${why(event.detail.xhr)}.` : unsaved;
    show();
  });
  ready();
})();
