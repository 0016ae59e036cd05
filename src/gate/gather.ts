/**
 * Runs a statement that no shard can answer alone: the rows that matter are fetched from the shards into temporary tables on one connection, and
 * the client's own statement runs over those (docs/decisions/006-gathered-statements.md).
 *
 * - The answer is the server's own evaluation of the client's text, types and all; what the gate decides is only which rows can't matter (plan/gather-plan.ts).
 * - Memory: rows pass through in pieces; what the server holds is bounded by `scatterBytesMax`.
 * - Each shard is read in one snapshot: that of the transaction, or one begun for the statement.
 * - The connection is out of the client's transaction, which may be read only, and is reset before anybody else gets it: its tables are gone then.
 *   Temporary tables are allowed on read-only servers and leave nothing in a row-format binlog (gather.db.test.ts).
 */
import type { Connection } from '../mysql/connection.ts'
import { isServerError } from '../mysql/errors.ts'
import { quoteIdentifier } from '../sql/quote.ts'
import type { Value } from '../sql/value.ts'
import type { Backend } from './backend.ts'
import type { Core } from './core.ts'
import { gateErrors } from './errors.ts'
import { fetched, literalMaker, loadMode } from './gather-values.ts'
import type { ColumnInfo } from './plan/catalog.ts'
import { familyOf } from './plan/equality.ts'
import type { GatherPlan, GatherStep, Piece, RouteInputs } from './plan/plan.ts'
import { Rendering } from './plan/render.ts'
import { shardsOf } from './plan/route.ts'
import type { Runner } from './runner.ts'
import type { ReadOptions, Scatter, ScatterResult } from './scatter.ts'
import type { Transaction } from './transaction.ts'
import type { KeyspaceView, ShardView } from './view.ts'

/** A step with its texts: made at once, as the client's statement is in a buffer that others use next. */
type Step = {
  readonly plan: GatherStep
  readonly name: string
  readonly filters: readonly { readonly text: Buffer }[]
  readonly shards: readonly ShardView[]
  /** Later steps want the values of these columns. */
  readonly wanted: ReadonlyMap<string, Values>
  readonly reductions: readonly { readonly column: ColumnInfo; readonly values: Values }[]
}

/** Distinct values of a column by their literals; null: more than are worth naming. */
type Values = { found: Map<string, Buffer> | null }

export type GatherJob = { readonly steps: readonly Step[]; readonly text: Buffer; readonly parameters: readonly number[] | undefined }

/** More values than these are not named in an IN list: the other table is fetched by its own conditions then. */
const valuesMax = 2_000
const insertBytes = 256 * 1024

/** @param inline puts the client's parameters in a text's `?`, of the numbers given */
export function gatherJob(
  plan: GatherPlan,
  inputs: RouteInputs<ShardView>,
  inTransaction: boolean,
  form: 'text' | 'binary',
  inline: (text: Buffer, parameters: readonly number[]) => Buffer,
): GatherJob {
  const any = inputs.shards[0] as ShardView
  // Inlining reads a text in the place of the client's own: after everything has been rendered.
  const rendered: { text: Buffer; readonly parameters: readonly number[] }[] = []
  const render = (pieces: readonly Piece[], names: readonly string[]): (typeof rendered)[number] => {
    const rendering = new Rendering(inputs, any, null, [], names).add(pieces)
    const made = { text: Buffer.from(rendering.text()), parameters: rendering.parameters }
    rendered.push(made)
    return made
  }
  const skipped = (step: GatherStep): boolean => step.copied && !inTransaction
  const names = plan.steps.map((step, i) => (skipped(step) ? step.table : `_sw_${i + 1}`))
  const wanted = plan.steps.map(() => new Map<string, Values>())
  for (const step of plan.steps) for (const { step: of, of: column } of step.reductions) wanted[of]?.set(column.name, { found: new Map() })
  // What a table that is not fetched would have said of others stays unknown.
  plan.steps.forEach((step, i) => {
    if (skipped(step)) for (const values of (wanted[i] as Map<string, Values>).values()) values.found = null
  })
  const steps = plan.steps.flatMap((step, i): Step[] => {
    if (skipped(step)) return []
    return [
      {
        plan: step,
        name: names[i] as string,
        filters: step.filters.map((pieces) => render(pieces, names)),
        shards: shardsOf(step.destination, inputs),
        wanted: wanted[i] as Map<string, Values>,
        reductions: step.reductions.map((r) => ({ column: r.column, values: wanted[r.step]?.get(r.of.name) as Values })),
      },
    ]
  })
  const text = render(plan.text ?? [], names)
  // The statement itself is executed as the client's is; what is fetched is ours.
  for (const made of rendered) if (made !== text || form === 'text') made.text = inline(made.text, made.parameters)
  return { steps, text: text.text, parameters: form === 'binary' ? text.parameters : undefined }
}

