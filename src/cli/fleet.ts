import type { Command } from 'commander'
import type { DeadLetterView, FleetView } from '../api/dualwrite-schemas.ts'
import { resolve } from 'node:path'
import type { CliContext } from './context.ts'
import { cliErrors } from './errors.ts'
import { milliseconds, need, numeric, text } from './flags.ts'
import type { Flags } from './flags.ts'
import { print } from './keyspace.ts'
import { count, table } from './text.ts'

/** `fleet create|list|show|dead|update|hold|resume|stop|delete`: the consumers that fill a branch from a topic. */
export function fleetCommands(program: Command, cli: CliContext): void {
  const fleet = program.command('fleet').description('consumer fleets: what fills the branches of a keyspace from its topics')
  fleet
    .command('create')
    .description('make the fleet of a keyspace (or of one branch); `up` runs its consumers')
    .option('--keyspace <keyspace>', 'insights, or insights@wide')
    .option('--definition <file>', 'the topic definition: a module or YAML')
    .option('--topic <url>', 'the address of the topic, where the definition does not say it')
    .option('--name <suffix>', 'when a branch reads several topics: what to call this one')
    .option('--start <where>', 'oldest | end: from where it reads', 'oldest')
    .option('--margin <duration>', 'behind the oldest offset held')
    .option('--consumers <n>', 'how many processes')
    .option('--writers <n>', 'writer lanes of each')
    .option('--batch-records-max <n>', 'records merged at once behind a backlog')
    .option('--format <format>', 'text | json')
    .action(async (flags: Flags) => {
      const [keyspace, branch] = need(flags, 'keyspace', '--keyspace', 'fleet create').split('@')
      const start = text(flags, 'start')
      if (start !== 'oldest' && start !== 'end')
        throw cliErrors.badArgument({ argument: '--start', problem: `${start} is neither oldest nor end`, command: 'fleet create' })
      const marginMs = milliseconds(flags, 'margin', '--margin')
      const topic = text(flags, 'topic')
      const suffix = text(flags, 'name')
      const view = await cli.client().call(
        'createFleet',
        {},
        {
          keyspace: keyspace ?? '',
          ...(branch === undefined ? {} : { branch }),
          // Control reads it, wherever that runs.
          definition: resolve(need(flags, 'definition', '--definition', 'fleet create')),
          ...(topic === undefined ? {} : { topic }),
          ...(suffix === undefined ? {} : { suffix }),
          start,
          ...(marginMs === undefined ? {} : { marginMs }),
          ...number(flags, 'consumers'),
          ...number(flags, 'writers'),
          ...number(flags, 'batchRecordsMax'),
        },
      )
      print(cli, flags, view, () => fleetLines(view))
    })
  fleet
    .command('list')
    .option('--format <format>', 'text | json')
    .action(async (flags: Flags) => {
      const views = await cli.client().call('listFleets')
      print(cli, flags, views, () =>
        table(
          ['fleet', 'topic', 'wanted', 'consumers', 'lag', 'records/s', 'dead', 'late rows'],
          views.map((view) => [
            view.name,
            view.topic,
            view.wanted,
            `${view.consumers.filter((one) => one.fresh).length}`,
            view.lag ?? 'unknown',
            view.recordsPerSecond === null ? 'unknown' : count(Math.round(view.recordsPerSecond)),
            view.written === null ? 'unknown' : count(view.written.dead),
            view.written === null ? 'unknown' : count(view.written.late),
          ]),
        ),
      )
    })
  fleet
    .command('show <fleet>')
    .option('--format <format>', 'text | json')
    .action(async (name: string, flags: Flags) => {
      const view = await cli.client().call('showFleet', { fleet: name })
      print(cli, flags, view, () => fleetLines(view))
    })
  fleet
    .command('dead <fleet>')
    .description('records that make no rows (`poison: dead-letter`): where they stand, why, what they hold')
    .option('--limit <n>', 'so many, by partition and offset', '100')
    .option('--format <format>', 'text | json')
    .action(async (name: string, flags: Flags) => {
      const letters = await cli.client().call('deadLetters', { fleet: name, limit: text(flags, 'limit') ?? '100' })
      print(cli, flags, letters, () => deadLines(name, letters))
    })
  fleet
    .command('update <fleet>')
    .description('another version of its definition, from the next record of each partition on; refused while a dual-write run is open')
    .option('--definition <file>', 'the topic definition, with the one before in `previous`')
    .option('--format <format>', 'text | json')
    .action(async (name: string, flags: Flags) => {
      const definition = resolve(need(flags, 'definition', '--definition', 'fleet update'))
      const view = await cli.client().call('updateFleet', { fleet: name }, { definition })
      print(cli, flags, view, () => [`fleet ${name} goes on by version ${view.definitionVersion} of ${view.definition}`])
    })
  for (const [verb, wanted, does] of [
    ['hold', 'held', 'write nothing until resumed; leases and positions stay'],
    ['resume', 'running', 'go on (also after stop: where its positions stand)'],
    ['stop', 'stopped', 'end its consumers'],
  ] as const) {
    fleet
      .command(`${verb} <fleet>`)
      .description(does)
      .option('--format <format>', 'text | json')
      .action(async (name: string, flags: Flags) => {
        const view = await cli.client().call('setFleet', { fleet: name }, { wanted })
        print(cli, flags, view, () => [`fleet ${name} is wanted ${view.wanted}`])
      })
  }
  fleet
    .command('delete <fleet>')
    .description('forget a stopped fleet; its rows and positions stay on the shards')
    .action(async (name: string) => {
      await cli.client().call('deleteFleet', { fleet: name })
      cli.out(`fleet ${name} is forgotten`)
    })
}

