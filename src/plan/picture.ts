/**
 * A simulation as one SVG picture: the phases of each way on a common time axis, then coverage, backlog and bytes over time. Self-contained,
 * no script and no font of its own; readable on light and dark pages since it brings its own ground. Colours are told apart by lightness
 * too, and every line is named at its end.
 */
import type { Simulation } from './simulate.ts'
import { bytesText, day, durationText, hour, round } from './text.ts'

const width = 960
const left = 110
const right = 40
const plot = width - left - right
const laneHeight = 26
const panelHeight = 130
const gap = 46

const phaseColours: Readonly<Record<string, string>> = {
  'catching up': '#d9822b',
  filling: '#f2c14e',
  copying: '#d9822b',
  'building keys': '#f2c14e',
  draining: '#e8d9a0',
  ramping: '#4c9f70',
  following: '#4c9f70',
  holding: '#8fbcd4',
  decommissioning: '#c9ced6',
}
const lineColours = ['#1f4e79', '#b5460f', '#2e7d4f', '#7a3b8f', '#5b5b5b'] as const

export function picture(title: string, simulations: readonly Simulation[]): string {
  const end = Math.max(1, ...simulations.map((simulation) => simulation.endSeconds))
  const x = (seconds: number): number => left + (plot * seconds) / end
  const parts: string[] = []
  let y = 56
  parts.push(text(16, 28, title, 'font-size="16" font-weight="600"'))
  for (const simulation of simulations) {
    parts.push(text(16, y + 17, simulation.way, 'font-weight="600"'), ...lanes(simulation, x, y))
    y += laneHeight + 8
  }
  parts.push(axis(end, x, y, y), legend(simulations, y + 30))
  y += gap + 28
  const lines: { title: string; value: (s: Simulation, i: number) => number; label: (v: number) => string }[] = [
    { title: 'covered by the new side', value: (s, i) => (s.steps[i]?.coverage ?? 0) * 100, label: (v) => `${round(v)} %` },
    { title: 'how far it is behind', value: (s, i) => s.steps[i]?.lagSeconds ?? 0, label: durationText },
    { title: 'bytes on both sides', value: (s, i) => (s.steps[i]?.oldBytes ?? 0) + (s.steps[i]?.newBytes ?? 0), label: bytesText },
    { title: 'records written a second', value: (s, i) => s.steps[i]?.eventsPerSecond ?? 0, label: (v) => `${round(v)}/s` },
  ]
  for (const line of lines) {
    parts.push(panel(line.title, simulations, line.value, line.label, x, y, end))
    y += panelHeight + gap
  }
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${y}" viewBox="0 0 ${width} ${y}" font-family="system-ui, sans-serif" font-size="12" role="img" aria-label="${escape(title)}">`,
    `<rect width="${width}" height="${y}" fill="#fdfdfb"/>`,
    ...parts,
    '</svg>',
    '',
  ].join('\n')
}

function lanes(simulation: Simulation, x: (seconds: number) => number, y: number): string[] {
  const out: string[] = []
  let from = 0
  const { stepSeconds } = simulation
  for (const [i, step] of simulation.steps.entries()) {
    const next = simulation.steps[i + 1]
    if (next?.phase === step.phase) continue
    const to = next === undefined ? simulation.endSeconds : (step.step + 1) * stepSeconds
    out.push(
      `<rect x="${n(x(from))}" y="${y}" width="${n(Math.max(0.5, x(to) - x(from)))}" height="${laneHeight}" fill="${phaseColours[step.phase] ?? '#ddd'}"><title>${escape(`${simulation.way}: ${step.phase}, ${durationText(from)} to ${durationText(to)}`)}</title></rect>`,
    )
    from = to
  }
  if (simulation.readySeconds !== null) {
    const at = x(simulation.readySeconds)
    out.push(
      `<line x1="${n(at)}" x2="${n(at)}" y1="${y - 3}" y2="${y + laneHeight + 3}" stroke="#222" stroke-width="2"/>`,
      text(at + 4, y + 17, `ready ${durationText(simulation.readySeconds)}`, 'fill="#222"'),
    )
  }
  if (simulation.failed !== null) out.push(text(x(simulation.endSeconds) + 4, y + 17, '✗ failed', 'fill="#a4161a" font-weight="600"'))
  return out
}