export class Gather {
  readonly #core: Core
  readonly #runner: Runner
  readonly #scatter: Scatter
  static #turn = 0

  constructor(core: Core, runner: Runner, scatter: Scatter) {
    this.#core = core
    this.#runner = runner
    this.#scatter = scatter
  }

  async read(
    job: GatherJob,
    keyspace: KeyspaceView,
    inputs: RouteInputs<ShardView>,
    transaction: Transaction | null,
    options: ReadOptions,
  ): Promise<ScatterResult<void>> {
    const { connections, settings } = this.#runner
    const home = keyspace.shards[Gather.#turn++ % keyspace.shards.length] as ShardView
    const readers = new Readers(this.#runner, this.#scatter, transaction, job.steps.length > 1)
    const had = transaction === null ? 0 : [...transaction.branches.values()].reduce((sum, branch) => sum + branch.statements, 0)
    if (transaction !== null) transaction.busy = true
    let at = home
    let scratch: Backend | null = null
    try {
      try {
        refuseSettings(settings, job)
        scratch = await connections.openPlain(home)
        scratch.dirty = true
        const mode = settings.get('sql_mode')
        const { connection } = scratch
        await connection.query(`SET sql_mode='${loadMode}'`)
        let bytesLeft = this.#core.config.scatterBytesMax
        for (const step of job.steps) {
          bytesLeft -= await this.#fill(step, connection, readers, inputs, bytesLeft, (shard) => (at = shard))
        }
        at = home
        await connection.query(`SET sql_mode=${mode ?? 'DEFAULT'}`)
      } catch (error) {
        const refusal = await this.#scatter.judgeRead(
          at,
          error as Error,
          transaction,
          transaction === null || had === 0,
          options.rereadable,
        )
        return { kind: 'refused', shard: at, cause: refusal }
      }
      const tables = new Map(job.steps.map((step) => [step.name, step.plan.table]))
      return await this.#scatter.read(
        [{ shard: home, text: job.text, backend: scratch, ...(job.parameters === undefined ? {} : { parameters: job.parameters }) }],
        { kind: 'concat', hiddenColumns: 0, limit: null, offset: 0n },
        null,
        { ...options, column: (c) => (tables.has(c.orgTable) ? { ...c, orgTable: tables.get(c.orgTable) as string } : c) },
      )
    } finally {
      await readers.end()
      if (scratch !== null) {
        if (scratch.connection.open && scratch.connection.inTransaction) await scratch.connection.query('ROLLBACK').catch(() => {})
        connections.done(scratch, false)
      }
      if (transaction !== null) {
        transaction.busy = false
        if (transaction.expelled !== null && !transaction.ended) await transaction.rollback()
        else this.#scatter.settle(transaction)
      }
    }
  }

