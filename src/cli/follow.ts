import type { ActionView, WorkflowView } from '../api/schemas.ts'
import type { CliContext } from './context.ts'
import { cliErrors } from './errors.ts'
import { streamLines } from './stream-text.ts'
import { count, duration } from './text.ts'

const askEveryMs = 200

/**
 * Asks after an action until it has ended, printing its lines as they come; on a terminal a live line shows what it waits
 * for. Ctrl-C detaches: the action goes on. Returns null when detached.
 */
export async function followAction(cli: CliContext, keyspace: string, name: string, first: ActionView): Promise<ActionView | null> {
  let action = first
  let printed = 0
  for (;;) {
    for (const line of action.text.slice(printed)) cli.out(line)
    printed = action.text.length
    if (action.state === 'done' || action.state === 'failed') break
    cli.live?.(waitLine(action, cli.clock.nowMs()))
    if (cli.interrupted.aborted) {
      cli.out(`detached: ${action.verb} goes on (request ${action.id})`)
      return null
    }
    await cli.clock.sleep(askEveryMs)
    action = await cli.client().call('showAction', { keyspace, name, id: action.id })
  }
  cli.live?.('')
  return action
}

/** As JSON, standard output is the action alone, also one that failed: what is told meanwhile goes where errors go. */
export async function carryOutAs(
  format: string | undefined,
  cli: CliContext,
  keyspace: string,
  name: string,
  first: ActionView,
): Promise<ActionView | null> {
  if (format !== 'json') return carryOut(cli, keyspace, name, first)
  const action = await followAction({ ...cli, out: cli.err }, keyspace, name, first)
  if (action !== null) cli.out(JSON.stringify(action, null, 2))
  return succeeded(cli, keyspace, name, action)
}

/** Follows and fails with the action's errors printed, all of them. */
export async function carryOut(cli: CliContext, keyspace: string, name: string, first: ActionView): Promise<ActionView | null> {
  return succeeded(cli, keyspace, name, await followAction(cli, keyspace, name, first))
}

function succeeded(cli: CliContext, keyspace: string, name: string, action: ActionView | null): ActionView | null {
  if (action === null || action.state === 'done') return action
  for (const error of action.errors) printError(cli, error)
  throw cliErrors.failed({ what: `${action.verb} of ${keyspace}.${name} did not succeed` })
}

export function printError(cli: CliContext, error: { code: string; what: string; why: string; fix: string }): void {
  cli.err(`${error.code}  ${error.what}`)
  cli.err(`${' '.repeat(error.code.length)}  ${error.fix}`)
}

function waitLine(action: ActionView, nowMs: number): string {
  const step = action.steps.findLast((s) => s.ms === null)
  if (action.waiting !== null) {
    return `${action.verb}: waits for ${action.waiting.what} since ${duration(nowMs - action.waiting.sinceMs)}; ends ${action.waiting.ends}`
  }
  return `${action.verb}: ${step?.name ?? action.state}`
}

function vdiffLine(vdiff: NonNullable<WorkflowView['vdiff']>): string {
  const found = vdiff.tables.filter(
    (t) => t.missing + t.extra + t.misplaced + t.different + (t.orphans ?? 0) > 0 || (t.last?.found ?? 0) > 0,
  )
  const pass = vdiff.pass === null ? '' : `, pass ${vdiff.pass}`
  const differ = found.length === 0 ? '' : `; differences in ${found.map(({ name }) => name).join(', ')}`
  return `  vdiff ${vdiff.state}${pass}: ${count(vdiff.rowsCompared)} rows compared${differ}`
}

export function workflowLines(workflow: WorkflowView, nowMs: number): string[] {
  return [
    `${workflow.keyspace}.${workflow.name}  ${workflow.kind}  ${workflow.state}  ${workflow.sourceShards.join(',')} → ${workflow.targetShards.join(',')}  serving: ${workflow.serving}`,
    ...workflow.streams.flatMap((stream) => streamLines(stream, nowMs).map((line) => `  ${line}`)),
    ...(workflow.vdiff === null ? [] : [vdiffLine(workflow.vdiff)]),
    ...(workflow.undo == null
      ? []
      : [`  undo: ${workflow.undo.possible}, ${workflow.undo.until}${workflow.undo.by === null ? '' : ` (${workflow.undo.by})`}`]),
    ...(workflow.next.length === 0 ? [] : [`  next: ${workflow.next.join(' | ')}`]),
  ]
}
