/**
 * A server takes the defaults that sessions have on another, in whose place it is to serve: who sets none of his own is not to notice. They are tried on the server that runs, by SET GLOBAL, and are told as
 * `my.cnf` has them at its later starts: what a server takes while it runs, it takes when it starts, and one that it does not know (a mode of the other flavour, a zone that it has no table of) would keep it from starting.
 */
import { quoteString } from '../sql/quote.ts'
import type { Connection } from './connection.ts'
import { ServerError } from './errors.ts'
import { modesOf, modesOfBoth, names, readSessionDefaults, zoneSql, type Compared, type SessionDefaults } from './session-defaults.ts'

/** Names of `my.cnf`, with dashes. */
export type KeptSettings = Readonly<Record<string, string>>

type Way = {
  readonly options: (value: string) => KeptSettings
  /** By which it is set, where SET GLOBAL name = value does not. */
  readonly sql?: (value: string) => string
}

const ways: Partial<Record<Compared, Way>> = {
  time_zone: { options: (value) => ({ 'default-time-zone': value }) },
  transaction_isolation: {
    options: (value) => ({ 'transaction-isolation': value }),
    // MariaDB has the variable under another name.
    sql: (value) => `SET GLOBAL TRANSACTION ISOLATION LEVEL ${value.replaceAll('-', ' ')}`,
  },
  // A server does not start with a collation of another charset than the one that it is told.
  collation_server: {
    options: (value) => ({ 'character-set-server': value.replace(/_.*/, ''), 'collation-server': value }),
  },
}

function wayOf(variable: Compared): Way {
  return ways[variable] ?? { options: (value) => ({ [variable.replaceAll('_', '-')]: value }) }
}

/**
 * Repeatable: what was taken before is taken again. What the server refuses stays as it is, and differs.
 *
 * @param connection as an administrator, with no time zone set
 * @param given names of settings that the server has because somebody wants them so, as in `my.cnf`
 */
export async function takeDefaults(connection: Connection, like: SessionDefaults, given: readonly string[]): Promise<KeptSettings> {
  const own = await readSessionDefaults(connection)
  const left = new Set(
    given.map((name) =>
      name
        .toLowerCase()
        .replaceAll('_', '-')
        .replace(/^loose-/, ''),
    ),
  )
  let kept: KeptSettings = {}
  for (const variable of names) {
    const { options, sql } = wayOf(variable)
    if (Object.keys(options('')).some((name) => left.has(name))) continue
    const value = variable === 'time_zone' ? await zoneNamed(connection, like) : valueFor(variable, like, own)
    if (value === null) continue
    const set = sql?.(value) ?? `SET GLOBAL ${variable} = ${/^\d+$/.test(value) ? value : quoteString(value)}`
    if (await taken(connection, set)) kept = { ...kept, ...options(value) }
  }
  return kept
}

/** Between flavours modes that both have, and what a server has besides is its own. */
export function valueFor(variable: Compared, like: SessionDefaults, own: SessionDefaults): string | null {
  if (variable !== 'sql_mode' || like.flavour === own.flavour) return like.values[variable] || (variable === 'sql_mode' ? '' : null)
  const wanted = [...modesOf(like)].filter((mode) => modesOfBoth.includes(mode))
  return [...[...modesOf(own)].filter((mode) => !modesOfBoth.includes(mode)), ...wanted].join(',')
}

/** What the zone is called here: SYSTEM is one only if the systems agree in it, a name only where there are tables of zones. */
async function zoneNamed(connection: Connection, { zone, zoneNames }: SessionDefaults): Promise<string | null> {
  for (const name of zoneNames) {
    const asName = name.replace(/^(-?)(\d\d:\d\d):00$/, (_, sign: string, offset: string) => `${sign || '+'}${offset}`)
    if (!(await taken(connection, `SET SESSION time_zone = ${quoteString(asName)}`))) continue
    if ((await connection.value(zoneSql)) === zone) return asName
  }
  return null
}

async function taken(connection: Connection, sql: string): Promise<boolean> {
  try {
    await connection.query(sql)
    return true
  } catch (error) {
    if (error instanceof ServerError) return false
    throw error
  }
}
