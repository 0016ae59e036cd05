import type { Command } from 'commander'
import type { VdiffView } from '../api/schemas.ts'
import type { CliContext } from './context.ts'
import { cliErrors } from './errors.ts'
import { bool, list, need, text } from './flags.ts'

import { carryOut } from './follow.ts'
import { count, duration, percent, table } from './text.ts'
import { verbCommand } from './verbs.ts'
import { vdiffFlags, vdiffVerbTexts } from './vitess-flags.ts'

/** `vdiff --workflow W --target-keyspace K create|show|…` */
export function vdiffCommand(program: Command, cli: CliContext): void {
  const spec = {
    name: 'vdiff',
    alias: 'VDiff',
    summary: 'compare all rows of a workflow’s sources and targets',
    verbs: vdiffVerbTexts,
    flags: vdiffFlags,
    which: 'last | all | a uid',
  }
  verbCommand(program, cli, spec, async (verb, flags, which) => {
    const name = need(flags, 'workflow', '--workflow', 'vdiff')
    const keyspace = need(flags, 'targetKeyspace', '--target-keyspace', 'vdiff')
    if (verb === 'create') {
      const tables = list(text(flags, 'tables'))
      const action = await cli.client().call(
        'act',
        { keyspace, name },
        {
          id: cli.newId(),
          verb: 'vdiff',
          args: { ...(tables === undefined ? {} : { tables }), repair: bool(flags, 'repair', false) },
        },
      )
      const ended = await carryOut(cli, keyspace, name, action)
      const uid = (ended?.result as { vdiff?: string } | null)?.vdiff
      if (bool(flags, 'wait', true)) await followVdiff(cli, keyspace, name, uid, text(flags, 'format'))
      else cli.out(`vdiff ${uid ?? ''} started`)
      return
    }
    if (verb !== 'show')
      throw cliErrors.refusedFlag({
        flag: `vdiff ${verb}`,
        why: 'a vdiff here holds nothing back and runs to its end',
        instead: 'start another with `vdiff create`',
      })
    const all = await cli.client().call('listVdiffs', { keyspace, name })
    const chosen = which === 'all' ? all : which === undefined || which === 'last' ? all.slice(0, 1) : all.filter((v) => v.uid === which)
    if (text(flags, 'format') === 'json') cli.out(JSON.stringify(chosen, null, 2))
    else for (const vdiff of chosen) for (const line of vdiffLines(vdiff)) cli.out(line)
  })
}

/** Follows a comparison to its end; exit code 1 when rows differ. */
export async function followVdiff(
  cli: CliContext,
  keyspace: string,
  name: string,
  uid: string | undefined,
  format: string | undefined,
): Promise<void> {
  for (;;) {
    const all = await cli.client().call('listVdiffs', { keyspace, name })
    const vdiff = all.find((v) => v.uid === uid) ?? all[0]
    if (vdiff !== undefined && vdiff.state !== 'running' && vdiff.state !== 'pending') {
      cli.live?.('')
      if (format === 'json') cli.out(JSON.stringify(vdiff, null, 2))
      else for (const line of vdiffLines(vdiff)) cli.out(line)
      if (vdiff.state !== 'clean') cli.setExitCode(1)
      return
    }
    if (vdiff !== undefined) {
      const rate = vdiff.rowsPerSecond === null ? '' : `, ${count(Math.round(vdiff.rowsPerSecond))} rows/s`
      cli.live?.(
        `vdiff: ${count(vdiff.rowsCompared)} rows compared (${percent(vdiff.rowsCompared, vdiff.rowsEstimated)})${rate}, ETA ${duration(vdiff.etaMs)}`,
      )
    }
    if (cli.interrupted.aborted) {
      cli.out('detached: the comparison goes on')
      return
    }
    await cli.clock.sleep(150)
  }
}

export function vdiffLines(vdiff: VdiffView): string[] {
  const took = vdiff.startedAtMs === null || vdiff.endedAtMs === null ? '' : ` in ${duration(vdiff.endedAtMs - vdiff.startedAtMs)}`
  const head = `vdiff ${vdiff.uid}: ${vdiff.state}, ${count(vdiff.rowsCompared)} rows compared${took}${vdiff.repairedRows > 0 ? `, ${count(vdiff.repairedRows)} rows repaired` : ''}`
  const rows = vdiff.tables.map((t) => [
    t.name,
    t.state,
    count(t.rowsCompared),
    String(t.missing),
    String(t.extra),
    String(t.misplaced),
    String(t.different),
  ])
  const samples = vdiff.tables.flatMap((t) =>
    t.samples.map((s) => `  ${t.name} ${s.kind}: key ${s.key} on ${s.shard}${s.columns.length === 0 ? '' : ` (${s.columns.join(', ')})`}`),
  )
  return [
    head,
    ...(vdiff.error === null ? [] : [`${vdiff.error.code} ${vdiff.error.what}`, vdiff.error.fix]),
    ...table(['table', 'state', 'rows', 'missing', 'extra', 'misplaced', 'different'], rows),
    ...samples,
  ]
}
