import type { Command } from 'commander'
import type { ActionRequest, ActionView, WorkflowView } from '../api/schemas.ts'
import type { RequestBody } from '../api/endpoints.ts'
import type { CliContext } from './context.ts'
import { cliErrors } from './errors.ts'
import { bool, list, milliseconds, need, repeated, text } from './flags.ts'
import type { Flags } from './flags.ts'
import { carryOut, carryOutAs, workflowLines } from './follow.ts'
import { streamLine } from './stream-text.ts'
import { paceLimits } from './pace.ts'
import { parseServerUrl } from './server-url.ts'
import { clockTime, duration, resumedText } from './text.ts'
import { followVdiff, vdiffArgs } from './vdiff.ts'
import { verbCommand } from './verbs.ts'
import { reshardFlags, reshardVerbs, reshardVerbTexts } from './vitess-flags.ts'

/** `reshard --workflow W --target-keyspace K <verb> …`, flags before or after the verb, the verb in any case. */
export function reshardCommand(program: Command, cli: CliContext): void {
  const spec = {
    name: 'reshard',
    alias: 'Reshard',
    summary: 'change the shards of a keyspace while applications keep running',
    verbs: reshardVerbTexts,
    flags: reshardFlags,
  }
  verbCommand(program, cli, spec, async (verb, flags) => {
    const name = need(flags, 'workflow', '--workflow', 'reshard')
    const keyspace = need(flags, 'targetKeyspace', '--target-keyspace', 'reshard')
    await run(cli, verb, keyspace, name, flags)
  })
}

async function run(cli: CliContext, verb: string, keyspace: string, name: string, flags: Flags): Promise<void> {
  if (verb === 'create') return create(cli, keyspace, name, flags)
  if (verb === 'show' || verb === 'status' || verb === 'progress') return show(cli, verb, keyspace, name, flags)
  await requireMeant(cli, verb, name, flags)
  const action = await cli.client().call('act', { keyspace, name }, request(cli, verb, flags))
  if (!bool(flags, 'wait', true)) return cli.out(`${verb} is asked for (request ${action.id}); \`show\` tells how it ends`)
  if (verb !== 'vdiff') {
    await carryOutAs(text(flags, 'format'), cli, keyspace, name, action)
    return
  }
  const ended = await carryOut(cli, keyspace, name, action)
  if (ended !== null) await followVdiff(cli, keyspace, name, (ended.result as { vdiff?: string } | null)?.vdiff, text(flags, 'format'))
}

async function create(cli: CliContext, keyspace: string, name: string, flags: Flags): Promise<void> {
  if (flags['tabletTypes'] !== undefined)
    cli.err('note: --tablet-types at create is without effect: each stream reads the primary of its source')
  const passwordFile = text(flags, 'passwordFile')
  const urls = repeated(flags, 'targetServer')
  const perServer = text(flags, 'targetsPerServer')
  const targetServers = urls === undefined ? undefined : await Promise.all(urls.map((url) => parseServerUrl(cli, url, passwordFile)))
  const body: RequestBody<'createWorkflow'> = {
    id: cli.newId(),
    actor: cli.actor,
    kind: 'reshard',
    keyspace,
    name,
    spec: {
      sourceShards: list(need(flags, 'sourceShards', '--source-shards', 'reshard create')) ?? [],
      targetShards: list(need(flags, 'targetShards', '--target-shards', 'reshard create')) ?? [],
      autoStart: bool(flags, 'autoStart', true),
      stopAfterCopy: bool(flags, 'stopAfterCopy', false),
      onDdl: onDdl(text(flags, 'onDdl')),
      triggers: triggers(text(flags, 'triggers')),
      fence: fence(text(flags, 'fence')),
      deferSecondaryKeys: bool(flags, 'deferSecondaryKeys', true),
      limits: paceLimits(flags, cli.clock.nowMs()),
      ...(targetServers === undefined ? {} : { targetServers }),
      ...(perServer === undefined ? {} : { targetsPerServer: Number(perServer) }),
      allowUnfenced: list(text(flags, 'allowUnfenced')) ?? [],
      failpoints: failpoints(repeated(flags, 'failpoint')),
    },
    dryRun: bool(flags, 'dryRun', false),
  }
  const action = await cli.client().call('createWorkflow', {}, body)
  const format = text(flags, 'format')
  const ended = await carryOutAs(format, cli, keyspace, name, action)
  if (ended === null || body.dryRun === true || !bool(flags, 'wait', false)) return
  await waitForCopy(format === 'json' ? { ...cli, out: cli.err } : cli, keyspace, name)
}

