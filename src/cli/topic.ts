import type { Command } from 'commander'
import { resolve } from 'node:path'
import type { TopicCheckView } from '../api/topic-schemas.ts'
import type { CliContext } from './context.ts'
import { need, text } from './flags.ts'
import type { Flags } from './flags.ts'
import { print } from './keyspace.ts'
import { table } from './text.ts'

/** `topic check`: whether a definition fits the tables that it would write. Exit code 1 when it does not. */
export function topicCommands(program: Command, cli: CliContext): void {
  const topic = program.command('topic').description('topic definitions: what records become')
  topic
    .command('check')
    .description('hold a definition against every table that it would write, all problems at once')
    .option('--definition <file>', 'the topic definition: a module or YAML')
    .option('--keyspace <keyspace>', 'insights, or insights@wide')
    .option('--topic <url>', 'the address of the topic, where the definition does not say it')
    .option('--format <format>', 'text | json')
    .action(async (flags: Flags) => {
      const [keyspace = '', branch] = need(flags, 'keyspace', '--keyspace', 'topic check').split('@')
      // Control reads it, wherever that runs.
      const definition = resolve(need(flags, 'definition', '--definition', 'topic check'))
      const topic = text(flags, 'topic')
      const optional = { ...(branch === undefined ? {} : { branch }), ...(topic === undefined ? {} : { topic }) }
      const view = await cli.client().call('checkTopic', {}, { keyspace, definition, ...optional })
      print(cli, flags, view, () => checkLines(view))
      if (view.problems.length > 0) cli.setExitCode(1)
    })
}

function checkLines(view: TopicCheckView): string[] {
  const lines = [`${view.topic}, version ${view.version}, on ${view.shards.length} shards (${view.shards.join(', ')})`, '']
  lines.push(
    ...table(
      ['TABLE', 'KIND', 'KEY', 'MERGES'],
      view.tables.map((t) => [t.table, t.kind, t.key.join(', '), t.merges.join(', ')]),
    ),
  )
  lines.push('')
  for (const { table: name, column, problem, fix, shard } of view.problems) {
    lines.push(`✗ ${name}${column === null ? '' : `.${column}`}: ${problem}   [${shard}]`, `    ${fix}`)
  }
  for (const note of view.notes) lines.push(`  note: ${note}`)
  lines.push(view.problems.length === 0 ? 'the definition fits' : `${view.problems.length} problems`)
  return lines
}
