/**
 * Commands with a verb and a table of flags (`reshard`, `vdiff`, `DualWrite`): flags may stand before or after the verb, so the
 * parser knows them all; help shows a verb's own.
 */
import { Option } from 'commander'
import type { Command } from 'commander'
import { cliErrors } from './errors.ts'
import type { CliContext } from './context.ts'
import { checkFlags } from './flags.ts'
import type { FlagRule, Flags } from './flags.ts'

export type VerbCommand = {
  readonly name: string
  readonly alias: string
  readonly summary: string
  /** Each verb and what it does. */
  readonly verbs: Readonly<Record<string, string>>
  readonly flags: readonly FlagRule[]
  /** A second argument, `[which]`, and what it is. */
  readonly which?: string
}

/** Adds the command. `run` gets the verb in lower case, once its flags are checked (SW-CLI-001, -002, -003). */
export function verbCommand(
  program: Command,
  cli: CliContext,
  spec: VerbCommand,
  run: (verb: string, flags: Flags, which: string | undefined) => Promise<void>,
): void {
  const { name, verbs } = spec
  const names = Object.keys(verbs)
  const command = program.command(name).alias(spec.alias).description(spec.summary).argument('<verb>')
  if (spec.which !== undefined) command.argument('[which]', spec.which)
  for (const rule of spec.flags) {
    const option = new Option(rule.flag, rule.help ?? rule.note ?? '')
    if (rule.how !== 'works') option.hideHelp()
    command.addOption(option)
  }
  const verbOf = (helped: Command): string => helped.args[0]?.toLowerCase() ?? ''
  const known = (helped: Command): boolean => verbs[verbOf(helped)] !== undefined
  command.configureHelp({
    commandUsage: (helped) => `shardwright ${name} ${known(helped) ? verbOf(helped) : '<verb>'} [options]`,
    commandDescription: (helped) => verbs[verbOf(helped)] ?? spec.summary,
    visibleArguments: () => [],
    visibleOptions: (helped) =>
      known(helped)
        ? helped.options.filter(
            (option) => !option.hidden && spec.flags.some((rule) => rule.flag === option.flags && rule.verbs.includes(verbOf(helped))),
          )
        : [],
  })
  command.addHelpText('after', ({ command: helped }) => (known(helped) ? '' : `\n${verbTable(name, verbs)}`))
  command.action(async (given: string, ...rest: unknown[]) => {
    const verb = given.toLowerCase()
    if (verbs[verb] === undefined) throw cliErrors.unknownVerb({ command: name, verb: given, verbs: names.join(', ') })
    const [which, flags] = spec.which === undefined ? [undefined, rest[0]] : [rest[0], rest[1]]
    checkFlags(cli, name, verb, spec.flags, flags as Flags)
    await run(verb, flags as Flags, which as string | undefined)
  })
}

function verbTable(name: string, verbs: Readonly<Record<string, string>>): string {
  const width = Math.max(...Object.keys(verbs).map((verb) => verb.length))
  const lines = Object.entries(verbs).map(([verb, text]) => `  ${verb.padEnd(width)}  ${text}`)
  return ['Verbs:', ...lines, '', `A verb's options: shardwright ${name} <verb> --help`].join('\n')
}
