// The tip beside the pointer. showTip(x, y, text, picture) takes plain text, never markup; a picture
// is a cell of a sprite sheet, as an element made by spriteCell.
const showTip = (x, y, text, picture) => {
  const tip = document.getElementById("tip");
  tip.replaceChildren(...(picture ? [picture] : []), document.createTextNode(text));
  tip.hidden = false;
  const { width, height } = tip.getBoundingClientRect();
  tip.style.left = `${Math.max(4, Math.min(x + 14, innerWidth - width - 4))}px`;
  tip.style.top = `${Math.max(4, y + 18 + height > innerHeight ? y - height - 10 : y + 18)}px`;
};
const hideTip = () => { document.getElementById("tip").hidden = true; };

// Figures whose marks have words: data-tips names a JSON list, one text for each mark in the figure's
// group of id FIGURE-marks, in drawing order.
(() => {
  for (const figure of document.querySelectorAll("figure[data-tips]")) {
    const texts = readData(figure.dataset.tips) ?? [];
    const marks = figure.querySelectorAll("[id$='-marks'] use, [id$='-marks'] > path");
    marks.forEach((mark, number) => {
      if (texts[number] === undefined) return;
      mark.addEventListener("pointerenter", (event) => showTip(event.clientX, event.clientY, texts[number]));
      mark.addEventListener("pointerleave", hideTip);
    });
  }
  addEventListener("scroll", hideTip, { passive: true });
  addEventListener("keydown", (event) => { if (event.key === "Escape") hideTip(); });
})();
