import { cliErrors } from './errors.ts'
import type { CliContext } from './context.ts'
import { parseDuration } from './text.ts'

/** A flag of a command with verbs. */
export type FlagRule = {
  /** Commander's form. */
  readonly flag: string
  readonly verbs: readonly string[]
  readonly how: 'works' | 'noop' | 'refused'
  /** What it does, for `--help`; with its default where it has one. */
  readonly help?: string
  /** noop: why it has no effect; refused: why. */
  readonly note?: string
  readonly instead?: string
  /** Not a flag of vtctldclient. */
  readonly ours?: true
}

export type Flags = Readonly<Record<string, string | boolean | string[] | undefined>>

/**
 * Checks the flags that were given against the verb: refused ones and ones of another verb are errors (SW-CLI-002, -001),
 * those without effect are said on standard error.
 */
export function checkFlags(cli: CliContext, command: string, verb: string, rules: readonly FlagRule[], given: Flags): void {
  for (const rule of rules) {
    const name = flagName(rule)
    if (given[camel(name)] === undefined) continue
    if (rule.how === 'refused') throw cliErrors.refusedFlag({ flag: name, why: rule.note ?? '', instead: rule.instead ?? '' })
    if (!rule.verbs.includes(verb)) {
      throw cliErrors.badArgument({ argument: name, problem: `does not belong to ${verb}, but to ${rule.verbs.join(', ')}`, command })
    }
    if (rule.how === 'noop') cli.err(`note: ${name} is accepted without effect: ${rule.note ?? ''}`)
  }
}

export function flagName(rule: FlagRule): string {
  return /--[a-z-]+/.exec(rule.flag)?.[0] ?? rule.flag
}

function camel(flag: string): string {
  return flag.replace(/^--/, '').replace(/-([a-z])/g, (_, letter: string) => letter.toUpperCase())
}

export function bool(flags: Flags, name: string, otherwise: boolean): boolean {
  const value = flags[name]
  if (value === undefined) return otherwise
  if (value === true || value === 'true' || value === '1') return true
  if (value === false || value === 'false' || value === '0') return false
  throw cliErrors.badArgument({ argument: name, problem: `${String(value)} is neither true nor false`, command: '' })
}

export function text(flags: Flags, name: string): string | undefined {
  const value = flags[name]
  return typeof value === 'string' ? value : undefined
}

export function need(flags: Flags, name: string, flag: string, command: string): string {
  const value = text(flags, name)
  if (value === undefined) throw cliErrors.missing({ flag, command })
  return value
}

export function list(value: string | undefined): string[] | undefined {
  if (value === undefined) return undefined
  return value
    .split(',')
    .map((part) => part.trim())
    .filter((part) => part !== '')
}

/** A plain number within bounds: what is none must not become a default further on. */
export function numeric(flags: Flags, name: string, flag: string, bounds: { min: number; max?: number; whole?: true }): number | undefined {
  const value = text(flags, name)
  if (value === undefined) return undefined
  const { min, max = Number.MAX_SAFE_INTEGER, whole } = bounds
  const found = value.trim() === '' ? NaN : Number(value)
  if (!Number.isFinite(found) || found < min || found > max || (whole === true && !Number.isInteger(found))) {
    const range = max === Number.MAX_SAFE_INTEGER ? `from ${min} on` : `from ${min} to ${max}`
    throw cliErrors.badArgument({
      argument: flag,
      problem: `${value} is not a ${whole === true ? 'whole ' : ''}number ${range}`,
      command: '',
    })
  }
  return found
}

export function milliseconds(flags: Flags, name: string, flag: string): number | undefined {
  const value = text(flags, name)
  if (value === undefined) return undefined
  const ms = parseDuration(value)
  if (ms === null)
    throw cliErrors.badArgument({ argument: flag, problem: `${value} is not a duration such as 30s, 500ms or 2m`, command: '' })
  return ms
}

export function repeated(flags: Flags, name: string): string[] | undefined {
  const value = flags[name]
  if (value === undefined) return undefined
  return Array.isArray(value) ? value : [String(value)]
}
