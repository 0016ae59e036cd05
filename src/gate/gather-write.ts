/**
 * Runs writes that no shard can do by itself (plan/gather-write.ts says which, and why that is right). All of it is in one transaction, the client's or one of the
 * statement's own: what is read is locked, and what the shards write stands or falls together, as far as `multi` reaches.
 */
import { cellBytes, type Held } from './memory.ts'
import type { Connection, OkResult, RawRow } from '../mysql/connection.ts'
import { quoteIdentifier } from '../sql/quote.ts'
import type { Value } from '../sql/value.ts'
import type { Backend } from './backend.ts'
import type { Core } from './core.ts'
import { nextHome } from './gather.ts'
import { fill, type FillInto, unlessReopened, valueOf } from './gather-fill.ts'
import { requireShape } from './scratch-tables.ts'
import { refuseSettings, type GatherJob } from './gather-job.ts'
import { refuseNull } from './lone-rows.ts'
import { Readers } from './gather-readers.ts'
import { storeRows } from './gather-store.ts'
import { fetched, literalMaker } from './gather-values.ts'
import { heldValue } from './plan/convert.ts'
import { planErrors } from './plan/errors.ts'
import { leftToServer } from './plan/server-ids.ts'
import type { VindexValue } from '../keyspace/vindex.ts'
import type { KeptWrite } from './kept-write.ts'
import type { ColumnInfo } from './plan/catalog.ts'
import type { LookupEntry } from './plan/lookup.ts'
import { movedRows } from './moved-rows.ts'
import type { GatherUse, WriteTarget } from './plan/gather-types.ts'
import type { RouteInputs } from './plan/plan.ts'
import type { Runner } from './runner.ts'
import type { Scatter } from './scatter.ts'
import { rowsOnce } from './part-stream.ts'
import type { Executed, Part, ScatterResult } from './scatter-parts.ts'
import { insertSummary, summary, withWarnings, type WriteSummary } from './scatter-summary.ts'
import { nothingStored, saidOf, type Stored } from './scatter-warnings.ts'
import type { Transaction } from './transaction.ts'
import type { Param } from '../wire/stmt-execute.ts'
import type { KeyspaceView, ShardView } from './view.ts'

type Inserted = Extract<GatherUse, { kind: 'inserted' }>
type Chosen = Extract<GatherUse, { kind: 'chosen' }>
/** While the rows were put together. `lastId`: what the client gave the last row for a column whose ids are drawn. */
type Found = { warnings: Stored; firstId: bigint | null; lastId: bigint | null }
type Context = {
  readonly held: Held
  readonly job: GatherJob
  /** The client's parameters: what is left of them in the job's texts is executed with these. */
  readonly params: readonly Param[]
  readonly keyspace: KeyspaceView
  readonly inputs: RouteInputs<ShardView>
  readonly on: Transaction
  /** Draws ids of the target's sequence. */
  ids(count: number): Promise<readonly bigint[]>
  readonly kept: KeptWrite | null
}

const partBytes = 1024 * 1024

export class GatherWrites {
  readonly #core: Core
  readonly #runner: Runner
  readonly #scatter: Scatter

  constructor(core: Core, runner: Runner, scatter: Scatter) {
    this.#core = core
    this.#runner = runner
    this.#scatter = scatter
  }