/** One side goes, for good: whoever asks says so, by the workflow's name where a person sits. */
async function requireMeant(cli: CliContext, verb: string, name: string, flags: Flags): Promise<void> {
  if ((verb !== 'complete' && verb !== 'cancel') || bool(flags, 'dryRun', false) || bool(flags, 'yes', false)) return
  const typed = cli.ask === null ? null : await cli.ask(`${verb} can not be undone; type the workflow's name (${name}) to go on: `)
  if (typed?.trim() !== name) throw cliErrors.notMeant({ verb, name })
}

/** Prints progress until every stream follows: a live line on a terminal, a plain line every few seconds elsewhere. */
async function waitForCopy(cli: CliContext, keyspace: string, name: string): Promise<void> {
  let lastPrinted = 0
  for (;;) {
    const workflow = await cli.client().call('showWorkflow', { keyspace, name })
    const line = workflow.streams.map((stream) => streamLine(stream, cli.clock.nowMs())).join('; ')
    cli.live?.(line)
    if (workflow.streams.some((s) => s.state === 'failed')) {
      cli.live?.('')
      throw cliErrors.failed({ what: `a stream of ${keyspace}.${name} failed: ${line}` })
    }
    if (
      workflow.streams.length > 0 &&
      workflow.streams.every((s) => s.state === 'running' || (s.state === 'stopped' && s.wanted === 'stopped'))
    ) {
      cli.live?.('')
      cli.out(line)
      return
    }
    if (cli.live === null && cli.clock.nowMs() - lastPrinted > 3000) {
      cli.out(line)
      lastPrinted = cli.clock.nowMs()
    }
    if (cli.interrupted.aborted) {
      cli.out('detached: the copy goes on')
      return
    }
    await cli.clock.sleep(250)
  }
}

async function show(cli: CliContext, verb: string, keyspace: string, name: string, flags: Flags): Promise<void> {
  const whole = await cli.client().call('showWorkflow', { keyspace, name })
  const shards = list(text(flags, 'shards')) ?? []
  const streams = whole.streams.filter((s) => shards.length === 0 || [s.source, ...s.targets].some((shard) => shards.includes(shard)))
  const workflow = { ...whole, streams, journal: bool(flags, 'includeLogs', true) ? whole.journal : [] }
  if (text(flags, 'format') === 'json') {
    cli.out(JSON.stringify(workflow, null, 2))
    return
  }
  for (const line of workflowLines(workflow, cli.clock.nowMs())) cli.out(line)
  if (verb === 'show') for (const line of details(workflow)) cli.out(line)
}

function details(workflow: WorkflowView): string[] {
  const streams = workflow.streams.flatMap((stream) => [
    `  stream ${stream.uid}: wanted ${stream.wanted}${stream.stateSinceMs === null ? '' : `, ${stream.state} since ${clockTime(stream.stateSinceMs)}`}`,
    ...(stream.headroom === null
      ? []
      : [
          `    binlog kept for another ${duration(stream.headroom.leftMs)} at least (retention ${duration(stream.headroom.retentionMs)})${stream.headroom.warning === null ? '' : `: ${stream.headroom.warning}`}`,
        ]),
    ...(stream.resumed === null ? [] : [`    ${resumedText(stream.resumed, stream.rowsEstimated)}`]),
    ...stream.tables.map((t) => `    ${t.name}: ${t.state}, ${t.rowsDone} of ~${t.rowsEstimated} rows`),
  ])
  const action = workflow.action === null ? [] : actionLines(workflow.action)
  return [...streams, ...action, '  journal:', ...workflow.journal.map((entry) => `    ${clockTime(entry.atMs)} ${entry.text}`)]
}

function actionLines(action: ActionView): string[] {
  return [
    `  last action: ${action.verb} ${action.state}`,
    ...(action.waiting === null
      ? []
      : [`    waits for ${action.waiting.what} since ${clockTime(action.waiting.sinceMs)}; ends ${action.waiting.ends}`]),
    ...action.steps.map(
      (step) => `    ${step.name}: ${step.ms === null ? 'running' : duration(step.ms)}${step.note === undefined ? '' : ` (${step.note})`}`,
    ),
    ...action.errors.map((error) => `    ${error.code} ${error.what}`),
  ]
}

function request(cli: CliContext, verb: string, flags: Flags): RequestBody<'act'> {
  return { ...verbRequest(cli, verb, flags), actor: cli.actor }
}

