import type { Command } from 'commander'
import type { CliContext } from './context.ts'
import { cliErrors } from './errors.ts'
import { bool, text } from './flags.ts'
import type { Flags } from './flags.ts'
import { print } from './keyspace.ts'

export function vschemaCommands(program: Command, cli: CliContext): void {
  const vschema = program.command('vschema').description('which column shards which table')
  apply(vschema.command('apply <keyspace>'), cli)
  show(vschema.command('show <keyspace>'), cli)
  apply(program.command('ApplyVSchema <keyspace>').alias('applyvschema'), cli)
  show(program.command('GetVSchema <keyspace>').alias('getvschema'), cli)
  const sequence = program.command('sequence').description('ids across shards')
  sequence
    .command('create <keyspace.table.column>')
    .option('--on <keyspace>', 'unsharded keyspace that holds it; absent: <keyspace>_seq, provisioned when needed')
    .option('--cache <n>', 'ids a gate takes at once', '1000')
    .option('--format <format>', 'text | json')
    .action(async (target: string, flags: Flags) => {
      const [keyspace, tableName, column, ...rest] = target.split('.')
      if (keyspace === undefined || tableName === undefined || column === undefined || rest.length > 0) {
        throw cliErrors.badArgument({ argument: target, problem: 'is not keyspace.table.column', command: 'sequence create' })
      }
      const on = text(flags, 'on')
      const view = await cli
        .client()
        .call(
          'createSequence',
          {},
          { keyspace, table: tableName, column, cache: Number(text(flags, 'cache')), ...(on === undefined ? {} : { on }) },
        )
      print(cli, flags, view, () => [
        `sequence ${view.keyspace}.${view.name} gives ${target}; next id ${view.nextId}, blocks of ${view.cache}`,
      ])
    })
}

function apply(command: Command, cli: CliContext): void {
  command
    .description("replace a keyspace's vschema (Vitess's JSON)")
    .option('--vschema <json>', 'the JSON itself')
    .option('--vschema-file <file>', 'a file that holds it')
    .option('--dry-run [bool]', 'check it and change nothing')
    .option('--skip-rebuild [bool]', 'accepted without effect: gates watch the topology')
    .option('--cells <cells>', 'accepted without effect: there are no cells')
    .option('--strict [bool]', 'accepted without effect: unknown keys are always refused')
    .option('--sql <statement>', 'refused')
    .option('--sql-file <file>', 'refused')
    .option('--format <format>', 'text | json')
    .action(async (keyspace: string, flags: Flags) => {
      const sql = flags['sql'] !== undefined ? '--sql' : flags['sqlFile'] !== undefined ? '--sql-file' : null
      if (sql !== null) {
        throw cliErrors.refusedFlag({ flag: sql, why: 'a vschema is applied whole', instead: 'give the JSON: --vschema-file FILE' })
      }
      const file = text(flags, 'vschemaFile')
      const source = text(flags, 'vschema') ?? (file === undefined ? undefined : await cli.readFile(file))
      if (source === undefined) throw cliErrors.missing({ command: 'vschema apply', flag: '--vschema-file FILE or --vschema JSON' })
      let vschema: Record<string, unknown>
      try {
        vschema = JSON.parse(source) as Record<string, unknown>
      } catch (error) {
        throw cliErrors.badArgument({
          argument: file ?? '--vschema',
          problem: `is not JSON: ${error instanceof Error ? error.message : ''}`,
          command: 'vschema apply',
        })
      }
      const dryRun = bool(flags, 'dryRun', false)
      const applied = await cli.client().call('applyVSchema', { keyspace }, { vschema, dryRun })
      cli.out(dryRun ? `dry run: this would be the vschema of ${keyspace}` : `the vschema of ${keyspace} is now`)
      cli.out(JSON.stringify(applied, null, 2))
    })
}

function show(command: Command, cli: CliContext): void {
  command
    .option('--format <format>', 'json')
    .option('--include-metadata', 'accepted without effect')
    .action(async (keyspace: string) => {
      cli.out(JSON.stringify(await cli.client().call('showVSchema', { keyspace }), null, 2))
    })
}
