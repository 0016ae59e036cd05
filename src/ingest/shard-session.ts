/**
 * One connection to one shard, and the two transactions that a consumer does there: the fence (PROTOCOLS 4.3) and the write (4.4, 4.8–4.11).
 *
 * Why a write takes effect once: its rows and the move of `next` from `from` to `to` are one transaction, and `next` is `from` only as long as nobody has
 * written these offsets on this shard. Why only the holder writes: the same UPDATE asks for the holder's epoch, and whoever takes the partition over writes a
 * greater one under the row's lock before it reads `next`. So a transaction of an older holder either committed before that, and is in the `next` that the new
 * one reads, or matches no row.
 */
import type { Connection, Result } from '../mysql/connection.ts'
import { isServerError } from '../mysql/errors.ts'
import { flavourOf } from '../mysql/flavour/flavour.ts'
import { buildBatch, Merging, type BuiltBatch, type ClaimedRow, type Floors, type Range } from './batch.ts'
import type { MergedRow, MergedTable } from './coalesce.ts'
import type { IngestFailpoints } from './crash-points.ts'
import { fence, type FenceAnswer } from './decide.ts'
import { noFloor, PositionSql, type PositionKey } from './position-sql.ts'
import type { TablePlan } from './table-plan.ts'
import { insertStatements, mergeSketches, selectSketches, tableStatements, type TableStatements } from './upsert.ts'

export type FencedPosition = { readonly answer: FenceAnswer; readonly next: bigint; readonly leaderEpoch: number; readonly epoch: bigint }

export type WriteStatistics = {
  readonly statements: number
  readonly rowsIn: number
  readonly rowsOut: number
  readonly lateRows: number
  readonly deadRecords: number
}

type SketchSelect = { readonly table: MergedTable; readonly rows: MergedRow[]; readonly sql: string }
/** `fresh`: rows that were not there when we looked, by an INSERT that is refused where one is. */
type RowsWrite = { readonly sql: string; readonly rows: number; readonly fresh: boolean }

export type PreparedWrite = {
  readonly ranges: readonly Range[]
  readonly epochOf: (partition: number) => bigint
  /** By which its rows were judged. */
  readonly floors: Floors
  readonly built: BuiltBatch
  readonly hasRows: boolean
  /** Positions, floors, claims and who owns them, dead letters, sketches; what is sent first. */
  readonly first: readonly string[]
  readonly advances: number
  /** `at`: which answer of `first` says who owns the events. */
  readonly claims: readonly { readonly table: string; readonly list: readonly ClaimedRow[]; readonly at: number }[]
  readonly sketched: readonly SketchSelect[]
  readonly sketchesAt: number
  /** What depends on no answer and goes right behind `first`: the server is at it while sketches are merged here. */
  readonly along: readonly RowsWrite[]
}

/** A position did not stand where we believed it, or is another's: nothing was written. */
export class Refused extends Error {
  override name = 'Refused'
}

/** Another consumer inserted a row between our look and our insert: nothing was written, it is taken again. */
export class Overtaken extends Error {
  override name = 'Overtaken'
}

export type SessionOptions = {
  readonly connection: Connection
  readonly schema: string
  readonly key: PositionKey
  readonly failpoints: IngestFailpoints
}

/** A sketch has up to some 9 KB: so many rows stay within a packet. */
const sketchRowsMax = 200

export class ShardSession {
  readonly connection: Connection
  readonly #schema: string
  readonly #topicId: string
  readonly #sql: PositionSql
  readonly #failpoints: IngestFailpoints
  readonly #statements = new Map<TablePlan, TableStatements>()
  #floors: Floors = new Map()

  constructor({ connection, schema, key, failpoints }: SessionOptions) {
    this.connection = connection
    this.#schema = schema
    this.#topicId = key.topicId
    this.#sql = new PositionSql(key, flavourOf(connection))
    this.#failpoints = failpoints
  }

  /** Floor rows must be there before they can be locked. */
  async begin(tables: readonly string[]): Promise<void> {
    await this.#settled([...tables.map((table) => this.#sql.ensureFloor(table)), 'COMMIT'])
    this.#floors = floorsOf((await this.#settled([this.#sql.floors(), 'COMMIT']))[0])
  }