function number(flags: Flags, name: 'consumers' | 'writers' | 'batchRecordsMax'): { [name: string]: number } {
  const flag = { consumers: '--consumers', writers: '--writers', batchRecordsMax: '--batch-records-max' }[name]
  const value = numeric(flags, name, flag, { min: 1, whole: true })
  return value === undefined ? {} : { [name]: value }
}

export function deadLines(name: string, letters: readonly DeadLetterView[]): string[] {
  if (letters.length === 0) return [`fleet ${name} has no dead letters`]
  return letters.flatMap((one) => [
    `partition ${one.partition} offset ${one.offset}  ${new Date(one.atMs).toISOString()}  ${one.reason}`,
    `  key   ${one.key ?? 'none'}`,
    `  value ${one.value ?? 'none'}${one.valueBytes > 4096 ? ` … (${count(one.valueBytes)} bytes)` : ''}`,
  ])
}

/** Of all time, as the shards count. */
export function writtenText({ written }: Pick<FleetView, 'written'>): string {
  return written === null
    ? 'dead letters and late rows unknown'
    : `${count(written.dead)} dead letters, ${count(written.late)} late rows dropped`
}

/** Behind the partition that holds it, if any does. */
export function expiryText({ expiry }: Pick<FleetView, 'expiry'>): string[] {
  if (expiry === null) return []
  const { ms, heldBy } = expiry
  if (ms === null)
    return heldBy === null
      ? ['nothing expires yet: no event has come']
      : [`nothing expires: partition ${heldBy} is behind, or was until lately, and has had no event`]
  return [
    `rows expire by ${new Date(ms).toISOString()}${heldBy === null ? ', where the topic rests' : `, as far as partition ${heldBy} is`}`,
  ]
}

export function fleetLines(view: FleetView): string[] {
  const merged = view.mergedShare === null ? '' : `, ${(view.mergedShare * 100).toFixed(1)} % of rows merged in memory`
  return [
    `fleet ${view.name}: wanted ${view.wanted}, ${view.consumers.filter((one) => one.fresh).length} consumers, lag ${view.lag ?? 'unknown'}${merged}`,
    `  topic ${view.topic}, definition ${view.definition} version ${view.definitionVersion}`,
    `  ${writtenText(view)}${view.written !== null && view.written.dead > 0 ? `: shardwright fleet dead ${view.name}` : ''}`,
    ...expiryText(view).map((line) => `  ${line}`),
    ...(view.error === null ? [] : [`  ${view.error.code} ${view.error.what}`, `  ${view.error.fix}`]),
    ...table(
      ['partition', 'start', 'state', 'lag', 'log start', 'end'],
      view.partitions.map((one) => [
        String(one.partition),
        view.startOffsets[String(one.partition)] ?? '',
        one.error === null ? one.state : `${one.state}: ${one.error.code}`,
        one.lag ?? 'unknown',
        one.logStart ?? 'unknown',
        one.highWatermark ?? 'unknown',
      ]),
    ),
  ]
}
