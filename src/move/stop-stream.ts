/** Obeying `stopped` for a stream that this mover does not run: whoever ran it loses its right, then the report may say so. */
import type { Clock } from '../base/clock.ts'
import { keys } from '../topology/keys.ts'
import type { ShardRef, StreamRecord, StreamReport } from '../topology/records.ts'
import type { Store } from '../topology/store.ts'
import { readRecord } from '../topology/typed.ts'
import { connectPlain, type Addresses } from './access.ts'
import { HangWatch } from './hang-watch.ts'
import type { ReportWriter } from './report-writer.ts'
import { bareReport } from './stream-report.ts'
import { ensureMoveTables, readTarget } from './tables.ts'
import { endEpoch, endOwnSessions, takeOver } from './takeover.ts'

export async function stopOnTargets(
  options: { record: StreamRecord; addresses: Addresses; store: Store; mover: string; clock: Clock; reports: ReportWriter; hangMs: number },
  signal: AbortSignal,
): Promise<void> {
  const { record, addresses, store, mover, clock, reports } = options
  const last = (await readRecord<StreamReport>(store, keys.report(record.workflowUid, record.uid)))?.value ?? null
  if (last !== null && (last.state === 'stopped' || last.state === 'failed') && last.generation === record.generation) return
  const ended = new AbortController()
  const watch = HangWatch.begin(clock, options.hangMs, AbortSignal.any([signal, ended.signal]))
  try {
    for (const target of record.targets) await stopOn(target)
  } finally {
    ended.abort()
  }
  const bare = bareReport(record, { mover, atMs: clock.nowMs(), state: 'stopped' })
  const { copy, applied, resumed, targets } = last ?? bare
  reports.write({ ...bare, copy, applied, resumed, targets: targets.map((target) => ({ ...target, lag: null })) }, true)

  async function stopOn(target: ShardRef): Promise<void> {
    const address = await addresses(target.serverId)
    const conn = await connectPlain(address, signal)
    watch.add(conn, address)
    try {
      await ensureMoveTables(conn)
      if ((await readTarget(conn, record.uid, target.uid)) === null) return
      const on = { streamUid: record.uid, targetUid: target.uid, workflowUid: record.workflowUid, direction: record.direction }
      const epoch = await takeOver(conn, on, [conn.threadId])
      await endOwnSessions(conn, on, epoch, { atWork: 'kill', clock, signal })
      await endEpoch(conn, on, epoch)
    } finally {
      conn.destroy()
    }
  }
}
