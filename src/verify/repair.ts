/**
 * `--repair`: differing rows are written again, from the source's locked row, in transactions that carry the stream's applier row (PROTOCOLS 1.7).
 *
 * Why it cannot undo anything newer: while the row is locked on the source, nothing of its key follows the marker that the target has passed, so
 * there is nothing newer. That must still be so when the transaction commits: just before it, the locking sessions are asked for an answer; and the
 * writing session ends by itself after a second of silence, the locking ones only after two, so a process that was paused in between finds
 * its writing session gone before the locks are. The guard refuses when the stream's epoch has changed since before the locks were taken:
 * another mover took over, or the stream was stopped.
 *
 * Rows are written whole, by the columns that were planned: a column that was added since would be left to its default on the target. So just before the commit the table is looked at on the sources and on this target, by a
 * session that waits for nobody. No DDL can come between the look and the commit: the locking sessions have read the table in their transactions, which are open still (they are asked *after* the look), and this one has written it in its own, and
 * a server alters no table that an open transaction has touched. DDL of before was in force for both, and is what the look sees.
 *
 * And it marks the transaction as an applier's, which the opposite stream skips (1.8).
 */
import type { Clock } from '../base/clock.ts'
import { connectWriter } from '../move/access.ts'
import { Lane } from '../move/lane.ts'
import { RowEncoder } from '../move/row-encoder.ts'
import { asBytes, insertHead } from '../move/statements.ts'
import { applierSql, moveSchema, streamWhere } from '../move/tables.ts'
import type { Connection } from '../mysql/connection.ts'
import { isServerError } from '../mysql/errors.ts'
import type { ShardRef, StreamRecord } from '../topology/records.ts'
import type { Comparison, Side } from './comparison.ts'
import { shardsOf } from './groups.ts'
import type { Verdict } from './judge.ts'
import type { Sessions } from './sessions.ts'
import { keyCondition, type LockedSource, type Repair } from './settle.ts'

type Writer = { conn: Connection; lane: Lane }

export class TargetRepair implements Repair, AsyncDisposable {
  readonly #comparison: Comparison
  readonly #sessions: Sessions
  readonly #clock: Clock
  readonly #signal: AbortSignal
  readonly #asPlanned: (shards: readonly ShardRef[]) => Promise<void>
  /** By target number: the stream that feeds it and the epoch it had before the locks were taken. */
  #rights: ({ stream: StreamRecord; epoch: number } | null)[] = []
  readonly #writers = new Map<number, Writer>()

  /** `asPlanned` throws when the table is not on these shards what it was when the comparison was planned. */
  constructor(options: {
    comparison: Comparison
    sessions: Sessions
    asPlanned: (shards: readonly ShardRef[]) => Promise<void>
    clock: Clock
    signal: AbortSignal
  }) {
    this.#asPlanned = options.asPlanned
    this.#comparison = options.comparison
    this.#sessions = options.sessions
    this.#clock = options.clock
    this.#signal = options.signal
  }

