/**
 * Statements that the gate answers or keeps itself: transactions, SET, USE, KILL, LOCK's end, and what it knows of itself and of the session.
 */
import type { ServerConnection } from '../mysql/server-connection.ts'
import type { Lexed } from '../sql/lexer.ts'
import type { SessionChange } from '../wire/session-track.ts'
import { collation } from '../wire/column-types.ts'
import type { Access } from './access.ts'
import { initialNames } from './charsets.ts'
import type { Core, SessionEntry } from './core.ts'
import { limitedTo, takeDiagnostics } from './diagnostics.ts'
import { gateErrors } from './errors.ts'
import { countOfDiagnostics, databases, diagnosticRows, grants, localAnswer, processList } from './local.ts'
import { nothingSaid } from './scatter-warnings.ts'
import { openSnapshots } from './snapshots.ts'
import { savepoint } from './savepoints.ts'
import { lexStatement, modeOf } from './statement-text.ts'
import { Words } from './statement-words.ts'
import type { Passthrough, Relay } from './passthrough.ts'
import { okFrame, plainOk, type AnswerForm } from './replies.ts'
import type { Runner } from './runner.ts'
import { setSession } from './set-command.ts'
import { trackedChanges } from './settings.ts'
import type { Sharded } from './sharded.ts'

/** What they need of the session. */
export type OwnSession = SessionEntry & {
  readonly signal: AbortSignal
  use(name: string): void
  /** To the server that the session's connection is pinned to. */
  passOn(sql: Buffer, keyspace?: string): Promise<unknown>
}

export class OwnStatements {
  readonly #core: Core
  readonly #client: ServerConnection
  readonly #runner: Runner
  readonly #sharded: Sharded
  readonly #access: Access
  readonly #session: OwnSession
  /** Of rows that the gate makes itself: binary while a prepared statement is executed. */
  form: 'text' | 'binary' = 'text'

  constructor(core: Core, client: ServerConnection, runner: Runner, sharded: Sharded, access: Access, session: OwnSession) {
    this.#core = core
    this.#client = client
    this.#runner = runner
    this.#sharded = sharded
    this.#access = access
    this.#session = session
  }

