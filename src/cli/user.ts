import type { Command } from 'commander'
import type { AlterUser, UserView } from '../api/user-schemas.ts'
import type { CliContext } from './context.ts'
import { cliErrors } from './errors.ts'
import { bool, text, type Flags } from './flags.ts'
import { print } from './keyspace.ts'
import { parseBytes, parseDuration, table } from './text.ts'

/** Accounts for clients of the gate. */
export function userCommands(program: Command, cli: CliContext): void {
  const user = program.command('user').description('accounts for clients of the gate: what they may do, and how much')
  settings(user.command('create <name>').description('make one; without --grant it may do all on every keyspace')).action(
    async (name: string, flags: Flags) => {
      const view = await cli.client().call('createUser', {}, { name, ...(await given(cli, flags)) })
      print(cli, flags, view, () => [`user ${name} may connect to the gate`, ...userLines([view])])
    },
  )
  settings(user.command('alter <name>').description('change it; holds at the next statement of its sessions'))
    .option('--revoke <rights>', 'read, write, ddl or all, on KEYSPACE or * (may be repeated)', collect)
    .action(async (name: string, flags: Flags) => {
      const view = await cli.client().call('alterUser', { user: name }, await given(cli, flags))
      print(cli, flags, view, () => userLines([view]))
    })
  user
    .command('list')
    .description('all of them, with rights and limits')
    .option('--format <format>', 'text | json')
    .action(async (flags: Flags) => {
      const users = await cli.client().call('listUsers')
      print(cli, flags, users, () => userLines(users))
    })
  user
    .command('drop <name>')
    .description('remove it; its sessions end at their next statement')
    .action(async (name: string) => {
      await cli.client().call('dropUser', { user: name })
      cli.out(`user ${name} is dropped`)
    })
}

function settings(command: Command): Command {
  return command
    .option('--password-file <file>', 'the password, in a file')
    .option('--hash-file <file>', 'instead: its hash as a server keeps it, *HEX or $A$005$… (in hex too), in a file')
    .option(
      '--plugin <plugin>',
      'any | caching_sha2_password | mysql_native_password: how it logs in; caching_sha2_password alone keeps the salted hash only',
    )
    .option('--grant <rights>', 'read, write, ddl or all, on KEYSPACE or * (may be repeated)', collect)
    .option('--require-tls [bool]', 'let it in with TLS only')
    .option('--max-rows <n>', "rows of one answer; 'none': no limit")
    .option('--max-bytes <bytes>', "bytes of one answer (20M); 'none': no limit")
    .option('--max-time <duration>', "how long a statement may run (30s); 'none': no limit")
    .option('--max-concurrent <n>', "statements at once, at each gate; 'none': no limit")
    .option('--multi-statements <allowed|refused>', 'several statements in one text, for libraries that ask for it; refused unless said')
    .option('--scatter <allowed|refused>', 'statements on every shard that have neither a shard key nor a LIMIT')
    .option('--format <format>', 'text | json')
}

function collect(value: string, before: string[] | undefined): string[] {
  return [...(before ?? []), value]
}

async function given(cli: CliContext, flags: Flags): Promise<AlterUser> {
  const read = async (name: string): Promise<string | undefined> => {
    const file = text(flags, name)
    return file === undefined ? undefined : (await cli.readFile(file)).replace(/\r?\n$/, '')
  }
  const [password, hash] = [await read('passwordFile'), await read('hashFile')]
  const plugin = oneOf(flags, 'plugin', '--plugin', ['any', 'caching_sha2_password', 'mysql_native_password'] as const)
  const scatter = oneOf(flags, 'scatter', '--scatter', ['allowed', 'refused'] as const)
  const multiStatements = oneOf(flags, 'multiStatements', '--multi-statements', ['allowed', 'refused'] as const)
  const limits = {
    ...limit(flags, 'maxRows', '--max-rows', Number),
    ...limit(flags, 'maxBytes', '--max-bytes', parseBytes),
    ...limit(flags, 'maxTime', '--max-time', parseDuration),
    ...limit(flags, 'maxConcurrent', '--max-concurrent', Number),
    ...(scatter === undefined ? {} : { scatter }),
    ...(multiStatements === undefined ? {} : { multiStatements }),
  }
  return {
    ...(password === undefined ? {} : { password }),
    ...(hash === undefined ? {} : { hash }),
    ...(plugin === undefined ? {} : { plugin }),
    ...(flags['grant'] === undefined ? {} : { grant: flags['grant'] as string[] }),
    ...(flags['revoke'] === undefined ? {} : { revoke: flags['revoke'] as string[] }),
    ...(flags['requireTls'] === undefined ? {} : { requireTls: bool(flags, 'requireTls', false) }),
    ...(Object.keys(limits).length === 0 ? {} : { limits }),
  }
}

const limitNames: Readonly<Record<string, string>> = { maxRows: 'rows', maxBytes: 'bytes', maxTime: 'ms', maxConcurrent: 'concurrent' }

function limit(flags: Flags, name: string, flag: string, parse: (text: string) => number | null): Record<string, number | null> {
  const value = text(flags, name)
  if (value === undefined) return {}
  if (value === 'none') return { [limitNames[name] as string]: null }
  const parsed = parse(value)
  if (parsed === null || !Number.isInteger(parsed) || parsed < 1)
    throw cliErrors.badArgument({ argument: flag, problem: `${value} is neither a number above 0 nor 'none'`, command: 'user create' })
  return { [limitNames[name] as string]: parsed }
}

function oneOf<T extends string>(flags: Flags, name: string, flag: string, values: readonly T[]): T | undefined {
  const value = text(flags, name)
  if (value === undefined || values.includes(value as T)) return value as T | undefined
  throw cliErrors.badArgument({ argument: flag, problem: `${value} is none of ${values.join(', ')}`, command: 'user create' })
}

export function userLines(users: readonly UserView[]): string[] {
  return table(
    ['user', 'may', 'TLS', 'limits', 'logs in by'],
    users.map(({ name, grants, requireTls, limits, plugins }) => [
      name,
      Object.entries(grants)
        .map(([keyspace, rights]) => `${rights.length === 3 ? 'all' : rights.join(', ')} on ${keyspace}`)
        .join('; ') || 'nothing',
      requireTls ? 'required' : 'as it likes',
      [
        ...(limits.rows == null ? [] : [`${limits.rows} rows`]),
        ...(limits.bytes == null ? [] : [`${limits.bytes} bytes`]),
        ...(limits.ms == null ? [] : [`${limits.ms} ms`]),
        ...(limits.concurrent == null ? [] : [`${limits.concurrent} at once`]),
        ...(limits.scatter === 'refused' ? ['no unbounded scatter'] : []),
        ...(limits.multiStatements === 'allowed' ? ['multi-statements'] : []),
      ].join(', ') || 'none',
      plugins.join(', '),
    ]),
  )
}
