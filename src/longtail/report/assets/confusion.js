// The confusion matrix: shares of each row as shades, a tip for the cell under the pointer or the
// cursor, which the arrow keys move.
(() => {
  const canvas = document.getElementById("confusion-canvas");
  const data = readData("confusion-data");
  if (!canvas || !data) return;

  const BAND = 6; // the groups' colours, along the top and the left
  const ROOM_FOR_NUMBERS = 24;
  const size = data.names.length;
  const counts = data.rows.map((pairs) => {
    const row = new Array(size).fill(0);
    for (let k = 0; k < pairs.length; k += 2) row[pairs[k]] = pairs[k + 1];
    return row;
  });
  const totals = counts.map((row) => row.reduce((sum, count) => sum + count, 0));
  const shareOf = (row, column) => (totals[row] ? counts[row][column] / totals[row] : 0);
  let cursor = null; // [row, column]

  // Black or white, whichever is the easier to read on a shade of the heat over the paper.
  const inkOn = (heat, paper, opacity) => {
    const under = [1, 3, 5].map((at) => parseInt(paper.slice(at, at + 2), 16));
    const linear = heat.map((value, k) => {
      const mixed = (value * opacity + under[k] * (1 - opacity)) / 255;
      return mixed <= 0.04045 ? mixed / 12.92 : ((mixed + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2] > 0.179 ? "#000000" : "#ffffff";
  };

  // On half pixels, so that neighbours neither overlap nor leave a seam.
  const edgeOf = (cell, side) => BAND + Math.round(2 * cell * side) / 2;

  const drawCells = (context, side, token) => {
    const heat = token("--heat");
    const channels = heat.split(",").map(Number);
    context.font = `${Math.min(12, side * 0.42)}px system-ui, sans-serif`;
    context.textAlign = "center";
    context.textBaseline = "middle";
    counts.forEach((row, r) => row.forEach((count, c) => {
      if (!count) return;
      const opacity = Math.sqrt(shareOf(r, c));
      context.fillStyle = `rgba(${heat}, ${opacity})`;
      const [x, y] = [edgeOf(c, side), edgeOf(r, side)];
      context.fillRect(x, y, edgeOf(c + 1, side) - x, edgeOf(r + 1, side) - y);
      if (side < ROOM_FOR_NUMBERS) return;
      context.fillStyle = inkOn(channels, token("--paper"), opacity);
      const text = (100 * shareOf(r, c)).toFixed(0);
      context.fillText(text === "0" ? "<1" : text, BAND + (c + 0.5) * side, BAND + (r + 0.5) * side);
    }));
  };

  const drawGroups = (context, side, token) => {
    const end = BAND + size * side;
    for (const [group, first, last] of data.bounds) {
      const [from, to] = [BAND + first * side, BAND + last * side];
      context.fillStyle = token(`--${group}`);
      context.fillRect(from, 0, to - from - 1, BAND - 2);
      context.fillRect(0, from, BAND - 2, to - from - 1);
      context.fillStyle = token("--muted");
      if (last < data.bounds.at(-1)[2]) {
        context.fillRect(to - 0.5, BAND, 1, end - BAND);
        context.fillRect(BAND, to - 0.5, end - BAND, 1);
      }
    }
    context.strokeStyle = token("--line");
    context.strokeRect(BAND - 0.5, BAND - 0.5, end - BAND, end - BAND);
  };

  const sideIn = (width) => (width - BAND - 1) / size;

  const redraw = liveCanvas(canvas, (context, width, _, token) => {
    const side = sideIn(width);
    drawCells(context, side, token);
    drawGroups(context, side, token);
    if (!cursor) return;
    const [row, column] = cursor;
    context.strokeStyle = token("--ink");
    context.lineWidth = 2;
    context.strokeRect(BAND + column * side, BAND + row * side, side, side);
  });

  const textOf = ([row, column]) => {
    const total = totals[row];
    const share = total ? ` (${(100 * shareOf(row, column)).toFixed(1)} %)` : "";
    const within = data.blocks && row === column ? `\nof these right: ${data.right[row]}` : "";
    const outcome = `${counts[row][column]} of ${total}${share}${within}`;
    return `true ${data.names[row]} → predicted ${data.names[column]}: ${outcome}`;
  };

  const select = (cell, x, y) => {
    cursor = cell;
    redraw();
    if (cell) showTip(x, y, textOf(cell)); else hideTip();
  };

  canvas.addEventListener("pointermove", (event) => {
    const side = sideIn(canvas.clientWidth);
    const [column, row] = placeIn(canvas, event).map((at) => Math.floor((at - BAND) / side));
    const inside = row >= 0 && row < size && column >= 0 && column < size;
    select(inside ? [row, column] : null, event.clientX, event.clientY);
  });
  canvas.addEventListener("pointerleave", () => select(null));

  const selectByKey = (cell) => {
    const side = sideIn(canvas.clientWidth);
    const box = canvas.getBoundingClientRect();
    const [row, column] = cell.map((at) => BAND + (at + 0.5) * side);
    select(cell, box.left + column, box.top + row);
  };
  const within = (at) => Math.min(size - 1, Math.max(0, at));
  arrowKeys(canvas, {
    move: ([right, down]) => {
      const [row, column] = cursor ?? [0, 0];
      selectByKey([within(row + down), within(column + right)]);
    },
    enter: () => selectByKey(cursor ?? [0, 0]),
    leave: () => select(null),
  });
})();
