import type { Command } from 'commander'
import type { RequestBody } from '../api/endpoints.ts'
import type { DualWriteView } from '../api/dualwrite-schemas.ts'
import type { WorkflowView } from '../api/schemas.ts'
import type { CliContext } from './context.ts'
import { cliErrors } from './errors.ts'
import { bootstraps, dualwriteFlags, dualwriteVerbTexts } from './dualwrite-flags.ts'
import { writtenText } from './fleet.ts'
import { bool, list, milliseconds, need, numeric, text } from './flags.ts'
import type { Flags } from './flags.ts'
import { carryOutAs } from './follow.ts'
import { clockTime, count, duration, table } from './text.ts'
import { verbCommand } from './verbs.ts'

const rungNames = ['L0', 'L1', 'L2', 'L3', 'L4', 'L5', 'L6'] as const

/** `DualWrite <verb> --keyspace K --workflow W`. */
export function dualwriteCommand(program: Command, cli: CliContext): void {
  const spec = {
    name: 'DualWrite',
    alias: 'dualwrite',
    summary: 'fill a branch from the topics, prove it, move readers to it',
    verbs: dualwriteVerbTexts,
    flags: dualwriteFlags,
  }
  verbCommand(program, cli, spec, (verb, flags) => run(cli, verb, flags))
}

async function run(cli: CliContext, verb: string, flags: Flags): Promise<void> {
  const keyspace = need(flags, 'keyspace', '--keyspace', 'DualWrite')
  const name = need(flags, 'workflow', '--workflow', 'DualWrite')
  if (verb === 'show' || verb === 'status') return show(cli, verb, keyspace, name, flags)
  const action =
    verb === 'create'
      ? await cli.client().call('createWorkflow', {}, creation(cli, keyspace, name, flags))
      : await cli.client().call('act', { keyspace, name }, { ...request(cli, verb, flags), actor: cli.actor })
  if (!bool(flags, 'wait', true)) return cli.out(`${verb} is asked for (request ${action.id}); \`show\` tells how it ends`)
  await carryOutAs(text(flags, 'format'), cli, keyspace, name, action)
}

function creation(cli: CliContext, keyspace: string, name: string, flags: Flags): RequestBody<'createWorkflow'> {
  const bootstrap = text(flags, 'bootstrap')
  const way = bootstraps.find((one) => one === bootstrap)
  if (bootstrap !== undefined && way === undefined)
    throw cliErrors.badArgument({
      argument: '--bootstrap',
      problem: `${bootstrap} is none of ${bootstraps.join(', ')}`,
      command: 'DualWrite create',
    })
  const share = { min: 0.01, max: 100 }
  const steps = list(text(flags, 'steps'))?.map((one) => numeric({ one }, 'one', '--steps', share) ?? 0)
  const dwellMs = milliseconds(flags, 'dwell', '--dwell')
  const watchEveryMs = milliseconds(flags, 'watchEvery', '--watch-every')
  const marginMs = milliseconds(flags, 'margin', '--margin')
  const quietMs = milliseconds(flags, 'quiet', '--quiet')
  const holdMs = milliseconds(flags, 'hold', '--hold')
  const times = numeric(flags, 'p95TimesMost', '--p95-times-most', { min: 1 })
  const consumers = numeric(flags, 'consumers', '--consumers', { min: 1, max: 256, whole: true })
  const writers = numeric(flags, 'writers', '--writers', { min: 1, max: 256, whole: true })
  const rungs = rungsOf(text(flags, 'rungs'))
  const p95FloorMs = milliseconds(flags, 'p95Floor', '--p95-floor')
  const errorsMost = numeric(flags, 'errorsMost', '--errors-most', { min: 0, max: 1 })
  const watched = text(flags, 'watchRungs')
  const watchRungs = watched === 'none' ? [] : rungsOf(watched, '--watch-rungs')
  return {
    id: cli.newId(),
    actor: cli.actor,
    kind: 'dualwrite',
    keyspace,
    name,
    spec: {
      toBranch: need(flags, 'toBranch', '--to-branch', 'DualWrite create'),
      ...(way === undefined ? {} : { bootstrap: way }),
      ...(marginMs === undefined ? {} : { marginMs }),
      raiseRetention: bool(flags, 'raiseRetention', true),
      ...(consumers === undefined ? {} : { consumers }),
      ...(writers === undefined ? {} : { writers }),
      ...(rungs === undefined ? {} : { rungs }),
      allow: list(text(flags, 'allow')) ?? [],
      ramp: {
        ...(steps === undefined ? {} : { steps }),
        ...(dwellMs === undefined ? {} : { dwellMs }),
        ...(watchEveryMs === undefined ? {} : { watchEveryMs }),
        ...(times === undefined ? {} : { p95TimesMost: times }),
        ...(p95FloorMs === undefined ? {} : { p95FloorMs }),
        ...(errorsMost === undefined ? {} : { errorsMost }),
        ...(watchRungs === undefined ? {} : { watchRungs }),
      },
      ...(quietMs === undefined ? {} : { quietMs }),
      ...(holdMs === undefined ? {} : { holdMs }),
    },
    dryRun: bool(flags, 'dryRun', false),
  }
}

