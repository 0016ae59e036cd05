/**
 * One writer's connection to a target. A transaction is: the guard, the statements, all written at once; then, when every answer is good and the
 * guard matched its row, COMMIT. Two round trips, whatever the number of statements.
 */
import { unreachable } from '../base/assert.ts'
import type { Clock } from '../base/clock.ts'
import type { Connection, Result } from '../mysql/connection.ts'
import { isServerError, type ServerError } from '../mysql/errors.ts'
import { moveErrors } from './errors.ts'

const attemptsMax = 50

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
  async transaction(statements: readonly (string | Buffer)[], beforeCommit?: () => Promise<void> | undefined): Promise<void> {
    await this.#alone(() => this.#transaction(statements, beforeCommit))
  }

  async #transaction(statements: readonly (string | Buffer)[], beforeCommit?: () => Promise<void> | undefined): Promise<void> {
    for (let attempt = 0; ; attempt++) {
      const settled = await this.conn.pipelineSettled([this.#guard, ...statements])
      const failure = settled.find((result) => result.status === 'rejected')
      if (failure === undefined) {
        const results = settled.map((result) => (result as PromiseFulfilledResult<Result>).value)
        const guard = results[0]
        if (guard?.kind !== 'ok' || guard.affectedRows !== 1n) {
          await this.conn.query('ROLLBACK')
          throw moveErrors.superseded({ stream: this.#context.stream, target: this.#context.target })
        }
        if (results.some((result) => result.warnings > 0)) await this.#refuseWarnings(results, statements)
        await beforeCommit?.()
        await this.conn.query('COMMIT')
        return
      }
      const error: unknown = failure.reason
      if (!this.conn.open) throw error
      await this.conn.query('ROLLBACK')
      if (!isServerError(error) || attempt >= attemptsMax || !repeatable(error)) throw error
      await this.#context.clock.sleep(Math.min(200, 1 + attempt * 3))
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

  async #refuseWarnings(results: readonly Result[], statements: readonly (string | Buffer)[]): Promise<void> {
    // Only the last statement's warnings can still be read: the others are told by their number.
    const index = results.findIndex((result) => result.warnings > 0)
    const statement = statements[index - 1]
    const head = statement === undefined ? '' : statement.toString('latin1').slice(0, 80)
    const shown = index === results.length - 1 ? await this.conn.allText('SHOW WARNINGS') : []
    if (shown.length > 0 && shown.every((row) => row.Level === 'Note')) return
    await this.conn.query('ROLLBACK')
    const warning = shown.map((row) => `${row.Code}: ${row.Message}`)[0] ?? `${results[index]?.warnings} warnings`
    throw moveErrors.warned({ target: this.#context.target, table: head, warning })
  }
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
