/** Bar charts as SVG, written by hand: readable on light and dark pages, no script, no font to load. Pure. */

export interface Bar {
  readonly name: string
  readonly value: number
  readonly text: string
  readonly isOurs: boolean
}

export interface Panel {
  readonly title: string
  readonly hint: string
  readonly bars: readonly Bar[]
}

/** Panels side by side, two in a row; every panel has its own scale, from zero. */
export function chart(title: string, panels: readonly Panel[]): string {
  const rows: (readonly Panel[])[] = []
  for (let i = 0; i < panels.length; i += COLUMNS) rows.push(panels.slice(i, i + COLUMNS))
  const parts: string[] = []
  let y = TOP
  for (const row of rows) {
    for (const [column, panel] of row.entries()) parts.push(drawPanel(panel, MARGIN + column * (PANEL_WIDTH + GAP), y))
    y += Math.max(...row.map(panelHeight)) + GAP
  }
  const width = 2 * MARGIN + COLUMNS * PANEL_WIDTH + (COLUMNS - 1) * GAP
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${y}" viewBox="0 0 ${width} ${y}" role="img" aria-label="${escapeText(title)}">`,
    `<title>${escapeText(title)}</title>`,
    `<style>${STYLE}</style>`,
    `<rect class="page" width="${width}" height="${y}" rx="6"/>`,
    `<text class="title" x="${MARGIN}" y="28">${escapeText(title)}</text>`,
    ...parts,
    '</svg>',
    '',
  ].join('\n')
}

function panelHeight({ bars }: Panel): number {
  return HEAD + bars.length * BAR_STEP
}

function drawPanel({ title, hint, bars }: Panel, x: number, y: number): string {
  const most = Math.max(...bars.map(({ value }) => value), Number.MIN_VALUE)
  const room = PANEL_WIDTH - NAME_WIDTH - VALUE_WIDTH
  const lines = bars.map(({ name, value, text, isOurs }, index) => {
    const top = y + HEAD + index * BAR_STEP
    const width = Math.max(1, Math.round((value / most) * room))
    const kind = isOurs ? ' ours' : ''
    return [
      `<text class="name${kind}" x="${x + NAME_WIDTH - 8}" y="${top + 13}">${escapeText(name)}</text>`,
      `<rect class="bar${kind}" x="${x + NAME_WIDTH}" y="${top}" width="${width}" height="${BAR_HEIGHT}" rx="2"/>`,
      `<text class="value${kind}" x="${x + NAME_WIDTH + width + 6}" y="${top + 13}">${escapeText(text)}</text>`,
    ].join('\n')
  })
  return [
    `<text class="panel" x="${x}" y="${y + 14}">${escapeText(title)} <tspan class="hint">${escapeText(hint)}</tspan></text>`,
    ...lines,
  ].join('\n')
}

function escapeText(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;')
}

const COLUMNS = 2
const MARGIN = 20
const GAP = 24
const TOP = 48
const PANEL_WIDTH = 440
const NAME_WIDTH = 132
const VALUE_WIDTH = 66
const HEAD = 26
const BAR_STEP = 22
const BAR_HEIGHT = 17

const STYLE = [
  'text{font:13px system-ui,-apple-system,"Segoe UI",sans-serif;fill:#24292f}',
  '.page{fill:#fff}.title{font-size:17px;font-weight:600}.panel{font-weight:600}.hint{font-weight:400;fill:#57606a}',
  '.name{text-anchor:end;font-size:12px}.value{font-size:12px;font-variant-numeric:tabular-nums}.bar{fill:#afb8c1}.bar.ours{fill:#0969da}.name.ours,.value.ours{font-weight:600}',
  '@media (prefers-color-scheme:dark){text{fill:#e6edf3}.page{fill:#0d1117}.hint{fill:#8d96a0}.bar{fill:#484f58}.bar.ours{fill:#4493f8}}',
].join('')