function request(cli: CliContext, verb: string, flags: Flags): RequestBody<'act'> {
  const id = cli.newId()
  const dryRun = bool(flags, 'dryRun', false)
  switch (verb) {
    case 'check':
      return { id, verb, args: { dryRun } }
    case 'start':
      return { id, verb, args: { shards: [], dryRun } }
    case 'validate': {
      const pauseMs = milliseconds(flags, 'pause', '--pause')
      const rungs = rungsOf(text(flags, 'rung') ?? text(flags, 'rungs')) ?? []
      return { id, verb, args: { rungs, dryRun, ...(pauseMs === undefined ? {} : { pauseMs }) } }
    }
    case 'ramp': {
      const keyspaceId = text(flags, 'keyspaceId')
      const tenant = text(flags, 'tenant')
      if (keyspaceId !== undefined || tenant !== undefined) {
        const to = need(flags, 'to', '--to', 'DualWrite ramp --tenant')
        const who = tenant === undefined ? { keyspaceId: keyspaceId?.toLowerCase() } : { tenant }
        return { id, verb: 'tenant', args: { ...who, branch: to === 'default' ? null : to, dryRun } }
      }
      const percent = numeric(flags, 'percent', '--percent', { min: 0, max: 100 })
      const auto = bool(flags, 'auto', false)
      const stop = bool(flags, 'stop', false)
      if (!auto && !stop && percent === undefined)
        throw cliErrors.missing({ flag: '--percent, --auto or --stop', command: 'DualWrite ramp' })
      const dwellMs = milliseconds(flags, 'dwell', '--dwell')
      return {
        id,
        verb,
        args: {
          ...(percent === undefined ? {} : { percent }),
          auto,
          stop,
          ...(dwellMs === undefined ? {} : { dwellMs }),
          dryRun,
        },
      }
    }
    case 'rollback':
      return { id, verb, args: { emergency: bool(flags, 'emergency', false), dryRun } }
    case 'complete':
    case 'cancel': {
      const holdMs = milliseconds(flags, 'hold', '--hold')
      return {
        id,
        verb,
        args: {
          yes: bool(flags, 'yes', false),
          keepData: bool(flags, 'keepData', false),
          ...(holdMs === undefined ? {} : { holdMs }),
          dryRun,
        },
      }
    }
    default:
      throw cliErrors.unknownVerb({ command: 'DualWrite', verb, verbs: Object.keys(dualwriteVerbTexts).join(', ') })
  }
}

