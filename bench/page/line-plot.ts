/** One line of a plot: a name and its points. */
export interface Line {
  readonly label: string;
  readonly points: readonly { x: number; y: number }[];
}

const [width, height] = [640, 360];
const margin = { left: 64, right: 190, top: 34, bottom: 44 };
/** Told apart also by those who see red and green alike (Okabe and Ito's palette). */
const colours = ['#0072b2', '#d55e00', '#e69f00', '#009e73', '#cc79a7', '#56b4e9'];

/** How the values of a plot lie on its axes. */
interface Scales {
  readonly of: (values: readonly number[], from: number, to: number) => (value: number) => number;
  readonly xTicks: (values: readonly number[]) => number[];
  readonly yTicks: (values: readonly number[]) => number[];
}

/** For values that are far apart; every x has a tick. */
const logarithmic: Scales = {
  of: (values, from, to) => {
    const [low, high] = [Math.log10(Math.min(...values)), Math.log10(Math.max(...values))];
    return (value) => from + ((Math.log10(value) - low) / (high - low || 1)) * (to - from);
  },
  xTicks: (values) => [...new Set(values)].toSorted((a, b) => a - b),
  yTicks: decades,
};

/** From nought, for what happens over time. */
export const linear: Scales = {
  of: (values, from, to) => (value) => from + (value / (Math.max(...values) || 1)) * (to - from),
  xTicks: evenly,
  yTicks: evenly,
};

/** A plot as one SVG that needs nothing else; legible on white and, by its own background, on dark pages. */
export function linePlot(
  title: string,
  axes: { x: string; y: string },
  lines: readonly Line[],
  scales: Scales = logarithmic,
): string {
  const all = lines.flatMap(({ points }) => points);
  const [allX, allY] = [all.map((point) => point.x), all.map((point) => point.y)];
  const x = scales.of(allX, margin.left, width - margin.right);
  const y = scales.of(allY, height - margin.bottom, margin.top);
  const text = (at: { x: number; y: number }, words: string, more = '') =>
    `<text x="${at.x.toFixed(1)}" y="${at.y.toFixed(1)}" ${more}>${escaped(words)}</text>`;
  const [xs, ys] = [scales.xTicks(allX), scales.yTicks(allY)];
  const grid = [
    ...xs.map((value) =>
      text({ x: x(value), y: height - margin.bottom + 16 }, String(value), 'text-anchor="middle"'),
    ),
    ...ys.map((value) => {
      const line = `<line x1="${margin.left}" x2="${width - margin.right}" y1="${y(value).toFixed(1)}" y2="${y(value).toFixed(1)}" stroke="#ddd"/>`;
      return line + text({ x: margin.left - 8, y: y(value) + 4 }, short(value), 'text-anchor="end"');
    }),
  ];
  const ends = spread(lines.map(({ points }) => y(points.at(-1)?.y ?? 1)));
  const drawn = lines.map(({ label, points }, index) => {
    const colour = colours[index % colours.length] ?? '#000';
    const path = points
      .map((point, at) => `${at === 0 ? 'M' : 'L'}${x(point.x).toFixed(1)} ${y(point.y).toFixed(1)}`)
      .join(' ');
    const dots = points.map(
      (point) =>
        `<circle cx="${x(point.x).toFixed(1)}" cy="${y(point.y).toFixed(1)}" r="${dotRadius(points)}" fill="${colour}"/>`,
    );
    const name = text({ x: width - margin.right + 10, y: (ends[index] ?? 0) + 4 }, label, `fill="${colour}"`);
    return `<path d="${path}" fill="none" stroke="${colour}" stroke-width="2"/>${dots.join('')}${name}`;
  });
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" font-family="system-ui, sans-serif" font-size="12">`,
    `<rect width="${width}" height="${height}" fill="#fff"/>`,
    text({ x: margin.left, y: 20 }, title, 'font-weight="bold"'),
    text({ x: (margin.left + width - margin.right) / 2, y: height - 8 }, axes.x, 'text-anchor="middle"'),
    text({ x: 14, y: height / 2 }, axes.y, `text-anchor="middle" transform="rotate(-90 14 ${height / 2})"`),
    ...grid,
    ...drawn,
    '</svg>',
    '',
  ].join('\n');
}

/** Names beside their lines, moved apart where they would lie on each other. */
function spread(places: readonly number[]): number[] {
  const apart = 14;
  const order = places.map((place, index) => ({ place, index })).toSorted((a, b) => a.place - b.place);
  let last = -Infinity;
  for (const each of order) {
    each.place = Math.max(each.place, last + apart);
    last = each.place;
  }
  return order.toSorted((a, b) => a.index - b.index).map(({ place }) => place);
}

/** Round numbers from nought. */
function evenly(values: readonly number[]): number[] {
  const most = Math.max(...values);
  const rough = 10 ** Math.floor(Math.log10(most));
  const every = most / rough >= 5 ? rough : most / rough >= 2 ? rough / 2 : rough / 5;
  return Array.from({ length: Math.floor(most / every) + 1 }, (_, index) => index * every);
}

function decades(values: readonly number[]): number[] {
  const [low, high] = [
    Math.ceil(Math.log10(Math.min(...values))),
    Math.floor(Math.log10(Math.max(...values))),
  ];
  return Array.from({ length: Math.max(0, high - low + 1) }, (_, index) => 10 ** (low + index));
}

function dotRadius(points: readonly unknown[]): number {
  return points.length > 20 ? 1.5 : 3;
}

function short(value: number): string {
  return value >= 1_000 ? `${value / 1_000} k` : String(value);
}

function escaped(words: string): string {
  return words.replaceAll('&', '&amp;').replaceAll('<', '&lt;');
}
