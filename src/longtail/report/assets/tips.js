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
// groups of ids ending in -marks, in drawing order. The mark nearest to the pointer is the one that
// is told, since a mark of a thousand is too small to hit; the arrow keys go through them all.
(() => {
  const REACH = 24; // pixels
  const SAME_PLACE = 0.5; // units of the figure
  const MOST = 3;

  const centreOf = (mark) => {
    const box = mark.getBBox();
    return { x: box.x + box.width / 2, y: box.y + box.height / 2 };
  };
  const distance = (a, b) => Math.hypot(a.x - b.x, a.y - b.y);

  const ringOf = (svg) => {
    const ring = svg.appendChild(document.createElementNS(svg.namespaceURI, "circle"));
    ring.setAttribute("r", 5.5);
    ring.style.cssText = "fill: none; stroke: var(--ink); stroke-width: 1.2; visibility: hidden";
    return ring;
  };

  // Marks on the same place are told together.
  const told = (marks, chosen) => {
    const here = marks.filter((mark) => distance(mark, chosen) < SAME_PLACE).map((mark) => mark.text);
    const more = here.length > MOST ? [`and ${here.length - MOST} more here`] : [];
    return [...here.slice(0, MOST), ...more].join("\n\n");
  };

  const attach = (figure) => {
    const svg = figure.querySelector("svg");
    const texts = readData(figure.dataset.tips) ?? [];
    const drawn = [...svg.querySelectorAll("[id$='-marks'] use, [id$='-marks'] > path")];
    if (!drawn.length || drawn.length !== texts.length) return;
    const marks = drawn.map((mark, number) => ({ ...centreOf(mark), text: texts[number] }));
    const alongX = [...marks].sort((a, b) => a.x - b.x);
    const ring = ringOf(svg);
    let shown = null;

    const show = (mark) => {
      shown = mark;
      ring.setAttribute("cx", mark.x);
      ring.setAttribute("cy", mark.y);
      ring.style.visibility = "visible";
      const at = new DOMPoint(mark.x, mark.y).matrixTransform(svg.getScreenCTM());
      showTip(at.x, at.y, told(marks, mark));
    };
    const hide = () => {
      ring.style.visibility = "hidden";
      hideTip();
    };
    const point = (event) => {
      const screen = svg.getScreenCTM();
      const at = new DOMPoint(event.clientX, event.clientY).matrixTransform(screen.inverse());
      const nearest = marks.reduce((a, b) => (distance(b, at) < distance(a, at) ? b : a));
      if (distance(nearest, at) * screen.a <= REACH) show(nearest);
      else hide();
    };
    const step = (event) => {
      const move = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
      if (!move) return;
      event.preventDefault();
      const next = shown ? alongX.indexOf(shown) + move : 0;
      show(alongX[Math.max(0, Math.min(alongX.length - 1, next))]);
    };

    svg.setAttribute("tabindex", "0");
    svg.setAttribute("aria-description", "The left and right arrow keys go through the classes.");
    svg.addEventListener("pointermove", point);
    svg.addEventListener("pointerdown", point);
    svg.addEventListener("pointerleave", (event) => { if (event.pointerType !== "touch") hide(); });
    svg.addEventListener("keydown", step);
    svg.addEventListener("blur", hide);
    document.addEventListener("tipaway", hide);
  };

  document.querySelectorAll("figure[data-tips]").forEach(attach);

  // Escape and scrolling take the tip away; what it told is marked by others, who hear of it.
  const away = () => {
    hideTip();
    document.dispatchEvent(new Event("tipaway"));
  };
  addEventListener("scroll", away, { passive: true });
  addEventListener("keydown", (event) => { if (event.key === "Escape") away(); });
})();
