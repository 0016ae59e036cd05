/** What an operator may set of a gate's bounds: flags of a gate process, and of `shardwright up`, which hands them on. Errors of the gate name them. */
import { Option, type Command } from 'commander'
import { z } from 'zod'
import { parseBytes, parseDuration } from '../cli/text.ts'
import { defaultGateConfig, type GateConfig } from '../gate/config.ts'
import { mainErrors } from './errors.ts'

type Unit = 'n' | 'bytes' | 'duration'
type Limit = {
  readonly flag: string
  readonly sets: { [K in keyof GateConfig]: GateConfig[K] extends number ? K : never }[keyof GateConfig]
  readonly unit: Unit
  readonly min: number
  readonly max: number
  readonly help: string
}

const mebi = 1024 * 1024
const tebi = 1024 ** 4
const dayMs = 24 * 3600 * 1000

export const gateLimits: readonly Limit[] = [
  { flag: 'sessions-max', sets: 'sessionsMax', unit: 'n', min: 1, max: 1_000_000, help: 'clients at once' },
  {
    flag: 'backend-connections-max',
    sets: 'backendConnectionsMax',
    unit: 'n',
    min: 1,
    max: 100_000,
    help: "connections to one server for clients' statements; as many for the gate's own beside them",
  },
  {
    flag: 'packet-bytes-max',
    sets: 'packetBytesMax',
    unit: 'bytes',
    min: mebi,
    max: 1024 * mebi - 1,
    help: 'one statement, or what is sent for one (as max_allowed_packet)',
  },
  {
    flag: 'scatter-bytes-max',
    sets: 'scatterBytesMax',
    unit: 'bytes',
    min: mebi,
    max: tebi,
    help: 'what one statement may hold in memory of rows that the gate puts together',
  },
  { flag: 'held-bytes-max', sets: 'heldBytesMax', unit: 'bytes', min: mebi, max: tebi, help: 'what all of them may at once' },
  {
    flag: 'hold-bytes-max',
    sets: 'holdBytesMax',
    unit: 'bytes',
    min: mebi,
    max: tebi,
    help: 'statements that wait while traffic is switched',
  },
  {
    flag: 'idle-session',
    sets: 'idleSessionMs',
    unit: 'duration',
    min: 1000,
    max: 365 * dayMs,
    help: 'a session that sends nothing for this long ends, its transaction rolled back',
  },
]

const kinds: Readonly<Record<Unit, { parse: (text: string) => number | null; example: string; show: (n: number) => string }>> = {
  n: { parse: (text) => (/^\d+$/.test(text) ? Number(text) : null), example: 'a number', show: String },
  bytes: { parse: parseBytes, example: 'bytes such as 64M', show: (n) => (n % mebi === 0 ? `${n / mebi}M` : String(n)) },
  duration: { parse: parseDuration, example: 'a duration such as 30s or 8h', show: (ms) => `${ms / 1000}s` },
}

const given = z
  .object(
    Object.fromEntries(
      gateLimits.map(({ flag, unit, min, max }) => {
        const { parse, example, show } = kinds[unit]
        const value = z.string().transform((text, context) => {
          const n = parse(text)
          if (n !== null && n >= min && n <= max) return n
          context.addIssue({ code: 'custom', message: `--${flag} ${text}: ${example} from ${show(min)} to ${show(max)} is wanted` })
          return z.NEVER
        })
        return [flag, value.optional()]
      }),
    ),
  )
  .superRefine((flags, context) => {
    const each = flags['scatter-bytes-max'] ?? defaultGateConfig.scatterBytesMax
    const all = flags['held-bytes-max'] ?? defaultGateConfig.heldBytesMax
    if (each > all)
      context.addIssue({
        code: 'custom',
        message: `--scatter-bytes-max is above --held-bytes-max (${kinds.bytes.show(all)}), which all statements have together: give both`,
      })
  })

/** Errors: SW-MAIN-001, naming each flag that is wrong. */
export function gateLimitsOf(process: string, flags: Readonly<Record<string, string | undefined>>): Partial<GateConfig> {
  const parsed = given.safeParse(flags)
  if (!parsed.success) throw mainErrors.badArguments({ process, problem: parsed.error.issues.map(({ message }) => message).join('; ') })
  return Object.fromEntries(gateLimits.flatMap(({ flag, sets }) => (parsed.data[flag] === undefined ? [] : [[sets, parsed.data[flag]]])))
}

export function addGateLimits(command: Command): void {
  for (const { flag, sets, unit, help } of gateLimits) {
    const byDefault = kinds[unit].show(defaultGateConfig[sets])
    command.addOption(new Option(`--${flag} <${unit}>`, `each gate process: ${help}; default: ${byDefault}`))
  }
}

/** As `up` hands them on: those that were given. */
export function gateLimitArguments(flags: object): string[] {
  const byName = flags as Readonly<Record<string, string | undefined>>
  const texts = Object.fromEntries(gateLimits.map(({ flag }) => [flag, byName[camelCase(flag)]]))
  gateLimitsOf('up', texts)
  return Object.entries(texts).flatMap(([flag, text]) => (text === undefined ? [] : [`--${flag}`, text]))
}

function camelCase(flag: string): string {
  return flag.replace(/-(\w)/g, (_, letter: string) => letter.toUpperCase())
}