  /** In one transaction, in the order of partitions. Makes missing rows at exactly their start. */
  async fence(partitions: readonly { partition: number; epoch: bigint; start: bigint }[]): Promise<Map<number, FencedPosition>> {
    const ordered = [...partitions].sort((a, b) => a.partition - b.partition)
    // A write that failed on our side left its transaction open: this one's COMMIT must not be that one's.
    const [, ...results] = await this.#settled([
      'ROLLBACK',
      ...ordered.flatMap(({ partition, start }) => [this.#sql.ensure(partition, start), this.#sql.lock(partition)]),
    ])
    const out = new Map<number, FencedPosition>()
    const updates: string[] = []
    for (const [i, { partition, epoch }] of ordered.entries()) {
      const row = results[2 * i + 1]
      const cells = row?.kind === 'rows' ? row.rows[0] : undefined
      if (cells === undefined) throw new Refused(`no position row of partition ${partition}`)
      const [stored, next, leaderEpoch] = [BigInt(String(cells[0])), BigInt(String(cells[1])), Number(cells[2])]
      const answer = fence({ epoch: stored, next }, epoch)
      if (answer === 'fenced') updates.push(this.#sql.setEpoch(partition, epoch))
      out.set(partition, { answer, next, leaderEpoch, epoch: stored })
    }
    await this.#settled(updates)
    await this.#failpoints.hit('fence.beforeCommit')
    await this.connection.query('COMMIT')
    return out
  }

  /** A transaction made ready. Of records, floors and epochs alone: so it can be made while the one before it is on its way. */
  prepare(ranges: readonly Range[], epochOf: (partition: number) => bigint): PreparedWrite {
    const floors = this.#floors
    const built = buildBatch(ranges, floors)
    const ordered = [...ranges].sort((a, b) => a.partition - b.partition)
    const hasRows = built.tables.length > 0 || built.claims.size > 0
    const first = ordered.map(({ partition, from, to, leaderEpoch }) => {
      const count = built.counts.get(partition) ?? { records: 0, lateRows: 0, deadRecords: 0, newestMs: 0 }
      return this.#sql.advance({ partition, from, to, leaderEpoch, epoch: epochOf(partition), ...count })
    })
    const advances = first.length
    if (hasRows) first.push(this.#sql.floors())
    const claims = [...built.claims].map(([table, list]) => ({
      table,
      list,
      at: first.push(
        this.#sql.claimEvents(
          table,
          list.map(({ claim }) => claim),
        ),
      ),
    }))
    for (const claim of claims)
      claim.at =
        first.push(
          this.#sql.eventOwners(
            claim.table,
            claim.list.map(({ claim: event }) => event),
          ),
        ) - 1
    first.push(...built.dead.map(({ record, dead: reason }) => this.#sql.dead({ ...record, reason: reason ?? '' })))
    const sketched = claims.length > 0 ? [] : this.#sketchSelects(built.tables)
    const sketchesAt = first.length
    first.push(...sketched.map(({ sql }) => sql))
    const plain = built.tables.filter(({ plan }) => plan.sketches.length === 0)
    const along = claims.length > 0 ? [] : [...plain.flatMap((table) => this.#plainWrites(table)), ...this.#markWrites(built.marks)]
    return { ranges, epochOf, floors, built, hasRows, first, advances, claims, sketched, sketchesAt, along }
  }

  /**
   * Commits the ranges with their rows, or throws and has committed nothing; ConnectionLost at the COMMIT: nobody knows.
   *
   * @param whileWaiting called when the server is at work: what can be done meanwhile
   * @throws Refused, Overtaken, ServerError, ConnectionLost
   */
  async write(prepared: PreparedWrite, whileWaiting: () => void = () => undefined): Promise<WriteStatistics> {
    for (let made = prepared; ; made = this.prepare(prepared.ranges, prepared.epochOf)) {
      const written = await this.#attempt(made, whileWaiting)
      if (written !== 'floor was raised') return written
    }
  }

  async #attempt(made: PreparedWrite, whileWaiting: () => void): Promise<WriteStatistics | 'floor was raised'> {
    const { connection } = this
    const { built, hasRows, first, advances, claims, sketched, sketchesAt, along } = made
    await this.#failpoints.hit('write.beforeSend')
    const opening = connection.pipelineSettled(first)
    const going = connection.pipelineSettled(along.map(({ sql }) => sql))
    await this.#failpoints.hit('write.sent')
    whileWaiting()
    const opened = await opening
    // Sent before `along` is answered, and before anything is judged: nothing counts until the COMMIT, which waits for every answer.
    const merged =
      sketched.length > 0 && opened.every(isFulfilled) ? this.#sketchWrites(sketched, opened.slice(sketchesAt).map(resultOf)) : []
    const merging = connection.pipelineSettled(merged.map(({ sql }) => sql))
    const [wentAlong, answers] = [await going, await merging]
    // Before errors of rows: those of somebody who has no right to write say nothing about the records.
    if (opened.slice(0, advances).some((answer) => isFulfilled(answer) && affected(answer.value) !== 1n))
      return this.#rolledBack(new Refused('the position is not ours to move'))
    if ([...opened, ...wentAlong].every(isFulfilled)) await this.#notOvertaken(merged, answers)
    const results = await this.#accepted([...opened, ...wentAlong, ...answers])
    if (hasRows && this.#floorMoved(made.floors, results[advances])) {
      await connection.query('ROLLBACK')
      return 'floor was raised'
    }
    const writes: RowsWrite[] = [...along, ...merged]
    if (claims.length > 0) {
      const counted = this.#countedEvents(built, claims, results)
      const plain = counted.tables.filter(({ plan }) => plan.sketches.length === 0).flatMap((table) => this.#plainWrites(table))
      const selects = this.#sketchSelects(counted.tables)
      const sketches = this.#sketchWrites(selects, await this.#settled(selects.map(({ sql }) => sql)))
      const rest = [...sketches, ...plain, ...this.#markWrites(counted.marks)]
      const settled = await connection.pipelineSettled(rest.map(({ sql }) => sql))
      await this.#notOvertaken(rest, settled)
      await this.#accepted(settled)
      writes.push(...rest)
    }
    await this.#failpoints.hit('write.beforeCommit')
    const committing = this.connection.query('COMMIT')
    committing.catch(() => undefined)
    await this.#failpoints.hit('write.commitSent')
    await committing
    await this.#failpoints.hit(hasRows ? 'write.committed' : 'advance.committed')
    let lateRows = 0
    for (const count of built.counts.values()) lateRows += count.lateRows
    const rowsOut = writes.reduce((sum, { rows }) => sum + rows, 0)
    return { statements: first.length + writes.length, rowsIn: built.rowsIn, rowsOut, lateRows, deadRecords: built.dead.length }
  }

  #sketchSelects(tables: readonly MergedTable[]): SketchSelect[] {
    return tables
      .filter(({ plan }) => plan.sketches.length > 0)
      .map((table) => {
        const rows = table.sorted()
        return { table, rows, sql: selectSketches(table.plan, this.#schema, rows) }
      })
  }

  #sketchWrites(selects: readonly SketchSelect[], found: readonly Result[]): RowsWrite[] {
    const out: RowsWrite[] = []
    for (const [at, { table, rows }] of selects.entries()) {
      const result = found[at]
      const cells = result?.kind === 'rows' ? result.rows : []
      for (let from = 0; from < rows.length; from += sketchRowsMax) {
        const part = mergeSketches(table.plan, rows.slice(from, from + sketchRowsMax), cells)
        const statements = this.#statementsOf(table.plan)
        const limits = { rowsMax: sketchRowsMax, charsMax: Infinity }
        for (const { sql, rows: list } of insertStatements(statements, part.there, limits))
          out.push({ sql, rows: list.length, fresh: false })
        for (const { sql, rows: list } of insertStatements({ ...statements, tail: '' }, part.fresh, limits))
          out.push({ sql, rows: list.length, fresh: true })
      }
    }
    return out
  }

  #plainWrites(table: MergedTable): RowsWrite[] {
    return insertStatements(this.#statementsOf(table.plan), table.sorted()).map(({ sql, rows }) => ({
      sql,
      rows: rows.length,
      fresh: false,
    }))
  }

  #markWrites(marks: BuiltBatch['marks']): RowsWrite[] {
    return marks.length > 0 ? [{ sql: this.#sql.marks(marks), rows: 0, fresh: false }] : []
  }

  #statementsOf(plan: TablePlan): TableStatements {
    let statements = this.#statements.get(plan)
    if (statements === undefined) this.#statements.set(plan, (statements = tableStatements(plan, this.#schema, flavourOf(this.connection))))
    return statements
  }

  /** To be called when all are answered. @throws Overtaken, after a ROLLBACK */
  async #notOvertaken(writes: readonly RowsWrite[], answers: readonly PromiseSettledResult<Result>[]): Promise<void> {
    for (const [i, answer] of answers.entries())
      if (answer.status === 'rejected' && writes[i]?.fresh === true && isServerError(answer.reason) && answer.reason.kind === 'duplicate')
        await this.#rolledBack(new Overtaken('a row was inserted meanwhile'))
  }

  /** An event counts where its id stands under this very record. */
  #countedEvents(
    built: BuiltBatch,
    claims: readonly { list: readonly ClaimedRow[]; at: number }[],
    results: readonly Result[],
  ): { tables: MergedTable[]; marks: BuiltBatch['marks'] } {
    const counted = new Merging()
    for (const { list, at } of claims) {
      const answer = results[at]
      const owners = new Set(
        (answer?.kind === 'rows' ? answer.rows : [])
          .filter((cells) => String(cells[2]) === this.#topicId)
          .map((cells) => `${String(cells[0])}/${String(cells[3])}/${String(cells[4])}/${String(cells[1])}`),
      )
      for (const { claim, row, item } of list)
        if (owners.has(`${claim.bucketMs}/${claim.partition}/${claim.offset}/${claim.id}`)) counted.take(row, item)
    }
    return { tables: [...built.tables, ...counted.tables()], marks: [...built.marks, ...counted.marks()] }
  }

  #floorMoved(judgedBy: Floors, result: Result | undefined): boolean {
    const now = floorsOf(result)
    this.#floors = now
    return ![...now].every(([table, floor]) => judgedBy.get(table) === floor)
  }

