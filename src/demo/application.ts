/**
 * The application of the story: plain mysql2, knowing nothing of shards. Open loop: operations are due at their time
 * whatever the database does, and latency counts from when they were due. It writes down what it means to do before,
 * and what it was told after (`ledger.ts`), and checks what it reads against what it wrote.
 */
import mysql from 'mysql2/promise'
import type { Clock } from '../base/clock.ts'
import { LedgerWriter } from './ledger.ts'
import type { Effect } from './ledger.ts'
import { exerciseOf, repsOf, table, userOf, usersCount } from './workload.ts'

export type ApplicationOptions = {
  readonly host: string
  readonly port: number
  readonly user: string
  readonly password: string
  readonly database: string
  readonly connections: number
  readonly writesPerSecond: number
  readonly readsPerSecond: number
  readonly ledgerFile: string
  readonly seedRows: number
  readonly random: () => number
  readonly clock: Clock
  /** How often `report` is told; a second unless said. */
  readonly reportMs?: number
  readonly report: (second: SecondReport) => void
}

export type SecondReport = {
  readonly atMs: number
  readonly reads: number
  readonly writes: number
  readonly transactions: number
  readonly errors: number
  readonly wrongReads: number
  readonly slowestWriteMs: number
  /** Longest time in which no write came to its end: a stall, whatever had queued up before. */
  readonly withoutWriteMs: number
  readonly slowestReadMs: number
  readonly waiting: number
  /** Texts of the first errors of this second. */
  readonly messages: readonly string[]
}

type Row = { op: number; user: number; reps: number; version: number; busy: boolean }

type Operation = { kind: 'read' | 'write'; dueMs: number }

export class Application {
  readonly #options: ApplicationOptions
  readonly #ledger: LedgerWriter
  readonly #pool: mysql.Pool
  readonly #rows: Row[] = []
  #nextOperation = 1
  #waiting: Operation[] = []
  #running = 0
  #second = emptySecond()
  #lastWriteMs: number

