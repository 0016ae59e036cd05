/**
 * Keeps the rows of lookup vindexes with those of their tables, in whatever mode transactions are. What must hold, at every moment and after every crash: a row that anybody
 * may see has its row in the lookup. The other way round nothing must hold: a lookup's row without a row costs a shard asked in vain.
 *
 * 1. The lookup's row is written, in a transaction of its own, before the table's row. It is locked (a row that was there already, too) until the table's row stands,
 *    uncommitted, on its shard; then it is committed; only then may the client's transaction commit. Whoever dies in between leaves a lookup's row too many.
 * 2. A row of a lookup is taken away by a sweep alone (lookup-sweep.ts), after the client's transaction has ended: it locks the lookup's row, sees by a locking read that no row has
 *    the value there, and deletes it. By 1, whoever is about to write such a row holds that lock or has a row that the locking read meets; the sweep waits for neither and leaves
 *    the lookup's row where it is.
 * 3. A unique lookup that already has the value: the row it names decides. There (or not decided yet, then it is waited for): a duplicate, error 1062. Gone: the lookup's row is changed to the new
 *    place, under the same lock. Gone only in this very transaction: refused, as others still see it where it was. So it is with a lookup that is not unique, where a key of its table leaves the
 *    keyspace id out: a row written over one that names another place would not be found.
 *
 * Locks are taken in the order of values, the lookup's before the table's. A cycle over two servers is seen by none: such a wait ends after seconds, by error 1205.
 */
import { append } from '../base/append.ts'
import type { Connection, Result } from '../mysql/connection.ts'
import { ServerError } from '../mysql/errors.ts'
import { escapeLiteral, quoteIdentifier } from '../sql/quote.ts'
import type { VindexValue } from '../keyspace/vindex.ts'
import type { Core } from './core.ts'
import { gateErrors } from './errors.ts'
import { ElsewhereError } from './execution-errors.ts'
import { innerConnection, isElsewhere, marked, routeInner, type InnerPart, type Marks } from './inner-statements.ts'
import { lookupTable } from './lookup-reads.ts'
import type { Backend } from './backend.ts'
import type { LookupEntry, OwnedLookup } from './plan/lookup.ts'
import { familyOf } from './plan/equality.ts'
import { planErrors } from './plan/errors.ts'
import type { Transaction } from './transaction.ts'
import type { KeyspaceView } from './view.ts'

const rowsMax = 500

/** The rows of lookups that one statement writes: `keep` them, run the statement, `commit`; `end` in any case. */
export class LookupWrites {
  readonly #core: Core
  readonly #keyspace: KeyspaceView
  readonly #on: Transaction
  readonly #signal: AbortSignal
  readonly #marks: Marks
  readonly #open = new Map<string, { backend: Backend; part: InnerPart }>()
  /** Of all that was kept the rows stand, uncommitted. */
  readonly #made = { stand: false }

  constructor(core: Core, keyspace: KeyspaceView, on: Transaction, signal: AbortSignal, marks: Marks) {
    this.#core = core
    this.#keyspace = keyspace
    this.#on = on
    this.#signal = signal
    this.#marks = marks
  }