  async write(
    use: Exclude<GatherUse, { kind: 'read' }>,
    verb: 'insert' | 'replace' | 'update' | 'delete',
    given: Omit<Context, 'on' | 'held'>,
    transaction: Transaction | null,
    form: 'text' | 'binary',
  ): Promise<ScatterResult<WriteSummary & { firstId: bigint | null }>> {
    refuseSettings(this.#runner.settings)
    const held = this.#core.held.open()
    const cleanups: (() => Promise<void>)[] = [async () => held.close()]
    const found: Found = { warnings: nothingStored, firstId: null, lastId: null }
    const produce = async (on: Transaction): Promise<readonly Part[]> => {
      const context = { ...given, on, held }
      await this.#requireWritable(context, use.target.table)
      switch (use.kind) {
        case 'chosen':
          return await this.#chosen(use, context, cleanups, found)
        case 'inserted':
          return await this.#inserted(use, context, cleanups, found)
        case 'moved': {
          const scratch = await this.#scratch(context, cleanups)
          await this.#fill(context, scratch, () => ' FOR UPDATE')
          await this.#requireWhole(context)
          const { parts, said, warnings, entries, gone } = await movedRows(scratch, use, context)
          moved = said
          found.warnings = warnings
          await given.kept?.moved(on, entries, gone)
          return parts
        }
      }
    }
    const inserts = use.kind === 'inserted'
    let moved: WriteSummary | null = null
    const sum = (results: readonly OkResult[]): WriteSummary => {
      if (moved !== null) return moved
      if (inserts) {
        const said = insertSummary(results, use.ignore, found.warnings.count, null, found.lastId)
        return use.of === 'row' ? { ...said, info: '' } : said
      }
      // MariaDB does not look for rows where none may change.
      const saysNothing = verb !== 'update' || (given.job.limit === 0n && this.#core.isMariadb)
      const info = saysNothing ? '' : 'Rows matched: 0  Changed: 0  Warnings: 0'
      const none = { affectedRows: 0n, insertId: 0n, warnings: 0, info }
      return withWarnings(results.length > 0 ? summary(results) : none, found.warnings.count)
    }
    try {
      const result = await this.#scatter.write(produce, transaction, {
        effect: 'write',
        form,
        shards: given.keyspace.shards,
        hooks: given.kept,
        copies: use.target.place.kind === 'everywhere',
        inserts: inserts && use.of !== 'row' ? use.of : null,
        sum,
      })
      if (result.kind !== 'done') return result
      const { connections } = this.#runner
      const list = [...found.warnings.list, ...(connections.said?.list ?? [])]
      connections.said = saidOf(list.slice(0, found.warnings.listedMax), result.value.warnings)
      return { kind: 'done', value: { ...result.value, firstId: found.firstId } }
    } finally {
      for (const clean of cleanups) await clean()
    }
  }