function rungsOf(value: string | undefined, argument = '--rung'): (typeof rungNames)[number][] | undefined {
  return list(value)?.map((one) => {
    const rung = rungNames.find((name) => name === one.toUpperCase())
    if (rung === undefined)
      throw cliErrors.badArgument({ argument, problem: `${one} is none of ${rungNames.join(', ')}`, command: 'DualWrite' })
    return rung
  })
}

async function show(cli: CliContext, verb: string, keyspace: string, name: string, flags: Flags): Promise<void> {
  const workflow = await cli.client().call('showWorkflow', { keyspace, name })
  if (text(flags, 'format') === 'json') return cli.out(JSON.stringify(workflow, null, 2))
  if (workflow.dualwrite === null)
    throw cliErrors.badArgument({ argument: name, problem: `is a ${workflow.kind}, not a dual-write run`, command: 'DualWrite show' })
  for (const line of dualwriteLines(workflow, workflow.dualwrite, cli.clock.nowMs())) cli.out(line)
  if (verb === 'show') for (const line of details(workflow, workflow.dualwrite)) cli.out(line)
}

export function dualwriteLines(workflow: WorkflowView, run: DualWriteView, nowMs: number): string[] {
  const share = (percent: number): string => `${Math.round(percent * 100) / 100} %`
  const { coverage, horizon, auto } = run
  const ready =
    coverage === null
      ? 'not measured yet'
      : `${coverage.percent === null ? 'unknown' : share(coverage.percent)} of the window${coverage.readyAtMs === null ? ', ready: unknown' : coverage.readyAtMs <= nowMs ? '' : `, whole in ${duration(coverage.readyAtMs - nowMs)}`} (${coverage.because}), lag ${coverage.lag ?? 'unknown'}`
  return [
    `${workflow.keyspace}.${workflow.name}  dualwrite  ${workflow.state}  → ${workflow.keyspace}@${run.toBranch} (${workflow.sourceShards.length} → ${workflow.targetShards.length} shards), ${run.bootstrap}, plan version ${run.planVersion}`,
    `  filled: ${ready}`,
    ...dimensionLines(run.dimensions),
    `  reads: ${share(run.readsPercent)} on ${run.toBranch}${run.closing === null ? '' : `, a step to ${share(run.closing.toward === run.toBranch ? run.closing.toPercent : run.closing.fromPercent)} is under way`}${run.tenants.length === 0 ? '' : `, ${run.tenants.length} tenants by name`}`,
    `    last second: old ${readsText(run.reads.old)}; new ${readsText(run.reads.new)}${run.reads.baselineP95Ms === null ? '' : `; p95 before ${run.reads.baselineP95Ms.toFixed(1)} ms`}`,
    ...(auto === null
      ? []
      : [
          `  ramp --auto: ${auto.state}${auto.why === null ? '' : `: ${auto.why}`}${auto.state === 'running' && auto.nextStepAtMs > nowMs ? `, next step in ${duration(auto.nextStepAtMs - nowMs)}` : ''}`,
        ]),
    ...(run.watch === null ? [] : [`  compared ${clockTime(run.watch.atMs)}: ${run.watch.verdict}: ${run.watch.because}`]),
    ...writersLines(run.writers),
    ...(run.headroom === null
      ? []
      : [
          `  topic: retention reaches what ${run.headroom.fleet} has yet to read in ${duration(run.headroom.leftMs)}${run.headroom.low ? ', which is little' : ''}`,
        ]),
    horizonLine(horizon, nowMs),
    ...(run.removeAtMs === null ? [] : [`  the old data goes in ${duration(Math.max(0, run.removeAtMs - nowMs))}`]),
    ...(run.removalStopped === null ? [] : [`  the old data stays while it is read: ${run.removalStopped}`]),
    ...(workflow.next.length === 0 ? [] : [`  next: ${workflow.next.join(' | ')}`]),
  ]
}

