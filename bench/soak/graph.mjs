// The samples of a soak as an SVG: one panel for each line, one above the other.

const width = 960;
const panel = { height: 110, gap: 34, left: 90, right: 20, top: 60 };
const pointsMax = 800;

const escapeText = (text) => text.replaceAll('&', '&amp;').replaceAll('<', '&lt;');

/** Every n-th sample is the median of n, so that a long run is not a blur. */
function thinned(values) {
  const each = Math.ceil(values.length / pointsMax);
  const thin = [];
  for (let i = 0; i < values.length; i += each) {
    const some = values.slice(i, i + each).sort((a, b) => a - b);
    thin.push(some[some.length >> 1]);
  }
  return thin;
}

function drawPanel({ title, unit, values }, index, minutes) {
  const top = panel.top + index * (panel.height + panel.gap);
  const right = width - panel.right;
  const most = Math.max(...values) * 1.1 || 1;
  const points = thinned(values);
  const step = (right - panel.left) / Math.max(1, points.length - 1);
  const line = points
    .map((value, i) => {
      const y = top + panel.height * (1 - value / most);
      return `${(panel.left + i * step).toFixed(1)},${y.toFixed(1)}`;
    })
    .join(' ');
  const label = (value) => `${value < 10 ? value.toFixed(1) : Math.round(value)}${unit}`;
  const ticks = [0, 0.5, 1].map((part) => {
    const y = top + panel.height * (1 - part);
    return (
      `<line x1="${panel.left}" y1="${y}" x2="${right}" y2="${y}" stroke="#ddd"/>` +
      `<text x="${panel.left - 8}" y="${y + 4}" text-anchor="end">${label(most * part)}</text>`
    );
  });
  return [
    `<text x="${panel.left}" y="${top - 8}" font-weight="bold">${escapeText(title)}</text>`,
    ...ticks,
    `<polyline points="${line}" fill="none" stroke="#1764ab" stroke-width="1.5"/>`,
    `<text x="${right}" y="${top + panel.height + 16}" text-anchor="end">${minutes} min</text>`,
  ].join('\n');
}

/** `lines`: title, unit and values of each panel. */
export function drawGraph(heading, minutes, lines) {
  const height = panel.top + lines.length * (panel.height + panel.gap);
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" font-family="sans-serif" font-size="12">
<title>${escapeText(heading)}</title>
<rect width="${width}" height="${height}" fill="white"/>
<text x="${panel.left}" y="26" font-size="15">${escapeText(heading)}</text>
${lines.map((line, index) => drawPanel(line, index, minutes)).join('\n')}
</svg>
`;
}
