/** Obeying `stopped` for a stream that this mover does not run: whoever ran it loses its right, then the report may say so. */
import type { Clock } from '../base/clock.ts'
import { keys } from '../topology/keys.ts'
import type { StreamRecord, StreamReport } from '../topology/records.ts'
import type { Store } from '../topology/store.ts'
import { readRecord } from '../topology/typed.ts'
import { connectPlain, type Addresses } from './access.ts'
import type { ReportWriter } from './report-writer.ts'
import { bareReport } from './stream-report.ts'
import { ensureMoveTables, readTarget } from './tables.ts'
import { endEpoch, endOwnSessions, takeOver } from './takeover.ts'

export async function stopOnTargets(
  options: { record: StreamRecord; addresses: Addresses; store: Store; mover: string; clock: Clock; reports: ReportWriter },
  signal: AbortSignal,
): Promise<void> {
  const { record, addresses, store, mover, clock, reports } = options
  const last = (await readRecord<StreamReport>(store, keys.report(record.workflowUid, record.uid)))?.value ?? null
  if (last !== null && (last.state === 'stopped' || last.state === 'failed') && last.generation === record.generation) return
  for (const target of record.targets) {
    const conn = await connectPlain(await addresses(target.serverId), signal)
    try {
      await ensureMoveTables(conn)
      if ((await readTarget(conn, record.uid, target.uid)) === null) continue
      const on = { streamUid: record.uid, targetUid: target.uid, workflowUid: record.workflowUid, direction: record.direction }
      const epoch = await takeOver(conn, on, [conn.threadId])
      await endOwnSessions(conn, on, epoch, { atWork: 'kill', clock, signal })
      await endEpoch(conn, on, epoch)
    } finally {
      conn.destroy()
    }
  }
  const bare = bareReport(record, { mover, atMs: clock.nowMs(), state: 'stopped' })
  const { copy, applied, resumed, targets } = last ?? bare
  reports.write({ ...bare, copy, applied, resumed, targets: targets.map((target) => ({ ...target, lag: null })) }, true)
}
