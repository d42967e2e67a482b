// Tables with class "sortable": a click or Enter on a heading sorts by it, again turns it round.
// A cell sorts by data-value where it has one, by its text else; empty values stay at the end.
// An input with data-filter="TABLE-ID" hides the rows of the table that do not contain its text; a
// button with data-csv="TABLE-ID" saves the table as it is sorted and filtered.
(() => {
  const valueOf = (row, column) => {
    const cell = row.cells[column];
    return cell.dataset.value ?? cell.textContent.trim();
  };

  const compare = (a, b, sign) => {
    if (a === "" || b === "") return (a === "") - (b === "");
    const [x, y] = [Number(a), Number(b)];
    if (!Number.isNaN(x) && !Number.isNaN(y)) return sign * (x - y);
    return sign * a.localeCompare(b, undefined, { numeric: true });
  };

  const sort = (table, heading) => {
    const column = heading.cellIndex;
    const sign = heading.getAttribute("aria-sort") === "ascending" ? -1 : 1;
    for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
    heading.setAttribute("aria-sort", sign === 1 ? "ascending" : "descending");
    const rows = [...table.tBodies[0].rows];
    rows.sort((a, b) => compare(valueOf(a, column), valueOf(b, column), sign));
    table.tBodies[0].append(...rows);
  };

  // A spreadsheet takes a cell that begins like this for a formula; a quote makes it text.
  const asField = (text, isNumber) => {
    const safe = !isNumber && /^[=+\-@\t\r]/.test(text) ? `'${text}` : text;
    return /[",\n\r]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
  };

  // A number is saved as it is, not as it is shown: without separators, with all its digits. What is
  // more than a number, such as a mean with its deviation, is saved as shown.
  const asCell = (cell) => {
    const text = cell.textContent.trim();
    const isNumber = cell.classList.contains("number") && /^([+-]?[\d.,]+|–)$/.test(text);
    return asField(isNumber ? cell.dataset.value ?? text : text, isNumber);
  };

  const csvOf = (table) => {
    const lines = [[...table.tHead.rows[0].cells].map((cell) => asField(cell.textContent.trim(), false))];
    for (const row of table.tBodies[0].rows) {
      if (row.hidden) continue;
      lines.push([...row.cells].map(asCell));
    }
    return lines.map((line) => line.join(",")).join("\r\n") + "\r\n";
  };

  for (const table of document.querySelectorAll("table.sortable")) {
    for (const heading of table.tHead.rows[0].cells) {
      const button = heading.querySelector("button");
      if (button) button.addEventListener("click", () => sort(table, heading));
    }
  }
  for (const button of document.querySelectorAll("button[data-csv]")) {
    button.addEventListener("click", () => {
      const text = csvOf(document.getElementById(button.dataset.csv));
      const link = document.createElement("a");
      link.href = URL.createObjectURL(new Blob(["\ufeff", text], { type: "text/csv;charset=utf-8" }));
      link.download = `${button.dataset.csv}.csv`;
      link.click();
      setTimeout(() => URL.revokeObjectURL(link.href), 1000);
    });
  }
  for (const input of document.querySelectorAll("input[data-filter]")) {
    const rows = document.getElementById(input.dataset.filter).tBodies[0].rows;
    const count = document.getElementById(`${input.dataset.filter}-shown`);
    const filter = () => {
      const wanted = input.value.trim().toLocaleLowerCase();
      let shown = 0;
      for (const row of rows) {
        row.hidden = !row.textContent.toLocaleLowerCase().includes(wanted);
        shown += !row.hidden;
      }
      if (count) count.textContent = wanted ? `${shown} of ${rows.length} shown` : "";
    };
    input.addEventListener("input", filter);
  }
})();
