import type { Command } from 'commander'
import type { BranchView } from '../api/dualwrite-schemas.ts'
import type { CliContext } from './context.ts'
import { goingLines, isMeant } from './deletion.ts'
import { cliErrors } from './errors.ts'
import { bool, list, need, repeated, text } from './flags.ts'
import type { Flags } from './flags.ts'
import { print } from './keyspace.ts'
import { parseServerUrl } from './server-url.ts'
import { table } from './text.ts'

/** `keyspace branch create|list|delete`: a second set of shards of one keyspace. */
export function branchCommands(keyspace: Command, cli: CliContext): void {
  const branch = keyspace.command('branch').description('branches: a second set of shards, filled from the same topics')
  branch
    .command('create <keyspace/branch>')
    .description('make a branch: its shards get the tables of the keyspace, empty')
    .option('--shards <n|ranges>', 'how many even shards, or their ranges')
    .option('--target-server <url>', 'mysql://user@host:3306: attached servers, in turn (may be repeated)', collect)
    .option('--password-file <file>', 'the password of these users (or the environment: SHARDWRIGHT_SERVER_PASSWORD)')
    .option('--targets-per-server <n>', 'how many shards share one provisioned server')
    .option('--format <format>', 'text | json')
    .action(async (name: string, flags: Flags) => {
      const [keyspaceName, branchName] = parts(name)
      const shards = need(flags, 'shards', '--shards', 'keyspace branch create')
      const urls = repeated(flags, 'targetServer')
      const perServer = text(flags, 'targetsPerServer')
      const targetServers =
        urls === undefined ? undefined : await Promise.all(urls.map((url) => parseServerUrl(cli, url, text(flags, 'passwordFile'))))
      const view = await cli.client().call(
        'createBranch',
        { keyspace: keyspaceName },
        {
          branch: branchName,
          shards: /^\d+$/.test(shards) && shards !== '0' ? Number(shards) : (list(shards) ?? []),
          ...(targetServers === undefined ? {} : { targetServers }),
          ...(perServer === undefined ? {} : { targetsPerServer: Number(perServer) }),
        },
      )
      print(cli, flags, view, () => branchLines([view]))
    })
  branch
    .command('list <keyspace>')
    .option('--format <format>', 'text | json')
    .action(async (name: string, flags: Flags) => {
      const views = await cli.client().call('listBranches', { keyspace: name })
      print(cli, flags, views, () => branchLines(views))
    })
  branch
    .command('delete <keyspace/branch>')
    .description('remove a branch that nothing reads or writes, and the servers that were made for it')
    .option('--yes', 'the data of servers and schemas that were made for it is meant to go')
    .option('--dry-run', 'say what would go, change nothing')
    .option('--format <format>', 'text | json')
    .action(async (name: string, flags: Flags) => {
      const [keyspaceName, branchName] = parts(name)
      const dryRun = bool(flags, 'dryRun', false)
      const call = (yes: boolean, dry: boolean) =>
        cli.client().call('deleteBranch', { keyspace: keyspaceName, branch: branchName }, { yes, dryRun: dry })
      const view = await call(await isMeant(cli, flags, `${keyspaceName}/${branchName}`, () => call(false, true)), dryRun)
      print(cli, flags, view, () => [
        dryRun ? `would remove branch ${name}` : `branch ${name} is gone`,
        ...goingLines(view, dryRun ? 'would remove' : 'removed'),
      ])
    })
}

function collect(value: string, before: string[] | undefined): string[] {
  return [...(before ?? []), value]
}

function parts(name: string): [string, string] {
  const match = /^([^/@]+)[/@]([^/@]+)$/.exec(name)
  if (match === null)
    throw cliErrors.badArgument({ argument: name, problem: 'is not keyspace/branch, such as insights/wide', command: 'keyspace branch' })
  return [match[1] as string, match[2] as string]
}

function branchLines(views: readonly BranchView[]): string[] {
  return table(
    ['branch', 'shards', 'servers', 'fleets', 'reads'],
    views.map((view) => [
      `${view.keyspace}@${view.branch}`,
      view.shards.map((shard) => shard.name).join(','),
      [...new Set(view.shards.map((shard) => shard.server))].join(','),
      view.fleets.join(','),
      view.readsPercent === null ? (view.branch === 'main' ? 'all' : 'none') : `${Math.round(view.readsPercent * 100) / 100} %`,
    ]),
  )
}