  constructor(options: ApplicationOptions) {
    this.#options = options
    this.#lastWriteMs = options.clock.monotonicMs()
    this.#ledger = new LedgerWriter(options.ledgerFile)
    this.#pool = mysql.createPool({
      host: options.host,
      port: options.port,
      user: options.user,
      password: options.password,
      database: options.database,
      connectionLimit: options.connections,
      maxIdle: options.connections,
      queueLimit: 0,
      supportBigNumbers: true,
    })
    for (let n = 0; n < 2000 && n < options.seedRows; n++) {
      const logId = 1 + Math.floor(options.random() * options.seedRows)
      if (!this.#rows.some((row) => row.op === -logId))
        this.#rows.push({ op: -logId, user: userOf(logId), reps: repsOf(logId), version: 0, busy: false })
    }
  }

  /** Runs until `stop` aborts, then lets what was begun end. */
  async run(stop: AbortSignal): Promise<void> {
    const { clock, writesPerSecond, readsPerSecond, reportMs = 1000 } = this.#options
    const startMs = clock.monotonicMs()
    const due = { read: 0, write: 0 }
    let reportedMs = startMs
    while (!stop.aborted) {
      const now = clock.monotonicMs()
      const elapsed = (now - startMs) / 1000
      while (due.write < elapsed * writesPerSecond)
        this.#waiting.push({ kind: 'write', dueMs: startMs + (due.write++ / writesPerSecond) * 1000 })
      while (due.read < elapsed * readsPerSecond)
        this.#waiting.push({ kind: 'read', dueMs: startMs + (due.read++ / readsPerSecond) * 1000 })
      this.#pump()
      if (now - reportedMs >= reportMs) {
        reportedMs += reportMs
        this.#report()
      }
      await clock.sleep(4)
    }
    this.#waiting = []
    while (this.#running > 0) await clock.sleep(10)
    this.#report()
    await this.#pool.end()
    this.#ledger.close()
  }

  #pump(): void {
    while (this.#running < this.#options.connections) {
      const operation = this.#waiting.shift()
      if (operation === undefined) return
      this.#running++
      const work = operation.kind === 'read' ? this.#read() : this.#write()
      void work
        .then(() => this.#done(operation))
        .finally(() => {
          this.#running--
          this.#pump()
        })
    }
  }

  #done(operation: Operation): void {
    const nowMs = this.#options.clock.monotonicMs()
    const tookMs = nowMs - operation.dueMs
    const second = this.#second
    if (operation.kind === 'read') {
      second.reads++
      second.slowestReadMs = Math.max(second.slowestReadMs, tookMs)
    } else {
      second.writes++
      second.withoutWriteMs = Math.max(second.withoutWriteMs, nowMs - this.#lastWriteMs)
      this.#lastWriteMs = nowMs
      second.slowestWriteMs = Math.max(second.slowestWriteMs, tookMs)
    }
  }

  #report(): void {
    const withoutWriteMs = this.#options.clock.monotonicMs() - this.#lastWriteMs
    this.#second.withoutWriteMs = Math.max(this.#second.withoutWriteMs, withoutWriteMs)
    this.#options.report({ atMs: this.#options.clock.nowMs(), waiting: this.#waiting.length, ...this.#second })
    this.#second = emptySecond()
  }

  #failed(what: string, error: unknown): void {
    this.#second.errors++
    const { code, errno, message } = error as { code?: string; errno?: number; message?: string }
    if (this.#second.messages.length < 5) this.#second.messages.push(`${what}: ${errno ?? ''} ${code ?? ''} ${message ?? String(error)}`)
  }

  /** A free row of ours, taken until given back: one operation at a time touches a row. */
  #take(of?: number): Row | null {
    for (let attempt = 0; attempt < 20; attempt++) {
      const row = this.#rows[Math.floor(this.#options.random() * this.#rows.length)]
      if (row !== undefined && !row.busy && (of === undefined || row.user === of)) {
        row.busy = true
        return row
      }
    }
    return null
  }

  async #read(): Promise<void> {
    const { random } = this.#options
    try {
      if (random() < 0.15) {
        // A user's latest entries: one shard.
        await this.#pool.query(`SELECT log_id, reps FROM ${table} WHERE user_id = ? ORDER BY log_id DESC LIMIT 10`, [
          1 + Math.floor(random() * usersCount),
        ])
        return
      }
      const row = this.#take()
      if (row === null) return
      try {
        const [found] = (await this.#pool.query(`SELECT reps, version FROM ${table} WHERE user_id = ? AND op = ?`, [
          row.user,
          row.op,
        ])) as unknown as [{ reps: number; version: number }[]]
        const one = found[0]
        if (found.length !== 1 || one === undefined || one.version !== row.version || one.reps !== row.reps) {
          this.#second.wrongReads++
          this.#failed('read of own write', new Error(`row ${row.op}: expected version ${row.version}, found ${JSON.stringify(found)}`))
        }
      } finally {
        row.busy = false
      }
    } catch (error) {
      this.#failed('read', error)
    }
  }

  async #write(): Promise<void> {
    const dice = this.#options.random()
    if (dice < 0.4) return this.#insert()
    if (dice < 0.75) return this.#update()
    if (dice < 0.85) return this.#delete()
    return this.#transaction()
  }

  async #insert(): Promise<void> {
    const row = this.#newRow()
    const [effect, sql, values] = insertOf(row)
    const told = await this.#tell([effect], () => this.#pool.query(sql, values))
    if (told) this.#keep(row)
  }

  async #update(): Promise<void> {
    const row = this.#take()
    if (row === null) return this.#insert()
    const reps = 1 + Math.floor(this.#options.random() * 20)
    const told = await this.#tell([{ kind: 'update', op: row.op, version: row.version + 1, reps }], async () => {
      const [result] = await this.#pool.query(updateSql, [reps, row.user, row.op, row.version])
      expectOne(result, row)
    })
    if (told) {
      row.version++
      row.reps = reps
      row.busy = false
    } else this.#forget(row)
  }

  async #delete(): Promise<void> {
    const row = this.#take()
    if (row === null) return this.#insert()
    await this.#tell([{ kind: 'delete', op: row.op }], async () => {
      const [result] = await this.#pool.query(`DELETE FROM ${table} WHERE user_id = ? AND op = ?`, [row.user, row.op])
      expectOne(result, row)
    })
    this.#forget(row)
  }

  /** Insert one row and update another, together or not at all; half the time the two belong to different users. */
  async #transaction(): Promise<void> {
    const { random } = this.#options
    const row = this.#take()
    if (row === null) return this.#insert()
    const fresh = this.#newRow(random() < 0.5 ? row.user : undefined)
    const reps = 1 + Math.floor(random() * 20)
    const [effect, sql, values] = insertOf(fresh)
    this.#second.transactions++
    const told = await this.#tell([effect, { kind: 'update', op: row.op, version: row.version + 1, reps }], async () => {
      const connection = await this.#pool.getConnection()
      try {
        await connection.beginTransaction()
        await connection.query(sql, values)
        const [result] = await connection.query(updateSql, [reps, row.user, row.op, row.version])
        expectOne(result, row)
        await connection.commit()
      } catch (error) {
        await connection.rollback().catch(() => undefined)
        throw error
      } finally {
        connection.release()
      }
    })
    if (told) {
      row.version++
      row.reps = reps
      row.busy = false
      this.#keep(fresh)
    } else this.#forget(row)
  }

  #newRow(user?: number): Row {
    const { random } = this.#options
    return {
      op: this.#nextOperation,
      user: user ?? 1 + Math.floor(random() * usersCount),
      reps: 1 + Math.floor(random() * 12),
      version: 0,
      busy: true,
    }
  }

  #keep(row: Row): void {
    row.busy = false
    if (this.#rows.length < 8000) this.#rows.push(row)
  }

  #forget(row: Row): void {
    const index = this.#rows.indexOf(row)
    const last = this.#rows.pop()
    if (last !== undefined && last !== row && index >= 0) this.#rows[index] = last
  }

  /** Intent, the work, outcome. True when the database said yes. */
  async #tell(effects: readonly Effect[], work: () => Promise<unknown>): Promise<boolean> {
    const id = this.#nextOperation++
    this.#ledger.intent(id, effects)
    try {
      await work()
      this.#ledger.outcome(id, 'ok')
      return true
    } catch (error) {
      this.#ledger.outcome(id, saidNo(error) ? 'failed' : 'unknown')
      this.#failed('write', error)
      return false
    }
  }
}

