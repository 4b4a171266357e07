// A heading sorts its table: numbers by data-sort, text by its letters, undefined figures always last.
for (const table of document.querySelectorAll("table.sortable")) {
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => {
    const button = document.createElement("button");
    button.textContent = head.textContent;
    head.replaceChildren(button);
    button.addEventListener("click", () => {
      const descending = head.getAttribute("aria-sort") === "ascending";
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", descending ? "descending" : "ascending");
      table.classList.add("sorted");
      const key = (row) => row.cells[column].dataset.sort ?? row.cells[column].textContent;
      const rows = [...table.tBodies[0].rows];
      rows.sort((a, b) => {
        const [left, right] = [key(a), key(b)];
        if (left === "" || right === "") return (left === "") - (right === "");
        const order = left.localeCompare(right, "en", { numeric: false });
        const numbers = [Number(left), Number(right)];
        const signed = numbers.some(Number.isNaN) ? order : numbers[0] - numbers[1];
        return descending ? -signed : signed;
      });
      table.tBodies[0].append(...rows);
    });
  });
}
