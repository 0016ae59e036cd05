/**
 * What a client has set in its session, and how a server connection is brought to the same. Connections are shared, so
 * each carries the signature of what was last set on it; equal signatures need nothing. Pure.
 *
 * autocommit is one of the settings: the server itself then begins transactions and tells so in its status flags, which
 * go to the client as they are.
 */
import type { SessionChange } from '../wire/session-track.ts'
import { noModes, type SqlModeDefault } from './sql-mode.ts'

/** MySQL sets them to 0 by DEFAULT, whatever the global is: taken back so, the checks of whoever came next would be off. */
const defaultIsOwn: ReadonlySet<string> = new Set(['foreign_key_checks', 'unique_checks'])
/** The first sets the second, to whether it is DEFAULT. */
const joinSettings: readonly string[] = ['max_join_size', 'sql_big_selects']

export class SessionSettings {
  /** Variable name in lower case → its value as SQL text. `names` and `isolation`, `access` are ours (and `instant`, which is a statement's); user variables (kept-values.ts) stand with their @. */
  readonly #values = new Map<string, string>()
  #signature = ''
  #unlimited = ''
  /** The sql_mode where none is set. */
  readonly defaultMode: SqlModeDefault

  constructor(defaultMode = noModes) {
    this.defaultMode = defaultMode
  }

  /** Equal signatures: the same settings. Empty: what a new connection has. */
  get signature(): string {
    return this.#signature
  }

  /** The same without sql_select_limit: under it runs what is not the client's own SELECT as it stands. */
  get unlimited(): string {
    return this.#unlimited
  }

