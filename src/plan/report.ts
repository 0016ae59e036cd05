/** A plan as lines for people: the advice first, then the ways side by side, then each way's reasons, then the figures and where they are from. */
import { figureUnits } from './assume.ts'
import type { Fact, Figure, FigureName, PlanInput, Unit } from './figures.ts'
import type { PlanResult, WayPlan } from './result.ts'
import { bytesText, durationText, rateText, retentionText, round, timesText } from './text.ts'

const marks: Readonly<Record<WayPlan['fits'], string>> = {
  fits: 'fits',
  borderline: 'borderline',
  unfit: 'does not fit',
  unknown: 'unknown',
}

export function planLines(result: PlanResult): string[] {
  const { input, advice } = result
  const head =
    advice.way === null
      ? `${input.keyspace}, ${input.shardsNow} → ${input.shardsWanted} shards: no way fits as things are`
      : `${input.keyspace}, ${input.shardsNow} → ${input.shardsWanted} shards: ${advice.way}`
  return [
    head,
    ...advice.because.map((line) => `  ${line}`),
    '',
    ...sideBySide(result.ways),
    '',
    ...result.ways.flatMap(wayLines),
    'figures',
    ...table(
      ['', 'figure', 'value', 'is', 'from'],
      figureRows(input).map((row) => ['', ...row]),
    ),
  ]
}

function sideBySide(all: readonly WayPlan[]): string[] {
  const rows: [string, (one: WayPlan) => string][] = [
    ['verdict', (one) => marks[one.fits]],
    ['ready after', (one) => durationText(one.readySeconds)],
    ['consumers', (one) => timesText(one.cost.consumers)],
    ['storage', (one) => timesText(one.cost.storage)],
    ['writes', (one) => timesText(one.cost.writes)],
    ['reads', (one) => timesText(one.cost.reads)],
    ['shard hours', (one) => (typeof one.cost.shardHours === 'number' ? round(one.cost.shardHours) : one.cost.shardHours)],
    ['consumer hours', (one) => (typeof one.cost.consumerHours === 'number' ? round(one.cost.consumerHours) : one.cost.consumerHours)],
    ['cost', (one) => (typeof one.cost.total === 'number' ? round(one.cost.total) : one.cost.total)],
    ['new disks', (one) => bytesText(one.peak.targetDiskBytes)],
    ['source reads', (one) => (one.peak.sourceReadBytesPerSecond === 0 ? 'none' : `${bytesText(one.peak.sourceReadBytesPerSecond)}/s`)],
    ['topic fetch', (one) => timesText(one.peak.topicFetchTimes)],
    ['writes pause', (one) => (one.peak.writePauseMs === 0 ? 'never' : `< ${one.peak.writePauseMs} ms`)],
  ]
  return table(
    ['', ...all.map((one) => one.way)],
    rows.map(([name, value]) => [name, ...all.map(value)]),
  )
}

function wayLines(one: WayPlan): string[] {
  return [
    `${one.way}: ${marks[one.fits]}, ready after ${durationText(one.readySeconds)}`,
    `  ${one.readyBecause}`,
    ...one.reasons.map((reason) => `  ${sign(reason.weight)} ${reason.text}${reason.fix === '' ? '' : ` → ${reason.fix}`}`),
    ...one.abortPoints.map((point) => `  until ${point.until}: ${point.how}; costs ${point.costs}`),
    '',
  ]
}

function sign(weight: WayPlan['reasons'][number]['weight']): string {
  switch (weight) {
    case 'blocks':
      return '✗'
    case 'strains':
      return '!'
    case 'lacks':
      return '?'
    case 'speaks for':
      return '+'
    case 'speaks against':
      return '-'
  }
}

function figureRows(input: PlanInput): string[][] {
  const figures = (Object.entries(input.figures) as [FigureName, Figure][]).map(([name, figure]) => [
    `${figureUnits[name].symbol === name ? '' : `${figureUnits[name].symbol}, `}${name}`,
    valueText(figure.value, figureUnits[name].unit, name),
    figure.source,
    figure.note,
  ])
  const facts = (Object.entries(input.facts) as [string, Fact<unknown>][]).map(([name, fact]) => [
    name,
    factText(fact.value),
    fact.source,
    fact.note,
  ])
  return [...figures, ...facts]
}

function valueText(value: Figure['value'], unit: Unit, name: FigureName): string {
  if (unit === 'seconds') return name.includes('Retention') ? retentionText(value) : durationText(value)
  if (unit === 'bytes') return bytesText(value)
  if (unit === 'bytes/s' || unit === 'bytes/day') return typeof value === 'number' ? `${bytesText(value)}${unit.slice(5)}` : value
  if (unit === 'events/s') return rateText(value)
  return typeof value === 'number' ? round(value) : value
}

function factText(value: unknown): string {
  if (typeof value === 'boolean') return value ? 'yes' : 'no'
  if (!Array.isArray(value)) return String(value)
  if (value.length === 0) return 'none'
  return value
    .map((item: unknown) => (typeof item === 'string' ? item : describeWriter(item as { who: string; tables: string[] })))
    .join(', ')
}

function describeWriter(writer: { who: string; tables: readonly string[] }): string {
  return writer.tables.length === 0 ? writer.who : `${writer.who} (${writer.tables.join(', ')})`
}

export function table(head: readonly string[], rows: readonly (readonly string[])[]): string[] {
  const widths = head.map((title, column) => Math.max(title.length, ...rows.map((row) => (row[column] ?? '').length)))
  const line = (cells: readonly string[]): string =>
    cells
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join('  ')
      .trimEnd()
  return [line(head), line(widths.map((w) => '─'.repeat(w))), ...rows.map(line)]
}
