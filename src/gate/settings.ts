/**
 * What a client has set in its session, and how a server connection is brought to the same. Connections are shared, so
 * each carries the signature of what was last set on it; equal signatures need nothing. Pure.
 *
 * autocommit is one of the settings: the server itself then begins transactions and tells so in its status flags, which
 * go to the client as they are.
 */
export class SessionSettings {
  /** Variable name in lower case → its value as SQL text. `names` and `isolation`, `access` are ours. */
  readonly #values = new Map<string, string>()
  #signature = ''

  /** Equal signatures: the same settings. Empty: what a new connection has. */
  get signature(): string {
    return this.#signature
  }

  get(name: string): string | undefined {
    return this.#values.get(name)
  }

  get names(): readonly string[] {
    return [...this.#values.keys()]
  }

  get autocommit(): boolean {
    return this.#values.get('autocommit') !== '0'
  }

  /** `sql` undefined or DEFAULT: as on a new connection. */
  set(name: string, sql: string | undefined): void {
    if (sql === undefined || sql.toUpperCase() === 'DEFAULT' || (name === 'autocommit' && sql === '1')) this.#values.delete(name)
    else this.#values.set(name, sql)
    this.#signature = [...this.#values]
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([key, value]) => `${key}=${value}`)
      .join('\x1f')
  }

  clear(): void {
    this.#values.clear()
    this.#signature = ''
  }

  copy(): SessionSettings {
    const other = new SessionSettings()
    for (const [name, value] of this.#values) other.#values.set(name, value)
    other.#signature = this.#signature
    return other
  }
}

/** Statements that bring a connection from one signature to another. */
export function statementsBetween(from: string, to: string): string[] {
  if (from === to) return []
  const old = parse(from)
  const wanted = parse(to)
  const assignments: string[] = []
  const statements: string[] = []
  // NAMES first: what follows is read in it.
  for (const name of new Set(['names', ...old.keys(), ...wanted.keys()])) {
    const value = wanted.get(name)
    if (value === old.get(name)) continue
    if (name === 'names') {
      statements.unshift(`SET NAMES ${value ?? 'utf8mb4'}`)
      // NAMES sets these three as well: set them anew, in whatever order they came.
      for (const single of ['character_set_client', 'character_set_results', 'collation_connection']) {
        const kept = wanted.get(single)
        if (kept !== undefined) assignments.push(`${single}=${kept}`)
      }
    } else if (name === 'isolation')
      statements.push(
        value === undefined
          ? 'SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ'
          : `SET SESSION TRANSACTION ISOLATION LEVEL ${value}`,
      )
    else if (name === 'access') statements.push(`SET SESSION TRANSACTION ${value ?? 'READ WRITE'}`)
    else if (!assignments.some((a) => a.startsWith(`${name}=`)))
      assignments.push(`${name}=${value ?? (name === 'autocommit' ? '1' : 'DEFAULT')}`)
  }
  if (assignments.length > 0) statements.push(`SET ${assignments.join(',')}`)
  return statements
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
