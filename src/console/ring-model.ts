/** What the ring of a keyspace shows: every shard, on which side it stands, and how full the side being filled is. */
import type { StreamView } from '../api/stream-schemas.ts'
import type { KeyspaceView, ShardView, WorkflowView } from '../api/schemas.ts'
import { arcOf } from './key-ring.ts'
import type { Arc } from './key-ring.ts'

export type Phase = KeyspaceView['routing']['components'][number]['phase']

export type RingShard = {
  readonly name: string
  readonly arc: Arc
  readonly role: 'serving' | 'filling' | 'following' | 'standing by'
  readonly phase: Phase
  /** Share of the copy that has landed; null: unknown. Serving shards are full. */
  readonly filled: number | null
  readonly servesReplicaReads: boolean
  readonly server: ShardView['server'] | null
  readonly schema: string
  readonly workflow: string | null
}

export function ringShards(keyspace: KeyspaceView, workflows: readonly WorkflowView[]): RingShard[] {
  const streams = workflows.filter((workflow) => workflow.keyspace === keyspace.name).flatMap((workflow) => workflow.streams)
  const shards = keyspace.routing.components.flatMap((component) => {
    const common = { phase: component.phase, workflow: component.workflow }
    const one = (name: string, serving: boolean): RingShard[] => {
      const arc = arcOf(name)
      if (arc === null) return []
      const shard = keyspace.shards.find((candidate) => candidate.name === name)
      return [
        {
          ...common,
          name,
          arc,
          ...(serving ? { role: 'serving', filled: 1 } : sideOf(name, streams)),
          servesReplicaReads: component.servingReplica.includes(name),
          server: shard?.server ?? null,
          schema: shard?.schema ?? '',
        },
      ]
    }
    return [...component.serving.flatMap((name) => one(name, true)), ...component.other.flatMap((name) => one(name, false))]
  })
  return shards.toSorted(
    (a, b) => Number(b.role === 'serving') - Number(a.role === 'serving') || a.arc.start - b.arc.start || a.arc.end - b.arc.end,
  )
}

/** A side that does not serve is filled by a copy, or follows a copy that is complete (as the old side does after a switch). */
function sideOf(name: string, streams: readonly StreamView[]): Pick<RingShard, 'role' | 'filled'> {
  const feeding = streams.filter((stream) => stream.targets.includes(name))
  if (feeding.length === 0) return { role: 'standing by', filled: null }
  const copying = feeding.filter((stream) => stream.direction === 'forward')
  // Only the first switch makes streams of the other direction: what they feed served before, and is whole.
  if (copying.length === 0) return { role: 'following', filled: feeding.every((stream) => stream.state === 'running') ? 1 : null }
  const filled = copyShare(copying)
  return { role: filled === 1 ? 'following' : 'filling', filled }
}

/** Share of these streams' copies that is done: 1 only when every table is; null while any of it is unknown. */
export function copyShare(streams: readonly StreamView[]): number | null {
  if (streams.length === 0) return null
  if (streams.every(copyDone)) return 1
  if (
    streams.some((stream) => stream.state === 'unknown' || stream.reportAgeMs === null || (stream.rowsEstimated <= 0 && !copyDone(stream)))
  )
    return null
  const done = streams.reduce((total, stream) => total + stream.rowsDone, 0)
  const all = streams.reduce((total, stream) => total + Math.max(stream.rowsEstimated, stream.rowsDone), 0)
  // Rows to copy are an estimate: all of it copied is not yet a copy that is complete.
  return all <= 0 ? null : Math.min(done / all, 0.999)
}

export function copyDone(stream: StreamView): boolean {
  if (stream.reportAgeMs === null) return false
  if (stream.tables.length > 0) return stream.tables.every((table) => table.state === 'done')
  return stream.state === 'running'
}