  async prepare(): Promise<void> {
    const { targets, group } = this.#comparison
    // Here too, for a repair that would be thrown away, and for the sessions to be there that look: none has to be made under locks.
    await this.#asPlanned(shardsOf(group))
    this.#rights = await Promise.all(
      targets.map(async (side) => {
        const stream = group.streams.find((candidate) => candidate.targets.some(({ uid }) => uid === side.ref.uid))
        if (stream === undefined) return null
        const where = `${streamWhere({ streamUid: stream.uid, targetUid: side.ref.uid })} AND lane = 0 AND state = 'running'`
        const epoch = await this.#sessions.reader(side.ref.serverId, (conn) =>
          conn.value(`SELECT epoch FROM ${moveSchema}.move_applier WHERE ${where}`),
        )
        return epoch === undefined || epoch === null ? null : { stream, epoch: Number(epoch) }
      }),
    )
  }

  async apply(
    places: ReadonlyMap<number, Verdict>,
    locked: readonly LockedSource[],
    stillLocked: () => Promise<void>,
  ): Promise<ReadonlySet<number>> {
    const rows = await this.#sourceRows(
      [...places.values()].flatMap(({ amends }) => amends.flatMap(({ put }) => (put === null ? [] : [put.key]))),
      locked,
    )
    const all = await this.#writePlaces([...places], rows, stillLocked)
    if (all) return new Set(places.keys())
    // Some row was refused, and its transaction with it: each by itself, so that it stays alone.
    const written = new Set<number>()
    for (const place of places) if (await this.#writePlaces([place], rows, stillLocked)) written.add(place[0])
    return written
  }

  /** One transaction a target: away with what must not stand, then what must. False when a target refused. */
  async #writePlaces(
    places: readonly (readonly [number, Verdict])[],
    rows: ReadonlyMap<string, string>,
    stillLocked: () => Promise<void>,
  ): Promise<boolean> {
    const perTarget = new Map<number, { removals: Buffer[]; rows: string[] }>()
    for (const [, { amends }] of places) {
      for (const { target, remove, put } of amends) {
        const work = perTarget.get(target) ?? { removals: [], rows: [] }
        perTarget.set(target, work)
        work.removals.push(...remove.map((key) => this.#removal(target, key)))
        if (put === null) continue
        const row = rows.get(put.key)
        if (row === undefined) return false
        work.rows.push(row)
      }
    }
    for (const [target, work] of perTarget) {
      const statements = [
        ...work.removals,
        ...batches(work.rows).map((batch) => Buffer.from(this.#head(target) + batch.join(','), 'latin1')),
      ]
      if (!(await this.#write(target, statements, stillLocked))) return false
    }
    return true
  }

  async #write(target: number, statements: readonly Buffer[], stillLocked: () => Promise<void>): Promise<boolean> {
    const right = this.#rights[target]
    const side = this.#comparison.targets[target]
    if (right === null || right === undefined || side === undefined) return false
    const writer = await this.#writer(target, side, right)
    try {
      await writer.lane.transaction(statements, async () => {
        await this.#asPlanned([...this.#comparison.group.sources, side.ref])
        await stillLocked()
      })
      return true
    } catch (error) {
      this.#drop(target)
      // Another row holds a unique value of this one: it is found, and repaired, as a difference of its own; this one by the next vdiff.
      if (isServerError(error) && error.kind === 'duplicate') return false
      throw error
    }
  }

  async #writer(target: number, side: Side, right: { stream: StreamRecord; epoch: number }): Promise<Writer> {
    // Its guard names the epoch, and it must be one that was seen before these locks: so it is made anew each time. Repairs are rare.
    this.#drop(target)
    const conn = await connectWriter(await this.#sessions.address(side.ref.serverId), this.#signal)
    await conn.query('SET SESSION wait_timeout=1, innodb_lock_wait_timeout=1')
    const lane = new Lane(conn, applierSql.guard(right.stream.uid, side.ref.uid, 0, right.epoch), {
      stream: right.stream.uid,
      target: side.ref.shard,
      clock: this.#clock,
    })
    const writer = { conn, lane }
    this.#writers.set(target, writer)
    return writer
  }

  #drop(target: number): void {
    this.#writers.get(target)?.conn.destroy()
    this.#writers.delete(target)
  }

  #removal(target: number, key: string): Buffer {
    const side = this.#comparison.targets[target]
    return Buffer.from(`DELETE FROM ${side?.into} WHERE ${keyCondition(this.#comparison, key)}`, 'latin1')
  }

  #head(target: number): string {
    const { plan, group, targets } = this.#comparison
    // With several sources a row in the way may be another stream's: it is refused there, not removed (1.6).
    return insertHead(plan, group.sources.length === 1 ? 'REPLACE' : 'INSERT', targets[target]?.ref.schema ?? '')
  }

  /** Whole rows, read again under the same locks, as literals by key. */
  async #sourceRows(wanted: readonly string[], locked: readonly LockedSource[]): Promise<Map<string, string>> {
    const found = new Map<string, string>()
    if (wanted.length === 0) return found
    const { plan } = this.#comparison
    const encoder = new RowEncoder(plan, 'selected')
    const where = wanted.map((key) => `(${keyCondition(this.#comparison, key)})`).join(' OR ')
    for (const { side, conn } of locked) {
      const sql = Buffer.from(`SELECT ${asBytes(plan.selectList)} FROM ${side.from} WHERE ${where} LOCK IN SHARE MODE`, 'latin1')
      for await (const batch of await conn.rows(sql, { bufferBytesMax: 1 << 20 })) {
        for (let row = 0; row < batch.length; row++) {
          const out = Buffer.allocUnsafe(encoder.bytesMax(batch, row))
          const end = encoder.encode(batch, row, out, 0)
          found.set(out.toString('latin1', 1, encoder.keyEnd), out.toString('latin1', 0, end - 1))
        }
      }
    }
    return found
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const target of this.#writers.keys()) this.#drop(target)
  }
}

/** Rows for statements of about a megabyte: well below every max_allowed_packet, unless one row is larger. */
function batches(rows: readonly string[]): string[][] {
  const out: string[][] = []
  let bytes = Infinity
  for (const row of rows) {
    if (bytes + row.length > 1 << 20) {
      out.push([])
      bytes = 0
    }
    out[out.length - 1]?.push(row)
    bytes += row.length
  }
  return out
}
