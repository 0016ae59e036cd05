/**
 * Binlog headroom (PROTOCOLS 1.14): how much longer the source keeps the binlog that the furthest target still needs. Retention minus the age of the
 * last group applied there (`behindMs`); servers purge by whole files, so it is a lower bound. When less than half of the retention is left the retention is doubled, where
 * our account may; else the time left is told. Each raise is noted on the server, and put back when no workflow reads it any more. A binlog that is purged all the same stops the stream (SW-BINLOG, positionPurged): nothing is skipped.
 */
import type { Clock } from '../base/clock.ts'
import type { Log } from '../base/log.ts'
import type { Connection } from '../mysql/connection.ts'
import { errno, isServerError } from '../mysql/errors.ts'
import { controlSchema } from '../mysql/our-schema.ts'
import { flavourOf, type BinlogSettings } from '../mysql/flavour/flavour.ts'
import { binlogProblems } from '../mysql/flavour/shared.ts'
import type { StreamReport } from '../topology/records.ts'

const everyMs = 10_000
const durable = ['sync_binlog', 'innodb_flush_log_at_trx_commit']
const noted = `${controlSchema}.move_retention_raised`
/** What MySQL takes at most: 136 years. */
const retentionSMax = 4_294_967_295

export class Headroom {
  readonly #conn: Connection
  readonly #clock: Clock
  readonly #log: Log
  readonly #behindMs: (sourceNowMs: number) => number | null
  readonly #onSettings: (settings: BinlogSettings) => void
  #askedAtMs = -Infinity
  #retentionMs: number | null = null
  #warning: string | null = null
  #notDurable: string | null = null
  #refused = false

  /** The source's clock less ours. */
  #aheadMs = 0

  /**
   * `behindMs`: age of what the target that is furthest behind needs next; what the source purges goes by its clock. `onSettings`: told what the source's settings are, as often as it is asked; throws where the
   * stream may not go on.
   */
  constructor(options: {
    conn: Connection
    clock: Clock
    log: Log
    behindMs: (sourceNowMs: number) => number | null
    onSettings?: (settings: BinlogSettings) => void
  }) {
    this.#conn = options.conn
    this.#clock = options.clock
    this.#log = options.log
    this.#behindMs = options.behindMs
    this.#onSettings = options.onSettings ?? (() => undefined)
  }