  async run(p: Exclude<Passthrough, Relay>, lexed: Lexed, sql: Buffer): Promise<void> {
    // On MariaDB the earlier statement's are told until one uses a table, or fails.
    if (!this.#core.isMariadb) this.#runner.connections.said = nothingSaid
    switch (p.kind) {
      case 'begin':
        await this.#runner.commit()
        this.#runner.begin({ readOnly: p.readOnly, snapshot: p.snapshot })
        if (p.snapshot && this.#session.keyspace !== '') await this.#openSnapshots()
        this.ok()
        return
      case 'commit':
      case 'rollback': {
        const chained = p.chain ? this.#runner.transaction?.options : undefined
        if (p.kind === 'commit') await this.#runner.commit()
        else await this.#runner.rollback()
        if (p.chain) this.#runner.begin({ readOnly: null, snapshot: false }, chained)
        this.ok()
        if (p.release) this.#client.close()
        return
      }
      case 'savepoint':
        await savepoint(this.#runner, p)
        this.ok()
        return
      case 'set': {
        const before = this.#runner.settings.copy()
        const { keyspace, signal } = this.#session
        const context = { core: this.#core, runner: this.#runner, sharded: this.#sharded, keyspace, signal }
        if (await setSession(context, p.assignments, lexed, sql)) this.ok(trackedChanges(before, this.#runner.settings))
        return
      }
      case 'use':
        this.#session.use(p.keyspace)
        this.ok([{ kind: 'schema', name: this.#session.keyspace }])
        return
      case 'kill':
        await this.kill(p.what, p.id)
        return
      case 'unlock-tables':
        await this.#unlock(sql)
        this.#runner.connections.unpin(this.#runner.transaction, 'handler')
        return
      case 'show':
        // Servers look the databases up in a table of theirs.
        if (p.what === 'databases') this.#runner.connections.said = nothingSaid
        this.#client.write(this.#shown(p))
        this.#runner.affectedRows = -1n
        return
      case 'local': {
        if (p.value === 'last-insert-id') await this.#runner.knowInsertId()
        const { user, host, threadId, keyspace } = this.#session
        const { affectedRows, lastInsertId } = this.#runner
        this.#client.write(localAnswer(p, { user, host, threadId, keyspace, affectedRows, lastInsertId }, this.#as))
        this.#runner.affectedRows = -1n
        return
      }
      case 'empty':
        throw gateErrors.notForwarded({ construct: 'an empty query', reason: 'there is nothing to run', fix: 'send a statement' })
      case 'refuse':
        throw gateErrors.notForwarded({ construct: p.construct, reason: p.reason, fix: p.fix })
    }
  }

  async #openSnapshots(): Promise<void> {
    try {
      await openSnapshots(this.#core, this.#runner, this.#session.keyspace, this.#session.signal)
    } catch (error) {
      await this.#runner.rollback()
      throw error
    }
  }

  /** The same, of what may be on a connection still. */
  /** On the connections that hold locks, whichever keyspace the session is in by now. */
  async #unlock(sql: Buffer): Promise<void> {
    const [first, ...others] = this.#runner.connections.keyspacesWith('handler')
    for (const keyspace of others) await this.#runner.connections.askPinned(keyspace, 'UNLOCK TABLES', this.#runner.transaction)
    if (first === undefined) this.ok()
    else await this.#session.passOn(sql, first)
  }

  async takenDiagnostics(sql: Buffer): Promise<void> {
    await takeDiagnostics(this.#runner)
    await this.diagnostics(lexStatement(sql, modeOf(this.#runner.settings)))
  }

  /** SHOW WARNINGS, SHOW ERRORS and their COUNT(*), of what the session's last statement is known to have said. */
  async diagnostics(lexed: Lexed): Promise<void> {
    const words = new Words(lexed)
    const mariadb = this.#core.isMariadb
    this.#runner.affectedRows = -1n
    const { count, errors, list } = this.#runner.connections.said ?? nothingSaid
    const only = words.has('ERRORS')
    const rows = only ? list.filter(([level]) => level === 'Error') : list
    this.#client.write(
      words.at(1) === 'COUNT'
        ? countOfDiagnostics(only, only ? errors : count, this.#as)
        : diagnosticRows(limitedTo(rows, lexed.bytes.toString('latin1')), this.#resultCollation(mariadb), mariadb, this.#as),
    )
  }

  /** The one of the handshake until SET NAMES. */
  #resultCollation(mariadb: boolean): number {
    const { collation: given } = this.#client
    const own = initialNames(given)
    if (own !== null && this.#runner.settings.get('names') === own) return given
    return mariadb ? collation.utf8mb4 : collation.utf8mb4_0900
  }

  ok(changes: SessionChange[] = []): void {
    const { status } = this.#runner
    this.#runner.affectedRows = 0n
    this.#client.write(changes.length === 0 ? plainOk(status) : okFrame(status, { sessionChanges: changes }, 1, this.#client.capabilities))
  }

  processList(full: boolean): Buffer {
    return processList(this.#core, full, this.#access.restricted ? this.#session.user : null, this.#as)
  }

  /** Errors: SW-GATE-012 no number, but a parameter's place (NaN); SW-GATE-015 it is this very statement; SW-GATE-016, 043. */
  async kill(what: 'connection' | 'query', id: number): Promise<void> {
    if (Number.isNaN(id))
      throw gateErrors.notForwarded({
        construct: 'KILL ? as plain text',
        reason: 'nothing says which session it means',
        fix: 'write its number',
      })
    const session = this.#core.sessions.get(id)
    if (session === undefined) {
      await this.#core.kills.ask(id, what, this.#session.user, this.#session.signal)
      this.ok()
      return
    }
    if (session.user !== this.#session.user) throw gateErrors.unknownThread({ id })
    if (session === this.#session && what === 'query') throw gateErrors.killed()
    if (session !== this.#session) this.ok()
    session.kill(what)
  }

  get #as(): AnswerForm {
    return { status: this.#runner.status, form: this.form, extendedMetadata: this.#client.extendedMetadata }
  }

  #shown(p: Extract<Passthrough, { kind: 'show' }>): Buffer {
    switch (p.what) {
      case 'processlist':
        return this.processList(p.full)
      case 'databases':
        return databases(this.#core, p.like, (keyspace) => !this.#access.restricted || this.#access.maySee(keyspace), this.#as)
      case 'grants': {
        const { user } = this.#access
        if (user === null) throw gateErrors.userGone({ user: this.#session.user, host: this.#session.host })
        return grants(user, this.#as)
      }
    }
  }
}

/** What FOUND_ROWS() asks for is gone. */
export function notTheConditions(): Error {
  return gateErrors.notForwarded({
    construct: 'GET DIAGNOSTICS',
    reason: 'the connection of the statement before is shared, and others have used it',
    fix: 'ask within the transaction of that statement, or by ROW_COUNT() and SHOW WARNINGS',
  })
}

export function notTheFoundRows(): Error {
  return gateErrors.notForwarded({
    construct: 'FOUND_ROWS()',
    reason: 'the statement before did not say SQL_CALC_FOUND_ROWS, and its connection is shared',
    fix: 'use SELECT COUNT(*)',
  })
}
