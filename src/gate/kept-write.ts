/**
 * One write to a table that owns lookups, with what keeps them (lookup-writes.ts). An INSERT gives its rows' values. An UPDATE or DELETE reads the rows that it will change, under
 * lock, in the same transaction: those values may be swept afterwards, and those that come in their place are written before.
 *
 * A row that came in between (READ COMMITTED locks no gaps) would be changed without its lookup's row: more rows matched than were read end the transaction as a deadlock would.
 */
import type { Connection, OkResult, RawRow } from '../mysql/connection.ts'
import { ServerError } from '../mysql/errors.ts'
import type { VindexValue } from '../keyspace/vindex.ts'
import type { Core } from './core.ts'
import type { Held } from './memory.ts'
import { valueOf } from './gather-fill.ts'
import { marked, type Marks } from './inner-statements.ts'
import { LookupWrites, nameOf, sweepAfter } from './lookup-writes.ts'
import type { ColumnInfo } from './plan/catalog.ts'
import { heldValue } from './plan/convert.ts'
import type { WriteTarget } from './plan/gather-types.ts'
import type { LookupChange, LookupEntry, OwnedLookup } from './plan/lookup.ts'
import type { Runner } from './runner.ts'
import type { WriteHooks } from './scatter-parts.ts'
import { numbersOf } from './scatter-summary.ts'
import { atInstant } from './settings.ts'
import type { Transaction } from './transaction.ts'
import type { KeyspaceView, ShardView } from './view.ts'

/** What an entry and each of its values take beside the bytes, about. */
const [entryBytes, valueBytes] = [120, 80]

export class KeptWrite implements WriteHooks {
  readonly #core: Core
  readonly #runner: Runner
  readonly #keyspace: KeyspaceView
  readonly #change: LookupChange | null
  readonly #assigned: ReadonlyMap<string, VindexValue>
  readonly #signal: AbortSignal
  readonly #marks: Marks
  #writes: LookupWrites | null = null
  #read = 0
  /** Of the lookup that most rows are written for. */
  #made = 0
  #moved = false
  readonly #held: Held

  /**
   * @param assigned what an UPDATE sets columns to, by name in lower case
   * @param marks what a KILL QUERY ends
   */
  constructor(
    core: Core,
    runner: Runner,
    keyspace: KeyspaceView,
    change: LookupChange | null,
    assigned: ReadonlyMap<string, VindexValue>,
    signal: AbortSignal,
    marks: Marks,
  ) {
    this.#core = core
    this.#runner = runner
    this.#keyspace = keyspace
    this.#change = change
    this.#assigned = assigned
    this.#signal = signal
    this.#marks = marks
    this.#held = core.held.open()
  }

  async entries(on: Transaction, entries: readonly LookupEntry[]): Promise<void> {
    if (entries.length === 0) return
    this.#writes ??= new LookupWrites(this.#core, this.#keyspace, on, this.#signal, this.#marks)
    const counts = new Map<OwnedLookup, number>()
    for (const { lookup } of entries) counts.set(lookup, (counts.get(lookup) ?? 0) + 1)
    this.#made += Math.max(...counts.values())
    await this.#writes.keep(entries)
  }

