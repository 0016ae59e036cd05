import type { Command } from 'commander'
import type { VdiffView } from '../api/schemas.ts'
import type { CliContext } from './context.ts'
import { cliErrors } from './errors.ts'
import { bool, list, need, text, type Flags } from './flags.ts'

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
      const action = await cli.client().call('act', { keyspace, name }, { id: cli.newId(), verb: 'vdiff', args: vdiffArgs(flags) })
      const ended = await carryOut(cli, keyspace, name, action)
      const uid = (ended?.result as { vdiff?: string } | null)?.vdiff
      if (bool(flags, 'wait', true)) await followVdiff(cli, keyspace, name, uid, text(flags, 'format'))
      else cli.out(`vdiff ${uid ?? ''} started`)
      return
    }
    if (verb === 'stop') {
      const action = await cli.client().call('act', { keyspace, name }, { id: cli.newId(), verb: 'vdiff', args: { stop: true } })
      await carryOut(cli, keyspace, name, action)
      cli.out('comparisons that run end now')
      return
    }
    if (verb !== 'show')
      throw cliErrors.refusedFlag({
        flag: `vdiff ${verb}`,
        why: 'a vdiff here goes on by itself and is kept with its workflow',
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
    if (vdiff !== undefined && vdiff.pass !== null && vdiff.state === 'running') {
      if (format === 'json') cli.out(JSON.stringify(vdiff, null, 2))
      else for (const line of vdiffLines(vdiff)) cli.out(line)
      cli.out('it goes on until traffic is switched; `vdiff show` tells what it finds, `vdiff stop` ends it')
      return
    }
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
        `vdiff: ${count(vdiff.rowsCompared)} rows compared (${percent(vdiff.rowsCompared, vdiff.rowsEstimated, vdiff.etaMs === 0)})${rate}, ETA ${duration(vdiff.etaMs)}`,
      )
    }
    if (cli.interrupted.aborted) {
      cli.out('detached: the comparison goes on')
      return
    }
    await cli.clock.sleep(150)
  }
}

export function vdiffArgs(flags: Flags): {
  tables?: string[]
  shards?: string[]
  repair: boolean
  continuous: boolean
} {
  const tables = list(text(flags, 'tables'))
  const shards = list(text(flags, 'shards'))
  return {
    ...(tables === undefined ? {} : { tables }),
    ...(shards === undefined ? {} : { shards }),
    repair: bool(flags, 'repair', false),
    continuous: bool(flags, 'continuous', false),
  }
}

export function vdiffLines(vdiff: VdiffView): string[] {
  const took = vdiff.startedAtMs === null || vdiff.endedAtMs === null ? '' : ` in ${duration(vdiff.endedAtMs - vdiff.startedAtMs)}`
  const pass = vdiff.pass === null ? '' : `, continuous, pass ${vdiff.pass}`
  const whole = vdiff.state === 'running' ? ` (${percent(vdiff.rowsCompared, vdiff.rowsEstimated, vdiff.etaMs === 0)})` : ''
  const head = `vdiff ${vdiff.uid}: ${vdiff.state}${pass}, ${count(vdiff.rowsCompared)} rows compared${whole}${took}${vdiff.repairedRows > 0 ? `, ${count(vdiff.repairedRows)} rows repaired` : ''}`
  const rows = vdiff.tables.map((t) => [
    t.name,
    t.state,
    count(t.rowsCompared),
    String(t.missing),
    String(t.extra),
    String(t.misplaced),
    String(t.different),
    t.last === undefined ? '' : `${count(t.last.rowsCompared)} rows, ${t.last.found} found`,
  ])
  const orphans = vdiff.tables
    .filter((t) => (t.orphans ?? 0) > 0)
    .map((t) => `  ${t.name}: ${t.orphans} rows whose other row of a foreign key stands on another shard`)
  const samples = vdiff.tables.flatMap((t) =>
    t.samples.map((s) => `  ${t.name} ${s.kind}: key ${s.key} on ${s.shard}${s.columns.length === 0 ? '' : ` (${s.columns.join(', ')})`}`),
  )
  return [
    head,
    ...(vdiff.why === null ? [] : [`  ended: ${vdiff.why}`]),
    ...(vdiff.state !== 'running' || vdiff.waiting === null ? [] : [`  waits for ${vdiff.waiting}`]),
    ...(vdiff.groups.length < 2
      ? []
      : vdiff.groups.map(
          (g) => `  ${g.name}: ${count(g.rowsCompared)} rows (${percent(g.rowsCompared, g.rowsEstimated)}), ${g.found} found`,
        )),
    ...(vdiff.error === null ? [] : [`${vdiff.error.code} ${vdiff.error.what}`, vdiff.error.fix]),
    ...table(
      ['table', 'state', 'rows', 'missing', 'extra', 'misplaced', 'different', ...(vdiff.pass === null ? [] : ['pass before'])],
      rows,
    ),
    ...orphans,
    ...samples,
  ]
}
