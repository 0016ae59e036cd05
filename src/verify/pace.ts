/**
 * Where each chunk ends. By counting off keys on the source with most rows, which walks the key once more; or, for a key of one integer, by
 * arithmetic: a step in values, made larger or smaller by how many rows the last chunks had (measured: a fifth of the source's work saved).
 */
import { LiteralKind } from '../move/table-plan.ts'
import { asBytes } from '../move/statements.ts'
import type { Comparison } from './comparison.ts'
import { boundAfter, type Bound } from './ranges.ts'
import type { Sessions } from './sessions.ts'

export interface Pace {
  /** The end of the chunk that begins behind `lo`; null: the last one. */
  next(lo: Bound): Promise<Bound>
  /** How many rows a chunk had. */
  observed(rows: number): void
}

export function paceOf(sessions: Sessions, comparison: Comparison, rowsPerChunk: number): Pace {
  const { plan } = comparison
  const column = plan.columns[0]
  const integer =
    plan.keyWidth === 1 && column?.kind === LiteralKind.number && /^(tiny|small|medium|big)?int(eger)?$/.test(column.definition.dataType)
  return integer ? new IntegerPace(sessions, comparison, rowsPerChunk) : new CountedPace(sessions, comparison, rowsPerChunk)
}

class CountedPace implements Pace {
  readonly #sessions: Sessions
  readonly #comparison: Comparison
  readonly #rows: number

  constructor(sessions: Sessions, comparison: Comparison, rowsPerChunk: number) {
    this.#sessions = sessions
    this.#comparison = comparison
    this.#rows = Math.max(64, Math.floor(rowsPerChunk / comparison.sources.length))
  }

  next(lo: Bound): Promise<Bound> {
    const { pacer } = this.#comparison
    return this.#sessions.reader(pacer.ref.serverId, (conn) => boundAfter(conn, this.#comparison, pacer, lo, this.#rows))
  }

  observed(): void {}
}

class IntegerPace implements Pace {
  readonly #sessions: Sessions
  readonly #comparison: Comparison
  readonly #rows: number
  #step: bigint | null = null
  #least = 0n
  #greatest = 0n

  constructor(sessions: Sessions, comparison: Comparison, rowsPerChunk: number) {
    this.#sessions = sessions
    this.#comparison = comparison
    this.#rows = rowsPerChunk
  }

  async next(lo: Bound): Promise<Bound> {
    // A small table is one chunk; if the server's estimate was wrong, the digest is cut by its time limit.
    if (this.#comparison.rowsEstimated < this.#rows / 4) return null
    this.#step ??= await this.#firstStep()
    const from = lo === null ? this.#least - 1n : BigInt(lo[0] ?? '0')
    const hi = from + this.#step
    // Rows behind the greatest key of the beginning are in the last chunk, which is open.
    return hi >= this.#greatest ? null : [String(hi)]
  }

  observed(rows: number): void {
    if (this.#step === null) return
    // By at most four at a time: a gap in the keys must not make a chunk of a whole table behind it.
    const factor = Math.min(4, Math.max(0.25, this.#rows / Math.max(1, rows)))
    const next = BigInt(Math.max(1, Math.min(Number.MAX_SAFE_INTEGER, Math.round(Number(this.#step) * factor))))
    // Chunks of one size come in for the step that made them: a second answer must not count the correction twice.
    if (factor < 0.8 || factor > 1.25) this.#step = next
  }

  /** From the least and greatest key of all sides: rows that only a target has count too. */
  async #firstStep(): Promise<bigint> {
    const { sources, targets, plan, rowsEstimated } = this.#comparison
    const name = asBytes(plan.keyColumns[0] ?? '')
    const ends = await Promise.all(
      [...sources, ...targets].map((side) =>
        this.#sessions.reader(side.ref.serverId, async (conn) => {
          const result = await conn.query(Buffer.from(`SELECT MIN(${name}),MAX(${name}) FROM ${side.into}`, 'latin1'))
          const [least, greatest] = result.kind === 'rows' ? (result.rows[0] ?? []) : []
          return least === null || least === undefined || greatest === null || greatest === undefined
            ? null
            : { least: BigInt(least.toString()), greatest: BigInt(greatest.toString()) }
        }),
      ),
    )
    const found = ends.filter((end) => end !== null)
    const first = found[0]
    if (first === undefined) return 1n
    this.#least = found.reduce((low, { least }) => (least < low ? least : low), first.least)
    this.#greatest = found.reduce((high, { greatest }) => (greatest > high ? greatest : high), first.greatest)
    const chunks = BigInt(Math.max(1, Math.ceil(rowsEstimated / this.#rows)))
    const step = (this.#greatest - this.#least + 1n) / chunks + 1n
    return step
  }
}