function dimensionLines(dimensions: DualWriteView['dimensions']): string[] {
  if (dimensions === null) return []
  const { state, because, rowsDone, rowsEstimated, tables } = dimensions
  const rows = state === 'copying' ? `, ${count(rowsDone)} of about ${count(rowsEstimated)} rows` : ''
  return [
    `  dimension tables: ${state}${rows} (${because}): ${tables.map(({ table: name, merged }) => `${name}${merged ? ' merged' : ''}`).join(', ')}`,
  ]
}

export function writersLines(writers: DualWriteView['writers']): string[] {
  if (writers === null) return ['  other writers: unknown (not looked at yet)']
  const { sinceMs, lookedAtMs, fresh, found, lastMs, trouble } = writers
  const until = lookedAtMs === null || sinceMs === null ? 'never' : `from ${clockTime(sinceMs)} to ${clockTime(lookedAtMs)}`
  const seen = fresh ? [] : [`  other writers: unknown (looked at ${until}${trouble === null ? '' : `; ${trouble}`})`]
  if (found.length > 0)
    return [...seen, `  other writers: FOUND, the last ${clockTime(lastMs ?? 0)}`, ...found.map((text) => `    ${text}`)]
  return fresh ? [`  other writers: none, looked at ${until}`] : seen
}

function horizonLine(horizon: DualWriteView['horizon'], nowMs: number): string {
  if (horizon === null) return '  back: not known yet'
  switch (horizon.kind) {
    case 'open':
      return `  back: possible without end (${horizon.because})`
    case 'until':
      return `  back: possible for ${duration(Math.max(0, (horizon.untilMs ?? nowMs) - nowMs))} more (${horizon.because})`
    case 'passed':
      return `  back: not possible any more (${horizon.because})`
    default:
      return `  back: unknown (${horizon.because})`
  }
}

function readsText(reads: { reads: number; errors: number; p95Ms: number }): string {
  return reads.reads === 0 ? 'none' : `${count(reads.reads)} reads, ${reads.errors} errors, p95 ${reads.p95Ms.toFixed(1)} ms`
}

/** What each rung measured, with the differences that it found, and what it said before. */
function numbersLines(evidence: DualWriteView['evidence']): string[] {
  return evidence.flatMap(({ rung, numbers, findings, earlier }) => [
    ...(Object.keys(numbers).length === 0
      ? []
      : [
          `  ${rung}: ${Object.entries(numbers)
            .map(([name, value]) => `${name} ${value === null ? 'unknown' : typeof value === 'number' ? number(value) : value}`)
            .join(', ')}`,
        ]),
    ...findings.slice(0, 10).map((one) => `    ${one.what} at ${one.where}: old ${one.old}, new ${one.new}`),
    ...earlier.slice(0, 5).map((one) => `    before, ${clockTime(one.atMs)}: ${one.verdict}: ${one.because}`),
  ])
}

function number(value: number): string {
  return value.toLocaleString('en-US', { maximumFractionDigits: 3 })
}

export function details(workflow: WorkflowView, run: DualWriteView): string[] {
  return [
    ...table(
      ['rung', 'verdict', 'when', 'took', 'what'],
      run.evidence.map((one) => [
        one.rung,
        one.counts ? one.verdict : `${one.verdict} (older plan)`,
        clockTime(one.atMs),
        duration(one.tookMs),
        one.because,
      ]),
    ).map((line) => `  ${line}`),
    ...numbersLines(run.evidence),
    ...run.fleets.map(
      (fleet) =>
        `  fleet ${fleet.name}: wanted ${fleet.wanted}, ${fleet.consumers.filter((one) => one.fresh).length} consumers, lag ${fleet.lag ?? 'unknown'}, ${writtenText(fleet)}${fleet.error === null ? '' : `, ${fleet.error.code} ${fleet.error.what}`}`,
    ),
    '  journal:',
    ...workflow.journal.map((entry) => `    ${clockTime(entry.atMs)} ${entry.text}`),
  ]
}