  /** @throws 1062; SW-GATE-123, 229; ElsewhereError for a server of a lookup */
  async keep(entries: readonly LookupEntry[]): Promise<void> {
    // Whatever becomes of the statement, rows of lookups that it leaves behind are swept in the end.
    sweepAfter(this.#core, this.#on, this.#keyspace.name, entries, this.#made)
    for (const [lookup, own] of byLookup(entries)) {
      const onePlace = await this.#requireKey(lookup)
      for (let i = 0; i < own.length; i += rowsMax) {
        const some = own.slice(i, i + rowsMax)
        if (!lookup.lookup.unique) {
          await this.#run(lookup, insertText(lookup, some, true))
          if (onePlace && (await this.#standElsewhere(lookup, some)))
            for (const [at, entry] of some.entries()) await this.#claim(entry, some.slice(0, at))
        } else if (!(await this.#inserted(lookup, some)))
          for (const [at, entry] of some.entries()) await this.#claim(entry, some.slice(0, at))
      }
    }
  }

  /**
   * Before the client's transaction may commit.
   * @param stand every row that a lookup's row was written for was written itself: once committed, there is nothing to sweep
   */
  async commit(stand: boolean): Promise<void> {
    this.#made.stand = stand
    for (const [uid, { backend, part }] of this.#open) {
      await elsewhere(part, () => backend.connection.query('COMMIT'))
      this.#close(uid)
    }
  }

  /** What is not committed is rolled back. */
  async end(): Promise<void> {
    for (const [uid, { backend }] of this.#open) {
      try {
        if (backend.connection.open) await backend.connection.query('ROLLBACK')
      } catch {
        backend.connection.destroy()
      }
      this.#close(uid)
    }
  }

  #close(uid: string): void {
    const open = this.#open.get(uid)
    if (open === undefined) return
    this.#open.delete(uid)
    open.backend.pool.give(open.backend)
    open.part.shard.traffic.writes--
    if (this.#core.holds.active) this.#core.holds.openChanged(open.part.keyspace.name)
  }

  /** On every shard of the lookup's table that it concerns, in this statement's transaction there. */
  async #run(lookup: OwnedLookup, sql: string, lock = ''): Promise<(readonly (Buffer | null)[])[]> {
    const place = lookupTable(lookup.lookup, lookup.keyspace)
    const rows: (readonly (Buffer | null)[])[] = []
    for (const part of await routeInner(this.#core, place.keyspace, Buffer.from(sql, 'latin1'), this.#signal)) {
      const connection = await this.#connection(part)
      const answer = await elsewhere(part, () => this.#ask(connection, Buffer.concat([part.text, Buffer.from(lock)])))
      if (answer.kind === 'rows') rows.push(...answer.rows)
    }
    return rows
  }

  async #ask(connection: Connection, text: Buffer): Promise<Result> {
    this.#signal.throwIfAborted()
    return await marked(this.#marks, connection, 'write', () => connection.query(text))
  }

  async #connection(part: InnerPart): Promise<Connection> {
    const { uid } = part.shard
    const known = this.#open.get(uid)
    if (known !== undefined) return known.backend.connection
    const backend = await elsewhere(part, () => innerConnection(this.#core, part.shard, undefined, this.#signal, this.#marks.holder))
    this.#open.set(uid, { backend, part })
    part.shard.traffic.writes++
    await elsewhere(part, () => backend.connection.query('BEGIN'))
    return backend.connection
  }

  /**
   * Without a unique key a sweep would not meet the row that another is about to write.
   * @returns whether the key lets values have one place only, though the lookup is not unique: a row that was there may name another one (rule 3)
   */
  async #requireKey({ lookup, keyspace, table }: OwnedLookup): Promise<boolean> {
    const place = lookupTable(lookup, keyspace)
    await this.#core.ready(place.keyspace, this.#signal)
    if (this.#core.catalog.keyspace(place.keyspace)?.columns(place.table) === undefined)
      await this.#core.catalog.load(place.keyspace, [place.table], this.#signal)
    const info = this.#core.catalog.keyspace(place.keyspace)?.columns(place.table)
    const refuse = (reason: string): never => {
      throw planErrors.lookupVindex({ table, vindex: lookup.name, reason })
    }
    if (info == null) return refuse(`its table ${place.keyspace}.${place.table} is not there`)
    const columns = new Set((lookup.unique ? lookup.from : [...lookup.from, lookup.to]).map((name) => name.toLowerCase()))
    if (!info.uniqueKeys.some((key) => key.length > 0 && key.every((name) => columns.has(name.toLowerCase()))))
      refuse(`its table ${place.keyspace}.${place.table} needs a primary or unique key over ${[...columns].join(', ')}`)
    const from = new Set(lookup.from.map((name) => name.toLowerCase()))
    return !lookup.unique && info.uniqueKeys.some((key) => key.length > 0 && key.every((name) => from.has(name.toLowerCase())))
  }

  async #standElsewhere(lookup: OwnedLookup, entries: readonly LookupEntry[]): Promise<boolean> {
    const { table } = lookupTable(lookup.lookup, lookup.keyspace)
    const { from, to } = lookup.lookup
    const other = entries.map((entry) => `(${conditionsOf(from, entry)} AND ${nameOf(to)} <> ${idLiteral(entry)})`).join(' OR ')
    return (await this.#run(lookup, `SELECT 1 FROM ${nameOf(table)} WHERE ${other} LIMIT 1`, ' FOR UPDATE')).length > 0
  }

  /** False: some value is there already, and nothing of these rows was written. */
  async #inserted(lookup: OwnedLookup, entries: readonly LookupEntry[]): Promise<boolean> {
    try {
      await this.#run(lookup, insertText(lookup, entries, false))
      return true
    } catch (error) {
      if (error instanceof ServerError && error.kind === 'duplicate') return false
      throw error
    }
  }

  /** @param before entries of the same statement that have their rows */
  async #claim(entry: LookupEntry, before: readonly LookupEntry[]): Promise<void> {
    const { lookup } = entry
    const { table } = lookupTable(lookup.lookup, lookup.keyspace)
    const where = conditionsOf(lookup.lookup.from, entry)
    const to = nameOf(lookup.lookup.to)
    for (let times = 0; times < 20; times++) {
      if (await this.#inserted(lookup, [entry])) return
      const [row] = await this.#run(lookup, `SELECT ${to} FROM ${nameOf(table)} WHERE ${where}`, ' FOR UPDATE')
      const held = row?.[0]
      // Swept in this moment: then there is room.
      if (held == null) continue
      const wanted = idCell(entry)
      if (held.equals(wanted)) return
      const id = lookup.lookup.idForm === 'hash' ? lookup.vindex.map([{ type: 'UINT64', bytes: held }]) : held
      if ((await this.#isSame(entry, before, held)) || (id !== null && (await this.#lives(entry, id)))) throw taken(entry)
      await this.#run(lookup, `UPDATE ${nameOf(table)} SET ${to} = ${idLiteral(entry)} WHERE ${where}`)
      return
    }
    throw gateErrors.lookupBusy({ vindex: lookup.lookup.name, value: valueText(entry) })
  }

  /** Whether the row that is held is one of this statement's own, for an equal value: the server says what is equal. */
  async #isSame(entry: LookupEntry, before: readonly LookupEntry[], held: Buffer): Promise<boolean> {
    const own = before.filter((other) => idCell(other).equals(held))
    if (own.length === 0) return false
    const { lookup } = entry
    const { table } = lookupTable(lookup.lookup, lookup.keyspace)
    const others = own.map((other) => `(${conditionsOf(lookup.lookup.from, other)})`).join(' OR ')
    const rows = await this.#run(lookup, `SELECT 1 FROM ${nameOf(table)} WHERE ${conditionsOf(lookup.lookup.from, entry)} AND (${others})`)
    return rows.length > 0
  }

  /** Whether a row has the value where the lookup says. What is not decided there is waited for. */
  async #lives(entry: LookupEntry, id: Uint8Array): Promise<boolean> {
    const { lookup } = entry
    const keyspace = this.#core.keyspace(this.#keyspace.name)
    const shard = keyspace.index.find(id)
    if (shard === undefined) return false
    const where = conditionsOf(
      lookup.columns.map(({ name }) => name),
      entry,
    )
    const text = (lock: string): Buffer => Buffer.from(`SELECT 1 FROM ${nameOf(lookup.table)} WHERE ${where} LIMIT 1${lock}`, 'latin1')
    const read = async (connection: Connection, lock: string): Promise<boolean> => {
      const answer = await this.#ask(connection, text(lock))
      return answer.kind === 'rows' && answer.rows.length > 0
    }
    const part = { keyspace, shard, text: Buffer.alloc(0) }
    const branch = this.#on.branches.get(shard.uid)
    if (branch !== undefined && (await read(branch.backend.connection, ' LOCK IN SHARE MODE'))) return true
    const other = await elsewhere(part, () => innerConnection(this.#core, shard, undefined, this.#signal, this.#marks.holder))
    try {
      if (branch === undefined) return await elsewhere(part, () => read(other.connection, ' LOCK IN SHARE MODE'))
      // What it removed itself is still there for everybody else.
      if (await elsewhere(part, () => read(other.connection, '')))
        throw gateErrors.lookupMoved({ vindex: lookup.lookup.name, value: valueText(entry), table: lookup.table })
      return false
    } finally {
      other.pool.give(other)
    }
  }
}

type Left = { readonly keyspace: string; readonly entries: readonly LookupEntry[]; readonly made: { readonly stand: boolean } | null }
const leftBy = new WeakMap<Transaction, { count: number; readonly groups: Left[] }>()
/** A transaction's memory of what to sweep is bounded: the rest of a larger one stays until the value's next change. */
const sweptMax = 10_000

/**
 * When the transaction has ended, whichever way, rows of lookups that have no row are taken away.
 * @param made entries are of rows that the transaction writes, which stand when it is committed; a sweep would lock them against whoever reads them next
 */
export function sweepAfter(
  core: Core,
  on: Transaction,
  keyspace: string,
  entries: readonly LookupEntry[],
  made: Left['made'] = null,
): void {
  if (entries.length === 0) return
  let left = leftBy.get(on)
  if (left === undefined) {
    const { groups } = (left = { count: 0, groups: [] as Left[] })
    leftBy.set(on, left)
    on.afterEnd.push((committed) => {
      for (const group of groups) if (!(committed && group.made?.stand === true)) core.sweeps.add(group.keyspace, group.entries)
      leftBy.delete(on)
    })
  }
  left.count += entries.length
  if (left.count <= sweptMax) left.groups.push({ keyspace, entries, made })
}

function byLookup(entries: readonly LookupEntry[]): Map<OwnedLookup, LookupEntry[]> {
  const found = new Map<OwnedLookup, LookupEntry[]>()
  for (const entry of entries) append(found, entry.lookup, entry)
  for (const list of found.values()) list.sort((a, b) => (valueText(a) < valueText(b) ? -1 : 1))
  return found
}

function insertText({ lookup, keyspace }: OwnedLookup, entries: readonly LookupEntry[], shared: boolean): string {
  const { table } = lookupTable(lookup, keyspace)
  const to = nameOf(lookup.to)
  const rows = entries.map((entry) => `(${[...entry.values.map((_, i) => literalAt(entry, i)), idLiteral(entry)].join(', ')})`)
  // The row that is there already gets locked like a new one.
  const locked = shared ? ` ON DUPLICATE KEY UPDATE ${to} = ${to}` : ''
  return `INSERT INTO ${nameOf(table)} (${[...lookup.from.map(nameOf), to].join(', ')}) VALUES ${rows.join(', ')}${locked}`
}

/** `a = 1 AND b = 'x'`, as latin1 text. */
export function conditionsOf(names: readonly string[], entry: LookupEntry): string {
  return names.map((name, i) => `${nameOf(name)} = ${literalAt(entry, i)}`).join(' AND ')
}

/** A name, quoted. Texts here are bytes in latin1's clothes: values of any bytes stay what they are. */
export function nameOf(name: string): string {
  return Buffer.from(quoteIdentifier(name)).toString('latin1')
}

function literalAt(entry: LookupEntry, i: number): string {
  const column = entry.lookup.columns[i]
  const bytes = Buffer.from((entry.values[i] as VindexValue).bytes)
  if (column !== undefined && familyOf(column) === 'integer') return bytes.toString('latin1')
  if (column !== undefined && familyOf(column) === 'binary') return `x'${bytes.toString('hex')}'`
  return escapeLiteral(bytes).toString('latin1')
}

function idCell({ lookup, keyspaceId }: LookupEntry): Buffer {
  return lookup.lookup.idForm === 'hash' ? Buffer.from(lookup.vindex.unmap?.(keyspaceId).bytes ?? []) : Buffer.from(keyspaceId)
}

export function idLiteral(entry: LookupEntry): string {
  const cell = idCell(entry)
  return entry.lookup.lookup.idForm === 'hash' ? cell.toString('latin1') : `x'${cell.toString('hex')}'`
}

function valueText({ values }: LookupEntry): string {
  return values.map(({ bytes }) => Buffer.from(bytes).toString('utf8')).join('-')
}

/** The values stand at another place, which must stay in the lookup. */
function taken(entry: LookupEntry): Error {
  const { lookup, table } = entry.lookup
  if (lookup.unique) return duplicate(entry)
  return planErrors.lookupVindex({
    table,
    vindex: lookup.name,
    reason: `a row with ${valueText(entry)} stands, or until the commit still stands, at another place, and a key of ${lookup.table} over ${lookup.from.join(', ')} leaves room for one; with ${lookup.to} in that key there is room for both`,
  })
}

function duplicate(entry: LookupEntry): Error {
  return new ServerError(1062, '23000', `Duplicate entry '${valueText(entry)}' for key '${entry.lookup.lookup.name}'`)
}

async function elsewhere<T>(part: InnerPart, act: () => Promise<T>): Promise<T> {
  try {
    return await act()
  } catch (error) {
    throw isElsewhere(error as Error) ? new ElsewhereError(part.shard, part.keyspace.version, error as Error) : error
  }
}
