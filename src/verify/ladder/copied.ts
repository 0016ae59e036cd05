/**
 * Of a hybrid run (PROTOCOLS 4.13): tables that streams copy to the new branch, row by row. Fleets stand at one vector meanwhile, so that neither side has a record that the other has yet
 * to read; what others write goes on, and the comparison is the movement engine's own (vdiff), which compares such rows under locks and markers.
 */
import { randomUUID } from 'node:crypto'
import { keys } from '../../topology/keys.ts'
import type { StreamRecord, VdiffRecord, VdiffReport } from '../../topology/records.ts'
import { listRecords, put, readRecord, updateRecord } from '../../topology/typed.ts'
import { withAligned } from './align.ts'
import { judged } from './judged.ts'
import type { Judged } from './judged.ts'
import type { LadderWorld } from './world.ts'

/** Null: the run copies nothing. What it is to copy is not compared before its copy has landed: nothing compared is unknown. */
export async function judgeCopied(world: LadderWorld): Promise<Judged | null> {
  const { tables, landed } = world.copies
  const streams = await listRecords<StreamRecord>(world.store, keys.streamsOf(world.workflowUid))
  if (streams.length === 0 && tables.length === 0) return null
  if (streams.length === 0 || !landed)
    return judged(
      'unknown',
      `copied tables: the copy of ${tables.join(', ') || 'dimension tables'} has not landed: nothing can be compared yet`,
    )
  const aligned = await withAligned(world, () => compare(world))
  if (!aligned.ok) return judged('unknown', `copied tables: the fleets did not come to one vector: ${aligned.because}`)
  return judgeReport(aligned.value)
}

/** Pure. */
export function judgeReport(report: VdiffReport | null): Judged {
  if (report === null || report.endedAtMs === null)
    return judged(
      'unknown',
      `copied tables: no mover compared them in time${report?.waiting == null ? '' : `, it waits for ${report.waiting}`}`,
    )
  const names = report.tables.map(({ name }) => name).join(', ')
  const found = report.tables.reduce((sum, table) => sum + table.missing + table.extra + table.misplaced + table.different, 0)
  const numbers = { copiedRows: report.rowsCompared, copiedRowsDiffering: found }
  if (report.state === 'clean') return judged('pass', `${report.rowsCompared} copied rows of ${names} are equal`, numbers)
  if (report.state !== 'different')
    return judged(
      'unknown',
      `copied tables: ${report.error === null ? report.state : `${report.error.code} ${report.error.what}`}`,
      numbers,
    )
  const findings = report.tables.flatMap(({ name, samples }) =>
    samples.map(({ kind, key, shard, columns }) => ({
      what: `row ${kind}`,
      where: `${name}, key ${key}, shard ${shard}`,
      old: '',
      new: columns.join(', '),
    })),
  )
  return judged('fail', `${found} of ${report.rowsCompared} copied rows of ${names} differ`, numbers, findings)
}

async function compare(world: LadderWorld): Promise<VdiffReport | null> {
  const { store, clock, options, workflowUid } = world
  const uid = randomUUID().replaceAll('-', '')
  const key = keys.vdiff(workflowUid, uid)
  const record: VdiffRecord = { v: 1, uid, workflowUid, wanted: 'running', tables: null, requestedAtMs: clock.nowMs(), repair: false }
  const untilMs = clock.monotonicMs() + options.drainMsMax
  await store.commit([], [put(key, record)])
  try {
    for (;;) {
      world.signal.throwIfAborted()
      const report = (await readRecord<VdiffReport>(store, keys.vdiffReport(workflowUid, uid)))?.value ?? null
      if (report?.endedAtMs != null || clock.monotonicMs() > untilMs) return report
      await clock.sleep(50, world.signal)
    }
  } finally {
    await updateRecord<VdiffRecord>(store, key, (now) => (now === null ? null : { ...now, wanted: 'stopped' }))
  }
}

/** The worse verdict of two, with what both found. */
export function together(a: Judged, b: Judged | null): Judged {
  if (b === null) return a
  const order = ['pass', 'unknown', 'fail'] as const
  return {
    verdict: order.indexOf(a.verdict) >= order.indexOf(b.verdict) ? a.verdict : b.verdict,
    because: `${a.because}; ${b.because}`,
    numbers: { ...a.numbers, ...b.numbers },
    findings: [...a.findings, ...b.findings],
  }
}
