// The theme: the system's until the reader chooses; a choice holds for this view of the page alone,
// since a file on disk has no storage of its own.
"use strict";
(() => {
  const button = document.getElementById("theme");
  const root = document.documentElement;
  const system = window.matchMedia("(prefers-color-scheme: dark)");
  const show = (dark) => {
    root.dataset.theme = dark ? "dark" : "light";
    button.setAttribute("aria-pressed", String(dark));
    document.dispatchEvent(new Event("themechange"));
  };
  show(system.matches);
  system.addEventListener("change", (event) => show(event.matches));
  button.addEventListener("click", () => show(root.dataset.theme !== "dark"));
})();

// JSON blocks by id; undefined where a page has none.
const readData = (id) => {
  const block = document.getElementById(id);
  return block ? JSON.parse(block.textContent) : undefined;
};
