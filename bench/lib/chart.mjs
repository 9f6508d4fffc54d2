// The race as an SVG: a panel for each work, a bar for each contender, the cheapest first. Colours follow the reader's.
import { headingOf } from './report.mjs';
import { heatsOf } from './statistics.mjs';

const width = 960;
const panelGap = 28;
const columnsGap = 36;
const bar = { height: 16, gap: 4 };
const head = 80;
const labelWidth = 118;
const valueWidth = 62;
const margin = 16;
const barWidthMin = 1;

const style = `
svg { font: 12px system-ui, sans-serif; }
text { fill: #1f2328; }
.page { fill: #ffffff; }
.title { font-size: 15px; font-weight: 600; }
.heat { font-weight: 600; }
.value { fill: #59636e; }
.own { fill: #0b6bcb; }
.peer { fill: #b9c2cc; }
.floor { fill: none; stroke: #59636e; stroke-dasharray: 3 2; }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3; }
  .page { fill: #0d1117; }
  .value { fill: #9198a1; }
  .own { fill: #4aa3ff; }
  .peer { fill: #4b5561; }
  .floor { stroke: #9198a1; }
}
`;

const escapeText = (text) =>
  text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');

/** Three digits that count. */
export function shortNumber(value) {
  if (!Number.isFinite(value)) return '–';
  if (value >= 100) return value.toFixed(0);
  return value.toFixed(value >= 10 ? 1 : 2);
}

/** Names of rows end in that of their workload, which stands above them already. */
const labelOf = ({ name, heat }) => name.replace(new RegExp(`-(${heat}|1m)$`), '');

/** What stands above a panel; of a heat with several works its first contender tells the others. */
function titleOf(results, all) {
  const { heat, work, name } = results[0];
  const first = all.find((result) => result.heat === heat);
  return first.work === work ? headingOf(results) : `${headingOf(results)}, as ${name}`;
}

function drawBar(result, index, { left, top, widest, room }) {
  const y = top + index * (bar.height + bar.gap);
  const x = left + labelWidth;
  const length = Math.max(barWidthMin, (result.cpu_us_per_request / widest) * room);
  const middle = y + bar.height / 2 + 4;
  return [
    `<text x="${x - 6}" y="${middle}" text-anchor="end">${escapeText(labelOf(result))}</text>`,
    `<rect class="${result.role}" x="${x}" y="${y}" width="${length.toFixed(1)}" height="${bar.height}" rx="2"/>`,
    `<text class="value" x="${(x + length + 6).toFixed(1)}" y="${middle}">${shortNumber(result.cpu_us_per_request)} µs</text>`,
  ].join('');
}

const panelHeight = (results) => 22 + results.length * (bar.height + bar.gap);

function drawPanel(title, results, left, top, panelWidth) {
  const sorted = [...results].sort((a, b) => a.cpu_us_per_request - b.cpu_us_per_request);
  const widest = Math.max(...results.map((result) => result.cpu_us_per_request));
  const place = { left, top: top + 22, widest, room: panelWidth - labelWidth - valueWidth };
  return [
    `<text class="heat" x="${left + labelWidth}" y="${top + 12}">${escapeText(title)}</text>`,
    ...sorted.map((result, index) => drawBar(result, index, place)),
  ].join('\n');
}

/** Which bar is whose. */
function drawLegend() {
  const entries = [
    ['own', 'Gyrfalcon'],
    ['peer', 'peers'],
    ['floor', 'the floor: a server that does nothing'],
  ];
  let x = margin;
  return entries.map(([role, words]) => {
    const entry =
      `<rect class="${role}" x="${x}" y="52" width="22" height="12" rx="2"/>` +
      `<text x="${x + 28}" y="62">${words}</text>`;
    x += 50 + words.length * 7;
    return entry;
  });
}

/**
 * @param {object[]} results  as `summarise` gives them
 * @param {string} about  a line below the title: the machine, the date
 * @returns {string} an SVG in two columns, of as few pixels in height as the heats' order lets it have
 */
export function drawChart(results, about) {
  const panelWidth = (width - 2 * margin - columnsGap) / 2;
  const bottoms = [head, head];
  const panels = [];
  for (const own of heatsOf(results, 'work').values()) {
    const column = bottoms[0] <= bottoms[1] ? 0 : 1;
    const left = margin + column * (panelWidth + columnsGap);
    panels.push(drawPanel(titleOf(own, results), own, left, bottoms[column], panelWidth));
    bottoms[column] += panelHeight(own) + panelGap;
  }
  const height = Math.max(...bottoms);
  const title = 'CPU time per request: less is better';
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" role="img">
<title>${title}</title>
<style>${style}</style>
<rect class="page" width="${width}" height="${height}"/>
<text class="title" x="${margin}" y="24">${title}</text>
<text class="value" x="${margin}" y="42">${escapeText(about)}</text>
${drawLegend().join('\n')}
${panels.join('\n')}
</svg>
`;
}