function panel(
  title: string,
  simulations: readonly Simulation[],
  value: (simulation: Simulation, index: number) => number,
  label: (value: number) => string,
  x: (seconds: number) => number,
  y: number,
  end: number,
): string {
  const most = Math.max(1e-9, ...simulations.map((s) => s.steps.reduce((max, _, i) => Math.max(max, value(s, i)), 0)))
  const scale = (v: number): number => y + panelHeight - (panelHeight * v) / most
  const out = [text(left, y - 8, title, 'font-weight="600"')]
  for (const share of [0, 0.5, 1]) {
    const at = scale(most * share)
    out.push(
      `<line x1="${left}" x2="${left + plot}" y1="${n(at)}" y2="${n(at)}" stroke="#e3e3dc"/>`,
      text(left - 8, at + 4, label(most * share), 'text-anchor="end" fill="#555"'),
    )
  }
  out.push(axis(end, x, y + panelHeight, y))

  let named = left + plot
  for (const [k, simulation] of simulations.entries()) {
    const colour = lineColours[k % lineColours.length] ?? '#000'
    const { stepSeconds } = simulation
    const points = thinned(simulation.steps.length).map((i) => {
      const at = Math.min(((simulation.steps[i]?.step ?? 0) + 1) * stepSeconds, simulation.endSeconds)
      return [n(x(at)), n(scale(value(simulation, i)))]
    })
    out.push(`<polyline fill="none" stroke="${colour}" stroke-width="1.6" points="${points.map((p) => p.join(',')).join(' ')}"/>`)
    out.push(text(named, y - 8, simulation.way, `text-anchor="end" font-weight="600" fill="${colour}"`))
    named -= 14 + simulation.way.length * 7
  }
  return out.join('\n')
}

function axis(end: number, x: (seconds: number) => number, y: number, top: number): string {
  const nice = [1, 5, 10, 30, 60, 300, 900, hour, 3 * hour, 6 * hour, 12 * hour, day, 2 * day, 5 * day, 10 * day, 30 * day, 90 * day]
  const every = nice.find((step) => end / step <= 12) ?? 365 * day
  const out: string[] = [`<line x1="${left}" x2="${left + plot}" y1="${n(y)}" y2="${n(y)}" stroke="#888"/>`]
  for (let at = 0; at <= end + 1e-9; at += every) {
    out.push(
      `<line x1="${n(x(at))}" x2="${n(x(at))}" y1="${n(y)}" y2="${n(y + 4)}" stroke="#888"/>`,
      text(x(at), y + 16, durationText(at), 'text-anchor="middle" fill="#555" font-size="11"'),
    )
    if (top !== y) out.push(`<line x1="${n(x(at))}" x2="${n(x(at))}" y1="${n(top)}" y2="${n(y)}" stroke="#f0f0ea"/>`)
  }
  return out.join('\n')
}

function legend(simulations: readonly Simulation[], y: number): string {
  const phases = [...new Set(simulations.flatMap((s) => s.steps.map((step) => step.phase)))]
  let at = left
  const out: string[] = []
  for (const phase of phases) {
    out.push(
      `<rect x="${at}" y="${y}" width="12" height="12" fill="${phaseColours[phase] ?? '#ddd'}"/>`,
      text(at + 17, y + 10, phase, 'fill="#333"'),
    )
    at += 34 + phase.length * 7
  }
  return out.join('\n')
}

/** At most 600 points a line: the last of each stretch. */
function thinned(length: number): number[] {
  const every = Math.max(1, Math.ceil(length / 600))
  const out: number[] = []
  for (let i = every - 1; i < length; i += every) out.push(i)
  if (length > 0 && out.at(-1) !== length - 1) out.push(length - 1)
  return out
}

function text(x: number, y: number, content: string, attributes = ''): string {
  return `<text x="${n(x)}" y="${n(y)}" ${attributes}>${escape(content)}</text>`
}

function n(value: number): string {
  return value.toFixed(1)
}

function escape(content: string): string {
  return content.replace(/&/g, '&amp;').replace(/</g, '&lt;').replace(/>/g, '&gt;').replace(/"/g, '&quot;')
}
