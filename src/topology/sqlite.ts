/**
 * The store in one SQLite file, for several processes on one machine.
 *
 * - Durable: WAL with synchronous=FULL; a commit that returned survives a power cut. A SQLite write transaction is serial with
 *   all others of the file, so conditions are judged in the instant the puts take effect.
 * - Locked: SQLite's own waiting would stop our event loop, and the holder may be a paused process; so it waits 20 ms at most
 *   at a time and we retry between timers. Until BEGIN IMMEDIATE succeeds nothing was done: class transient.
 * - Watch: every change carries its revision, a deletion leaves a tombstone (value NULL), so one indexed query brings all that
 *   is new. Other processes' commits show in PRAGMA data_version (µs): looked at when the -wal file is written (inotify) and
 *   every 15 ms whatever inotify says.
 * - Compaction: tombstones older than the newest `tombstonesMax` are dropped, raising `compacted`; who stands behind it lists
 *   anew, so no deletion can be missed. Versions are revisions and never come back, so a dropped tombstone can't revive one.
 * - Leases are rows with an expiry in wall-clock time; any process sweeps them, in each commit and on the same timer. An expiry
 *   further off than the lease's own time means that the clock was set back: it counts from now.
 */
import { randomUUID } from 'node:crypto'
import { chmodSync, existsSync, watch as watchFile } from 'node:fs'
import type { FSWatcher } from 'node:fs'
import { basename, dirname } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import type { StatementSync } from 'node:sqlite'
import type { Clock } from '../base/clock.ts'
import { systemClock } from '../base/clock.ts'
import { isSwError } from '../base/errors.ts'
import { topologyErrors } from './errors.ts'
import type { CommitResult, Condition, Entry, Json, Lease, Put, Snapshot, Store } from './store.ts'
import type { Change } from './watch-hub.ts'
import { WatchHub } from './watch-hub.ts'

const schema = `
  CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
  INSERT OR IGNORE INTO meta VALUES ('format', 1), ('revision', 0), ('compacted', 0);
  CREATE TABLE IF NOT EXISTS entries (key TEXT PRIMARY KEY, value TEXT, version INTEGER NOT NULL, lease TEXT) WITHOUT ROWID;
  CREATE INDEX IF NOT EXISTS entries_by_version ON entries (version);
  CREATE INDEX IF NOT EXISTS entries_by_lease ON entries (lease) WHERE lease IS NOT NULL;
  CREATE TABLE IF NOT EXISTS leases (id TEXT PRIMARY KEY, ttl_ms INTEGER NOT NULL, expires_at_ms INTEGER NOT NULL) WITHOUT ROWID;
`

export type SqliteStoreOptions = {
  clock?: Clock
  /** How long to wait for another process's write lock before SW-TOPOLOGY-004. Default 10 s. */
  busyMs?: number
  pollMs?: number
  /** Tombstones kept, for watchers of other processes that are a little behind. */
  tombstonesMax?: number
}

type Row = { key: string; value: string | null; version: number }

export class SqliteStore implements Store {
  readonly path: string
  #db: DatabaseSync
  #clock: Clock
  #busyMs: number
  #tombstonesMax: number
  #hub = new WatchHub()
  #closed = new AbortController()
  /** Revision up to which the hub was told. */
  #told = 0
  #dataVersion = -1
  #timer: NodeJS.Timeout
  #fileWatcher: FSWatcher | null = null
  #statements = new Map<string, StatementSync>()

