/**
 * What the servers bear just now (PROTOCOLS 1.14), each measured where it is felt: threads at work and undo kept for old snapshots on the
 * source, how long a commit takes there (our markers are commits like any other), how far the source's replicas are behind (`replica-lag.ts`). Asked at most every
 * half second. What can't be measured is over its limit (promise 6): a replica that does not answer may be hours behind.
 */
import type { Clock } from '../base/clock.ts'
import type { Connection } from '../mysql/connection.ts'

export type PressureLimits = {
  /** Threads_running of the source above which the copy waits; null: any. */
  readonly threadsRunningMax: number | null
  /** Undo log records not yet purged; null: any. */
  readonly historyLengthMax: number | null
  /** The middle one of the last commits on the source; null: any. */
  readonly commitLatencyMsMax: number | null
  readonly replicaLagMsMax: number | null
}

/** Its name for messages, and how far it is behind in ms: null when nobody knows. */
export type ReplicaLag = { readonly name: string; readonly lagMs: number | null }

export type PressureSources = {
  readonly conn: Connection
  readonly commitMs: () => number | null
  readonly replicaLags: () => Promise<readonly ReplicaLag[]>
}

const everyMs = 500

/** Says what is above its limit, or null. The limits may be others at each call. */
export function pressureOf(sources: PressureSources, limits: () => PressureLimits, clock: Clock): () => Promise<string | null> {
  let askedAtMs = -Infinity
  let answer: string | null = null
  return async () => {
    if (clock.monotonicMs() - askedAtMs < everyMs) return answer
    answer = await firstOver(sources, limits())
    askedAtMs = clock.monotonicMs()
    return answer
  }
}

async function firstOver(sources: PressureSources, limits: PressureLimits): Promise<string | null> {
  const { threadsRunningMax, historyLengthMax, commitLatencyMsMax, replicaLagMsMax } = limits
  if (threadsRunningMax !== null || historyLengthMax !== null) {
    const [threads, history] = await sources.conn.pipeline([
      "SHOW GLOBAL STATUS LIKE 'Threads_running'",
      "SELECT NAME, COUNT FROM information_schema.INNODB_METRICS WHERE NAME = 'trx_rseg_history_len'",
    ])
    const running = numberOf(threads)
    const length = numberOf(history)
    if (threadsRunningMax !== null && (running === null || running > threadsRunningMax))
      return `the source has ${running ?? 'unknown'} threads at work (limit ${threadsRunningMax})`
    if (historyLengthMax !== null && (length === null || length > historyLengthMax))
      return `the source keeps ${length ?? 'unknown'} undo records (limit ${historyLengthMax})`
  }
  const commitMs = sources.commitMs()
  if (commitLatencyMsMax !== null && (commitMs === null || commitMs > commitLatencyMsMax))
    return `a commit on the source takes ${commitMs === null ? 'unknown' : Math.round(commitMs)} ms (limit ${commitLatencyMsMax})`
  if (replicaLagMsMax === null) return null
  const behind = (await sources.replicaLags()).find(({ lagMs }) => lagMs === null || lagMs > replicaLagMsMax)
  if (behind === undefined) return null
  return behind.lagMs === null
    ? `how far the replica ${behind.name} is behind is unknown (limit ${replicaLagMsMax} ms)`
    : `the replica ${behind.name} is ${behind.lagMs} ms behind (limit ${replicaLagMsMax})`
}

/** Null: the server does not say (a metric that was switched off has no row, or counts nothing). */
function numberOf(result: Awaited<ReturnType<Connection['pipeline']>>[number] | undefined): number | null {
  const text = result?.kind === 'rows' ? result.rows[0]?.[1]?.toString() : undefined
  return text === undefined ? null : Number(text)
}
