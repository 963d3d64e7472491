// Keyboard shortcuts for the buttons, the attention toggle, and an error message if an answer was not saved. htmx sends answers.
(() => {
  const button = (key) => document.querySelector(`#question button[data-key="${key}"]`);

  document.addEventListener("keydown", (event) => {
    if (event.repeat || event.ctrlKey || event.altKey || event.metaKey) return;
    if (event.target.matches("input:not([type=radio], [type=checkbox]), select, textarea")) return;
    const found = button(event.key.toLowerCase());
    if (!found || found.disabled) return;
    event.preventDefault();
    found.click();
  });

  // The attention toggle keeps its state from question to question.
  let looking = false;
  const show = () => {
    document.querySelector(".photo-large")?.classList.toggle("looking", looking);
    button("a")?.setAttribute("aria-pressed", String(looking));
  };
  document.addEventListener("click", (event) => {
    if (!event.target.closest('[data-key="a"]')) return;
    looking = !looking;
    show();
  });
  document.addEventListener("change", (event) => event.target.blur()); // so that the keyboard shortcuts work again

  const failed = (on) => { document.getElementById("failed").hidden = !on; };
  document.addEventListener("htmx:afterSwap", show);
  document.addEventListener("htmx:afterRequest", (event) => {
    if (event.detail.elt.id !== "progress") failed(!event.detail.successful);
  });
})();
