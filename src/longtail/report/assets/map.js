// The embedding map: samples and prototypes as marks, coloured by group, class or error, with a tip
// for the one under the pointer or chosen by the arrow keys.
(() => {
  const canvas = document.getElementById("map-canvas");
  const data = readData("map-data");
  if (!canvas || !data) return;

  const MARGIN = 14;
  const NEAR = 10; // pixels from the pointer to the mark that it means
  const GROUPS = ["many", "medium", "few"];
  const ring = document.getElementById("map-ring");
  const select = document.getElementById("map-class");
  const buttons = [...document.querySelectorAll("#map-colour [data-colour]")];
  const bytes = Uint8Array.from(atob(data.places), (letter) => letter.charCodeAt(0));
  const places = new Uint16Array(bytes.buffer);
  const points = data.labels.length;
  const marks = points + data.prototypes.length;
  const classOf = (mark) => (mark < points ? data.labels[mark] : data.prototypes[mark - points]);
  const isWrong = (point) => data.labels[point] !== data.predicted[point];
  let mode = "group";
  let wanted = null; // a class, or null for all
  let chosen = null; // a mark

  const at = (mark) => {
    const side = canvas.clientWidth - 2 * MARGIN;
    return [MARGIN + (places[2 * mark] / 65535) * side, MARGIN + (1 - places[2 * mark + 1] / 65535) * side];
  };
  const isShown = (mark) => wanted === null || classOf(mark) === wanted;

  // Shapes add a mark of radius r about a place to a path.
  const disc = (path, [x, y], r) => { path.moveTo(x + r, y); path.arc(x, y, r, 0, 7); };
  const square = (path, [x, y], r) => path.rect(x - 0.9 * r, y - 0.9 * r, 1.8 * r, 1.8 * r);
  const polygon = (path, [x, y], radii) => {
    radii.forEach((radius, corner) => {
      const angle = (2 * Math.PI * corner) / radii.length - Math.PI / 2;
      path[corner ? "lineTo" : "moveTo"](x + radius * Math.cos(angle), y + radius * Math.sin(angle));
    });
    path.closePath();
  };
  const triangle = (path, place, r) => polygon(path, place, [1.3 * r, 1.3 * r, 1.3 * r]);
  const star = (path, place, r) => polygon(path, place, Array.from({ length: 10 }, (_, k) => (k % 2 ? 0.45 * r : r)));
  const cross = (path, [x, y], r) => {
    for (const turn of [0, 1]) {
      polygon(path, [x, y], Array.from({ length: 4 }, (_, k) => (k % 2 === turn ? 1.5 * r : 0.4 * r)));
    }
  };

  // What each mode puts into one layer, and how the layer looks; layers are drawn in rising order.
  const MODES = {
    group: {
      layer: (mark) => data.groups[classOf(mark)],
      colour: (layer, token) => token(`--${GROUPS[layer]}`),
      shape: (layer) => [disc, square, triangle][layer],
    },
    class: {
      layer: (mark) => data.ranks[classOf(mark)],
      colour: (layer, token) => `oklch(${token("--class-light")} 0.14 ${data.hues[data.ranks.indexOf(layer)]})`,
      shape: () => disc,
    },
    error: {
      layer: (mark) => (mark < points ? Number(isWrong(mark)) : 2),
      colour: (layer, token) => token(["--muted", "--bad", "--ink"][layer]),
      shape: (layer) => [disc, cross][layer],
    },
  };

  const layersOf = (first, last) => {
    const layers = [];
    for (let mark = first; mark < last; mark += 1) {
      if (isShown(mark)) (layers[MODES[mode].layer(mark)] ??= []).push(mark);
    }
    return layers;
  };

  const pathOf = (members, shape, radius) => {
    const path = new Path2D();
    for (const mark of members) shape(path, at(mark), radius);
    return path;
  };

  const redraw = liveCanvas(canvas, (context, width, height, token) => {
    const radius = points > 5000 ? 1.6 : points > 1000 ? 2.2 : 3;
    const { colour, shape } = MODES[mode];
    if (wanted !== null) {
      context.fillStyle = token("--line");
      const others = [...Array(points).keys()].filter((mark) => !isShown(mark));
      context.fill(pathOf(others, disc, radius));
    }
    context.globalAlpha = 0.8;
    layersOf(0, points).forEach((members, layer) => {
      context.fillStyle = colour(layer, token);
      context.fill(pathOf(members, shape(layer), radius));
    });
    context.globalAlpha = 1;
    context.strokeStyle = token("--paper");
    layersOf(points, marks).forEach((members, layer) => {
      const stars = pathOf(members, star, marks - points > 200 ? 6 : 9);
      context.fillStyle = colour(layer, token);
      context.lineWidth = 3;
      context.stroke(stars);
      context.fill(stars);
    });
    choose(null);
  });

  const textOf = (mark) => {
    const name = data.names[classOf(mark)];
    if (mark >= points) return `prototype of ${name}`;
    const probability = data.permille ? ` (${(data.permille[mark] / 10).toFixed(1)} %)` : "";
    return `true ${name}\npredicted ${data.names[data.predicted[mark]]}${probability}`;
  };

  const choose = (mark) => {
    chosen = mark;
    ring.hidden = mark === null;
    if (mark === null) return hideTip();
    const [x, y] = at(mark);
    const box = canvas.getBoundingClientRect();
    [ring.style.left, ring.style.top] = [`${canvas.clientLeft + x}px`, `${canvas.clientTop + y}px`];
    const picture = mark < points ? spriteCell("map", mark, 96) : undefined;
    return showTip(box.left + x, box.top + y, textOf(mark), picture);
  };

  // The shown mark with the least cost, which is infinite where a mark is none to choose.
  const least = (cost) => {
    let [best, found] = [Infinity, null];
    for (let mark = 0; mark < marks; mark += 1) {
      if (!isShown(mark)) continue;
      const value = cost(...at(mark), mark);
      if (value < best) [best, found] = [value, mark];
    }
    return found;
  };

  canvas.addEventListener("pointermove", (event) => {
    const [x, y] = placeIn(canvas, event);
    const found = least((a, b, mark) => {
      const distance = Math.hypot(a - x, b - y);
      // Stars are larger and lie on top, so they are meant first.
      return distance <= NEAR ? distance - (mark >= points ? NEAR : 0) : Infinity;
    });
    if (found !== chosen) choose(found);
  });
  canvas.addEventListener("pointerleave", () => choose(null));

  const middle = () => {
    const half = canvas.clientWidth / 2;
    return least((a, b) => Math.hypot(a - half, b - half));
  };

  // From a mark, the nearest in a direction; sideways counts twice.
  const next = ([right, down]) => {
    const [x, y] = at(chosen);
    return least((a, b) => {
      const ahead = (a - x) * right + (b - y) * down;
      const aside = Math.abs((a - x) * down) + Math.abs((b - y) * right);
      return ahead > 0 && aside <= 2 * ahead ? ahead + 2 * aside : Infinity;
    });
  };
  arrowKeys(canvas, {
    move: (step) => choose(chosen === null ? middle() : next(step) ?? chosen),
    enter: () => choose(middle()),
    leave: () => choose(null),
  });
  document.addEventListener("tipaway", () => { if (chosen !== null) choose(null); });

  for (const button of buttons) {
    button.addEventListener("click", () => {
      mode = button.dataset.colour;
      for (const other of buttons) other.setAttribute("aria-pressed", String(other === button));
      for (const legend of document.querySelectorAll("[data-legend]")) legend.hidden = legend.dataset.legend !== mode;
      redraw();
    });
  }
  select.addEventListener("change", () => {
    wanted = select.value === "" ? null : Number(select.value);
    redraw();
  });
})();