  async #rolledBack(why: Error): Promise<never> {
    await this.connection.query('ROLLBACK')
    throw why
  }

  /** All at once; the first error, after a ROLLBACK, when all are answered. */
  async #settled(statements: readonly string[]): Promise<Result[]> {
    return statements.length === 0 ? [] : this.#accepted(await this.connection.pipelineSettled(statements))
  }

  /** The results; or, after a ROLLBACK, the first error. To be called when everything that was sent is answered: the ROLLBACK ends what came after the error too. */
  async #accepted(settled: readonly PromiseSettledResult<Result>[]): Promise<Result[]> {
    const failed = settled.find((result) => result.status === 'rejected')
    if (failed === undefined) return settled.filter(isFulfilled).map(resultOf)
    if (this.connection.open) await this.connection.query('ROLLBACK').catch(() => undefined)
    throw failed.reason
  }
}

function isFulfilled(settled: PromiseSettledResult<Result>): settled is PromiseFulfilledResult<Result> {
  return settled.status === 'fulfilled'
}

function resultOf(settled: PromiseFulfilledResult<Result>): Result {
  return settled.value
}

function affected(result: Result | undefined): bigint | null {
  return result?.kind === 'ok' ? result.affectedRows : null
}

function floorsOf(result: Result | undefined): Map<string, number> {
  const floors = new Map<string, number>()
  for (const cells of result?.kind === 'rows' ? result.rows : []) {
    const floor = Number(cells[1])
    if (floor > noFloor) floors.set(String(cells[0]), floor)
  }
  return floors
}
