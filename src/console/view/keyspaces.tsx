import { useState } from 'preact/hooks'
import type { KeyspaceView, StatusView, WorkflowView } from '../../api/schemas.ts'
import { duration } from '../format.ts'
import { ringShards } from '../ring-model.ts'
import type { Phase } from '../ring-model.ts'
import { Ring } from './ring.tsx'
import { ShardTable } from './shard-table.tsx'

const phaseMeanings: Record<Phase, string> = {
  stable: 'traffic stays where it is',
  switching: 'traffic is being moved: gates hold writes',
  opening: 'decided: the serving side is being opened',
  retiring: 'the side that was replaced is being removed',
}

export function Keyspaces({ status }: { status: StatusView }) {
  // A keyspace of one shard that nothing happens to (sequences live in such) needs a line, not a ring.
  const small = (keyspace: KeyspaceView): boolean =>
    keyspace.shards.length === 1 && !keyspace.sharded && keyspace.routing.components.every((c) => c.workflow === null)
  const quiet = status.keyspaces.filter(small)
  const ringed = status.keyspaces.filter((keyspace) => !small(keyspace))
  return (
    <section aria-labelledby="keyspaces">
      <h2 id="keyspaces">Keyspaces</h2>
      {status.keyspaces.length === 0 && (
        <p class="panel empty">
          None yet. <code>shardwright keyspace create NAME</code> makes one.
        </p>
      )}
      {ringed.map((keyspace) => (
        <KeyspaceCard key={keyspace.name} keyspace={keyspace} workflows={status.workflows} nowMs={status.nowMs} />
      ))}
      {quiet.length > 0 && (
        <ul class="panel quiet-keyspaces">
          {quiet.map((keyspace) => (
            <li key={keyspace.name}>
              <strong>{keyspace.name}</strong>
              <span>{keyspace.routing.components.length === 0 ? 'nothing serves it' : 'unsharded'}</span>
              <span class="muted">
                {keyspace.shards.map((shard) => `${shard.server.flavour} ${shard.server.host}:${shard.server.port}`).join(', ')}
              </span>
            </li>
          ))}
        </ul>
      )}
    </section>
  )
}

type CardProps = { readonly keyspace: KeyspaceView; readonly workflows: readonly WorkflowView[]; readonly nowMs: number }

function KeyspaceCard({ keyspace, workflows, nowMs }: CardProps) {
  const [picked, setPicked] = useState<string | null>(null)
  const shards = ringShards(keyspace, workflows)
  const phases = [...new Set(keyspace.routing.components.map((component) => component.phase))]
  const holds = keyspace.routing.components.flatMap((component) => (component.holdSinceMs === null ? [] : [component.holdSinceMs]))
  const epoch = Math.max(0, ...keyspace.routing.components.map((component) => component.epoch))
  return (
    <article class="panel keyspace" data-keyspace={keyspace.name}>
      <header>
        <h3>{keyspace.name}</h3>
        <span class="muted">
          epoch {epoch}, {versionsOf(keyspace).join(', ')}
        </span>
      </header>
      <Ring keyspace={keyspace.name} shards={shards} picked={picked} onPick={setPicked} />
      <ul class="legend" aria-label="phases">
        {phases.map((phase) => (
          <li key={phase} class={`phase-${phase}`}>
            <b>{phase}</b> {phaseMeanings[phase]}
          </li>
        ))}
        {shards.some((shard) => shard.role !== 'serving') && (
          <li class="plain">outside: what serves; inside: the other side, as far as it is filled</li>
        )}
      </ul>
      {holds.length > 0 && (
        <p class="waiting">Gates hold writes since {duration(nowMs - Math.min(...holds))}; the switch's end lets them go, or its limit.</p>
      )}
      <ShardTable shards={shards} picked={picked} onPick={setPicked} />
    </article>
  )
}

function versionsOf(keyspace: KeyspaceView): string[] {
  // The server's own name of its build (`-MariaDB-log`) says nothing here; pointing at a shard shows all of it.
  return [...new Set(keyspace.shards.map(({ server }) => `${server.flavour} ${server.version.replace(/-.*/, '')}`))].toSorted()
}
