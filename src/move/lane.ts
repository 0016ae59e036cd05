/**
 * One writer's connection to a target. A transaction is: the guard, the statements, all written at once; then, when every answer is good and the
 * guard matched its row, COMMIT. Two round trips, whatever the number of statements; one more for each bulk load, since a server asks for its rows
 * and nothing else may be written before they are sent.
 */
import { assert, unreachable } from '../base/assert.ts'
import type { Clock } from '../base/clock.ts'
import type { Connection, OkResult, PreparedStatement, Result } from '../mysql/connection.ts'
import { flavourOf } from '../mysql/flavour/flavour.ts'
import { statementText, type Statement } from '../mysql/statement.ts'
import { isServerError, type ServerError } from '../mysql/errors.ts'
import { moveErrors } from './errors.ts'
import { changingWarning } from './warnings.ts'

const attemptsMax = 50
/** Statements that a lane keeps prepared: a server has a limit for all its sessions. */
const preparedMax = 4

/** Rows by LOAD DATA LOCAL (`bulk-load.ts`). */
export type BulkLoad = { readonly sql: string; readonly rowsText: readonly Buffer[]; readonly rows: number }
/** Rows as parameters of a prepared statement (`parameter-rows.ts`). */
export type ParameterRows = { readonly prepare: string; readonly rowsOf: readonly Buffer[]; readonly rows: number }
export type LaneStatement = Statement | BulkLoad | ParameterRows

export type Collided = ReadonlyMap<number, ServerError>

export type LaneContext = { stream: string; target: string; clock: Clock }

export class Lane {
  readonly conn: Connection
  readonly #guard: Buffer
  readonly #context: LaneContext
  #last: Promise<void> = Promise.resolve()

  /** `conn` has autocommit off. */
  constructor(conn: Connection, guard: string, context: LaneContext) {
    this.conn = conn
    this.#guard = Buffer.from(guard)
    this.#context = context
  }

  /**
   * Commits the statements, or throws and has committed nothing: `superseded` when the right to write is gone, the server's error
   * otherwise; ConnectionLost when nobody knows. Deadlocks and lock waits are taken again: the statements say what shall stand, so a repetition
   * gives the same rows.
   */
  async transaction(statements: readonly LaneStatement[], beforeCommit?: () => Promise<void> | undefined): Promise<void> {
    await this.#busy(() => this.#transaction(statements, null, beforeCommit))
  }

  /**
   * As `transaction`, but without the statements that a row in their way keeps out: a server takes back such a one alone, and goes on with the transaction. Returns what kept them out, by their
   * place among those given.
   */
  async attempt(statements: readonly Statement[]): Promise<Collided> {
    const collided = new Map<number, ServerError>()
    await this.#busy(() => this.#transaction(statements, collided))
    return collided
  }