function verbRequest(cli: CliContext, verb: string, flags: Flags): RequestBody<'act'> {
  const id = cli.newId()
  const dryRun = bool(flags, 'dryRun', false)
  switch (verb) {
    case 'start':
    case 'stop':
      return { id, verb, args: { shards: list(text(flags, 'shards')) ?? [], dryRun } }
    case 'update': {
      const limits = paceLimits(flags, cli.clock.nowMs())
      const action = text(flags, 'onDdl')
      if (Object.keys(limits).length === 0 && action === undefined)
        throw cliErrors.missing({ flag: '--on-ddl, --max-source-load, --pause-until or another limit', command: 'reshard update' })
      return { id, verb, args: { limits, ...(action === undefined ? {} : { onDdl: onDdl(action) }), dryRun } }
    }
    case 'check':
      return { id, verb, args: { dryRun } }
    case 'vdiff': {
      return { id, verb, args: vdiffArgs(flags) }
    }
    case 'switchtraffic':
    case 'reversetraffic': {
      const timeoutMs = milliseconds(flags, 'timeout', '--timeout')
      const maxLagMs = milliseconds(flags, 'maxReplicationLagAllowed', '--max-replication-lag-allowed')
      const maxStallMs = milliseconds(flags, 'maxStall', '--max-stall')
      if (maxStallMs !== undefined && maxStallMs < maxStallMsMin)
        throw cliErrors.badArgument({
          argument: '--max-stall',
          problem: `${text(flags, 'maxStall')} is less than ${maxStallMsMin}ms, in which no switch could be made`,
          command: `reshard ${verb}`,
        })
      const types = list(text(flags, 'tabletTypes'))?.map((type) => type.toLowerCase())
      const args = {
        ...(types === undefined ? {} : { tabletTypes: types.map(tabletType) }),
        shards: list(text(flags, 'shards')) ?? [],
        ...(timeoutMs === undefined ? {} : { timeoutMs }),
        ...(maxLagMs === undefined ? {} : { maxLagMs }),
        ...(maxStallMs === undefined ? {} : { maxStallMs }),
        enableReverse: bool(flags, 'enableReverseReplication', true),
        requireVdiff: bool(flags, 'requireVdiff', false),
        allowDifferences: list(text(flags, 'allowDifferences')) ?? [],
        allowUnfenced: list(text(flags, 'allowUnfenced')) ?? [],
        allowFewerReplicas: bool(flags, 'allowFewerReplicas', false),
        dryRun,
      }
      return { id, verb, args }
    }
    case 'complete':
    case 'cancel':
      return { id, verb, args: { keepData: bool(flags, 'keepData', false), dropSource: bool(flags, 'dropSource', false), dryRun } }
    default:
      throw cliErrors.unknownVerb({ command: 'reshard', verb, verbs: reshardVerbs.join(', ') })
  }
}

/** As the API has it. */
const maxStallMsMin = 500

type TabletType = NonNullable<Extract<ActionRequest, { verb: 'switchtraffic' }>['args']['tabletTypes']>[number]

function tabletType(type: string): TabletType {
  if (type === 'primary' || type === 'replica' || type === 'rdonly') return type
  throw cliErrors.badArgument({ argument: '--tablet-types', problem: `${type} is none of primary, replica, rdonly`, command: 'reshard' })
}

function triggers(value: string | undefined): 'refuse' | 'at-switch' {
  const mode = (value ?? 'refuse').toLowerCase()
  if (mode === 'refuse' || mode === 'at-switch') return mode
  throw cliErrors.badArgument({ argument: '--triggers', problem: `${mode} is neither refuse nor at-switch`, command: 'reshard create' })
}

const fences = ['strongest', 'locks', 'kill', 'persist', 'triggers'] as const

function fence(value: string | undefined): (typeof fences)[number] {
  const kind = fences.find((one) => one === (value ?? 'strongest').toLowerCase())
  if (kind !== undefined) return kind
  throw cliErrors.badArgument({ argument: '--fence', problem: `${value} is none of ${fences.join(', ')}`, command: 'reshard create' })
}

function onDdl(value: string | undefined): 'stop' | 'ignore' | 'exec' {
  const mode = (value ?? 'stop').toLowerCase()
  if (mode === 'stop' || mode === 'ignore' || mode === 'exec') return mode
  throw cliErrors.badArgument({ argument: '--on-ddl', problem: `${mode} is none of stop, ignore, exec`, command: 'reshard create' })
}

function failpoints(given: string[] | undefined): Record<string, 'kill' | 'hold'> {
  const result: Record<string, 'kill' | 'hold'> = {}
  for (const one of given ?? []) {
    const [name, what] = one.split('=')
    if (name === undefined || (what !== 'kill' && what !== 'hold')) {
      throw cliErrors.badArgument({ argument: '--failpoint', problem: `${one} is not name=kill or name=hold`, command: 'reshard create' })
    }
    result[name] = what
  }
  return result
}
