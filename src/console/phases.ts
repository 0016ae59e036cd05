/** A workflow's way from creation to its end, as a row of phases. Derived from what is reported; what isn't is unknown. */
import type { WorkflowView } from '../api/schemas.ts'
import { count, duration, percent, unknown } from './format.ts'
import { copyDone, copyShare } from './ring-model.ts'

export type PhaseState = 'done' | 'current' | 'pending' | 'failed' | 'unknown'
export type PhaseStep = { readonly name: string; readonly state: PhaseState; readonly note: string }

export function phasesOf(workflow: WorkflowView): PhaseStep[] {
  if (workflow.kind === 'dualwrite') return dualWritePhases(workflow)
  return [creation(workflow), copy(workflow), following(workflow), verification(workflow), switching(workflow), ending(workflow)]
}

const dualWriteOrder = [
  'provisioned',
  'dual-writing',
  'filling',
  'validating',
  'ready',
  'ramping',
  'switched',
  'holding',
  'decommissioned',
] as const

/** In the order in which a run that goes well passes them; `switched` is left by `complete` or by going back. */
function dualWritePhases(workflow: WorkflowView): PhaseStep[] {
  const at = dualWriteOrder.findIndex((state) => state === workflow.state)
  return dualWriteOrder.map((name, index) => {
    if (at < 0) return { name, state: workflow.state === 'failed' ? 'failed' : 'pending', note: '' }
    const state = index < at || workflow.state === 'decommissioned' ? 'done' : index === at ? 'current' : 'pending'
    return { name, state, note: '' }
  })
}

const ended = (workflow: WorkflowView): boolean => workflow.state === 'complete' || workflow.state === 'completing'
const switchedOnce = (workflow: WorkflowView): boolean => workflow.serving !== 'source' || ended(workflow)

function creation(workflow: WorkflowView): PhaseStep {
  const failed = workflow.state === 'failed' && workflow.streams.length === 0
  return { name: 'create', state: failed ? 'failed' : workflow.state === 'creating' ? 'current' : 'done', note: '' }
}

function copy(workflow: WorkflowView): PhaseStep {
  const name = 'copy'
  const forward = workflow.streams.filter((stream) => stream.direction === 'forward')
  if (switchedOnce(workflow)) return { name, state: 'done', note: '' }
  if (forward.length === 0) return { name, state: 'pending', note: '' }
  const share = copyShare(forward)
  if (forward.every(copyDone)) return { name, state: 'done', note: '' }
  if (forward.some((stream) => stream.state === 'failed')) return { name, state: 'failed', note: percent(share) }
  if (forward.every((stream) => stream.wanted === 'stopped')) return { name, state: 'pending', note: 'stopped' }
  if (share === null) return { name, state: 'unknown', note: unknown }
  return { name, state: 'current', note: percent(share) }
}

/** Catching up first, then staying in step: it goes on to the end, in the direction that is away from what serves. */
function following(workflow: WorkflowView): PhaseStep {
  const name = 'follow'
  if (ended(workflow) || workflow.state === 'cancelled') return { name, state: ended(workflow) ? 'done' : 'pending', note: '' }
  const away = workflow.serving === 'target' ? 'reverse' : 'forward'
  const streams = workflow.streams.filter((stream) => stream.direction === away)
  if (streams.length === 0 || (away === 'forward' && !streams.every(copyDone))) return { name, state: 'pending', note: '' }
  if (streams.some((stream) => stream.state === 'failed')) return { name, state: 'failed', note: '' }
  const ages = streams.map((stream) => stream.lag?.ageMs ?? null)
  if (ages.some((age) => age === null)) return { name, state: 'unknown', note: `lag ${unknown}` }
  return { name, state: 'current', note: `${duration(Math.max(...ages.map((age) => age ?? 0)))} behind` }
}

function verification(workflow: WorkflowView): PhaseStep {
  const name = 'vdiff'
  const { vdiff } = workflow
  if (vdiff === null) return { name, state: 'pending', note: '' }
  switch (vdiff.state) {
    case 'clean':
      return { name, state: 'done', note: `${count(vdiff.rowsCompared)} rows` }
    case 'different':
    case 'failed':
      return { name, state: 'failed', note: vdiff.state }
    case 'running':
      return {
        name,
        state: 'current',
        note: vdiff.rowsEstimated > 0 ? percent(Math.min(vdiff.rowsCompared / vdiff.rowsEstimated, 0.999)) : unknown,
      }
    case 'pending':
    case 'stopped':
      return { name, state: 'pending', note: vdiff.state }
  }
}

function switching(workflow: WorkflowView): PhaseStep {
  const name = 'switch'
  const verb = workflow.action?.verb
  const moving = (verb === 'switchtraffic' || verb === 'reversetraffic') && workflow.action?.state === 'running'
  if (moving) return { name, state: 'current', note: verb === 'switchtraffic' ? 'forth' : 'back' }
  if (ended(workflow) || workflow.serving === 'target') return { name, state: 'done', note: '' }
  if (workflow.serving === 'mixed') return { name, state: 'current', note: 'part of it' }
  const wasBack = workflow.journal.some((entry) => entry.text.startsWith('reversetraffic: switched'))
  return { name, state: 'pending', note: wasBack ? 'switched back' : '' }
}

function ending(workflow: WorkflowView): PhaseStep {
  if (workflow.state === 'cancelling' || workflow.state === 'cancelled') {
    return { name: 'cancel', state: workflow.state === 'cancelled' ? 'done' : 'current', note: '' }
  }
  return {
    name: 'complete',
    state: workflow.state === 'complete' ? 'done' : workflow.state === 'completing' ? 'current' : 'pending',
    note: '',
  }
}