export const updateSql = `UPDATE ${table} SET reps = ?, version = version + 1 WHERE user_id = ? AND op = ? AND version = ?`

function insertOf(row: Row): [Effect, string, unknown[]] {
  return [
    { kind: 'insert', op: row.op, user: row.user, reps: row.reps },
    `INSERT INTO ${table} (user_id, exercise, reps, weight_kg, note, op) VALUES (?, ?, ?, ?, ?, ?)`,
    [row.user, exerciseOf(row.op), row.reps, '42.50', row.op % 4 === 0 ? null : `logged by the app, it's number ${row.op}`, row.op],
  ]
}

function expectOne(result: unknown, row: Row): void {
  const { affectedRows } = result as { affectedRows?: number }
  if (affectedRows !== 1) throw new Error(`row ${row.op} version ${row.version}: ${affectedRows ?? 'no'} rows affected instead of one`)
}

/** The server itself said no (an errno of a statement), so nothing was done; a broken connection says nothing. */
function saidNo(error: unknown): boolean {
  const { sqlState, errno } = error as { sqlState?: string; errno?: number }
  return sqlState !== undefined && errno !== undefined && errno >= 1000 && errno < 2000 && errno !== 1105 && errno !== 1053
}

function emptySecond(): {
  reads: number
  writes: number
  transactions: number
  errors: number
  wrongReads: number
  slowestWriteMs: number
  withoutWriteMs: number
  slowestReadMs: number
  messages: string[]
} {
  return {
    reads: 0,
    writes: 0,
    transactions: 0,
    errors: 0,
    wrongReads: 0,
    slowestWriteMs: 0,
    withoutWriteMs: 0,
    slowestReadMs: 0,
    messages: [],
  }
}
