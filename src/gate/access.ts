/**
 * What the user of one session may do, by the topology as it is at each of his commands: a right that is withdrawn holds at the next one. Users who may
 * do all cost one comparison.
 */
import type { ServerConnection } from '../mysql/server-connection.ts'
import type { Lexed } from '../sql/lexer.ts'
import type { UserRecord } from '../topology/records.ts'
import { hasRight, isUnrestricted, maySee } from '../topology/user-rights.ts'
import type { Core } from './core.ts'
import { gateErrors } from './errors.ts'
import { needsOf, needsOfSet, type Needs } from './needs.ts'
import type { Passthrough } from './passthrough.ts'
import type { View } from './view.ts'

export class Access {
  readonly #core: Core
  readonly #client: ServerConnection
  #seen: View | null = null
  #record: UserRecord | null = null
  /** Something is held back from the user: statements must be judged. */
  restricted = false

  constructor(core: Core, client: ServerConnection) {
    this.#core = core
    this.#client = client
  }

  /** At each command, and after COM_CHANGE_USER with `anew`: the user's record when something may have changed. Errors: SW-GATE-030 and 031, which end the session. */
  refresh(anew = false): UserRecord | null {
    const { view } = this.#core.watch
    if (view === this.#seen && !anew) return null
    const record = view.users.get(this.#client.user)
    if (record === undefined) throw gateErrors.userGone(this.#who())
    if (record.requireTls === true && !this.#client.tls) throw gateErrors.tlsNeeded(this.#who())
    this.#seen = view
    this.#record = record
    this.restricted = !isUnrestricted(record)
    return record
  }

  get user(): UserRecord | null {
    return this.#record
  }

  /** Errors: SW-GATE-027. A keyspace that is not there is not there for those who might see it only. */
  use(keyspace: string): void {
    if (this.restricted && !this.maySee(keyspace)) throw gateErrors.keyspaceDenied({ ...this.#who(), keyspace })
  }

  maySee(keyspace: string): boolean {
    return this.#record !== null && maySee(this.#record, keyspace)
  }

  /** Of a user something is held back from. Errors: SW-GATE-027 to 029. */
  judge(statement: Passthrough, lex: () => Lexed, keyspace: string): void {
    if (statement.kind === 'relay') this.#require(needsOf(lex, statement), keyspace)
    else if (statement.kind === 'set') {
      const global = statement.assignments?.find((one) => 'scope' in one.target && one.target.scope === 'global')
      if (statement.assignments === null || global !== undefined)
        throw gateErrors.serverDenied({ verb: 'SET GLOBAL', reason: 'it changes a server, not the session' })
      this.#require(needsOfSet(lex()), keyspace)
    }
  }

  #require(needs: Needs, keyspace: string): void {
    const { verb, rights, table } = needs
    if (rights === null) throw gateErrors.serverDenied({ verb, reason: 'it concerns a server as a whole, or what the gate does not read' })
    if (needs.unclear !== null)
      throw gateErrors.serverDenied({
        verb,
        reason: `${needs.unclear} may name another database, and the gate can not tell from the statement`,
      })
    // Where it is not known whether tables without a schema are named, they may be as long as none with one is.
    const own = keyspace !== '' && (needs.bare ?? needs.schemas.length === 0)
    for (const name of own ? [keyspace, ...needs.schemas] : needs.schemas) {
      if (!this.maySee(name)) throw gateErrors.keyspaceDenied({ ...this.#who(), keyspace: name })
      if (!this.#core.watch.view.keyspaces.has(name)) throw gateErrors.unknownKeyspace({ keyspace: name })
      const missing = rights.find((right) => this.#record === null || !hasRight(this.#record, name, right))
      if (missing !== undefined) throw gateErrors.commandDenied({ ...this.#who(), verb, table, right: missing, keyspace: name })
    }
  }

  #who(): { user: string; host: string } {
    return { user: this.#client.user, host: this.#client.address }
  }
}
