/**
 * What has landed of a copy, by table and target: what earlier runs left, and what this run adds. Adjacent ranges are put together on each target as they become many (why that is right: `scan.ts`), so that
 * neither our table there nor what a run reads at its start grows with the rows that are copied: a terabyte is a quarter of a million chunks a target.
 *
 * The statements go with a landing that is made anyway, in its transaction: no commit of their own.
 */
import { foldable } from './scan.ts'
import { applierSql, type ChunkRow, type CopyWork } from './tables.ts'

export type LandedChunk = ChunkRow & { readonly target: number }

export type Fold = {
  readonly statements: readonly string[]
  /** The transaction that they went with: committed, or not. */
  readonly end: (committed: boolean) => void
}

/** In one transaction: there may be more after a landing was long in coming. */
const rowsMax = 1_000

export class LandedRanges {
  readonly #targets: readonly { readonly streamUid: string; readonly targetUid: string; readonly workflowUid: string }[]
  /** So many more ranges of a table on a target before it is looked whether some can be put together. */
  readonly #every: number
  readonly #tables = new Map<string, LandedChunk[]>()
  /** By target: how many ranges of a table it has, and at how many it is looked at again. */
  readonly #counts: readonly Map<string, { has: number; lookAt: number }>[]
  readonly #due: readonly Set<string>[]
  /** By target: found, and not put together yet. */
  readonly #runs: readonly (readonly LandedChunk[])[][]
  readonly #folding: boolean[]
  #work: CopyWork = { rowsRead: 0, rowsRedone: 0 }

  constructor(targets: readonly { streamUid: string; targetUid: string; workflowUid: string }[], every: number) {
    this.#targets = targets
    this.#every = every
    this.#counts = targets.map(() => new Map())
    this.#due = targets.map(() => new Set())
    this.#runs = targets.map(() => [])
    this.#folding = targets.map(() => false)
  }

  /** As of the last landing that stands anywhere. */
  get work(): CopyWork {
    return this.#work
  }

  of(table: string): readonly LandedChunk[] {
    return this.#tables.get(table) ?? []
  }

  add(chunk: LandedChunk): void {
    const list = this.#tables.get(chunk.table) ?? []
    this.#tables.set(chunk.table, list)
    list.push(chunk)
    this.#work = later(this.#work, chunk.work)
    const counts = this.#counts[chunk.target]
    const count = counts?.get(chunk.table) ?? { has: 0, lookAt: this.#every }
    counts?.set(chunk.table, count)
    if (++count.has >= count.lookAt) this.#due[chunk.target]?.add(chunk.table)
  }

  /** For the transaction that lands next on a target; null: nothing is to be put together just now. */
  take(target: number): Fold | null {
    const on = this.#targets[target]
    if (on === undefined || this.#folding[target] === true) return null
    this.#look(target)
    const run = this.#runs[target]?.[0]
    if (run === undefined) return null
    const into = together(run)
    const { table } = into
    this.#folding[target] = true
    return {
      statements: [
        ...applierSql.withoutChunks(
          on.streamUid,
          on.targetUid,
          table,
          run.map(({ path }) => path),
        ),
        applierSql.chunks(on.streamUid, on.targetUid, on.workflowUid, [into]),
      ],
      end: (committed) => {
        this.#folding[target] = false
        if (!committed) return
        this.#runs[target]?.shift()
        const gone = new Set(run)
        this.#tables.set(table, [...this.of(table).filter((chunk) => !gone.has(chunk)), into])
        const count = this.#counts[target]?.get(table)
        if (count === undefined) return
        count.has -= run.length - 1
        count.lookAt = count.has + this.#every
      },
    }
  }

  #look(target: number): void {
    const due = this.#due[target] ?? new Set<string>()
    for (const table of due) {
      if ((this.#runs[target]?.length ?? 0) > 0) return
      due.delete(table)
      const count = this.#counts[target]?.get(table)
      if (count !== undefined) count.lookAt = count.has + this.#every
      const runs = foldable(this.of(table), this.#targets.length, target, rowsMax)
      this.#runs[target]?.push(...runs.filter(({ length }) => length >= this.#every / 2))
    }
  }
}

function together(run: readonly LandedChunk[]): LandedChunk {
  const [first] = run
  const last = run.at(-1)
  if (first === undefined || last === undefined) throw new RangeError('nothing to put together')
  return {
    ...last,
    first: first.first,
    lo: first.lo,
    rows: run.reduce((sum, { rows }) => sum + rows, 0),
    bytes: run.reduce((sum, { bytes }) => sum + bytes, 0),
    chunks: run.reduce((sum, { chunks }) => sum + chunks, 0),
    work: run.reduce((work, chunk) => later(work, chunk.work), first.work),
  }
}

/** Both only grow. */
function later(a: CopyWork, b: CopyWork): CopyWork {
  return { rowsRead: Math.max(a.rowsRead, b.rowsRead), rowsRedone: Math.max(a.rowsRedone, b.rowsRedone) }
}
