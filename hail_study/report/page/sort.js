"use strict";
// Sort a table by the button in a column's heading; a second press turns the order round.
for (const table of document.querySelectorAll("table[data-sortable]")) {
  const said = document.getElementById("sorted");
  const value = (row, column) => {
    const cell = row.cells[column];
    return cell.dataset.value === undefined ? cell.textContent.trim() : Number(cell.dataset.value);
  };
  const compare = (a, b) => {
    const numbers = [a, b].map((one) => typeof one === "number");
    if (numbers[0] && numbers[1]) return a - b;
    if (numbers[0] !== numbers[1]) return numbers[0] ? 1 : -1; // what has no number comes after, in falling order
    return a.localeCompare(b);
  };
  for (const heading of table.tHead.rows[0].cells) {
    const button = heading.querySelector("button");
    button.addEventListener("click", () => {
      const falling = heading.classList.contains("number") ? heading.ariaSort !== "descending" : heading.ariaSort === "ascending";
      for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
      heading.ariaSort = falling ? "descending" : "ascending";
      for (const body of table.tBodies) {
        const rows = [...body.rows].sort((a, b) => compare(value(a, heading.cellIndex), value(b, heading.cellIndex)));
        body.append(...(falling ? rows.reverse() : rows));
      }
      said.textContent = `Sorted by ${button.textContent}, ${heading.ariaSort}`;
    });
  }
}
