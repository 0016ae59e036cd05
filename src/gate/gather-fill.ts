/**
 * Fetches the rows of a gathered statement's tables and stores them in temporary tables. Rows pass through in pieces of some hundred kilobytes. The connection that
 * stores is never one that is read from: each waits for the other's bytes.
 */
import { append } from '../base/append.ts'
import type { Connection } from '../mysql/connection.ts'
import { isServerError } from '../mysql/errors.ts'
import { quoteIdentifier } from '../sql/quote.ts'
import type { Value } from '../sql/value.ts'
import { gateErrors } from './errors.ts'
import type { GatherJob, Step, Values } from './gather-job.ts'
import type { Readers } from './gather-readers.ts'
import { fetched, literalMaker } from './gather-values.ts'
import type { ColumnInfo } from './plan/catalog.ts'
import { familyOf } from './plan/equality.ts'
import { planErrors } from './plan/errors.ts'
import type { RouteInputs } from './plan/plan.ts'
import { shardsOf } from './plan/route.ts'
import { makeScratchTables } from './scratch-tables.ts'
import { basesOf } from './server-modes.ts'
import type { ShardView } from './view.ts'

/** More values than these are not named in an IN list: the other table is fetched by its own conditions then. */
const valuesMax = 2_000
const insertBytes = 256 * 1024

/** Where rows are stored. */
export type FillInto = {
  readonly connection: Connection
  /**
   * Rows of a write: where conditions are warned of something on their shards, all rows are fetched. What a server says of a row that stays as it is, or refuses a statement for, is then said by the
   * client's own statement where the rows are put together.
   */
  readonly written: boolean
  /** How the rows of a table are locked. */
  lock(table: string): '' | ' LOCK IN SHARE MODE' | ' FOR UPDATE'
  /** Which shard did not answer, for messages. */
  at(shard: ShardView): void
}

/** Some servers take no table without a primary key. */
export const scratchKey = '_sw_key BIGINT UNSIGNED NOT NULL AUTO_INCREMENT INVISIBLE PRIMARY KEY'

/** Stores the rows of every step. The session's own sql_mode is in force afterwards. */
export async function fill(
  job: GatherJob,
  into: FillInto,
  readers: Readers,
  inputs: RouteInputs<ShardView>,
  bytesMax: number,
  sqlMode: string | undefined,
): Promise<void> {
  // Waited for before the first row is stored: meanwhile the shards answer.
  const made = makeScratchTables(job, into.connection)
  made.catch(() => {})
  let left = bytesMax
  for (const step of job.steps) left -= await fillStep(step, into, made, readers, inputs, left)
  await made
  const { connection } = into
  // In front of what follows; a server that refuses it is not what we think it is.
  connection
    .query(`SET sql_mode=${sqlMode ?? basesOf(connection).get('sql_mode') ?? 'DEFAULT'}`)
    .catch((error: unknown) => connection.destroy(error as Error))
}

/** MySQL opens a temporary table once in a statement: where a query of WITH is named twice, its tables are opened twice. */
export function unlessReopened(error: unknown): unknown {
  if (!isServerError(error) || error.errno !== reopened) return error
  return planErrors.refused({
    construct: 'a query of WITH that is named more than once',
    reason: 'its rows are put together in a temporary table, which MySQL opens only once in a statement',
    instead: 'write the query out at each place, or restrict the statement to one shard key value',
  })
}
const reopened = 1137

/** Bytes that were stored. Other columns than those asked for may be needed to store a row at all: then all of them are fetched. */
async function fillStep(
  step: Step,
  into: FillInto,
  made: Promise<unknown>,
  readers: Readers,
  inputs: RouteInputs<ShardView>,
  bytesMax: number,
): Promise<number> {
  const load = async (parts: ReturnType<typeof partsOf>, columns: readonly ColumnInfo[]): Promise<number> => {
    for (const values of step.wanted.values()) values.found = new Map()
    const loader = new Loader(step, columns, into, made, bytesMax)
    const list = columns.map((column) => fetched(step.plan.alias, column)).join(', ')
    const lock = into.lock(step.plan.table)
    const from = `SELECT ${list} FROM ${quoteIdentifier(step.plan.table)} AS ${quoteIdentifier(step.plan.alias)}`
    const settled = await Promise.allSettled(
      parts.map(async ({ shard, conditions }) => {
        const text =
          conditions.length === 0
            ? Buffer.from(from + lock)
            : Buffer.concat([Buffer.from(from + ' WHERE ('), ...join(conditions, ') AND ('), Buffer.from(')' + lock)])
        try {
          await readers.each(shard, text, lock !== '', (batch, i) => loader.add(batch.row(i)))
        } catch (error) {
          if (!(error instanceof StoreError)) into.at(shard)
          throw error
        }
      }),
    )
    const failed = settled.find((result) => result.status === 'rejected')
    if (failed !== undefined) throw failed.reason
    await loader.end()
    return loader.bytes
  }
  const empty = async (): Promise<unknown> => await into.connection.query(`DELETE FROM ${quoteIdentifier(step.name)}`)
  const stored = async (filters: Step['filters']): Promise<number> => {
    const parts = partsOf(step, inputs, filters)
    try {
      return await load(parts, step.plan.columns)
    } catch (error) {
      if (!(error instanceof StoreError) || step.plan.columns.length === step.plan.all.length)
        throw error instanceof StoreError ? notStored(step, error.cause) : error
      await empty()
      return await load(parts, step.plan.all)
    }
  }
  const before = readers.warnings
  const bytes = await stored(step.filters)
  if (!into.written || readers.warnings === before || step.filters.length === 0) return bytes
  await empty()
  return await stored([])
}

