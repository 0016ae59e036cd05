/**
 * What sessions have that set nothing of their own, where it decides what a statement answers or stores: two servers of which one is to serve in the place of the other are
 * compared by it.
 */
import type { Connection, FlavourName } from './connection.ts'
import { variables } from './flavour/shared.ts'

/** Variables, with what would be wrong where they differ; null: answers differ, and no row. */
const compared = {
  time_zone: 'NOW() would be stored, and each TIMESTAMP shown, by another clock',
  transaction_isolation: 'transactions would see and lock other rows',
  sql_mode: 'text would be read, or values be checked and stored, otherwise',
  div_precision_increment: null,
  group_concat_max_len: null,
  max_sort_length: null,
  default_week_format: null,
  lc_time_names: null,
  explicit_defaults_for_timestamp: null,
  // Every collation is named after its charset.
  collation_server: null,
} as const

export type Compared = keyof typeof compared
export const names = Object.keys(compared) as Compared[]
/** Those that a gate compares too: sql_mode it sees to by itself, and each database has a collation of its own. */
export const answerVariables: readonly string[] = names.filter((name) => name !== 'sql_mode' && name !== 'collation_server')

/** By these text is read, or values are checked and stored, otherwise: modes of both flavours, which neither leaves to the other's default. */
export const modesOfBoth: readonly string[] = [
  'ALLOW_INVALID_DATES',
  'ANSI_QUOTES',
  'ERROR_FOR_DIVISION_BY_ZERO',
  'HIGH_NOT_PRECEDENCE',
  'IGNORE_SPACE',
  'NO_AUTO_VALUE_ON_ZERO',
  'NO_BACKSLASH_ESCAPES',
  'NO_UNSIGNED_SUBTRACTION',
  'PAD_CHAR_TO_FULL_LENGTH',
  'PIPES_AS_CONCAT',
  'REAL_AS_FLOAT',
  'STRICT_ALL_TABLES',
  'STRICT_TRANS_TABLES',
]
/** Between servers of one flavour also these: one flavour only has them, or has them by default. */
const modesOfOne = [
  'EMPTY_STRING_IS_NULL',
  'NO_ZERO_DATE',
  'NO_ZERO_IN_DATE',
  'ORACLE',
  'SIMULTANEOUS_ASSIGNMENT',
  'TIME_ROUND_FRACTIONAL',
  'TIME_TRUNCATE_FRACTIONAL',
]

/**
 * What clocks show in the servers' zone, every thirty days for as long as a TIMESTAMP may say: zones that agree in all of it are one, whatever they are called (SYSTEM, UTC, +00:00), and one that is called
 * CET in winter and CEST in summer is itself. (MySQL has no MD5 any more.)
 */
export const zoneSql = `SELECT SHA2(CONCAT(${Array.from({ length: 828 }, (_, i) => `FROM_UNIXTIME(${i * 30 * 86_400})`).join(',')}), 256)`

export type SessionDefaults = {
  readonly flavour: FlavourName
  /** The same for zones that are one. */
  readonly zone: string
  /** As the server calls it, and as what it is now from UTC (`05:30:00`). */
  readonly zoneNames: readonly string[]
  /** As they are told, by name. */
  readonly values: Readonly<Record<string, string>>
}

/** @param connection of ours, on which no time zone was set */
export async function readSessionDefaults(connection: Connection): Promise<SessionDefaults> {
  const [found, zone, offset] = await Promise.all([
    variables(connection, [...names, 'tx_isolation', 'system_time_zone']),
    connection.value(zoneSql),
    connection.value('SELECT TIMEDIFF(NOW(), UTC_TIMESTAMP())'),
  ])
  const own = found.get('time_zone') ?? ''
  const zoneName = own === 'SYSTEM' ? `SYSTEM (${found.get('system_time_zone') ?? ''})` : own
  const told: Partial<Record<Compared, string>> = {
    time_zone: `${zoneName}, now ${offset ?? 'unknown'} from UTC`,
    transaction_isolation: found.get('transaction_isolation') ?? found.get('tx_isolation') ?? '',
  }
  return {
    flavour: connection.flavour,
    zone: zone ?? '',
    zoneNames: [own, offset ?? ''].filter((name) => name !== ''),
    values: Object.fromEntries(names.map((name) => [name, told[name] ?? found.get(name) ?? ''])),
  }
}

export type DifferingDefault = {
  readonly variable: string
  /** Of each server, in one text. */
  readonly values: string
  /** Null: no row is stored or locked otherwise, or the flavours have it so of their own accord. */
  readonly harm: string | null
}

/** Variables that some server of the one side has otherwise than one of the other. */
export function differingDefaults(
  from: ReadonlyMap<string, SessionDefaults>,
  to: ReadonlyMap<string, SessionDefaults>,
): DifferingDefault[] {
  const pairs = [...from.values()].flatMap((a) => [...to.values()].map((b) => [a, b] as const))
  const both = new Map([...from, ...to])
  return names.flatMap((variable) => {
    const apart = pairs.filter(([a, b]) => told(variable, a) !== told(variable, b))
    if (apart.length === 0) return []
    const decides = variable !== 'sql_mode' || apart.some(([a, b]) => decidingModes(a, b).length > 0)
    const values = [...both].map(([id, one]) => `${id} has ${shown(variable, one, [...both.values()])}`).join('; ')
    return [{ variable, values, harm: decides ? compared[variable] : null }]
  })
}

function told(variable: Compared, one: SessionDefaults): string {
  if (variable === 'time_zone') return one.zone
  return variable === 'sql_mode' ? [...modesOf(one)].toSorted().join() : (one.values[variable] ?? '')
}

/** Of modes only those that not all have. */
function shown(variable: Compared, one: SessionDefaults, all: readonly SessionDefaults[]): string {
  if (variable !== 'sql_mode') return one.values[variable] ?? ''
  return [...modesOf(one)].filter((mode) => !all.every((other) => modesOf(other).has(mode))).join(',') || 'none of these'
}

function decidingModes(a: SessionDefaults, b: SessionDefaults): string[] {
  const deciding = a.flavour === b.flavour ? [...modesOfBoth, ...modesOfOne] : modesOfBoth
  return deciding.filter((mode) => modesOf(a).has(mode) !== modesOf(b).has(mode))
}

export function modesOf({ values }: SessionDefaults): ReadonlySet<string> {
  return new Set((values['sql_mode'] ?? '').split(',').filter((mode) => mode !== ''))
}
