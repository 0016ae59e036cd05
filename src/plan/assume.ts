/** `--assume key=value`: a figure or fact said by the operator. What is given goes before what was measured, and says so. */
import { didYouMean } from '../keyspace/did-you-mean.ts'
import { planErrors } from './errors.ts'
import type { Amount, Fact, FactName, Figure, FigureName, PlanFacts, PlanFigures, PlanInput, Unit } from './figures.ts'

/** Each figure's unit, and the short name of PROTOCOLS 5 where it has one. */
export const figureUnits: Readonly<Record<FigureName, { unit: Unit; symbol: string }>> = {
  sourceBytes: { unit: 'bytes', symbol: 'S' },
  dimensionBytes: { unit: 'bytes', symbol: 'Sd' },
  readBytesPerSecond: { unit: 'bytes/s', symbol: 'Rr' },
  targetWriteBytesPerSecond: { unit: 'bytes/s', symbol: 'Wt' },
  copyDuty: { unit: 'ratio', symbol: 'duty' },
  keySeconds: { unit: 'seconds', symbol: 'Tkeys' },
  binlogBytesPerSecond: { unit: 'bytes/s', symbol: 'b' },
  applyBytesPerSecond: { unit: 'bytes/s', symbol: 'a' },
  lagShare: { unit: 'ratio', symbol: 'lagShare' },
  binlogRetentionSeconds: { unit: 'seconds', symbol: 'Rb' },
  outageBudgetSeconds: { unit: 'seconds', symbol: 'outage' },
  bloat: { unit: 'ratio', symbol: 'bloat' },
  storeRetentionSeconds: { unit: 'seconds', symbol: 'Rd' },
  topicRetentionSeconds: { unit: 'seconds', symbol: 'Rk' },
  marginSeconds: { unit: 'seconds', symbol: 'm' },
  eventsPerSecond: { unit: 'events/s', symbol: 'r' },
  fleetEventsPerSecond: { unit: 'events/s', symbol: 'w' },
  holdSeconds: { unit: 'seconds', symbol: 'H' },
  undoSeconds: { unit: 'seconds', symbol: 'undo' },
  steadyStateBytes: { unit: 'bytes', symbol: 'steady' },
  growthPerDay: { unit: 'ratio', symbol: 'growth' },
  targetFreeBytes: { unit: 'bytes', symbol: 'targetFree' },
  sourceFreeBytes: { unit: 'bytes', symbol: 'sourceFree' },
  consumers: { unit: 'count', symbol: 'consumers' },
  shardHourCost: { unit: 'count', symbol: 'shardCost' },
  consumerHourCost: { unit: 'count', symbol: 'consumerCost' },
  eventBytes: { unit: 'bytes', symbol: 'eventBytes' },
}

const factKinds: Readonly<Record<FactName, 'flag' | 'names'>> = {
  otherWriters: 'names',
  neverExpires: 'names',
  dimensionTables: 'names',
  topicTables: 'names',
  deterministic: 'flag',
  crossDatabase: 'names',
  readYourWrites: 'flag',
  pauseAllowed: 'flag',
  productionMayFeelCopy: 'flag',
  rebuilds: 'flag',
  twoClusters: 'flag',
  retentionMayBeRaised: 'flag',
}

/** @throws SW-PLAN-001, SW-PLAN-002 */
export function assume(input: PlanInput, assumptions: readonly string[]): PlanInput {
  let figures: PlanFigures = input.figures
  let facts: PlanFacts = input.facts
  for (const text of assumptions) {
    const at = text.indexOf('=')
    const name = (at < 0 ? text : text.slice(0, at)).trim()
    const value = at < 0 ? '' : text.slice(at + 1).trim()
    const figure = figureNamed(name)
    if (figure !== null) {
      const known: Figure = { value: parseAmount(name, value, figureUnits[figure].unit), source: 'given', note: 'said by --assume' }
      figures = { ...figures, [figure]: known }
    } else if (name in factKinds) {
      const fact: Fact<unknown> = { value: parseFact(name as FactName, value), source: 'given', note: 'said by --assume' }
      facts = { ...facts, [name]: fact }
    } else {
      const known = [...Object.keys(figureUnits), ...Object.keys(factKinds)]
      throw planErrors.unknownAssumption({ name: `${name}${didYouMean(name, known)}`, known: known.join(', ') })
    }
  }
  return { ...input, figures, facts }
}

function figureNamed(name: string): FigureName | null {
  if (name in figureUnits) return name as FigureName
  const entry = Object.entries(figureUnits).find(([, { symbol }]) => symbol === name)
  return entry === undefined ? null : (entry[0] as FigureName)
}

const timeUnits: Readonly<Record<string, number>> = { ms: 0.001, s: 1, m: 60, min: 60, h: 3600, d: 86_400, w: 604_800, y: 31_536_000 }
const byteUnits: Readonly<Record<string, number>> = {
  b: 1,
  k: 1e3,
  kb: 1e3,
  mb: 1e6,
  gb: 1e9,
  tb: 1e12,
  kib: 2 ** 10,
  mib: 2 ** 20,
  gib: 2 ** 30,
  tib: 2 ** 40,
}

/** `8d`, `40GiB`, `12000`, `30%`, `unbounded`, `unknown`. */
export function parseAmount(name: string, text: string, unit: Unit): Amount {
  if (text === 'unbounded' || text === 'unknown') return text
  const match = /^(\d+(?:\.\d+)?(?:e\d+)?)\s*([A-Za-z%]*)(\/s)?$/.exec(text)
  if (match === null) throw planErrors.badAssumption({ name, value: text, problem: 'is no amount' })
  const number = Number(match[1])
  const suffix = (match[2] ?? '').toLowerCase()
  if (suffix === '') return number
  if (suffix === '%' && unit === 'ratio') return number / 100
  const scale = unit === 'seconds' ? timeUnits[suffix] : unit.startsWith('bytes') ? byteUnits[suffix] : undefined
  if (scale === undefined) throw planErrors.badAssumption({ name, value: text, problem: `${match[2]} is no unit of ${unit}` })
  return number * scale
}

function parseFact(name: FactName, text: string): unknown {
  if (text === 'unknown') return 'unknown'
  if (factKinds[name] === 'flag') {
    if (/^(yes|true|1)$/.test(text)) return true
    if (/^(no|false|0)$/.test(text)) return false
    throw planErrors.badAssumption({ name, value: text, problem: 'is neither yes nor no' })
  }
  const names = text === 'none' ? [] : text.split(',').map((part) => part.trim())
  const given = names.filter((part) => part !== '')
  if (name !== 'otherWriters') return given
  // who:table+table
  return given.map((part) => {
    const [who = '', tables = ''] = part.split(':')
    return { who, tables: tables === '' ? [] : tables.split('+') }
  })
}