  /** `unlimited`, and without the limit of what a SELECT may examine: for statements of the gate's own, of which the client knows nothing. */
  get own(): string {
    if (!joinSettings.some((name) => this.#values.has(name))) return this.#unlimited
    return written([...parse(this.#unlimited)].filter(([name]) => !joinSettings.includes(name)))
  }

  /** `own`, with text in all of Unicode whatever the client wants of its answers: for rows that the gate itself reads. */
  get ownInUnicode(): string {
    const names = this.#values.get('names')
    if (!this.#values.has('character_set_results') && (names === undefined || /^['"`]?utf8mb4/i.test(names))) return this.own
    const values = parse(this.own).set('character_set_results', 'utf8mb4')
    return written([...values].sort(([a], [b]) => (a < b ? -1 : 1)))
  }

  /** Without what forbids a scratch connection its temporary tables; its isolation is nobody's. */
  get scratch(): string {
    if (!this.#values.has('access') && !this.#values.has('isolation')) return this.own
    return written([...parse(this.own)].filter(([name]) => name !== 'access' && name !== 'isolation'))
  }

  /** How many rows a SELECT without LIMIT gives; null: all. */
  get selectLimit(): bigint | null {
    const value = this.#values.get('sql_select_limit')
    return value !== undefined && /^\d+$/.test(value) ? BigInt(value) : null
  }

  /** How many rows a server may expect to examine for a SELECT; null: any number. */
  get joinLimit(): bigint | null {
    const value = this.#values.get('max_join_size')
    if (value === undefined || this.isOn('sql_big_selects')) return null
    return /^\d+$/.test(value) ? BigInt(value) : 0n
  }

  get(name: string): string | undefined {
    return this.#values.get(name)
  }

  /** Of a switch that is off where it is not set. */
  isOn(name: string): boolean {
    return /^'?(1|on|true)'?$/i.test(this.#values.get(name) ?? '0')
  }

  get names(): readonly string[] {
    return [...this.#values.keys()]
  }

  /** Text comes as bytes: servers say nothing of its character set. */
  get hidesText(): boolean {
    return /^['"`]?binary\b/i.test(this.#values.get('character_set_results') ?? this.#values.get('names') ?? '')
  }

  /**
   * While `act` runs, servers tell of text what it is. Its bytes are the same: with no character set of results, as with binary, nothing is converted. For what the
   * session asks for itself.
   */
  async showingText<T>(act: () => Promise<T>): Promise<T> {
    if (!this.hidesText) return await act()
    const before = this.#values.get('character_set_results')
    this.set('character_set_results', 'NULL')
    try {
      return await act()
    } finally {
      this.set('character_set_results', before)
    }
  }

  get autocommit(): boolean {
    return this.#values.get('autocommit') !== '0'
  }

  /** `sql` undefined or DEFAULT: as on a new connection. */
  set(name: string, sql: string | undefined): void {
    const isDefault = sql?.toUpperCase() === 'DEFAULT' && !defaultIsOwn.has(name)
    if (name === 'max_join_size') this.#values.delete('sql_big_selects')
    // Its DEFAULT is another value than what max_join_size makes of it.
    if (name === 'sql_big_selects' && isDefault && this.#values.has('max_join_size')) return this.set(name, '1')
    if (sql === undefined || isDefault || (name === 'autocommit' && sql === '1')) this.#values.delete(name)
    else this.#values.set(name, name === 'optimizer_switch' ? switches(this.#values.get(name), sql) : sql)
    const listed = [...this.#values].sort(([a], [b]) => (a < b ? -1 : 1))
    this.#signature = written(listed)
    this.#unlimited = this.#values.has('sql_select_limit') ? written(listed.filter(([key]) => key !== 'sql_select_limit')) : this.#signature
  }

  /** Of user variables nothing is set any more: a connection has them. */
  forgetVariables(): void {
    for (const name of this.#values.keys()) if (name.startsWith('@')) this.set(name, undefined)
  }

  clear(): void {
    this.#values.clear()
    this.#signature = ''
    this.#unlimited = ''
  }

  copy(): SessionSettings {
    const other = new SessionSettings(this.defaultMode)
    for (const [name, value] of this.#values) other.#values.set(name, value)
    other.#signature = this.#signature
    other.#unlimited = this.#unlimited
    return other
  }
}

/** Those that are not named stay as they were. What is no plain text of switches is set as it stands. */
function switches(before: string | undefined, now: string): string {
  const plain = /^'(\w+=\w+(?:,\w+=\w+)*)'$/
  const [old, named] = [plain.exec(before ?? '')?.[1], plain.exec(now)?.[1]]
  if (old === undefined || named === undefined) return now
  const all = new Map([...old.split(','), ...named.split(',')].map((one) => [one.split('=')[0] ?? '', one]))
  return `'${[...all.values()].join(',')}'`
}

/** The same, but that servers tell of text what it is (`showingText`). */
export function showingText(signature: string): string {
  const values = parse(signature).set('character_set_results', 'NULL')
  return written([...values].sort(([a], [b]) => (a < b ? -1 : 1)))
}

/**
 * The same at an instant of a statement's own (`SET timestamp`); null: at that of the servers' clocks. As it is a setting, whoever has the connection next brings it back to
 * its own: nothing has to be taken back behind the statement, whatever becomes of that.
 */
export function atInstant(signature: string, instant: string | null): string {
  if (instant === null) return signature
  const values = parse(signature).set('instant', instant)
  return written([...values].sort(([a], [b]) => (a < b ? -1 : 1)))
}

/** What a connection has beside the instant of the statement that ran on it last. */
export function withoutInstant(signature: string): string {
  if (!signature.includes('instant=')) return signature
  return written([...parse(signature)].filter(([name]) => name !== 'instant'))
}

/** As `n` shards have it that share a statement: all of them together examine what one server may. */
export function withJoinLimit(signature: string, limit: bigint | null, n: number): string {
  if (limit === null || n < 2) return signature
  return written([...parse(signature).set('max_join_size', String(limit / BigInt(n)))])
}

function written(values: readonly (readonly [string, string])[]): string {
  return values.map(([key, value]) => `${key}=${value}`).join('\x1f')
}

export const setByNames: readonly string[] = [
  'character_set_client',
  'character_set_results',
  'character_set_connection',
  'collation_connection',
]

/**
 * Whether the same text may be another statement. Quotes, operators and literals are read, and types and values made, by many settings when a server prepares a text (WEEK(d) has its
 * mode then, a literal with an offset its instant), and it does not look again: all are taken for such, but those of which it is known that they are none.
 */
export function readsOtherwise(from: string, to: string): boolean {
  const [a, b] = [parse(from), parse(to)]
  // The type of a user variable is a part of what is prepared.
  for (const name of new Set([...a.keys(), ...b.keys()])) if (a.get(name) !== b.get(name) && !onlyAtExecution.has(name)) return true
  return false
}

/** Transactions, limits, times that are waited for, and how an answer is spelt: asked at each execution. */
const onlyAtExecution: ReadonlySet<string> = new Set(
  (
    'autocommit isolation access sql_select_limit character_set_results foreign_key_checks unique_checks wait_timeout interactive_timeout ' +
    'net_read_timeout net_write_timeout lock_wait_timeout innodb_lock_wait_timeout max_execution_time max_statement_time sql_notes instant'
  ).split(' '),
)

/** Without user variables: to a value that is kept, one can always be set. */
export function withoutVariables(signature: string): string {
  if (!signature.includes('@`')) return signature
  return written([...parse(signature)].filter(([name]) => !name.startsWith('@')))
}

/**
 * Statements that bring a connection from one signature to another.
 * @param bases by variable, its value where none is set and it is not the server's default; of isolation and access the assignment of it
 */
export function statementsBetween(from: string, to: string, bases: ReadonlyMap<string, string> = new Map()): string[] {
  if (from === to) return []
  const old = parse(from)
  const wanted = parse(to)
  const assignments: string[] = []
  const statements: string[] = []
  // NAMES first: what follows is read in it, and it sets these as well. One that is set no more has the value of NAMES, not its DEFAULT.
  const anew = old.get('names') !== wanted.get('names') || setByNames.some((name) => old.has(name) && !wanted.has(name))
  if (anew) statements.push(`SET NAMES ${wanted.get('names') ?? 'utf8mb4'}`)
  for (const name of setByNames) {
    const value = wanted.get(name)
    if (value !== undefined && (anew || value !== old.get(name))) assignments.push(`${name}=${value}`)
  }
  if (joinSettings.some((name) => old.get(name) !== wanted.get(name))) {
    assignments.push(`max_join_size=${wanted.get('max_join_size') ?? unset('max_join_size', bases)}`)
    const big = wanted.get('sql_big_selects')
    if (big !== undefined) assignments.push(`sql_big_selects=${big}`)
  }
  for (const name of new Set([...old.keys(), ...wanted.keys()])) {
    const value = wanted.get(name)
    if (value === old.get(name) || name === 'names' || setByNames.includes(name) || joinSettings.includes(name)) continue
    if (name in transactionSettings && value !== undefined) statements.push(`SET SESSION TRANSACTION ${transactionSettings[name]}${value}`)
    else if (name in transactionSettings) assignments.push(bases.get(name) ?? transactionDefault(name, 'transaction'))
    else if (name === 'instant') assignments.push(`timestamp=${value ?? 'DEFAULT'}`)
    else assignments.push(`${name}=${value ?? unset(name, bases)}`)
  }
  if (assignments.length > 0) statements.push(`SET ${assignments.join(',')}`)
  return statements
}

/** By setting, what stands before its value. */
const transactionSettings: Readonly<Record<string, string>> = { isolation: 'ISOLATION LEVEL ', access: '' }

/** The assignment that gives a session what the server has. `prefix`: of the variables' names. */
export function transactionDefault(name: string, prefix: 'transaction' | 'tx', value = 'DEFAULT'): string {
  return `@@session.${prefix}_${name === 'isolation' ? 'isolation' : 'read_only'}=${value}`
}

function unset(name: string, bases: ReadonlyMap<string, string>): string {
  const base = bases.get(name)
  if (base !== undefined) return base
  return name.startsWith('@') ? 'NULL' : name === 'autocommit' ? '1' : defaultIsOwn.has(name) ? `@@global.${name}` : 'DEFAULT'
}

function parse(signature: string): Map<string, string> {
  const out = new Map<string, string>()
  if (signature === '') return out
  for (const part of signature.split('\x1f')) {
    const at = part.indexOf('=')
    out.set(part.slice(0, at), part.slice(at + 1))
  }
  return out
}

/** What servers tell of a SET to clients that follow the session: the variables in `session_track_system_variables` by default. */
export function trackedChanges(before: SessionSettings, after: SessionSettings): SessionChange[] {
  if (before.signature === after.signature) return []
  const changes: SessionChange[] = []
  const tell = (name: string, value: string): number => changes.push({ kind: 'variable', name, value })
  for (const name of ['names', 'character_set_client', 'character_set_connection', 'character_set_results', 'time_zone'] as const) {
    const now = after.get(name)
    if (now === before.get(name) || now === undefined) continue
    const value = bareValue(now)
    if (name !== 'names') tell(name, value)
    else for (const one of ['client', 'connection', 'results']) tell(`character_set_${one}`, value)
  }
  if (before.autocommit !== after.autocommit) tell('autocommit', after.autocommit ? 'ON' : 'OFF')
  return changes
}

/** `'utf8mb4' COLLATE x` → utf8mb4 */
function bareValue(sql: string): string {
  const first = sql.trim().split(/\s+/)[0] ?? ''
  return first.replace(/^(['"`])(.*)\1$/, '$2')
}
