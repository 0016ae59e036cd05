import type { StatusView, WorkflowView } from '../../api/schemas.ts'
import { clockTime } from '../format.ts'
import { WorkflowCard } from './workflow-card.tsx'

const isOver = (workflow: WorkflowView): boolean => ['complete', 'cancelled', 'decommissioned'].includes(workflow.state)

/** What is under way first, newest first; what is over is folded away. */
export function Workflows({ status }: { status: StatusView }) {
  const newest = status.workflows.toSorted((a, b) => b.createdAtMs - a.createdAtMs)
  const over = newest.filter(isOver)
  const open = newest.filter((workflow) => !isOver(workflow))
  return (
    <section aria-labelledby="workflows">
      <h2 id="workflows">Workflows</h2>
      {open.length === 0 && (
        <p class="panel empty">
          None under way. <code>shardwright reshard --workflow NAME --target-keyspace K create --source-shards … --target-shards …</code>{' '}
          starts one.
        </p>
      )}
      {open.map((workflow) => (
        <WorkflowCard key={workflow.uid} workflow={workflow} nowMs={status.nowMs} />
      ))}
      {over.map((workflow) => (
        <details class="panel ended" key={workflow.uid}>
          <summary>
            <strong>{workflow.name}</strong> <span class="muted">{workflow.keyspace}</span> {workflow.sourceShards.length} →{' '}
            {workflow.targetShards.length} shards <span class={`badge state-${workflow.state}`}>{workflow.state}</span>{' '}
            <span class="muted">{endTime(workflow)}</span>
          </summary>
          <WorkflowCard workflow={workflow} nowMs={status.nowMs} />
        </details>
      ))}
    </section>
  )
}

function endTime(workflow: WorkflowView): string {
  const last = workflow.journal.at(-1)
  return last === undefined ? '' : clockTime(last.atMs)
}
