import type { Command } from 'commander'
import type { AuditView } from '../api/history-schemas.ts'
import type { GateView, QueryView, StatusView } from '../api/schemas.ts'
import type { CliContext } from './context.ts'
import { cliErrors } from './errors.ts'
import type { Flags } from './flags.ts'
import { need, text } from './flags.ts'
import { workflowLines } from './follow.ts'
import { gateRestartCommand } from './gate-restart.ts'
import { print } from './keyspace.ts'
import { count, duration, table } from './text.ts'

export function statusCommands(program: Command, cli: CliContext): void {
  program
    .command('status')
    .description('everything at a glance')
    .option('--format <format>', 'text | json')
    .action(async (flags: Flags) => {
      const status = await cli.client().call('status')
      print(cli, flags, status, () => statusLines(status))
    })
  const gate = program.command('gate').description('the routers that applications connect to')
  gate
    .command('status')
    .option('--format <format>', 'text | json')
    .action(async (flags: Flags) => {
      const gates = await cli.client().call('listGates')
      print(cli, flags, gates, () => [...gateTable(gates), ...refusedLogins(gates)])
    })
  gate
    .command('queries')
    .description('what clients sent, by shape: how often, to how many shards, how long it took')
    .option('--sort <by>', `${sorts.join(' | ')}`, 'time')
    .option('--limit <n>', 'so many shapes', '20')
    .option('--keyspace <keyspace>', 'of this keyspace only')
    .option('--scattered', 'only what went to several shards')
    .option('--format <format>', 'text | json')
    .action(async (flags: Flags) => {
      const by = text(flags, 'sort') ?? 'time'
      if (!sorts.includes(by))
        throw cliErrors.badArgument({ argument: '--sort', problem: `${by} is none of ${sorts.join(', ')}`, command: 'gate queries' })
      const all = await cli.client().call('listQueries')
      const chosen = all
        .filter((q) => (text(flags, 'keyspace') ?? q.keyspace) === q.keyspace && (flags['scattered'] !== true || q.scattered > 0))
        .toSorted((a, b) => sortValue(b, by) - sortValue(a, by))
        .slice(0, Number(text(flags, 'limit')))
      print(cli, flags, chosen, () => queryTable(chosen))
    })
  gateRestartCommand(gate, cli)
  const workflow = program.command('workflow').alias('Workflow').description('list | show | log, of all kinds')
  workflow
    .argument('<verb>', 'list | show | log')
    .option('-k, --keyspace <keyspace>')
    .option('--target-keyspace <keyspace>', 'the same as --keyspace')
    .option('-w, --workflow <name>')
    .option('--include-logs [bool]', 'accepted without effect: `reshard show` always has the journal')
    .option('--format <format>', 'text | json')
    .action(async (verb: string, flags: Flags) => {
      if (verb.toLowerCase() === 'log') return workflowLog(cli, flags)
      const all = await cli.client().call('listWorkflows')
      const chosen = all.filter(
        (w) => (text(flags, 'keyspace') ?? w.keyspace) === w.keyspace && (text(flags, 'workflow') ?? w.name) === w.name,
      )
      print(cli, flags, chosen, () => chosen.flatMap((one) => workflowLines(one, cli.clock.nowMs())))
    })
}

/** Every entry of a workflow's log, oldest first. */
async function workflowLog(cli: CliContext, flags: Flags): Promise<void> {
  const keyspace = text(flags, 'keyspace') ?? need(flags, 'targetKeyspace', '--target-keyspace', 'workflow log')
  const name = need(flags, 'workflow', '--workflow', 'workflow log')
  const entries = await cli.client().call('workflowLog', { keyspace, name })
  print(cli, flags, entries, () => entries.flatMap(auditLines))
}

export function auditLines(entry: AuditView): string[] {
  const took = entry.ms === null ? '' : `  ${Math.round(entry.ms)} ms`
  const inputs = entry.inputs === null ? '' : `  ${JSON.stringify(entry.inputs)}`
  const outcome = entry.outcome === '' ? '' : `  ${entry.outcome}`
  return [`${new Date(entry.atMs).toISOString()}  ${entry.kind.padEnd(8)}  ${entry.actor}  ${entry.what}${outcome}${took}${inputs}`]
}

function statusLines(status: StatusView): string[] {
  return [
    `installation ${status.installation}, ${status.leader === null ? 'no leader' : `leader ${status.leader.holder}`}`,
    '',
    ...table(
      ['keyspace', 'sharded', 'serving'],
      status.keyspaces.map((k) => [k.name, k.sharded ? 'yes' : 'no', k.routing.components.flatMap((c) => c.serving).join(',')]),
    ),
    '',
    ...(status.workflows.length === 0 ? ['no workflows'] : status.workflows.flatMap((one) => workflowLines(one, status.nowMs))),
    '',
    ...gateTable(status.gates),
    ...refusedLogins(status.gates),
    '',
    ...table(
      ['mover', 'pid', 'memory'],
      status.movers.map((m) => [m.id, String(m.pid), `${Math.round(m.rssBytes / 1e6)} MB`]),
    ),
  ]
}

const sorts: readonly string[] = ['time', 'count', 'scattered', 'slow', 'errors', 'rows', 'p99']

function sortValue(q: QueryView, by: string): number {
  const values = {
    time: q.totalMs,
    count: q.count,
    scattered: q.scattered,
    slow: q.slow,
    errors: q.errors,
    rows: q.rows,
    p99: q.p99Ms ?? 0,
  }
  return values[by as keyof typeof values]
}

function queryTable(queries: readonly QueryView[]): string[] {
  return table(
    ['keyspace', 'count', 'scattered', 'slow', 'errors', 'rows', 'p50', 'p99', 'all', 'statement'],
    queries.map((q) => [
      q.keyspace === '' ? '-' : q.keyspace,
      count(q.count),
      count(q.scattered),
      count(q.slow),
      count(q.errors),
      count(q.rows),
      milliseconds(q.p50Ms),
      milliseconds(q.p99Ms),
      duration(q.totalMs),
      q.text.length > 120 ? `${q.text.slice(0, 119)}…` : q.text,
    ]),
  )
}

function milliseconds(ms: number | null): string {
  return ms === null ? 'unknown' : ms < 100 ? `${ms.toPrecision(2)} ms` : duration(ms)
}

function refusedLogins(gates: readonly GateView[]): string[] {
  return gates.flatMap(({ id, refusedLogins: { total, latest } }) => {
    if (total === 0) return []
    const some = latest.slice(0, 3).map((one) => `${one.user}@${one.address} ${count(one.count)} ×`)
    return [`${id}: ${count(total)} logins refused, the latest ${some.join(', ')}`]
  })
}

function gateTable(gates: readonly GateView[]): string[] {
  return table(
    ['gate', 'address', 'sessions', 'statements/s', 'errors', 'slowest write'],
    gates.map((g) => [
      g.id,
      g.address,
      g.fresh ? count(g.sessions) : 'unknown',
      g.fresh ? count(Math.round(g.statementsPerSecond)) : 'unknown',
      g.fresh ? count(g.errors) : 'unknown',
      g.fresh ? duration(g.slowestWriteMs) : 'unknown',
    ]),
  )
}
