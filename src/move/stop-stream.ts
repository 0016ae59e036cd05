/**
 * Obeying `stopped` for a stream that this mover does not run, or could not end everywhere: whoever ran it loses its right, what servers still execute for it is ended, then the report may say so.
 * What can't be done now is tried again until it is: nobody else would, and the report says what it waits for.
 */
import type { Clock } from '../base/clock.ts'
import type { Log } from '../base/log.ts'
import { keys } from '../topology/keys.ts'
import type { ShardRef, StreamRecord, StreamReport } from '../topology/records.ts'
import type { Store } from '../topology/store.ts'
import { readRecord } from '../topology/typed.ts'
import { connectPlain, type Addresses } from './access.ts'
import type { Waiting } from './applier-options.ts'
import { HangWatch } from './hang-watch.ts'
import type { ReportWriter } from './report-writer.ts'
import { bareReport, hasLeftTargets } from './stream-report.ts'
import { ensureMoveTables, readTarget } from './tables.ts'
import { endEpoch, endOwnSessions, takeOver } from './takeover.ts'

export type StopOptions = {
  record: StreamRecord
  addresses: Addresses
  store: Store
  mover: string
  clock: Clock
  log: Log
  reports: ReportWriter
  hangMs: number
}

const pauseMsMax = 5_000

/** Resolves when it is stopped, or by the signal. */
export async function stopOnTargets(options: StopOptions, signal: AbortSignal): Promise<void> {
  const { record, store, mover, clock, log, reports } = options
  const sinceMs = clock.nowMs()
  let last: StreamReport | null | 'not read' = 'not read'
  let told = ''
  const wait = (waiting: Waiting): void => {
    if (last === 'not read') return
    const bare = bareReport(record, { mover, atMs: clock.nowMs(), state: 'starting' })
    const report = hasFailed(last, record) ? { ...last, waiting } : { ...whereItStood(bare, last), waiting }
    reports.write(() => report, false)
  }
  for (let pauseMs = 100; !signal.aborted; pauseMs = Math.min(pauseMsMax, pauseMs * 2)) {
    try {
      last = (await readRecord<StreamReport>(store, keys.report(record.workflowUid, record.uid)))?.value ?? null
      if (last !== null && hasLeftTargets(last) && last.generation === record.generation) return
      await endOnTargets(options, wait, signal)
      // Why it failed stands there until it is started again.
      const report: StreamReport = hasFailed(last, record)
        ? { ...last, waiting: null, ended: true }
        : whereItStood(bareReport(record, { mover, atMs: clock.nowMs(), state: 'stopped' }), last)
      reports.write(() => report, true)
      return
    } catch (error) {
      if (signal.aborted) return
      const reason = error instanceof Error ? error.message : String(error)
      if (reason !== told) log.warn({ err: error }, 'a stream could not be stopped yet; it is tried again')
      told = reason
      wait({ what: `a target on which it is to be ended: ${reason}`, sinceMs, ends: 'the target answers; it is tried again by itself' })
      await clock.sleep(pauseMs, signal).catch(() => undefined)
    }
  }
}

/** Of this generation: what failed before it was started again is not why it stands. */
function hasFailed(last: StreamReport | null, { generation }: StreamRecord): last is StreamReport {
  return last?.state === 'failed' && last.generation === generation
}

function whereItStood(bare: StreamReport, last: StreamReport | null): StreamReport {
  const { copy, applied, resumed, targets } = last ?? bare
  return { ...bare, copy, applied, resumed, targets: targets.map((target) => ({ ...target, lag: null })) }
}

async function endOnTargets(
  { record, addresses, clock, hangMs }: StopOptions,
  wait: (waiting: Waiting) => void,
  signal: AbortSignal,
): Promise<void> {
  const ended = new AbortController()
  const watch = HangWatch.begin(clock, hangMs, AbortSignal.any([signal, ended.signal]))
  try {
    for (const target of record.targets) await endOn(target)
  } finally {
    ended.abort()
  }

  async function endOn(target: ShardRef): Promise<void> {
    const address = await addresses(target.serverId)
    const conn = await connectPlain(address, signal)
    watch.add(conn, address)
    try {
      await ensureMoveTables(conn)
      if ((await readTarget(conn, record.uid, target.uid)) === null) return
      const on = { streamUid: record.uid, targetUid: target.uid, workflowUid: record.workflowUid, direction: record.direction }
      const epoch = await takeOver(conn, on, [conn.threadId])
      await endOwnSessions(conn, on, epoch, {
        atWork: 'kill',
        clock,
        signal,
        onWaiting: (waiting) => {
          if (waiting !== null) wait(waiting)
        },
      })
      await endEpoch(conn, on, epoch)
    } finally {
      conn.destroy()
    }
  }
}
