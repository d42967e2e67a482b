// A canvas that is drawn again whenever its size, the theme or the medium changes. `draw` gets the
// context, width and height in CSS pixels, and a function from a token's name to its value.
// Returns a function that draws it now.
const liveCanvas = (canvas, draw) => {
  const context = canvas.getContext("2d");
  const redraw = () => {
    const { clientWidth: width, clientHeight: height } = canvas;
    if (!width || !height) return;
    // Twice as fine as a plain screen at least: paper shows more than it.
    const scale = Math.max(2, devicePixelRatio);
    [canvas.width, canvas.height] = [Math.round(scale * width), Math.round(scale * height)];
    context.scale(scale, scale);
    const style = getComputedStyle(document.documentElement);
    draw(context, width, height, (name) => style.getPropertyValue(name).trim());
  };
  new ResizeObserver(redraw).observe(canvas);
  document.addEventListener("themechange", redraw);
  matchMedia("print").addEventListener("change", redraw);
  return redraw;
};

// Where in a canvas a pointer is, in CSS pixels.
const placeIn = (canvas, event) => {
  const box = canvas.getBoundingClientRect();
  return [event.clientX - box.left, event.clientY - box.top];
};

// Goes through a canvas by the keyboard: `move` gets each arrow key as [right, down], `enter` is called
// when the keyboard brings the focus and `leave` when the focus goes.
const arrowKeys = (canvas, { move, enter, leave }) => {
  const STEPS = { ArrowUp: [0, -1], ArrowDown: [0, 1], ArrowLeft: [-1, 0], ArrowRight: [1, 0] };
  canvas.addEventListener("keydown", (event) => {
    const step = STEPS[event.key];
    if (!step) return;
    event.preventDefault();
    move(step);
  });
  canvas.addEventListener("focus", () => { if (canvas.matches(":focus-visible")) enter(); });
  canvas.addEventListener("blur", leave);
};
