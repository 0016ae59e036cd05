import { parseArgs } from 'node:util'
import { mainErrors } from './errors.ts'

export type ProcessArguments = Readonly<Record<string, string | undefined>>

/** `--name value` pairs of a process entry; anything else is SW-MAIN-001. */
export function processArguments(process_: string, names: readonly string[], argv: readonly string[]): ProcessArguments {
  try {
    const options = Object.fromEntries(names.map((name) => [name, { type: 'string' as const }]))
    return parseArgs({ args: [...argv], options, strict: true, allowPositionals: false }).values as ProcessArguments
  } catch (error) {
    throw mainErrors.badArguments({ process: process_, problem: error instanceof Error ? error.message : String(error) })
  }
}

export function needArgument(process_: string, args: ProcessArguments, name: string): string {
  const value = args[name]
  if (value === undefined) throw mainErrors.badArguments({ process: process_, problem: `--${name} is missing` })
  return value
}