  view(): StreamReport['headroom'] {
    const behindMs = this.#behindMs(this.sourceNowMs())
    if (this.#retentionMs === null || behindMs === null) return null
    const warnings = [this.#warning, this.#notDurable].filter((warning) => warning !== null)
    const warning = warnings.length === 0 ? null : warnings.join('; ')
    return { retentionMs: this.#retentionMs, leftMs: Math.max(0, this.#retentionMs - behindMs), warning }
  }

  sourceNowMs(): number {
    return this.#clock.nowMs() + this.#aheadMs
  }

  /** Ahead by as much as the answer took, at most: no time that the source has set lies behind it. */
  async readClock(): Promise<void> {
    const before = this.#clock.nowMs()
    this.#aheadMs = Number(await this.#conn.value('SELECT ROUND(UNIX_TIMESTAMP(SYSDATE(6)) * 1000)')) + 1_000 - before
  }

  /** Measures anew, every ten seconds at most, every second until it is known; raises or warns. */
  async refresh(): Promise<void> {
    if (this.#clock.monotonicMs() - this.#askedAtMs < everyMs) return
    this.#askedAtMs = this.#clock.monotonicMs()
    await this.readClock()
    const settings = await flavourOf(this.#conn).binlogSettings(this.#conn)
    const { retentionS } = settings
    this.#onSettings(settings)
    this.#durability(settings)
    this.#retentionMs = retentionS === 0 ? null : retentionS * 1000
    const view = this.view()
    // Nothing has come yet: again in a second, when hours may be missing.
    if (view === null && this.#retentionMs !== null) this.#askedAtMs -= everyMs - 1_000
    if (view === null || view.leftMs >= view.retentionMs / 2) {
      if (view !== null && this.#refused) this.#warning = null
      return
    }
    if (!this.#refused && (await this.#raise(retentionS))) return
    this.#warning = `the source purges the binlog that this stream needs in ${Math.round(view.leftMs / 1000)} s at the earliest: raise binlog_expire_logs_seconds there`
    this.#log.warn({ leftMs: view.leftMs }, this.#warning)
  }

  /** A source that may lose its binlog's end gives the GTIDs of what it lost to others (PROTOCOLS 1.10). Looked at before a stream is made and before a switch; somebody may change them meanwhile. */
  #durability(settings: BinlogSettings): void {
    const [problem] = binlogProblems(settings).filter(({ setting }) => durable.includes(setting))
    const warning = problem === undefined ? null : `${problem.setting} of the source is ${problem.value}: ${problem.why}; ${problem.fix}`
    if (warning !== null && warning !== this.#notDurable) this.#log.warn({ setting: problem?.setting, value: problem?.value }, warning)
    this.#notDurable = warning
  }

  async #raise(retentionS: number): Promise<boolean> {
    const raisedS = Math.min(retentionSMax, retentionS * 2)
    try {
      await noteRaised(this.#conn, retentionS, raisedS)
      await this.#conn.query(`SET GLOBAL binlog_expire_logs_seconds = ${raisedS}`)
    } catch (error) {
      if (!isServerError(error)) throw error
      this.#refused = true
      return false
    }
    this.#warning = `binlog_expire_logs_seconds of the source was raised from ${retentionS} to ${raisedS}: less than half of it was left`
    this.#log.warn({ retentionS, raisedS }, this.#warning)
    this.#retentionMs = raisedS * 1000
    return true
  }
}

/**
 * Raises by what they made of what. From the value that stands now they lead back to the last one that somebody else has set: a raise on top of that is
 * one more, one that died before it was done leads to where nobody is, and what somebody has set since is the end of the way.
 */
async function raisesFrom(conn: Connection, currentS: number): Promise<{ beforeS: number; steps: number[] }> {
  const rows = await conn.allText(`SELECT raised_s, before_s FROM ${noted}`)
  const before = new Map(rows.map((row) => [Number(row['raised_s']), Number(row['before_s'])]))
  const steps: number[] = []
  let beforeS = currentS
  for (let next = before.get(beforeS); next !== undefined && next < beforeS; next = before.get(beforeS)) {
    steps.push(beforeS)
    beforeS = next
  }
  return { beforeS, steps }
}

/** Before it is done. Raises that somebody else's value has ended are forgotten: should he come by their number later, it is his own. */
async function noteRaised(conn: Connection, retentionS: number, raisedS: number): Promise<void> {
  await conn.query(
    `CREATE TABLE IF NOT EXISTS ${noted} (raised_s BIGINT UNSIGNED NOT NULL PRIMARY KEY, before_s BIGINT UNSIGNED NOT NULL) ENGINE=InnoDB`,
  )
  const { steps } = await raisesFrom(conn, retentionS)
  await conn.query(`DELETE FROM ${noted} WHERE raised_s NOT IN (${[raisedS, ...steps].join(', ')})`)
  await conn.query(`REPLACE INTO ${noted} VALUES (${raisedS}, ${retentionS})`)
}

/**
 * Puts back what streams of ours have raised, in seconds, to what was set last by anybody else; null: nothing, or somebody has set it since. To be called when no stream
 * reads this server any more. Set first and forgotten then: repeated, it finds another value than it noted and forgets.
 */
export async function putBackRetention(conn: Connection): Promise<number | null> {
  try {
    const { retentionS } = await flavourOf(conn).binlogSettings(conn)
    const { beforeS } = await raisesFrom(conn, retentionS)
    if (beforeS !== retentionS) await conn.query(`SET GLOBAL binlog_expire_logs_seconds = ${beforeS}`)
    await conn.query(`DELETE FROM ${noted}`)
    return beforeS === retentionS ? null : beforeS
  } catch (error) {
    if (isServerError(error, errno.noSuchTable) || isServerError(error, errno.badDatabase)) return null
    throw error
  }
}