  async #busy(work: () => Promise<void>): Promise<void> {
    await this.#alone(async () => {
      this.#busySinceMs = this.#context.clock.monotonicMs()
      try {
        await work()
      } finally {
        this.#busySinceMs = null
      }
    })
  }

  #busySinceMs: number | null = null

  /** Since when it has been in one transaction, attempts included, by the monotonic clock; null: in none. */
  get busySinceMs(): number | null {
    return this.#busySinceMs
  }

  /** Transactions that were done again. */
  retries = 0

  /** `collided` null: a collision is a failure like others. */
  async #transaction(
    statements: readonly LaneStatement[],
    collided: Map<number, ServerError> | null,
    beforeCommit?: () => Promise<void> | undefined,
  ): Promise<void> {
    for (let attempt = 0; ; attempt++) {
      collided?.clear()
      const settled = await this.#send([this.#guard, ...statements])
      let failure = rejection(settled, collided)
      if (failure === null) {
        const results = settled.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []))
        await this.#matched(results[0])
        if (results.some((result) => result.warnings > 0)) failure = await this.#again(statements, collided)
        if (failure === null) {
          await beforeCommit?.()
          // Where nothing was written there is nothing to keep, and nothing to wait for a disk for.
          await this.conn.query(collided !== null && collided.size === statements.length ? 'ROLLBACK' : 'COMMIT')
          return
        }
      }
      const { error } = failure
      if (!this.conn.open) throw error
      // Never left open: its locks would hold up every other writer, and its rows be committed with the next transaction of this lane.
      await this.conn.query('ROLLBACK')
      if (!isServerError(error) || attempt >= attemptsMax || !repeatable(error)) throw error
      this.retries++
      await this.#context.clock.sleep(Math.min(200, 1 + attempt * 3))
    }
  }

  /** The guard's row, or the right to write is gone. */
  async #matched(guard: Result | undefined): Promise<void> {
    if (guard?.kind === 'ok' && guard.affectedRows === 1n) return
    await this.conn.query('ROLLBACK')
    throw moveErrors.superseded({ stream: this.#context.stream, target: this.#context.target })
  }

  /** All answers in order; after a failed bulk load the statements behind it are not sent. */
  async #send(statements: readonly LaneStatement[]): Promise<PromiseSettledResult<Result>[]> {
    const settled: PromiseSettledResult<Result>[] = []
    let plain: (Statement | ParameterRows)[] = []
    const [prepared] = await Promise.allSettled([this.#prepare(statements)])
    if (prepared.status === 'rejected') return [prepared]
    for (const statement of statements) {
      if (!isLoad(statement)) {
        plain.push(statement)
        continue
      }
      const before = plain.length > 0 ? this.#together(plain) : []
      plain = []
      const [answers, load] = await Promise.all([before, loadRows(this.conn, statement)])
      settled.push(...answers, load)
      if (load.status === 'rejected') return settled
    }
    if (plain.length > 0) settled.push(...(await this.#together(plain)))
    return settled
  }

  /** All written at once. */
  async #together(statements: readonly (Statement | ParameterRows)[]): Promise<PromiseSettledResult<Result>[]> {
    const answers: Promise<PromiseSettledResult<Result>[]>[] = []
    let plain: Statement[] = []
    const flush = (): void => {
      if (plain.length > 0) answers.push(this.conn.pipelineSettled(plain))
      plain = []
    }
    for (const statement of statements) {
      if (!isParameterRows(statement)) {
        plain.push(statement)
        continue
      }
      flush()
      answers.push(Promise.allSettled([executed(this.#prepared.get(statement.prepare), statement)]))
    }
    flush()
    return (await Promise.all(answers)).flat()
  }

  /** By their text, those used last at the end. */
  readonly #prepared = new Map<string, PreparedStatement>()

  /** Prepares what these need; of earlier ones the server keeps the last few. */
  async #prepare(statements: readonly LaneStatement[]): Promise<void> {
    const needed = new Set(statements.flatMap((statement) => (isParameterRows(statement) ? [statement.prepare] : [])))
    for (const sql of needed) {
      const prepared = this.#prepared.get(sql) ?? (await this.conn.prepare(Buffer.from(sql, 'latin1')))
      this.#prepared.delete(sql)
      this.#prepared.set(sql, prepared)
    }
    for (const [sql, prepared] of this.#prepared) {
      if (this.#prepared.size <= Math.max(preparedMax, needed.size)) return
      prepared.close()
      this.#prepared.delete(sql)
    }
  }

  /** One statement outside of any rule: reads. */
  async read(sql: string | Buffer): Promise<Record<string, Buffer | null>[]> {
    return this.#alone(async () => {
      const rows = await this.conn.all(sql)
      await this.conn.query('COMMIT')
      return rows
    })
  }

  /** As `read`; ended by the server after so long, with its error. */
  async readWithin(sql: string | Buffer, ms: number): Promise<Record<string, Buffer | null>[]> {
    const { conn } = this
    const limit = (limitMs: number): Promise<unknown> => conn.query(flavourOf(conn).statementLimitSql(limitMs))
    return this.#alone(async () => {
      const [limited, rows, ...ended] = await Promise.allSettled([limit(ms), conn.all(sql), limit(0), conn.query('COMMIT')])
      for (const one of [limited, ...ended]) if (one.status === 'rejected') throw one.reason
      if (rows.status === 'rejected') throw rows.reason
      return rows.value
    })
  }

  /** One at a time: two transactions written to one connection at once would become one. */
  async #alone<T>(work: () => Promise<T>): Promise<T> {
    const before = this.#last
    let end = (): void => undefined
    this.#last = new Promise((resolve) => {
      end = resolve
    })
    await before
    try {
      return await work()
    } finally {
      end()
    }
  }

  /**
   * Warnings can be read of the last statement only: what warned is taken back and done again, one by one. What may pass is
   * said in warnings.ts. Returns what failed this time.
   */
  async #again(statements: readonly LaneStatement[], collided: Map<number, ServerError> | null): Promise<Failure | null> {
    await this.conn.query('ROLLBACK')
    collided?.clear()
    const [guard] = await this.#send([this.#guard])
    if (guard?.status === 'rejected') return { error: guard.reason }
    await this.#matched(guard?.value)
    for (const [place, statement] of statements.entries()) {
      const [settled] = await this.#send([statement])
      // A collision or a deadlock with what was committed since the first time.
      if (settled?.status === 'rejected') {
        if (collided === null || !isCollision(settled.reason)) return { error: settled.reason }
        collided.set(place, settled.reason)
        continue
      }
      const warnings = settled?.value.warnings ?? 0
      if (warnings === 0) continue
      const shown = (await this.conn.allText('SHOW WARNINGS')).map((row) => ({
        level: row.Level ?? '',
        code: Number(row.Code),
        message: row.Message ?? '',
      }))
      const unseen = shown.length < warnings ? { level: 'Warning', code: 0, message: `${warnings} warnings` } : null
      const warning = changingWarning(shown, isLoad(statement) || isParameterRows(statement) ? '' : statementText(statement)) ?? unseen
      if (warning === null) continue
      await this.conn.query('ROLLBACK')
      const head = Buffer.from(headOf(statement), 'latin1').toString('utf8', 0, 200)
      throw moveErrors.warned({
        target: this.#context.target,
        table: head.slice(0, head.indexOf(' (') > 0 ? head.indexOf(' (') : 80),
        warning: `${warning.code}: ${warning.message}`,
      })
    }
    return null
  }
}