  /** Bytes that were stored. Other columns than those asked for may be needed to store a row at all: then all of them are fetched. */
  async #fill(
    step: Step,
    scratch: Connection,
    readers: Readers,
    inputs: RouteInputs<ShardView>,
    bytesMax: number,
    at: (shard: ShardView) => void,
  ): Promise<number> {
    const create = `CREATE TEMPORARY TABLE ${quoteIdentifier(step.name)} LIKE ${quoteIdentifier(step.plan.table)}`
    await scratch.query(create)
    const parts = partsOf(step, inputs)
    const load = async (columns: readonly ColumnInfo[]): Promise<number> => {
      for (const values of step.wanted.values()) values.found = new Map()
      const loader = new Loader(step, columns, scratch, bytesMax)
      const list = columns.map((column) => fetched(step.plan.alias, column)).join(', ')
      const from = `SELECT ${list} FROM ${quoteIdentifier(step.plan.table)} AS ${quoteIdentifier(step.plan.alias)}`
      const settled = await Promise.allSettled(
        parts.map(async ({ shard, conditions }) => {
          const text =
            conditions.length === 0
              ? Buffer.from(from)
              : Buffer.concat([Buffer.from(from + ' WHERE ('), ...join(conditions, ') AND ('), Buffer.from(')')])
          try {
            await readers.each(shard, text, (batch, i) => loader.add(batch.row(i)))
          } catch (error) {
            if (!(error instanceof StoreError)) at(shard)
            throw error
          }
        }),
      )
      const failed = settled.find((result) => result.status === 'rejected')
      if (failed !== undefined) throw failed.reason
      await loader.flush()
      return loader.bytes
    }
    try {
      return await load(step.plan.columns)
    } catch (error) {
      if (!(error instanceof StoreError) || step.plan.columns.length === step.plan.all.length)
        throw error instanceof StoreError ? error.cause : error
      await scratch.query(`DELETE FROM ${quoteIdentifier(step.name)}`)
      return await load(step.plan.all)
    }
  }
}

/** What is asked of each shard: the step's own conditions, and the values that earlier steps left possible. */
function partsOf(step: Step, inputs: RouteInputs<ShardView>): { shard: ShardView; conditions: Buffer[] }[] {
  let parts = step.shards.map((shard) => ({ shard, conditions: step.filters.map((filter) => filter.text) }))
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
      for (const shard of shards) {
        const list = byShard.get(shard)
        if (list === undefined) byShard.set(shard, [literal])
        else list.push(literal)
      }
    }
    const name = fetched(step.plan.alias, column)
    parts = parts.flatMap(({ shard, conditions }) => {
      const list = byShard.get(shard)
      return list === undefined ? [] : [{ shard, conditions: [...conditions, Buffer.from(`${name} IN (${list.join(', ')})`, 'latin1')] }]
    })
  }
  return parts
}

