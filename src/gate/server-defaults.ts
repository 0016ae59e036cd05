/**
 * What sessions have by default that set nothing, where it decides what a statement answers or stores. Servers of one keyspace that have it differently store and show other values on each shard of what
 * one statement asks for: NOW() and TIMESTAMPs by the time zone, what is locked and seen by the isolation, quotients by their digits. Pure. (sql_mode: server-modes.ts.)
 */
const compared = [
  'time_zone',
  'system_time_zone',
  'transaction_isolation',
  'tx_isolation',
  'div_precision_increment',
  'group_concat_max_len',
  'max_sort_length',
  'default_week_format',
  'lc_time_names',
  'explicit_defaults_for_timestamp',
] as const

export const defaultsSql = `SHOW SESSION VARIABLES WHERE Variable_name IN (${compared.map((name) => `'${name}'`).join(', ')})`

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
      if (variable === 'tx_isolation') continue
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
