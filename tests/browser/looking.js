// What a reader would see, measured. The tests put it into the pages that they open; no report has it.
// Each function returns what is wrong, in plain values, and an empty list where nothing is.
globalThis.looking = (() => {
  const seen = (element) =>
    element.checkVisibility({ opacityProperty: true, visibilityProperty: true });

  // The non-empty text nodes of elements that can be seen. What is off the page until it has the
  // focus (the skip link) is looked at by the test of the keyboard.
  const textNodes = () => {
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    const nodes = [];
    while (walker.nextNode()) {
      const parent = walker.currentNode.parentElement;
      if (!walker.currentNode.data.trim() || parent.closest("script, style, title, .skip")) continue;
      if (seen(parent)) nodes.push(walker.currentNode);
    }
    return nodes;
  };

  const rectsOf = (node) => {
    const range = document.createRange();
    range.selectNodeContents(node);
    return [...range.getClientRects()].filter((rect) => rect.width > 0 && rect.height > 0);
  };

  const short = (text) => text.trim().slice(0, 40);

  // ---- contrast (WCAG 2: 4.5, or 3 from 24 px, or from 18.66 px if bold) ----

  const brush = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const painted = new Map();

  // The pixel that colours make, painted one over the other: whatever the syntax of a colour is.
  const paint = (layers) => {
    const key = layers.map(([colour, opacity]) => `${colour}*${opacity}`).join();
    if (!painted.has(key)) {
      for (const [colour, opacity] of layers) {
        brush.globalAlpha = opacity;
        brush.fillStyle = colour;
        brush.fillRect(0, 0, 1, 1);
      }
      painted.set(key, [...brush.getImageData(0, 0, 1, 1).data].slice(0, 3));
    }
    return painted.get(key);
  };

  const luminance = (pixel) => {
    const [r, g, b] = pixel.map((value) => {
      const share = value / 255;
      return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };

  const ratio = (one, other) => {
    const [low, high] = [luminance(one), luminance(other)].sort((a, b) => a - b);
    return (high + 0.05) / (low + 0.05);
  };

  const ancestors = (element) => {
    const line = [];
    for (let at = element; at; at = at.parentElement) line.unshift(at);
    return line;
  };

  // The colour of a figure's raster image at a point of its own coordinates.
  const pixelOf = (image, { x, y }) => {
    const frame = image.getBBox();
    const copy = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
    copy.drawImage(image, frame.x - x, frame.y - y, frame.width, frame.height);
    const [r, g, b, opacity] = copy.getImageData(0, 0, 1, 1).data;
    return [`rgb(${r}, ${g}, ${b})`, opacity / 255];
  };

  // What of a figure was drawn before a text and lies under its middle: colours and opacities.
  const layersUnder = (text) => {
    const box = text.getBoundingClientRect();
    const middle = new DOMPoint(box.x + box.width / 2, box.y + box.height / 2);
    const layers = [];
    for (const shape of text.ownerSVGElement.querySelectorAll("image, rect, path, circle, polygon")) {
      const before = text.compareDocumentPosition(shape) & Node.DOCUMENT_POSITION_PRECEDING;
      if (!before || shape.closest("defs, clipPath")) continue;
      const place = middle.matrixTransform(shape.getScreenCTM().inverse());
      const { fill, fillOpacity, opacity } = getComputedStyle(shape);
      if (shape instanceof SVGImageElement) layers.push(pixelOf(shape, place));
      else if (fill !== "none" && shape.isPointInFill(place)) layers.push([fill, fillOpacity * opacity]);
    }
    return layers;
  };

  const contrastOf = (element, pseudo) => {
    const drawn = element instanceof SVGElement;
    const style = getComputedStyle(element, pseudo);
    const line = ancestors(element);
    const ground = [["#ffffff", 1], ...line.map((at) => [getComputedStyle(at).backgroundColor, 1])];
    if (drawn) ground.push(...layersUnder(element.closest("text")));
    const opacity = line.reduce((product, at) => product * getComputedStyle(at).opacity, 1);
    const [under, ink] = [paint(ground), paint([...ground, [drawn ? style.fill : style.color, opacity]])];
    const size = parseFloat(style.fontSize);
    const large = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700);
    return { ratio: ratio(under, ink), needed: large ? 3 : 4.5, ink, under };
  };

  const faint = () => {
    const found = [];
    const check = (element, pseudo, text) => {
      const contrast = contrastOf(element, pseudo);
      if (contrast.ratio < contrast.needed - 0.005) found.push({ text: short(text), ...contrast });
    };
    for (const element of new Set(textNodes().map((node) => node.parentElement))) {
      check(element, undefined, element.textContent);
    }
    for (const input of document.querySelectorAll("input, select, textarea")) {
      if (!seen(input)) continue;
      check(input, undefined, input.value || input.name);
      if (input.placeholder) check(input, "::placeholder", input.placeholder);
    }
    return found;
  };

  // ---- room ----

  const scroller = (element) => {
    for (let at = element; at && at !== document.body; at = at.parentElement) {
      if (["auto", "scroll"].includes(getComputedStyle(at).overflowX)) return at;
    }
    return null;
  };

  // A line box is taller than its letters; what is left of it after this is letters.
  const letters = (rect) => {
    const air = 0.14 * Math.min(rect.width, rect.height);
    return { left: rect.left + air, right: rect.right - air, top: rect.top + air, bottom: rect.bottom - air };
  };

  // What is left of a box where an element around it cuts off what does not fit.
  const within = (box, element) => {
    let { left, right, top, bottom } = box;
    for (let at = element; at && at !== document.body; at = at.parentElement) {
      if (at instanceof SVGElement || getComputedStyle(at).overflowY === "visible") continue;
      const frame = at.getBoundingClientRect();
      [left, right] = [Math.max(left, frame.left), Math.min(right, frame.right)];
      [top, bottom] = [Math.max(top, frame.top), Math.min(bottom, frame.bottom)];
    }
    return { left, right, top, bottom };
  };

  const boxes = () => textNodes()
    .filter((node) => !scroller(node.parentElement))
    .flatMap((node) => rectsOf(node).map((rect) => ({ node, ...within(letters(rect), node.parentElement) })))
    .filter((box) => box.right > box.left && box.bottom > box.top);

  // Pairs of texts of which one lies on the other, in figures or out of them.
  const overlapping = () => {
    const all = boxes().sort((a, b) => a.top - b.top);
    const found = [];
    all.forEach((one, number) => {
      for (let next = number + 1; next < all.length && all[next].top < one.bottom; next += 1) {
        const other = all[next];
        if (other.node !== one.node && other.left < one.right && one.left < other.right) {
          found.push([short(one.node.data), short(other.node.data)]);
        }
      }
    });
    return found;
  };

  const outside = (rect, frame, slack) => rect.left < frame.left - slack
    || rect.right > frame.right + slack || rect.top < frame.top - slack || rect.bottom > frame.bottom + slack;

  // Texts that leave their figure or the page, or that their element cuts off.
  const clipped = () => {
    const found = [];
    const width = document.documentElement.clientWidth;
    for (const node of textNodes()) {
      const element = node.parentElement;
      const figure = element.closest("svg");
      const frame = figure?.getBoundingClientRect() ?? { left: 0, right: width, top: -Infinity, bottom: Infinity };
      if (!figure && scroller(element)) continue;
      if (rectsOf(node).some((rect) => outside(rect, frame, 1))) found.push(short(node.data));
      const { overflowX, textOverflow } = getComputedStyle(element);
      const cut = ["hidden", "clip"].includes(overflowX) && element.scrollWidth > element.clientWidth + 1;
      if (!figure && cut && textOverflow !== "ellipsis") found.push(short(node.data));
    }
    return found;
  };

  // By how many pixels the page is wider than the window.
  const overflow = () => Math.max(0, document.documentElement.scrollWidth - innerWidth);

  // Texts of figures that have become smaller than this many pixels.
  const tiny = (least) => [...document.querySelectorAll("main svg text")]
    .filter(seen)
    .map((text) => {
      const { a, b } = text.getScreenCTM();
      return [short(text.textContent), parseFloat(getComputedStyle(text).fontSize) * Math.hypot(a, b)];
    })
    .filter(([text, size]) => text && size < least);

  // ---- canvases ----

  // Red, green, blue, opacity of a canvas at shares of its width and height. Read off a copy, since a
  // canvas that is read becomes another one to the browser.
  const colourAt = (selector, x, y) => {
    const canvas = document.querySelector(selector);
    const copy = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
    copy.drawImage(canvas, -Math.round(x * canvas.width), -Math.round(y * canvas.height));
    return [...copy.getImageData(0, 0, 1, 1).data];
  };

  // ---- keyboard ----

  const STOPS = "a[href], button, input, select, textarea, summary, [tabindex]";
  const reachable = () => [...document.querySelectorAll(STOPS)]
    .filter((element) => seen(element) && element.tabIndex >= 0 && !element.disabled);

  // The element with the focus: its number among what can be reached, and whether one sees that it has it.
  const focused = () => {
    const element = document.activeElement;
    const { outlineStyle, outlineWidth, boxShadow } = getComputedStyle(element);
    return {
      number: reachable().indexOf(element),
      what: `${element.tagName.toLowerCase()} ${element.id} ${short(element.textContent)}`,
      ring: (outlineStyle !== "none" && parseFloat(outlineWidth) >= 1) || boxShadow !== "none",
    };
  };

  return { faint, overlapping, clipped, overflow, tiny, colourAt, reachable, focused };
})();