  /** Rows that are moved are removed from where they are: all of their columns must be known. The transaction that has read the table keeps them as they are. */
  async #requireWhole({ job, on }: Context): Promise<void> {
    for (const { plan, shards } of job.steps) {
      for (const shard of shards) {
        const { backend } = await this.#runner.openBranch(on, shard, this.#runner.settings.own)
        requireShape(plan, await backend.connection.query(`SHOW FULL COLUMNS FROM ${quoteIdentifier(plan.table)}`))
      }
    }
  }

  async #chosen(use: Chosen, c: Context, cleanups: (() => Promise<void>)[], found: Found): Promise<Part[]> {
    const scratch = await this.#scratch(c, cleanups)
    await this.#fill(c, scratch, (table) => (table === use.target.table ? ' FOR UPDATE' : ' LOCK IN SHARE MODE'))
    if (c.kept !== null && use.row !== 'tuple') throw planErrors.refused(notByValues)
    const text = await this.#stored(use, c, scratch, found)
    const { parts, lists } = await this.#rowsByShard(
      scratch,
      text,
      use.target,
      c,
      use.row === 'tuple' ? tuples : selects,
      true,
      null,
      [],
      [],
      use.set,
    )
    await c.kept?.byKeys(
      c.on,
      use.target,
      parts.map(({ shard }, i) => ({ shard, list: lists[i] as Buffer })),
    )
    return parts
  }

  /**
   * Keys and what is set, in a table with the target's columns: there a server converts values as it would for the target itself, and sees all of their digits, their instant, their
   * bits; in the answer of a SELECT they are text, and what a write is refused for is but warned of. @returns the text that reads them
   */
  async #stored({ target, set, ignore, strictMariadb }: Chosen, c: Context, scratch: Connection, found: Found): Promise<Executed> {
    const columns = [...target.columns, ...set]
    // Nullable, as the absent side of an outer join is.
    const made = columns.map(({ name }, i) => `o.${quoteIdentifier(name)} AS c${i}`).join(', ')
    const names = columns.map((_, i) => `c${i}`).join(', ')
    const onlyWarned = ignore || (strictMariadb === 'warns' && scratch.flavour === 'mariadb')
    found.warnings = await storeRows(scratch, target.table, made, names, onlyWarned, ofClient(c))
    return plain(
      `SELECT DISTINCT ${columns.map((column, i) => fetched('_sw_rows', { ...column, name: `c${i}` })).join(', ')} FROM _sw_rows`,
    )
  }

  async #inserted(use: Inserted, c: Context, cleanups: (() => Promise<void>)[], found: Found): Promise<Part[]> {
    const scratch = await this.#scratch(c, cleanups)
    await this.#fill(c, scratch, () => ' LOCK IN SHARE MODE')
    const { columns, table } = use.target
    const names = columns.map((column) => quoteIdentifier(column.name)).join(', ')
    // Without keys: what is a duplicate is found where the rows go. An id may be left open; the absent side of an outer join can be NULL.
    const made = columns.map(({ name }, i) => `${i === use.ids?.at ? 'o' : 't'}.${quoteIdentifier(name)}`).join(', ')
    found.warnings = await storeRows(scratch, table, made, names, use.ignore, ofClient(c))
    if (use.of === 'row' && !use.ignore) refuseNull(found.warnings.list)
    const draw = async (count: number): Promise<readonly bigint[]> => {
      if (count > 0 && use.ids?.counted != null) throw leftToServer(use.ids.counted)
      const ids = count === 0 ? [] : await c.ids(count)
      found.firstId = ids[0] ?? null
      return ids
    }
    const text = plain(`SELECT ${columns.map((column) => fetched('_sw_rows', column)).join(', ')} FROM _sw_rows`)
    const entries: LookupEntry[] = []
    const drawn = use.ids === null ? null : { at: use.ids.at, draw }
    const { parts, last } = await this.#rowsByShard(scratch, text, use.target, c, tuples, false, drawn, use.lookups, entries)
    // Where ON DUPLICATE KEY UPDATE may meet rows, a server names none (*tried*).
    const given = use.ids === null || c.job.after.length > 0 ? null : (last?.[use.ids.at] ?? null)
    found.lastId = given === null ? null : BigInt.asUintN(64, BigInt(given.toString('latin1')))
    await c.kept?.entries(c.on, entries)
    return parts
  }

  /** Rows as tuples in texts for their shards. */
  async #rowsByShard(
    scratch: Connection,
    text: Executed,
    target: WriteTarget,
    c: Context,
    shape: Shape,
    chosen: boolean,
    drawn: { readonly at: number; draw(count: number): Promise<readonly bigint[]> } | null,
    lookups: Inserted['lookups'],
    entries: LookupEntry[] = [],
    set: readonly ColumnInfo[] = [],
  ): Promise<{ parts: Part[]; lists: Buffer[]; last: RawRow | undefined }> {
    const rows = await this.#rowsOf(scratch, text, c.held)
    const zeroIsStored = c.inputs.zeroIsStored === true
    const open = rows.map((row) => drawn !== null && (drawn.at < 0 || leavesId(row[drawn.at] ?? null, zeroIsStored)))
    const ids = (await drawn?.draw(open.filter(Boolean).length)) ?? []
    let next = 0
    const literals = [...target.columns, ...set].map(literalMaker)
    const { before, after, around } = c.job
    const executed = around.length === 0 ? {} : { parameters: around, params: c.params, once: true }
    const filling = new Map<ShardView, { parts: Buffer[]; size: number }>()
    const made: Part[] = []
    const lists: Buffer[] = []
    const close = (shard: ShardView, list: readonly Buffer[]): void => {
      lists.push(Buffer.concat(list))
      made.push({ shard, text: Buffer.concat([before, lists.at(-1) as Buffer, space, after]), ...executed })
    }
    for (const [i, given] of rows.entries()) {
      const fresh = open[i] === true ? ids[next++] : undefined
      const within = fresh !== undefined && drawn !== null && drawn.at >= 0
      const row = within ? given.with(drawn.at, Buffer.from(String(fresh))) : given
      const id = within ? undefined : fresh
      const cells = row.map((cell, place) =>
        cell === null ? 'NULL' : (literals[place] as (cell: Buffer) => Buffer)(cell).toString('latin1'),
      )
      // The side of an outer join that was absent: no row to change.
      if (chosen && target.columns.some((_, place) => row[place] === null)) continue
      const values = [...cells, ...(id === undefined ? [] : [String(id)])]
      const keyspaceId = idOf(row, id, target)
      if (keyspaceId !== null) entries.push(...entriesOf(row, id, lookups, keyspaceId))
      for (const shard of keyspaceId === null ? c.keyspace.shards : [c.inputs.shardOf(keyspaceId)]) {
        const list = filling.get(shard) ?? { parts: [], size: 0 }
        filling.set(shard, list)
        const tuple = Buffer.from(shape.row(values, list.parts.length === 0), 'latin1')
        if (list.parts.length > 0) list.parts.push(shape.between)
        list.parts.push(tuple)
        list.size += tuple.length
        if (list.size < partBytes) continue
        close(shard, list.parts)
        filling.delete(shard)
      }
    }
    for (const shard of c.keyspace.shards) {
      const list = filling.get(shard)
      if (list !== undefined) close(shard, list.parts)
    }
    return { parts: made, lists, last: rows.at(-1) }
  }

  /** A join may make many rows of few: they are counted as they come. */
  async #rowsOf(scratch: Connection, text: Executed, held: Held): Promise<RawRow[]> {
    const stream = await rowsOnce(scratch, text).catch((error: unknown) => {
      throw unlessReopened(error)
    })
    const rows: RawRow[] = []
    for await (const batch of stream) {
      for (let i = 0; i < batch.length; i++) {
        const row = batch.row(i).map((cell) => (cell === null ? null : Buffer.from(cell)))
        held.add(row.reduce((sum, cell) => sum + (cell?.length ?? 0) + cellBytes, 0))
        rows.push(row)
      }
    }
    return rows
  }

  async #scratch(c: Context, cleanups: (() => Promise<void>)[]): Promise<Connection> {
    const { connections, settings } = this.#runner
    const backend: Backend = await connections.openPlain(nextHome(c.keyspace), settings.scratch, 'read')
    backend.dirty = true
    cleanups.push(async () => {
      if (backend.connection.open && backend.connection.inTransaction) await backend.connection.query('ROLLBACK').catch(() => {})
      connections.done(backend, false)
    })
    return backend.connection
  }

  /** What may change no row at all is refused too, in a server's words: 1792. */
  async #requireWritable({ on, keyspace }: Context, table: string): Promise<void> {
    const { options } = on
    const mayRead = [this.#runner.settings.get('access'), ...options.before].some((text) => text?.includes('READ ONLY') === true)
    if (options.readOnly === false || (options.readOnly === null && !mayRead)) return
    const { backend } = await this.#runner.openBranch(on, keyspace.shards[0] as ShardView)
    await backend.connection.query(`DELETE FROM ${quoteIdentifier(table)} WHERE FALSE`)
  }

  async #fill(c: Context, connection: Connection, lock: FillInto['lock']): Promise<void> {
    const readers = new Readers(this.#runner, this.#scatter, c.on, false, null)
    const { config } = this.#core
    await fill(
      c.job,
      { connection, written: true, lock, at: () => {} },
      readers,
      c.inputs,
      config.scatterBytesMax,
      this.#runner.settings.get('sql_mode'),
    )
  }
}

