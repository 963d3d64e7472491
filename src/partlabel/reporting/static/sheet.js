// Page of a calibration set: keyboard shortcuts, the number of answered tags, and "rest absent" after a confirmation.
(() => {
  const KEYS = { y: "present", n: "absent", s: "skip" };
  const tags = () => [...document.querySelectorAll("#sheet [data-tag]")];
  const chosen = (tag) => tag.querySelector("input:checked");
  const open = () => tags().filter((tag) => !chosen(tag));
  const dialog = document.getElementById("confirm");
  let current = 0;

  // Mark the current tag, and scroll to it if a key moved there.
  const mark = (moved) => {
    const all = tags();
    if (!all.length) return;
    current = Math.max(0, Math.min(current, all.length - 1));
    all.forEach((tag, place) => tag.classList.toggle("current", place === current));
    if (moved) all[current].scrollIntoView({ block: "nearest" });
  };
  const count = () => {
    const all = tags(), left = open().length;
    const save = document.querySelector("#sheet .save"), rest = document.querySelector("#sheet .rest");
    if (!save) return;
    document.getElementById("count").textContent = `${all.length - left} of ${all.length}`;
    save.disabled = left > 0;
    rest.hidden = false;
    rest.disabled = left === 0;
  };
  const ready = () => {
    current = Math.max(0, tags().findIndex((tag) => !chosen(tag)));
    mark(false);
    count();
  };

  const rest = () => {
    const left = open().length;
    if (!left) return;
    document.getElementById("confirm-count").textContent = left === 1 ? "tag" : `${left} tags`;
    dialog.returnValue = "";
    dialog.showModal();
  };
  dialog.addEventListener("close", () => {
    if (dialog.returnValue !== "yes") return;
    for (const tag of open()) tag.querySelector("input[value=absent]").checked = true;
    count();
  });

  const set = (answer) => {
    const all = tags();
    if (!all[current]) return;
    all[current].querySelector(`input[value=${answer}]`).checked = true;
    current += 1;
    mark(true);
    count();
  };
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.altKey || event.metaKey || dialog.open) return;
    const key = event.key.toLowerCase();
    if (key in KEYS && !event.repeat) set(KEYS[key]);
    else if (key === "arrowdown" || key === "arrowup") {
      current += key === "arrowdown" ? 1 : -1;
      mark(true);
    } else if (["r", "u", "enter"].includes(key) && !event.repeat) {
      if (key === "enter" && event.target.matches("button, a")) return;
      const button = document.querySelector(`#sheet button[data-key="${key}"]`);
      if (!button || button.disabled) return;
      button.click();
    } else return;
    event.preventDefault();
  });
  document.addEventListener("click", (event) => {
    if (event.target.closest(".rest")) rest();
  });
  document.addEventListener("change", (event) => {
    const tag = event.target.closest("[data-tag]");
    if (!tag) return;
    current = tags().indexOf(tag);
    mark(false);
    count();
    event.target.blur(); // so that the keyboard shortcuts work again
  });

  document.addEventListener("htmx:afterSwap", (event) => { if (event.detail.target.id === "sheet") ready(); });
  document.addEventListener("htmx:afterSettle", ready);
  document.addEventListener("htmx:afterRequest", (event) => {
    if (event.detail.elt.id === "progress") return;
    document.getElementById("failed").hidden = event.detail.successful;
    count();
  });
  ready();
})();
