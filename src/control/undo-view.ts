/** Whether what a reshard did can be undone, by which command, and until when (promise 5). What is not known is not promised (promise 6). Pure. */
import type { StreamView } from '../api/stream-schemas.ts'
import type { UndoView } from '../api/history-schemas.ts'
import type { WorkflowView } from '../api/schemas.ts'
import { durationText } from '../plan/text.ts'

export function undoView(
  workflow: { readonly keyspace: string; readonly name: string; readonly state: string; readonly ended: boolean },
  serving: WorkflowView['serving'],
  streams: readonly StreamView[],
): UndoView | null {
  const command = (verb: string): string => `shardwright reshard --workflow ${workflow.name} --target-keyspace ${workflow.keyspace} ${verb}`
  if (workflow.ended)
    return workflow.state === 'complete' ? { possible: 'no', by: null, until: 'it ended with complete: the other side is gone' } : null
  if (workflow.state === 'completing' || workflow.state === 'cancelling')
    return {
      possible: 'no',
      by: null,
      until: `${workflow.state === 'completing' ? 'complete' : 'cancel'} has begun and is finished when it is run again`,
    }
  if (serving === 'source') return { possible: 'yes', by: command('cancel'), until: 'at any time: nothing has switched' }
  const back = streams.filter((stream) => stream.direction === 'reverse')
  const by = command('reversetraffic')
  const broken = back.find((stream) => stream.state === 'failed')
  if (broken !== undefined)
    return {
      possible: 'not now',
      by,
      until: `its stream ${broken.source} → ${broken.targets.join(',')} has failed: mend that first${kept([broken])}`,
    }
  if (back.some((stream) => stream.wanted === 'stopped'))
    return { possible: 'not now', by, until: `reverse replication is stopped: ${command('start')} first${kept(back)}` }
  if (back.length === 0 || back.some((stream) => stream.state !== 'running'))
    return { possible: 'unknown', by, until: 'nothing has been heard of all streams of the way back just now' }
  return { possible: 'yes', by, until: 'until complete: the old side is kept in step' }
}

function kept(streams: readonly StreamView[]): string {
  const left = streams.map((stream) => stream.headroom?.leftMs ?? null)
  return left.some((ms) => ms === null)
    ? '; for how long the binlog that it needs is kept is unknown'
    : `; the binlog that it needs is kept for another ${durationText(Math.min(...left.map((ms) => ms ?? 0)) / 1000)} at least`
}