  /**
   * Reads the rows that the statement will change on each shard. @throws SW-GATE-205
   * @param instant the statement's, by which it chooses them
   */
  async rows(
    on: Transaction,
    reads: readonly { readonly shard: ShardView; readonly text: Buffer }[],
    instant: string | null,
  ): Promise<void> {
    const change = this.#change
    if (change === null) return
    const old: LookupEntry[] = []
    const made: LookupEntry[] = []
    for (const { shard, text } of reads) {
      const branch = await this.#runner.openBranch(on, shard, atInstant(this.#runner.settings.ownInUnicode, instant))
      branch.statements++
      branch.locked = true
      const { connection } = branch.backend
      await marked(this.#marks, connection, 'write', async () => await this.#readRows(connection, text, change, old, made))
      this.#signal.throwIfAborted()
    }
    sweepAfter(this.#core, on, this.#keyspace.name, old)
    await this.entries(on, made)
  }

  async #readRows(connection: Connection, text: Buffer, change: LookupChange, old: LookupEntry[], made: LookupEntry[]): Promise<void> {
    for await (const batch of await connection.rows(text)) {
      try {
        for (let i = 0; i < batch.length; i++) this.#note(change, batch.row(i), old, made)
      } catch (error) {
        // The rows behind are not waited for.
        await this.#core.pools.killQuery(connection)
        throw error
      }
    }
  }

  /** Of the row only what lookups have of it is kept, within a bound for the whole statement. */
  #note(change: LookupChange, row: RawRow, old: LookupEntry[], made: LookupEntry[]): void {
    this.#read++
    for (const lookup of change.lookups) {
      const keyspaceId = this.#idOf(lookup, row, change.columns)
      if (keyspaceId === null) continue
      const was = lookup.columns.map((column) => cellOf(lookup, column, row, change.columns))
      if (was.every((value) => value.type !== 'NULL')) this.#push(old, { lookup, values: was, keyspaceId })
      const becomes = lookup.columns.map((column, i) => this.#assigned.get(column.name.toLowerCase()) ?? (was[i] as VindexValue))
      if (change.verb === 'update' && becomes.every((value) => value.type !== 'NULL'))
        this.#push(made, { lookup, values: becomes, keyspaceId })
    }
  }

  #push(list: LookupEntry[], entry: LookupEntry): void {
    this.#held.add(entry.values.reduce((sum, { bytes }) => sum + bytes.length + valueBytes, entryBytes))
    list.push(entry)
  }

  /** Rows that get another place: what they have there, and what they had. */
  async moved(on: Transaction, entries: readonly LookupEntry[], gone: readonly LookupEntry[]): Promise<void> {
    this.#moved = true
    sweepAfter(this.#core, on, this.#keyspace.name, gone)
    await this.entries(on, entries)
  }

  /** The same for rows that are given by their keys. */
  async byKeys(
    on: Transaction,
    target: WriteTarget,
    parts: readonly { readonly shard: ShardView; readonly list: Buffer }[],
  ): Promise<void> {
    const change = this.#change
    if (change === null) return
    const list = (columns: readonly ColumnInfo[]): string => columns.map((column) => nameOf(column.name)).join(', ')
    const head = Buffer.from(`SELECT ${list(change.columns)} FROM ${nameOf(target.table)} WHERE (${list(target.columns)}) IN (`, 'latin1')
    await this.rows(
      on,
      parts.map((part) => ({ shard: part.shard, text: Buffer.concat([head, part.list, Buffer.from(') FOR UPDATE')]) })),
      null,
    )
  }

  async beforeCommit(results: readonly OkResult[]): Promise<void> {
    const matched = results.reduce((sum, { info }) => sum + Number(numbersOf(info)?.[0] ?? 0), 0)
    if (this.#change?.verb === 'update' && matched > this.#read)
      throw new ServerError(
        1213,
        '40001',
        'Deadlock found when trying to get lock; rows came while a lookup vindex was kept; try restarting transaction',
      )
    await this.#writes?.commit(this.#stand(results, matched))
  }

  /** In doubt (IGNORE, ON DUPLICATE KEY, rows of which a lookup has none) they are looked at by a sweep. */
  #stand(results: readonly OkResult[], matched: number): boolean {
    if (this.#moved) return false
    if (this.#change !== null) return matched === this.#read
    const affected = results.reduce((sum, { affectedRows }) => sum + affectedRows, 0n)
    return affected === BigInt(this.#made) && results.every(({ info }) => (numbersOf(info)?.[1] ?? 0n) === 0n)
  }

  async end(): Promise<void> {
    this.#held.close()
    await this.#writes?.end()
  }

  #idOf(lookup: OwnedLookup, row: readonly (Buffer | null)[], columns: readonly ColumnInfo[]): Uint8Array | null {
    const id = lookup.vindex.map(lookup.key.map((column) => cellOf(lookup, column, row, columns)))
    return id === null ? null : Uint8Array.from(id)
  }
}

function cellOf(lookup: OwnedLookup, column: ColumnInfo, row: readonly (Buffer | null)[], columns: readonly ColumnInfo[]): VindexValue {
  const cell = row[columns.indexOf(column)]
  // A copy: the row is a view of what is read into next.
  return heldValue(lookup.table, column, cell == null ? { type: 'null' } : valueOf(column, Buffer.from(cell)))
}
