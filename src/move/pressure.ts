/**
 * Whether the source can bear more of the copy just now (PROTOCOLS 1.14): threads at work, and undo kept for old snapshots. Asked at most every
 * half second. Following is never held back: a tail that falls behind only makes matters worse.
 */
import type { Clock } from '../base/clock.ts'
import type { Connection } from '../mysql/connection.ts'

export type PressureLimits = {
  /** Threads_running of the source above which the copy waits; null: any. */
  readonly threadsRunningMax: number | null
  /** Undo log records not yet purged; null: any. */
  readonly historyLengthMax: number | null
}

const everyMs = 500

/** Says what is above its limit, or null. */
export function pressureOf(conn: Connection, limits: PressureLimits, clock: Clock): () => Promise<string | null> {
  let askedAtMs = -Infinity
  let answer: string | null = null
  return async () => {
    if (clock.monotonicMs() - askedAtMs < everyMs) return answer
    askedAtMs = clock.monotonicMs()
    const [threads, history] = await conn.pipeline([
      "SHOW GLOBAL STATUS LIKE 'Threads_running'",
      "SELECT NAME, COUNT FROM information_schema.INNODB_METRICS WHERE NAME = 'trx_rseg_history_len'",
    ])
    const running = numberOf(threads)
    const length = numberOf(history)
    if (limits.threadsRunningMax !== null && running > limits.threadsRunningMax)
      answer = `the source has ${running} threads at work (limit ${limits.threadsRunningMax})`
    else if (limits.historyLengthMax !== null && length > limits.historyLengthMax)
      answer = `the source keeps ${length} undo records (limit ${limits.historyLengthMax})`
    else answer = null
    return answer
  }
}

function numberOf(result: Awaited<ReturnType<Connection['pipeline']>>[number] | undefined): number {
  return result?.kind === 'rows' ? Number(result.rows[0]?.[1]?.toString() ?? 0) : 0
}