type Failure = { readonly error: unknown }

/** Of the guard, which comes first, and the statements. */
function rejection(settled: readonly PromiseSettledResult<Result>[], collided: Map<number, ServerError> | null): Failure | null {
  for (const [i, result] of settled.entries()) {
    if (result.status === 'fulfilled') continue
    const error: unknown = result.reason
    if (collided === null || i === 0 || !isCollision(error)) return { error }
    collided.set(i - 1, error)
  }
  return null
}

/** Another row stands where a statement's own wants to. */
export function isCollision(error: unknown): error is ServerError {
  return isServerError(error) && error.kind === 'duplicate'
}

function headOf(statement: LaneStatement): string {
  if (isParameterRows(statement)) return statement.prepare
  return isLoad(statement) ? statement.sql : statementText(statement, 1_000)
}

function isParameterRows(statement: LaneStatement): statement is ParameterRows {
  return typeof statement !== 'string' && 'prepare' in statement
}

/** All rows must have been written: a REPLACE counts each at least once. */
async function executed(prepared: PreparedStatement | undefined, { prepare, rowsOf, rows }: ParameterRows): Promise<Result> {
  assert(prepared !== undefined, 'prepared before it is sent')
  const result = await prepared.executeRows(rowsOf)
  if (result.kind === 'ok' && result.affectedRows >= BigInt(rows)) return result
  throw moveErrors.loadIncomplete({ statement: prepare, rows, info: result.kind === 'ok' ? `${result.affectedRows} rows` : 'rows' })
}

function isLoad(statement: LaneStatement): statement is BulkLoad {
  return typeof statement !== 'string' && 'rowsText' in statement
}

/** With LOCAL a server makes warnings of what it could not store as given: they are refused with the others, and every row must have been read. */
async function loadRows(conn: Connection, load: BulkLoad): Promise<PromiseSettledResult<Result>> {
  const [settled] = await Promise.allSettled([conn.loadData(load.sql, load.rowsText)])
  if (settled.status === 'fulfilled' && recordsRead(settled.value) !== load.rows) {
    return { status: 'rejected', reason: moveErrors.loadIncomplete({ statement: load.sql, rows: load.rows, info: settled.value.info }) }
  }
  return settled
}

function recordsRead(result: OkResult): number | null {
  const records = /Records: (\d+)/.exec(result.info)?.[1]
  return records === undefined ? null : Number(records)
}

function repeatable(error: ServerError): boolean {
  switch (error.kind) {
    case 'deadlock':
    case 'lockWait':
      return true
    case 'readOnly':
    case 'accountLocked':
    case 'interrupted':
    case 'killed':
    case 'tooManyConnections':
    case 'duplicate':
    case 'access':
    case 'other':
      return false
    default:
      return unreachable(error.kind)
  }
}
