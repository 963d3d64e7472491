for (const heading of document.querySelectorAll("th[data-sort]")) {
  heading.addEventListener("click", () => {
    const table = heading.closest("table"), body = table.tBodies[0];
    const column = heading.cellIndex, falling = heading.ariaSort !== "descending";
    const value = (row) => row.cells[column].dataset.value ?? row.cells[column].textContent;
    const compare = (a, b) => heading.dataset.sort === "number"
      ? value(a) - value(b) : value(b).localeCompare(value(a));
    const rows = [...body.rows].sort((a, b) => falling ? compare(b, a) : compare(a, b));
    table.querySelectorAll("th").forEach((other) => other.removeAttribute("aria-sort"));
    heading.ariaSort = falling ? "descending" : "ascending";
    body.append(...rows);
  });
}
