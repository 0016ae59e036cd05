/**
 * What sessions have by default that set nothing, where it decides what a statement answers or stores. Servers of one keyspace that have it differently would store and show other values on each shard of what
 * one statement asks for: NOW() and TIMESTAMPs by the time zone, what is locked and seen by the isolation, quotients by their digits. So all connections to them are given one value, as far as a session may set it.
 * Pure. (sql_mode: server-modes.ts.)
 */
import { answerVariables } from '../mysql/session-defaults.ts'
import { quoteString } from '../sql/quote.ts'

const compared = [...answerVariables, 'system_time_zone']

export const defaultsSql = `SHOW SESSION VARIABLES WHERE Variable_name IN (${[...compared, 'tx_isolation'].map(quoteString).join(', ')})`

export type Defaults = ReadonlyMap<string, string>

export function defaultsIn(rows: readonly Readonly<Record<string, string | null>>[]): Defaults {
  return new Map(rows.map((row) => [(row['Variable_name'] ?? '').replace(/^tx_/, 'transaction_'), row['Value'] ?? '']))
}

export type Differing = { readonly keyspace: string; readonly variable: string; readonly values: Readonly<Record<string, string>> }

/**
 * Those that servers of one keyspace have differently. The system's time zone counts where it is the servers' own.
 * @param keyspaces with their servers' ids
 */
export function differingDefaults(keyspaces: ReadonlyMap<string, ReadonlySet<string>>, found: ReadonlyMap<string, Defaults>): Differing[] {
  const out: Differing[] = []
  for (const [keyspace, servers] of keyspaces) {
    const asked = [...servers].flatMap((id) => {
      const defaults = found.get(id)
      return defaults === undefined ? [] : [{ id, defaults }]
    })
    for (const variable of compared) {
      const values = asked.flatMap(({ id, defaults }) => {
        const value = valueOf(variable, defaults)
        return value === undefined ? [] : [[id, value] as const]
      })
      if (new Set(values.map(([, value]) => value)).size > 1) out.push({ keyspace, variable, values: Object.fromEntries(values) })
    }
  }
  return out
}

function valueOf(variable: string, defaults: Defaults): string | undefined {
  if (variable !== 'system_time_zone') return defaults.get(variable)
  return defaults.get('time_zone') === 'SYSTEM' ? defaults.get(variable) : undefined
}

/** Of the system's time zone only the name is known; the other wants a right. */
const notSettable: readonly string[] = ['system_time_zone', 'explicit_defaults_for_timestamp']

export function canBeGiven({ variable }: Pick<Differing, 'variable'>): boolean {
  return !notSettable.includes(variable)
}

/**
 * By server, what its connections are given: of each variable that the servers of a keyspace have differently the value that most of them have, among as many that of the first by its id. Where a server is of
 * two keyspaces, their servers have one value all: what it has by the one, the other's have beside it.
 */
export function agreedDefaults(
  keyspaces: ReadonlyMap<string, ReadonlySet<string>>,
  found: ReadonlyMap<string, Defaults>,
): Map<string, Map<string, string>> {
  const agreed = new Map<string, Map<string, string>>()
  const differing = differingDefaults(together(keyspaces), found)
  const systems = new Set(differing.flatMap(({ keyspace, variable }) => (variable === 'system_time_zone' ? [keyspace] : [])))
  for (const { keyspace, variable, values } of differing.filter(canBeGiven)) {
    const counts = new Map<string, number>()
    for (const id of Object.keys(values).toSorted()) {
      const value = values[id] as string
      // What it is, is each server's own.
      if (variable === 'time_zone' && value === 'SYSTEM' && systems.has(keyspace)) continue
      counts.set(value, (counts.get(value) ?? 0) + 1)
    }
    const most = Math.max(...counts.values())
    const value = [...counts].find(([, count]) => count === most)?.[0]
    if (value === undefined) continue
    for (const id of Object.keys(values)) {
      const ofServer = agreed.get(id) ?? new Map<string, string>()
      agreed.set(id, ofServer.set(variable, value))
    }
  }
  return agreed
}

/** Servers that keyspaces have in common, with all others of these, by the name of one of them. */
function together(keyspaces: ReadonlyMap<string, ReadonlySet<string>>): Map<string, Set<string>> {
  const all = new Map<string, Set<string>>()
  for (const [name, servers] of keyspaces) {
    const joined = new Set(servers)
    for (const [other, theirs] of all) {
      if (theirs.isDisjointFrom(servers)) continue
      for (const id of theirs) joined.add(id)
      all.delete(other)
    }
    all.set(name, joined)
  }
  return all
}

/** A value as SQL text: a server takes no text for a number. */
export function givenText(value: string): string {
  return /^\d+$/.test(value) ? value : quoteString(value)
}