  constructor(path: string, options: SqliteStoreOptions = {}) {
    this.path = path
    this.#clock = options.clock ?? systemClock
    this.#busyMs = options.busyMs ?? 10_000
    this.#tombstonesMax = options.tombstonesMax ?? 10_000
    try {
      const fresh = !existsSync(path)
      this.#db = new DatabaseSync(path, { timeout: 5_000 })
      // Passwords of our accounts are in it.
      if (fresh) chmodSync(path, 0o600)
      this.#db.exec('PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;')
      this.#db.exec(`BEGIN IMMEDIATE; ${schema} COMMIT`)
      this.#db.exec('PRAGMA busy_timeout=20')
    } catch (error) {
      throw topologyErrors.unusable({ path, reason: (error as Error).message }, error)
    }
    if (this.#meta('format') !== 1) {
      this.#db.close()
      throw topologyErrors.newerRecord({ key: path, found: 'unknown', known: 1 })
    }
    this.#told = this.#meta('revision')
    this.#timer = setInterval(() => this.#tick(), options.pollMs ?? 15)
    this.#timer.unref()
    try {
      const wal = `${basename(path)}-wal`
      this.#fileWatcher = watchFile(dirname(path), { persistent: false }, (_event, name) => {
        if (name === wal) this.#tick()
      })
      this.#fileWatcher.on('error', () => this.#fileWatcher?.close())
    } catch {
      // Out of inotify watches: the timer alone carries it.
    }
  }

  async get(key: string): Promise<Entry | null> {
    const row = await this.#retrying(() =>
      this.#prepare('SELECT key, value, version FROM entries WHERE key = ? AND value IS NOT NULL').get(key),
    )
    return row === undefined ? null : entryOf(row as Row)
  }

  async list(prefix: string, except?: string): Promise<Snapshot> {
    return this.#retrying(() => this.#list(prefix, except))
  }

  async commit(conditions: readonly Condition[], puts: readonly Put[]): Promise<CommitResult> {
    const texts = puts.map((put) => (put.value === undefined ? null : JSON.stringify(put.value)))
    const result = await this.#write(
      puts.map((put) => put.key),
      (): CommitResult => {
        const conflicts = conditions.filter((c) => this.#versionOf(c.key) !== c.version).map((c) => c.key)
        if (conflicts.length > 0) return { ok: false, conflicts }
        for (const put of puts) {
          if (put.leaseId !== undefined && !this.#leaseLives(put.leaseId)) throw topologyErrors.leaseGone({ lease: put.leaseId })
        }
        if (puts.length === 0) return { ok: true, revision: this.#meta('revision') }
        const revision = this.#nextRevision()
        puts.forEach((put, i) => this.#put(put.key, texts[i] ?? null, revision, put.leaseId ?? null))
        this.#compact(revision)
        return { ok: true, revision }
      },
    )
    this.#tellAtOnce()
    return result
  }

  async *watch(prefix: string, signal: AbortSignal): AsyncIterable<Snapshot> {
    // The first list may meet a lock; take it where waiting is possible.
    await this.#retrying(() => this.#meta('revision'))
    yield* this.#hub.watch(prefix, AbortSignal.any([signal, this.#closed.signal]), () => this.#list(prefix))
  }

  async grantLease(ttlMs: number): Promise<Lease> {
    const id = randomUUID()
    await this.#write([id], () => {
      this.#prepare('INSERT INTO leases VALUES (?, ?, ?)').run(id, ttlMs, this.#clock.nowMs() + ttlMs)
    })
    const renew = async (): Promise<void> => {
      const renewed = await this.#write(
        [id],
        () => this.#prepare('UPDATE leases SET expires_at_ms = ? WHERE id = ?').run(this.#clock.nowMs() + ttlMs, id).changes,
      )
      if (Number(renewed) === 0) throw topologyErrors.leaseGone({ lease: id })
    }
    const revoke = async (): Promise<void> => {
      if (this.#closed.signal.aborted) return
      await this.#write([id], () => this.#endLease(id))
      this.#tellAtOnce()
    }
    return { id, ttlMs, renew, revoke, [Symbol.asyncDispose]: revoke }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#closed.signal.aborted) return
    this.#closed.abort()
    clearInterval(this.#timer)
    this.#fileWatcher?.close()
    this.#statements.clear()
    this.#db.close()
  }

  #write<T>(keysTouched: readonly string[], body: () => T): Promise<T> {
    return this.#retrying(() => this.#writeNow(keysTouched, body))
  }

  /**
   * One write transaction, without a pause of ours in it: the connection is one, so nothing else may come between. Expired
   * leases end first, so that conditions see the world without them.
   */
  #writeNow<T>(keysTouched: readonly string[], body: () => T): T {
    this.#db.exec('BEGIN IMMEDIATE')
    let result: T
    try {
      this.#sweep()
      result = body()
    } catch (error) {
      this.#rollback()
      throw error
    }
    try {
      this.#db.exec('COMMIT')
    } catch (error) {
      this.#rollback()
      throw topologyErrors.outcomeUnknown({ keys: keysTouched.join(', ') }, error)
    }
    return result
  }

  #rollback(): void {
    try {
      if (this.#db.isTransaction) this.#db.exec('ROLLBACK')
    } catch {
      // The error that brought us here is the one to tell.
    }
  }

  async #retrying<T>(body: () => T): Promise<T> {
    const started = this.#clock.monotonicMs()
    for (let pause = 1; ; pause = Math.min(pause * 2, 20)) {
      if (this.#closed.signal.aborted) throw topologyErrors.unusable({ path: this.path, reason: 'it was closed' })
      try {
        return body()
      } catch (error) {
        if (isSwError(error)) throw error
        if (!isBusy(error)) throw topologyErrors.unusable({ path: this.path, reason: (error as Error).message }, error)
        const waitedMs = Math.round(this.#clock.monotonicMs() - started)
        if (waitedMs > this.#busyMs) throw topologyErrors.busy({ path: this.path, waitedMs }, error)
      }
      await this.#clock.sleep(pause)
    }
  }

  #tick(): void {
    if (this.#closed.signal.aborted) return
    try {
      this.#pull()
      const now = this.#clock.nowMs()
      if (
        this.#prepare('SELECT 1 FROM leases WHERE expires_at_ms <= ? OR expires_at_ms > ? + 2 * ttl_ms LIMIT 1').get(now, now) !== undefined
      ) {
        this.#writeNow([], () => undefined)
        this.#pull()
      }
    } catch (error) {
      // Locked: the next tick looks again. Anything else ends the watches, whose readers must know.
      if (!isBusy(error))
        this.#hub.fail(isSwError(error) ? error : topologyErrors.unusable({ path: this.path, reason: (error as Error).message }, error))
    }
  }

  /** After a commit of ours, which stands whatever the watches meet; they are told again by the timer. */
  #tellAtOnce(): void {
    try {
      this.#pull()
    } catch {
      this.#dataVersion = -1
    }
  }

  /** Tells the hub what is new, whoever committed it. */
  #pull(): void {
    const { data_version: dataVersion } = this.#prepare('PRAGMA data_version').get() as { data_version: number }
    // Our own commits do not change data_version: the revision tells those.
    if (dataVersion === this.#dataVersion && this.#meta('revision') === this.#told) return
    const before = this.#meta('revision')
    if (this.#hub.size === 0) {
      this.#told = before
      this.#dataVersion = dataVersion
      return
    }
    const rows = this.#prepare('SELECT key, value, version FROM entries WHERE version > ? ORDER BY version').all(this.#told) as Row[]
    // Read after the rows: a compaction between the two reads is then seen, and at worst relists for nothing.
    if (this.#meta('compacted') > this.#told) {
      this.#told = this.#meta('revision')
      this.#hub.relist((prefix) => this.#list(prefix))
    } else {
      // A commit that only deleted what was not there leaves no row.
      const revision = Math.max(before, rows.at(-1)?.version ?? 0)
      const changes = rows.map((row): Change => ({ key: row.key, version: row.version, entry: row.value === null ? null : entryOf(row) }))
      this.#told = revision
      if (changes.length > 0) this.#hub.publish(revision, changes)
    }
    this.#dataVersion = dataVersion
  }

  #list(prefix: string, except?: string): Snapshot {
    // One statement, so one instant: the revision comes with the rows. Two ranges, so that what is left out is not read either.
    const end = `${prefix}\u{10ffff}`
    const [until, from] = except === undefined ? [end, end] : [except, `${except}\u{10ffff}`]
    const rows = this.#prepare(
      `SELECT m.value AS revision, e.key, e.value, e.version FROM meta m LEFT JOIN
         (SELECT * FROM entries WHERE key >= ? AND key < ? UNION ALL SELECT * FROM entries WHERE key >= ? AND key < ?) e
         ON e.value IS NOT NULL WHERE m.name = 'revision' ORDER BY e.key`,
    ).all(prefix, until, from, end) as (Row & { revision: number })[]
    const entries = new Map<string, Entry>()
    for (const row of rows) if (row.key !== null) entries.set(row.key, entryOf(row))
    return { revision: rows[0]?.revision ?? 0, entries }
  }

  #sweep(): void {
    const now = this.#clock.nowMs()
    this.#prepare('UPDATE leases SET expires_at_ms = ? + ttl_ms WHERE expires_at_ms > ? + 2 * ttl_ms').run(now, now)
    for (const { id } of this.#prepare('SELECT id FROM leases WHERE expires_at_ms <= ?').all(now) as { id: string }[]) this.#endLease(id)
  }

  #endLease(id: string): void {
    this.#prepare('DELETE FROM leases WHERE id = ?').run(id)
    const held = this.#prepare('SELECT key FROM entries WHERE lease = ? AND value IS NOT NULL').all(id) as { key: string }[]
    if (held.length === 0) return
    const revision = this.#nextRevision()
    for (const { key } of held) this.#put(key, null, revision, null)
  }

  #put(key: string, text: string | null, revision: number, lease: string | null): void {
    if (text === null && this.#versionOf(key) === 0) return
    this.#prepare(
      'INSERT INTO entries VALUES (?, ?, ?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value, version = excluded.version, lease = excluded.lease',
    ).run(key, text, revision, lease)
  }

  #compact(revision: number): void {
    if (revision % 1000 !== 0 && this.#tombstonesMax >= 1000) return
    const upTo = revision - this.#tombstonesMax
    const dropped = this.#prepare('DELETE FROM entries WHERE value IS NULL AND version <= ?').run(upTo).changes
    if (Number(dropped) > 0) this.#prepare("UPDATE meta SET value = ? WHERE name = 'compacted'").run(upTo)
  }

  #nextRevision(): number {
    return (this.#prepare("UPDATE meta SET value = value + 1 WHERE name = 'revision' RETURNING value").get() as { value: number }).value
  }

  #versionOf(key: string): number {
    return (
      (this.#prepare('SELECT version FROM entries WHERE key = ? AND value IS NOT NULL').get(key) as { version: number } | undefined)
        ?.version ?? 0
    )
  }

  #leaseLives(id: string): boolean {
    return this.#prepare('SELECT 1 FROM leases WHERE id = ?').get(id) !== undefined
  }

  #meta(name: string): number {
    return (this.#prepare('SELECT value FROM meta WHERE name = ?').get(name) as { value: number }).value
  }

  #prepare(sql: string): StatementSync {
    let statement = this.#statements.get(sql)
    if (statement === undefined) {
      statement = this.#db.prepare(sql)
      this.#statements.set(sql, statement)
    }
    return statement
  }
}

function entryOf(row: Row): Entry {
  return { key: row.key, value: JSON.parse(row.value ?? 'null') as Json, version: row.version }
}

/** SQLITE_BUSY (5) and SQLITE_LOCKED (6), with their extended codes. */
function isBusy(error: unknown): boolean {
  const code = (error as { errcode?: unknown }).errcode
  return typeof code === 'number' && ((code & 0xff) === 5 || (code & 0xff) === 6)
}
