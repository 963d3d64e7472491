// Keys for the buttons of the page, and a word when an answer did not arrive. Answers themselves are htmx's business.
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

  // Whether attention is shown stays as it is from question to question.
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
  document.addEventListener("change", (event) => event.target.blur()); // so that keys answer again

  const failed = (on) => { document.getElementById("failed").hidden = !on; };
  document.addEventListener("htmx:afterSwap", show);
  document.addEventListener("htmx:afterRequest", (event) => {
    if (event.detail.elt.id !== "progress") failed(!event.detail.successful);
  });
})();
