// An input with data-filter="TABLE-ID" hides the rows of the table that do not contain its text.
(() => {
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
