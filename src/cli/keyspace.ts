import type { Command } from 'commander'
import type { KeyspaceView } from '../api/schemas.ts'
import { branchCommands } from './branch.ts'
import type { CliContext } from './context.ts'
import { goingLines, isMeant } from './deletion.ts'
import { cliErrors } from './errors.ts'
import { bool, list, text } from './flags.ts'
import type { Flags } from './flags.ts'
import { parseServerUrl } from './server-url.ts'
import { auditLines } from './status.ts'
import { table } from './text.ts'

export function keyspaceCommands(program: Command, cli: CliContext): void {
  const keyspace = program.command('keyspace').description('logical databases: create, list, show, delete')
  keyspace
    .command('create <name>')
    .description('attach an existing server, or provision local ones')
    .option('--server <url>', 'mysql://user@host:3306/schema: attach this server as the one shard')
    .option('--password-file <file>', 'the password of that user (or the environment: SHARDWRIGHT_SERVER_PASSWORD)')
    .option('--flavour <flavour>', 'mysql | mariadb: what to provision')
    .option('--shards <ranges>', 'provision one shard a range, e.g. -80,80-')
    .option('--format <format>', 'text | json')
    .action(async (name: string, flags: Flags) => {
      const url = text(flags, 'server')
      const flavour = text(flags, 'flavour')
      if (flavour !== undefined && flavour !== 'mysql' && flavour !== 'mariadb') {
        throw cliErrors.badArgument({
          argument: '--flavour',
          problem: `${flavour} is neither mysql nor mariadb`,
          command: 'keyspace create',
        })
      }
      const shards = list(text(flags, 'shards'))
      const view = await cli.client().call(
        'createKeyspace',
        {},
        {
          name,
          ...(url === undefined ? {} : { server: await parseServerUrl(cli, url, text(flags, 'passwordFile')) }),
          ...(flavour === undefined ? {} : { flavour }),
          ...(shards === undefined ? {} : { shards }),
        },
      )
      print(cli, flags, view, () => keyspaceLines(view))
    })
  branchCommands(keyspace, cli)
  keyspace
    .command('list')
    .option('--format <format>', 'text | json')
    .action(async (flags: Flags) => {
      const all = await cli.client().call('listKeyspaces')
      print(cli, flags, all, () =>
        table(
          ['keyspace', 'sharded', 'shards'],
          all.map((k) => [k.name, k.sharded ? 'yes' : 'no', k.shards.map((s) => s.name).join(',')]),
        ),
      )
    })
  keyspace
    .command('show <name>')
    .option('--format <format>', 'text | json')
    .action(async (name: string, flags: Flags) => {
      const view = await cli.client().call('showKeyspace', { keyspace: name })
      print(cli, flags, view, () => keyspaceLines(view))
    })
  keyspace
    .command('update <name>')
    .description('change its settings')
    .option('--allow-unfenced <accounts>', 'user@host,… that a switch may leave open although they pass its fence; empty: none')
    .option(
      '--transaction-mode <mode>',
      'single | multi | xa: whether a transaction may write on several shards, and whether it is atomic then',
    )
    .option('--format <format>', 'text | json')
    .action(async (name: string, flags: Flags) => {
      const mode = text(flags, 'transactionMode')
      if (mode !== undefined && mode !== 'single' && mode !== 'multi' && mode !== 'xa') {
        throw cliErrors.badArgument({
          argument: '--transaction-mode',
          problem: `${mode} is none of single, multi, xa`,
          command: 'keyspace update',
        })
      }
      const allowUnfenced = list(text(flags, 'allowUnfenced'))
      const view = await cli.client().call(
        'updateKeyspace',
        { keyspace: name },
        {
          ...(allowUnfenced === undefined ? {} : { allowUnfenced }),
          ...(mode === undefined ? {} : { transactionMode: mode }),
        },
      )
      print(cli, flags, view, () => keyspaceLines(view))
    })
  keyspace
    .command('delete <name>')
    .description('forget a keyspace; servers that we provisioned for it go with their data, attached ones stay as they are')
    .option('--yes', 'the data of provisioned servers is meant to go')
    .option('--dry-run', 'say what would go, change nothing')
    .option('--format <format>', 'text | json')
    .action(async (name: string, flags: Flags) => {
      const dryRun = bool(flags, 'dryRun', false)
      const call = (yes: boolean, dry: boolean) => cli.client().call('deleteKeyspace', { keyspace: name }, { yes, dryRun: dry })
      const view = await call(await isMeant(cli, flags, name, () => call(false, true)), dryRun)
      print(cli, flags, view, () => [
        dryRun ? `would forget keyspace ${name}` : `keyspace ${name} is forgotten`,
        ...goingLines(view, dryRun ? 'would remove' : 'removed'),
      ])
    })
  program
    .command('GetKeyspaces')
    .alias('getkeyspaces')
    .description('as `keyspace list --format json`')
    .option('--format <format>', 'text | json')
    .action(async () => cli.out(JSON.stringify(await cli.client().call('listKeyspaces'), null, 2)))
  const server = program.command('server').description('database servers: list, open, accept')
  server
    .command('list')
    .option('--format <format>', 'text | json')
    .action(async (flags: Flags) => {
      const servers = await cli.client().call('listServers')
      print(cli, flags, servers, () =>
        table(
          ['server', 'flavour', 'address', 'ours'],
          servers.map((s) => [s.id, `${s.flavour} ${s.version}`, `${s.host}:${s.port}`, s.provisioned ? 'yes' : 'no']),
        ),
      )
    })
  server
    .command('open <server>')
    .description('give a closed server back to its clients, once no shard stands on it')
    .action(async (name: string) => {
      await cli.client().call('openServer', { server: name })
      cli.out(`server ${name} is open to its clients again`)
    })
  server
    .command('accept <server>')
    .description(
      'take the server that answers at this address now for the one that was attached: it has the same data (restored, moved, failed over)',
    )
    .action(async (name: string) => {
      const { was, is } = await cli.client().call('acceptServer', { server: name }, { actor: cli.actor })
      cli.out(was === is ? `server ${name} is the one that was attached (${is})` : `server ${name} is ${is} from now on; it was ${was}`)
    })
  const shard = program.command('shard').description('the shards of a keyspace')
  shard
    .command('list <keyspace>')
    .option('--format <format>', 'text | json')
    .action(async (name: string, flags: Flags) => {
      const shards = await cli.client().call('listShards', { keyspace: name })
      print(cli, flags, shards, () => shardTable(shards))
    })
  const placeOf = (given: string, command: string): { keyspace: string; shard: string } => {
    const at = given.indexOf('/')
    if (at < 1) throw cliErrors.badArgument({ argument: given, problem: 'not keyspace/shard, e.g. app/-40', command })
    return { keyspace: given.slice(0, at), shard: given.slice(at + 1) }
  }
  shard
    .command('add-replica <keyspace/shard>')
    .description("take a running replica of the shard's server into the topology")
    .requiredOption('--server <url>', 'mysql://user@host:3306')
    .option('--password-file <file>', 'the password of that user (or the environment: SHARDWRIGHT_SERVER_PASSWORD)')
    .option('--format <format>', 'text | json')
    .action(async (given: string, flags: Flags) => {
      const url = await parseServerUrl(cli, text(flags, 'server') ?? '', text(flags, 'passwordFile'))
      const view = await cli.client().call('addReplica', placeOf(given, 'shard add-replica'), url)
      print(cli, flags, view, () => [`${view.id} is a replica of ${given}`])
    })
  shard
    .command('remove-replica <keyspace/shard>')
    .description('forget a replica; the server itself is left as it is')
    .requiredOption('--server <id>', 'host:port, as `server list` shows it')
    .action(async (given: string, flags: Flags) => {
      const server = text(flags, 'server') ?? ''
      await cli.client().call('removeReplica', { ...placeOf(given, 'shard remove-replica'), server })
      cli.out(`${server} is forgotten; it was left as it is`)
    })
  shard
    .command('set-primary <keyspace/shard>')
    .description('make a replica the primary: the old one is closed first, and the new one must have executed all of it')
    .requiredOption('--server <id>', 'host:port of a replica')
    .option('--old-primary-is-down', 'it cannot be reached: what it had not replicated is given up')
    .option('--timeout <ms>', 'for the replica to catch up', '10000')
    .option('--format <format>', 'text | json')
    .action(async (given: string, flags: Flags) => {
      const body = {
        server: text(flags, 'server') ?? '',
        oldIsDown: flags['oldPrimaryIsDown'] === true,
        catchUpMs: Number(text(flags, 'timeout')),
        actor: cli.actor,
      }
      const result = await cli.client().call('setPrimary', placeOf(given, 'shard set-primary'), body)
      print(cli, flags, result, () => result.text)
    })
  shard
    .command('log <keyspace/shard>')
    .description('who had its primary changed, when, each step and what came of it')
    .option('--format <format>', 'text | json')
    .action(async (given: string, flags: Flags) => {
      const entries = await cli.client().call('shardLog', placeOf(given, 'shard log'))
      print(cli, flags, entries, () => entries.flatMap(auditLines))
    })
  program
    .command('GetShards <keyspace>')
    .alias('getshards')
    .option('--format <format>', 'text | json')
    .action(async (name: string) => cli.out(JSON.stringify(await cli.client().call('listShards', { keyspace: name }), null, 2)))
}

