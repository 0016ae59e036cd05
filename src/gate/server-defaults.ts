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

/** By server, values by variable. */
export type Given = ReadonlyMap<string, ReadonlyMap<string, string>>

/**
 * By server, what its connections are given: of each variable that the servers of a keyspace have differently the value that most of them have, among as many that of the first by its id. Where a server is of
 * two keyspaces, their servers have one value all: what it has by the one, the other's have beside it.
 *
 * @param earlier servers that may have connections already: one that is heard of later is given what these have
 * @param given what they were given: that stays
 */
export function agreedDefaults(
  keyspaces: ReadonlyMap<string, ReadonlySet<string>>,
  found: ReadonlyMap<string, Defaults>,
  earlier: ReadonlySet<string> = new Set(),
  given: Given = new Map(),
): Given {
  const agreed = new Map<string, Map<string, string>>()
  for (const [id, values] of given) agreed.set(id, new Map(values))
  for (const servers of together(keyspaces).values())
    for (const variable of compared) {
      if (!canBeGiven({ variable })) continue
      const inForce = (id: string): string | undefined => agreed.get(id)?.get(variable) ?? found.get(id)?.get(variable)
      const having = [...servers].filter((id) => inForce(id) !== undefined)
      if (new Set(having.map(inForce)).size < 2) continue
      const first = having.filter((id) => earlier.has(id))
      // SYSTEM is another zone on each of them then, also on one that does not have it by default.
      const ownSystems = new Set(having.map((id) => found.get(id)?.get('system_time_zone'))).size > 1
      const counts = new Map<string, number>()
      for (const id of (first.length > 0 ? first : having).toSorted()) {
        const value = inForce(id) as string
        if (!(variable === 'time_zone' && value === 'SYSTEM' && ownSystems)) counts.set(value, (counts.get(value) ?? 0) + 1)
      }
      const most = Math.max(...counts.values())
      const value = [...counts].find(([, count]) => count === most)?.[0]
      if (value === undefined) continue
      for (const id of having) {
        const ofServer = agreed.get(id) ?? new Map<string, string>()
        agreed.set(id, ofServer)
        if (!ofServer.has(variable)) ofServer.set(variable, value)
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
