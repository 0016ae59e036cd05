/**
 * Statements counted by shape: the lexer's key, in which literals are marks, with lists of them drawn together. One look into a map and a few additions a
 * statement; bounded in shapes and in the length of a key.
 */
import { bucketOf, bucketsMax, type GateQueries, type QueryShape } from '../topology/gate-queries.ts'

const shapesMax = 2_000
const textMax = 400
/** A key that is longer stands for all that begin so: INSERTs of a thousand rows are one shape. */
const keyLengthMax = 1_000
const keysMax = 20_000
const listedMax = 100

type Shape = Omit<QueryShape, 'latencies'> & { readonly counts: Uint32Array }

export type StatementFigures = { readonly rows: number; readonly shards: number; readonly failed: boolean }

export class Shapes {
  readonly #slowMs: number
  readonly #sinceMs: number
  /** By keyspace, by the lexer's key. Several keys are one shape. */
  readonly #byKey = new Map<string, Map<string, Shape>>()
  readonly #shapes = new Map<string, Shape>()
  #keys = 0
  #others = 0
  #changed = false
  /** Of all statements. */
  scattered = 0
  slow = 0

  constructor(slowMs: number, nowMs: number) {
    this.#slowMs = slowMs
    this.#sinceMs = nowMs
  }

  note(keyspace: string, key: string, ms: number, figures: StatementFigures): void {
    this.#changed = true
    const isSlow = ms > this.#slowMs
    const isScattered = figures.shards > 1
    if (isSlow) this.slow++
    if (isScattered) this.scattered++
    const shape = this.#byKey.get(keyspace)?.get(key) ?? this.#find(keyspace, key)
    if (shape === null) {
      this.#others++
      return
    }
    shape.count++
    shape.rows += figures.rows
    shape.totalMs += ms
    if (ms > shape.maxMs) shape.maxMs = ms
    if (isSlow) shape.slow++
    if (isScattered) shape.scattered++
    if (figures.failed) shape.errors++
    const bucket = bucketOf(ms)
    shape.counts[bucket] = (shape.counts[bucket] as number) + 1
  }

  /** Null: as it was at the call before. */
  take(gate: string, nowMs: number): GateQueries | null {
    if (!this.#changed) return null
    this.#changed = false
    const all = [...this.#shapes.values()]
    const listed = new Set(all.toSorted((a, b) => b.totalMs - a.totalMs).slice(0, listedMax))
    // What is seldom and goes to every shard, or fails, is looked for too.
    for (const by of ['scattered', 'errors', 'slow'] as const)
      for (const shape of all.toSorted((a, b) => b[by] - a[by]).slice(0, listedMax / 4)) if (shape[by] > 0) listed.add(shape)
    const others = all.reduce((sum, shape) => sum + (listed.has(shape) ? 0 : shape.count), this.#others)
    return {
      v: 1,
      gate,
      sinceMs: this.#sinceMs,
      atMs: nowMs,
      slowMs: this.#slowMs,
      others,
      shapes: [...listed].map(({ counts, ...shape }) => ({
        ...shape,
        totalMs: Math.round(shape.totalMs * 1000) / 1000,
        maxMs: Math.round(shape.maxMs * 1000) / 1000,
        latencies: [...counts.entries()].filter(([, count]) => count > 0),
      })),
    }
  }

  /** A shape that is not known by this key yet; null: there are too many. */
  #find(keyspace: string, key: string): Shape | null {
    const short = key.length > keyLengthMax ? key.slice(0, keyLengthMax) : key
    let keys = this.#byKey.get(keyspace)
    if (keys === undefined) this.#byKey.set(keyspace, (keys = new Map()))
    const known = keys.get(short)
    if (known !== undefined) return known
    const whole = shapeText(short)
    const text = whole.length > textMax ? `${whole.slice(0, textMax)}…` : whole
    const name = `${keyspace}\0${text}`
    let shape = this.#shapes.get(name)
    if (shape === undefined) {
      if (this.#shapes.size >= shapesMax) return null
      const counts = new Uint32Array(bucketsMax)
      shape = { keyspace, text, count: 0, scattered: 0, slow: 0, errors: 0, rows: 0, totalMs: 0, maxMs: 0, counts }
      this.#shapes.set(name, shape)
    }
    if (this.#keys >= keysMax) {
      this.#byKey.clear()
      this.#keys = 0
    } else {
      keys.set(short, shape)
      this.#keys++
    }
    return shape
  }
}

/** The lexer's key as text. */
export function shapeText(key: string): string {
  return Buffer.from(key, 'latin1')
    .toString('utf8')
    .replaceAll(/[\x00-\x1f]/g, '?')
    .replaceAll(/\?(\s*,\s*\?)+/g, '?, …')
    .replaceAll(/(\(\s*\?(?:, …)?\s*\))(\s*,\s*\(\s*\?(?:, …)?\s*\))+/g, '$1, …')
    .trim()
}
