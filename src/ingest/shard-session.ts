/**
 * One connection to one shard, and the two transactions that a consumer does there: the fence (PROTOCOLS 4.3) and the write (4.4, 4.8–4.11).
 *
 * Why a write takes effect once: its rows and the move of `next` from `from` to `to` are one transaction, and `next` is `from` only as long as nobody has
 * written these offsets on this shard. Why only the holder writes: the same UPDATE asks for the holder's epoch, and whoever takes the partition over writes a
 * greater one under the row's lock before it reads `next`. So a transaction of an older holder either committed before that, and is in the `next` that the new
 * one reads, or matches no row.
 */
import type { Connection, Result } from '../mysql/connection.ts'
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
  async prepare(tables: readonly string[]): Promise<void> {
    await this.#settled([...tables.map((table) => this.#sql.ensureFloor(table)), 'COMMIT'])
    this.#floors = floorsOf((await this.#settled([this.#sql.floors(), 'COMMIT']))[0])
  }

  /** In one transaction, in the order of partitions. Makes missing rows at exactly their start. */
  async fence(partitions: readonly { partition: number; epoch: bigint; start: bigint }[]): Promise<Map<number, FencedPosition>> {
    const ordered = [...partitions].sort((a, b) => a.partition - b.partition)
    const results = await this.#settled(
      ordered.flatMap(({ partition, start }) => [this.#sql.ensure(partition, start), this.#sql.lock(partition)]),
    )
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

  /**
   * Commits the ranges with their rows, or throws and has committed nothing; ConnectionLost at the COMMIT: nobody knows.
   * @throws Refused, Overtaken, ServerError, ConnectionLost
   */
  async write(ranges: readonly Range[], epochOf: (partition: number) => bigint): Promise<WriteStatistics> {
    for (;;) {
      const built = buildBatch(ranges, this.#floors)
      const written = await this.#attempt(ranges, built, epochOf)
      if (written !== 'floor was raised') return written
    }
  }

  async #attempt(
    ranges: readonly Range[],
    built: BuiltBatch,
    epochOf: (partition: number) => bigint,
  ): Promise<WriteStatistics | 'floor was raised'> {
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
    const dead = built.dead.map(({ record, dead: reason }) => this.#sql.dead({ ...record, reason: reason ?? '' }))
    first.push(...dead)
    const sketched = claims.length > 0 ? [] : this.#sketchSelects(built.tables)
    const sketchesAt = first.length
    first.push(...sketched.map(({ sql }) => sql))
    // Without anything to read first, all of it is on its way at once: two round trips a transaction.
    const direct = claims.length === 0 && sketched.length === 0 ? this.#writes(built.tables, built.marks, null) : null
    await this.#failpoints.hit('write.beforeSend')
    const sending = this.#settled(direct === null ? first : [...first, ...direct.map(({ sql }) => sql)])
    sending.catch(() => undefined)
    await this.#failpoints.hit('write.sent')
    const results = await sending
    for (let i = 0; i < advances; i++)
      if (affected(results[i]) !== 1n) return this.#rolledBack(new Refused('the position is not ours to move'))
    if (hasRows && this.#floorMoved(results[advances])) {
      await this.connection.query('ROLLBACK')
      return 'floor was raised'
    }
    let statements = direct?.length ?? 0
    let rowsOut = direct?.reduce((sum, { rows }) => sum + rows, 0) ?? 0
    if (direct === null) {
      const tables = claims.length === 0 ? built : this.#countedEvents(built, claims, results)
      const selects = claims.length === 0 ? sketched : this.#sketchSelects(tables.tables)
      const found =
        claims.length === 0 ? results.slice(sketchesAt, sketchesAt + selects.length) : await this.#settled(selects.map(({ sql }) => sql))
      const writes = this.#writes(tables.tables, tables.marks, { selects, found })
      const answers = await this.#settled(writes.map(({ sql }) => sql))
      for (const [i, { changes }] of writes.entries())
        if (changes !== null && affected(answers[i]) !== BigInt(changes))
          return this.#rolledBack(new Overtaken('a row was inserted meanwhile'))
      statements = writes.length
      rowsOut = writes.reduce((sum, { rows }) => sum + rows, 0)
    }
    await this.#failpoints.hit('write.beforeCommit')
    const committing = this.connection.query('COMMIT')
    committing.catch(() => undefined)
    await this.#failpoints.hit('write.commitSent')
    await committing
    await this.#failpoints.hit(hasRows ? 'write.committed' : 'advance.committed')
    let lateRows = 0
    for (const count of built.counts.values()) lateRows += count.lateRows
    return { statements: first.length + statements, rowsIn: built.rowsIn, rowsOut, lateRows, deadRecords: built.dead.length }
  }

  #sketchSelects(tables: readonly MergedTable[]): { table: MergedTable; rows: MergedRow[]; sql: string }[] {
    return tables
      .filter(({ plan }) => plan.sketches.length > 0)
      .map((table) => {
        const rows = table.sorted()
        return { table, rows, sql: selectSketches(table.plan, this.#schema, rows) }
      })
  }

  #writes(
    tables: readonly MergedTable[],
    marks: BuiltBatch['marks'],
    sketches: { selects: { table: MergedTable; rows: MergedRow[] }[]; found: readonly (Result | undefined)[] } | null,
  ): { sql: string; rows: number; changes: number | null }[] {
    const out: { sql: string; rows: number; changes: number | null }[] = []
    for (const table of tables) {
      let statements = this.#statements.get(table.plan)
      if (statements === undefined)
        this.#statements.set(table.plan, (statements = tableStatements(table.plan, this.#schema, flavourOf(this.connection))))
      const at = sketches?.selects.findIndex((select) => select.table === table) ?? -1
      const select = sketches?.selects[at]
      if (select === undefined) {
        for (const { sql, rows } of insertStatements(statements, table.sorted())) out.push({ sql, rows: rows.length, changes: null })
        continue
      }
      const found = sketches?.found[at]
      const cells = found?.kind === 'rows' ? found.rows : []
      for (let from = 0; from < select.rows.length; from += sketchRowsMax) {
        const part = mergeSketches(table.plan, select.rows.slice(from, from + sketchRowsMax), cells)
        const made = insertStatements(statements, part.rows, { rowsMax: sketchRowsMax, charsMax: Infinity })
        for (const { sql, rows } of made) out.push({ sql, rows: rows.length, changes: part.changes })
      }
    }
    if (marks.length > 0) out.push({ sql: this.#sql.marks(marks), rows: 0, changes: null })
    return out
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

  #floorMoved(result: Result | undefined): boolean {
    const now = floorsOf(result)
    const same = [...now].every(([table, floor]) => this.#floors.get(table) === floor)
    this.#floors = now
    return !same
  }

  async #rolledBack(why: Error): Promise<never> {
    await this.connection.query('ROLLBACK')
    throw why
  }

  /** All at once; the first error, after a ROLLBACK, when all are answered. */
  async #settled(statements: readonly string[]): Promise<Result[]> {
    if (statements.length === 0) return []
    const settled = await this.connection.pipelineSettled(statements)
    const failed = settled.find((result) => result.status === 'rejected')
    if (failed === undefined) return settled.map((result) => (result as PromiseFulfilledResult<Result>).value)
    if (this.connection.open) await this.connection.query('ROLLBACK').catch(() => undefined)
    throw failed.reason
  }
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
