// Picture `number` of the sprite sheet `name`, px wide and high; undefined where the page has none.
const spriteCell = (name, number, px) => {
  const sheet = document.getElementById(`sprite-${name}`);
  if (!sheet) return undefined;
  const columns = Number(sheet.dataset.columns);
  const [column, row] = [number % columns, Math.floor(number / columns)];
  const cell = document.createElement("span");
  cell.className = `thumb sprite-${name}`;
  cell.style.width = cell.style.height = `${px}px`;
  cell.style.backgroundSize = `${px * columns}px auto`;
  cell.style.backgroundPosition = `-${px * column}px -${px * row}px`;
  return cell;
};