function valueOf(column: ColumnInfo, bytes: Buffer): Value {
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

/** Writes rows into a temporary table, some hundred kilobytes at a time. */
class Loader {
  readonly #step: Step
  readonly #scratch: Connection
  readonly #head: Buffer
  readonly #literals: readonly ((cell: Buffer) => Buffer)[]
  readonly #collect: readonly { place: number; values: Values }[]
  readonly #bytesMax: number
  #parts: Buffer[] = []
  #size = 0
  #writing: Promise<void> = Promise.resolve()
  bytes = 0

  constructor(step: Step, columns: readonly ColumnInfo[], scratch: Connection, bytesMax: number) {
    this.#step = step
    this.#scratch = scratch
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
    return this.#size < insertBytes ? undefined : this.flush()
  }

  async flush(): Promise<void> {
    if (this.#parts.length > 0) {
      const text = Buffer.concat([this.#head, ...this.#parts])
      this.#parts = []
      this.#size = 0
      const before = this.#writing
      this.#writing = before.then(async () => {
        try {
          await this.#scratch.query(text)
        } catch (error) {
          throw isServerError(error) ? new StoreError(`rows of ${this.#step.plan.table} could not be stored`, { cause: error }) : error
        }
      })
    }
    await this.#writing
  }
}
const open = Buffer.from('(')
const nextRow = Buffer.from('),(').subarray(1)
const comma = Buffer.from(',')
const close = Buffer.from(')')
const nullLiteral = Buffer.from('NULL')

/** A connection to each shard that is read, for the statement: the transaction's branch, or one with a snapshot of its own. */
class Readers {
  readonly #runner: Runner
  readonly #scatter: Scatter
  readonly #transaction: Transaction | null
  readonly #snapshot: boolean
  readonly #open = new Map<string, Promise<Backend>>()

  constructor(runner: Runner, scatter: Scatter, transaction: Transaction | null, snapshot: boolean) {
    this.#runner = runner
    this.#scatter = scatter
    this.#transaction = transaction
    this.#snapshot = snapshot
  }

  async each(
    shard: ShardView,
    text: Buffer,
    row: (batch: { row(i: number): (Buffer | null)[] }, i: number) => Promise<void> | undefined,
  ): Promise<void> {
    const backend = await this.#of(shard)
    const mark = { shard, connection: backend.connection }
    this.#scatter.mark(mark)
    try {
      const stream = await backend.connection.rows(text)
      for await (const batch of stream) {
        for (let i = 0; i < batch.length; i++) {
          const wait = row(batch, i)
          if (wait !== undefined) await wait
        }
      }
    } finally {
      this.#scatter.unmark(mark)
    }
  }

  #of(shard: ShardView): Promise<Backend> {
    let backend = this.#open.get(shard.uid)
    if (backend === undefined) this.#open.set(shard.uid, (backend = this.#connect(shard)))
    return backend
  }

  async #connect(shard: ShardView): Promise<Backend> {
    if (this.#transaction !== null) {
      const branch = await this.#runner.openBranch(this.#transaction, shard)
      branch.statements++
      return branch.backend
    }
    const backend = await this.#runner.connections.openPlain(shard)
    if (!this.#snapshot) return backend
    try {
      await backend.connection.query('START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY')
      return backend
    } catch (error) {
      this.#runner.connections.done(backend, false)
      throw error
    }
  }

  async end(): Promise<void> {
    if (this.#transaction !== null) return
    for (const opening of this.#open.values()) {
      const backend = await opening.catch(() => null)
      if (backend === null) continue
      if (backend.connection.open && backend.connection.inTransaction) await backend.connection.query('ROLLBACK').catch(() => {})
      this.#runner.connections.done(backend, false)
    }
  }
}

/** Settings under which fetched values would not be what they were. */
function refuseSettings(settings: Runner['settings'], job: GatherJob): void {
  const charset = settings.get('names') ?? settings.get('character_set_client') ?? 'utf8mb4'
  const zone = settings.get('time_zone') ?? 'SYSTEM'
  const refuse = (setting: string, fix: string): never => {
    throw gateErrors.gatherSetting({ setting, fix })
  }
  if (!/^['"]?utf8mb4/i.test(charset) || settings.get('character_set_results') !== undefined)
    refuse(`the character set ${charset}`, 'SET NAMES utf8mb4')
  if (settings.get('sql_select_limit') !== undefined) refuse('sql_select_limit', 'write LIMIT in the statement')
  if (/NO_BACKSLASH_ESCAPES/i.test(settings.get('sql_mode') ?? '')) refuse('sql_mode NO_BACKSLASH_ESCAPES', 'set another sql_mode')
  const named = !/^['"]?(SYSTEM|[+-]\d\d?:\d\d)['"]?$/i.test(zone)
  if (named && job.steps.some((step) => step.plan.columns.some((column) => column.dataType === 'timestamp')))
    refuse(`time_zone ${zone} with TIMESTAMP columns: an hour a year comes twice`, "SET time_zone = '+00:00'")
}