/** The client's own query, with its parameters. */
export function ofClient({ job, params }: Pick<Context, 'job' | 'params'>): Executed {
  return { text: job.text, parameters: job.parameters ?? [], params }
}

function plain(sql: string): Executed {
  return { text: Buffer.from(sql), parameters: [], params: [] }
}

/** How rows stand in a text. */
type Shape = { readonly between: Buffer; row(values: readonly string[], first: boolean): string }

const tuples: Shape = { between: Buffer.from(','), row: (values) => `(${values.join(',')})` }
const selects: Shape = {
  between: Buffer.from(' UNION ALL '),
  row: (values, first) => `SELECT ${values.map((value, i) => (first ? `${value} AS c${i}` : value)).join(',')}`,
}
const space = Buffer.from(' ')

const notByValues = {
  construct: 'setting a column that a lookup vindex finds by, beside columns of other tables',
  reason: 'the row of the lookup must be written before',
  instead: 'set it by a statement of its own',
}

/** As a server takes it for an AUTO_INCREMENT column. */
function leavesId(cell: Buffer | null, zeroIsStored: boolean): boolean {
  return cell === null || (!zeroIsStored && Number(cell.toString('latin1')) === 0)
}

/** Null: on all shards. */
export function idOf(row: readonly (Buffer | null)[], id: bigint | undefined, target: WriteTarget): Uint8Array | null {
  const { place } = target
  switch (place.kind) {
    case 'everywhere':
      return null
    case 'keyspace-id':
      return place.id
    case 'vindex': {
      const values = place.columns.map(({ column, at }) => storedAt(target.table, column, row, at, id))
      const keyspaceId = place.vindex.map(values)
      if (keyspaceId === null)
        throw planErrors.shardKeyValue({
          table: target.table,
          column: place.columns.map(({ column }) => column.name).join(', '),
          reason: `vindex ${place.vindex.name} maps it to no shard`,
        })
      return keyspaceId
    }
  }
}

function storedAt(table: string, column: ColumnInfo, row: readonly (Buffer | null)[], at: number, id: bigint | undefined): VindexValue {
  const cell = row[at]
  const given: Value = cell == null ? { type: 'null' } : valueOf(column, cell)
  return heldValue(table, column, at < 0 && id !== undefined ? { type: 'integer', value: id } : given)
}

export function entriesOf(
  row: readonly (Buffer | null)[],
  id: bigint | undefined,
  lookups: Inserted['lookups'],
  keyspaceId: Uint8Array,
): LookupEntry[] {
  return lookups.flatMap(({ lookup, at }) => {
    const values = at.map((place, i) => storedAt(lookup.table, lookup.columns[i] as ColumnInfo, row, place, id))
    return values.some((value) => value.type === 'NULL') ? [] : [{ lookup, values, keyspaceId: Uint8Array.from(keyspaceId) }]
  })
}