/** What is asked of each shard: the step's own conditions, and the values that earlier steps left possible. */
function partsOf(step: Step, inputs: RouteInputs<ShardView>, filters: Step['filters']): { shard: ShardView; conditions: Buffer[] }[] {
  let parts = step.shards.map((shard) => ({ shard, conditions: filters.map((filter) => filter.text) }))
  for (const { column, values } of step.reductions) {
    const { found } = values
    if (found === null) continue
    if (found.size === 0) return []
    const key = step.plan.key
    const byShard = new Map<ShardView, string[]>()
    for (const [literal, bytes] of found) {
      const shards =
        key !== null && key.column.name === column.name
          ? shardsOf(
              { kind: 'values', vindex: key.vindex, columns: [{ column, slots: [{ kind: 'constant', value: valueOf(column, bytes) }] }] },
              inputs,
            )
          : inputs.shards
      for (const shard of shards) append(byShard, shard, literal)
    }
    const name = fetched(step.plan.alias, column)
    parts = parts.flatMap(({ shard, conditions }) => {
      const list = byShard.get(shard)
      return list === undefined ? [] : [{ shard, conditions: [...conditions, Buffer.from(`${name} IN (${list.join(', ')})`, 'latin1')] }]
    })
  }
  return parts
}

export function valueOf(column: ColumnInfo, bytes: Buffer): Value {
  switch (familyOf(column)) {
    case 'integer':
      return { type: 'integer', value: BigInt(bytes.toString('latin1')) }
    case 'binary':
      return { type: 'binary', bytes }
    default:
      return { type: 'text', bytes }
  }
}

function join(parts: readonly Buffer[], separator: string): Buffer[] {
  return parts.flatMap((part, i) => (i === 0 ? [part] : [Buffer.from(separator), part]))
}

/** Storing failed, not reading. */
class StoreError extends Error {}

/** Each shard sees its own rows only: a key without the shard key may have a value twice in all. */
function notStored({ plan }: Step, error: unknown): unknown {
  if (!isServerError(error) || error.kind !== 'duplicate') return error
  return planErrors.refused({
    construct: `a statement that needs rows of ${plan.table} together`,
    reason: `two shards have rows that are the same to a unique key of it (${error.serverMessage})`,
    instead: 'make the value unique again, restrict the statement to one shard key value, or give up the key',
  })
}

/** Writes rows into a temporary table, some hundred kilobytes at a time. */
class Loader {
  readonly #step: Step
  readonly #into: FillInto
  readonly #head: Buffer
  readonly #literals: readonly ((cell: Buffer) => Buffer)[]
  readonly #collect: readonly { place: number; values: Values }[]
  readonly #bytesMax: number
  #parts: Buffer[] = []
  #size = 0
  #writing: Promise<unknown>
  bytes = 0

  constructor(step: Step, columns: readonly ColumnInfo[], into: FillInto, made: Promise<unknown>, bytesMax: number) {
    this.#step = step
    this.#into = into
    this.#writing = made
    this.#bytesMax = bytesMax
    this.#head = Buffer.from(
      `INSERT INTO ${quoteIdentifier(step.name)} (${columns.map((c) => quoteIdentifier(c.name)).join(', ')}) VALUES `,
    )
    this.#literals = columns.map(literalMaker)
    this.#collect = columns.flatMap((column, place) => {
      const values = step.wanted.get(column.name)
      return values === undefined ? [] : [{ place, values }]
    })
  }

  /** A promise when the server must be waited for. */
  add(row: readonly (Buffer | null)[]): Promise<void> | undefined {
    const parts: Buffer[] = [this.#parts.length === 0 ? open : nextRow]
    let size = 2
    for (let i = 0; i < row.length; i++) {
      const cell = row[i] as Buffer | null
      // Copies: the row is a view of what is read into next.
      const literal = cell === null ? nullLiteral : Buffer.from((this.#literals[i] as (cell: Buffer) => Buffer)(cell))
      if (i > 0) parts.push(comma)
      parts.push(literal)
      size += literal.length + 1
    }
    parts.push(close)
    for (const { place, values } of this.#collect) {
      const cell = row[place] as Buffer | null
      if (cell === null || values.found === null) continue
      values.found.set((this.#literals[place] as (cell: Buffer) => Buffer)(cell).toString('latin1'), Buffer.from(cell))
      if (values.found.size > valuesMax) values.found = null
    }
    this.#parts.push(...parts)
    this.#size += size
    this.bytes += size
    if (this.bytes > this.#bytesMax) throw gateErrors.memory({ bytesMax: this.#bytesMax })
    if (this.#size < insertBytes) return undefined
    return this.#write(this.#take())
  }

  /** Everything is stored. */
  async end(): Promise<void> {
    if (this.#parts.length > 0) void this.#write(this.#take()).catch(() => {})
    await this.#writing
  }

  #take(): Buffer {
    const text = Buffer.concat([this.#head, ...this.#parts])
    this.#parts = []
    this.#size = 0
    return text
  }

  #write(text: Buffer): Promise<void> {
    this.#writing = this.#writing.then(async () => {
      try {
        await this.#into.connection.query(text)
      } catch (error) {
        throw isServerError(error) ? new StoreError(`rows of ${this.#step.plan.table} could not be stored`, { cause: error }) : error
      }
    })
    return this.#writing as Promise<void>
  }
}
const open = Buffer.from('(')
const nextRow = Buffer.from('),(').subarray(1)
const comma = Buffer.from(',')
const close = Buffer.from(')')
const nullLiteral = Buffer.from('NULL')
