import type { WorkflowView } from '../../api/schemas.ts'
import { clockTime } from '../format.ts'
import { phasesOf } from '../phases.ts'
import { LastAction } from './last-action.tsx'
import { NextCommands } from './next-commands.tsx'
import { DualWrite } from './dual-write.tsx'
import { CopyProgress } from './copy-progress.tsx'
import { Streams } from './streams.tsx'
import { Vdiff } from './vdiff.tsx'

export function WorkflowCard({ workflow, nowMs }: { workflow: WorkflowView; nowMs: number }) {
  return (
    <article class="panel workflow" data-workflow={workflow.name}>
      <header>
        <h3>{workflow.name}</h3>
        <span class={`badge state-${workflow.state}`}>{workflow.state}</span>
        <span class="muted">
          {workflow.kind} of {workflow.keyspace}, created {clockTime(workflow.createdAtMs)}
        </span>
      </header>
      <Sides workflow={workflow} />
      <Phases workflow={workflow} />
      {workflow.dualwrite === null || workflow.dualwrite === undefined ? (
        <CopyProgress workflow={workflow} />
      ) : (
        <DualWrite run={workflow.dualwrite} nowMs={nowMs} />
      )}
      {workflow.streams.length > 0 && <Streams streams={workflow.streams} nowMs={nowMs} />}
      {workflow.vdiff !== null && <Vdiff vdiff={workflow.vdiff} />}
      {workflow.action !== null && <LastAction action={workflow.action} nowMs={nowMs} />}
      <NextCommands commands={workflow.next} />
      {workflow.journal.length > 0 && (
        <details>
          <summary>journal</summary>
          <ol class="journal">
            {workflow.journal.map((entry, index) => (
              <li key={index}>
                <time>{clockTime(entry.atMs)}</time> {entry.text}
              </li>
            ))}
          </ol>
        </details>
      )}
    </article>
  )
}

function Sides({ workflow }: { workflow: WorkflowView }) {
  const marked = (side: 'source' | 'target', shards: readonly string[]) => (
    <span class={workflow.serving === side || workflow.serving === 'mixed' ? 'serving-side' : 'muted'}>
      <code>{shards.join(' ')}</code>
      {workflow.serving === side && <small> serves</small>}
      {workflow.serving === 'mixed' && <small> serves in part</small>}
    </span>
  )
  return (
    <p class="sides">
      {marked('source', workflow.sourceShards)} <span aria-label="to">→</span> {marked('target', workflow.targetShards)}
    </p>
  )
}

function Phases({ workflow }: { workflow: WorkflowView }) {
  return (
    <ol class="phases" aria-label="phases">
      {phasesOf(workflow).map((phase) => (
        <li
          key={phase.name}
          class={`step-${phase.state}`}
          data-phase={phase.name}
          data-state={phase.state}
          aria-current={phase.state === 'current' ? 'step' : undefined}
        >
          <b>{phase.name}</b>
          <small>{phase.note === '' ? phase.state : phase.note}</small>
        </li>
      ))}
    </ol>
  )
}