export function print(cli: CliContext, flags: Flags, value: unknown, lines: () => string[]): void {
  if (text(flags, 'format') === 'json') cli.out(JSON.stringify(value, null, 2))
  else for (const line of lines()) cli.out(line)
}

function keyspaceLines(view: KeyspaceView): string[] {
  const components = view.routing.components.map((c) => [
    c.range,
    c.phase,
    c.serving.join(','),
    c.servingReplica.join(','),
    c.other.join(','),
    c.workflow ?? '',
    String(c.epoch),
  ])
  return [
    `keyspace ${view.name}: ${view.sharded ? 'sharded' : 'unsharded'}, transactions ${view.transactionMode}${view.allowUnfenced.length === 0 ? '' : `, allowed past a fence: ${view.allowUnfenced.join(', ')}`}`,
    ...shardTable(view.shards),
    '',
    ...table(['range', 'phase', 'serving', 'replica reads', 'other side', 'workflow', 'epoch'], components),
    ...view.shards.flatMap(({ name, givenUp }) =>
      givenUp.map(
        ({ server, closed }) => `${server} was the primary of ${name} and is ${closed ? 'closed' : 'closed as soon as it is seen'}`,
      ),
    ),
  ]
}

function shardTable(shards: KeyspaceView['shards']): string[] {
  return table(
    ['shard', 'server', 'address', 'replicas', 'schema', 'serves', 'workflow'],
    shards.map((s) => [
      s.name,
      `${s.server.id} (${s.server.flavour} ${s.server.version})`,
      `${s.server.host}:${s.server.port}`,
      s.replicas.join(','),
      s.schema,
      s.serves ? 'yes' : 'no',
      s.workflow ?? '',
    ]),
  )
}
