/** The prepared statements of one session: PREPARE, EXECUTE, long data, CLOSE, RESET. */
import type { ClientCommand } from '../mysql/server-connection.ts'
import { wireErrors } from '../wire/errors.ts'
import { frame } from '../wire/frames.ts'
import { mayGiveId } from './insert-id.ts'
import type { Access } from './access.ts'
import { changedPrepared, type DefinitionChange } from './column-definitions.ts'
import { askedSchemata, requireShown, type Asked } from './asked-schemata.ts'
import { isSwError } from '../base/errors.ts'
import type { Backend, BackendStatement } from './backend.ts'
import type { Core } from './core.ts'
import { takeDiagnostics } from './diagnostics.ts'
import { marking } from './drawn.ts'
import { gateErrors } from './errors.ts'
import { afterCommit, ddlOf } from './moved-tables.ts'
import { needsKeyspace } from './needs.ts'
import { onServer } from './on-server.ts'
import { refuseOwnAccountsOf } from './own-account.ts'
import { notTheFoundRows } from './own-statements.ts'
import type { Passthrough, Relay } from './passthrough.ts'
import type { Qualified } from './qualified.ts'
import { withValues, type SessionValues } from './session-calls.ts'
import { lockHome, namesSystem, notNamed, targetOf } from './unsharded-target.ts'
import type { KeyspaceView } from './view.ts'
import type { Lexed } from '../sql/lexer.ts'
import { classifyCached } from './passthrough-cache.ts'
import { asKeptBySet } from './kept-types.ts'
import { bindTypes, executionFrame, preparedFor, prepareOn, prepareRaw, readExecution, type SessionStatement } from './prepared.ts'
import { firstShard, type Request } from './request.ts'
import type { Runner } from './runner.ts'
import { decodeParameters, executionOf, inlineParameters, sessionNumber, setParameters, typesKey, valueOf } from './parameters.ts'
import { asTaken } from './parameter-places.ts'
import { renamedPrepared, showsDatabase, tablesOf } from './schema-names.ts'
import { asksSchemata } from './schemata.ts'
import { statementsOf } from './several-statements.ts'
import type { Sharded } from './sharded.ts'
import { lexStatement, modeOf, readUnder } from './statement-text.ts'

type OfSession = {
  readonly values: SessionValues
  tellOrigins(origins: DefinitionChange | null): void
}

/** Command, statement id, flags, iterations; command, statement id, parameter. */
const executeHeadBytes = 10
const longDataHeadBytes = 7
const lastPrepared = 0xffffffff
/** Prepared and not closed, of one session. */
const statementsMax = 16_382

export class PreparedStatements {
  readonly #core: Core
  readonly #runner: Runner
  readonly #sharded: Sharded
  readonly #access: Access
  readonly #session: OfSession
  /** Answers a statement of the gate's own as text. */
  readonly #query: (text: Buffer) => Promise<unknown>
  readonly #statements = new Map<number, SessionStatement>()
  #nextStatementId = 1
  /** Of the last PREPARE; null: it failed. */
  #lastId: number | null = null

  constructor(core: Core, runner: Runner, sharded: Sharded, access: Access, session: OfSession, query: (text: Buffer) => Promise<unknown>) {
    this.#core = core
    this.#runner = runner
    this.#sharded = sharded
    this.#access = access
    this.#session = session
    this.#query = query
  }

  close(id: number): void {
    this.#statements.delete(id)
  }

  clear(): void {
    this.#statements.clear()
  }

  reset(id: number): void {
    const statement = this.#statement(id, 'mysqld_stmt_reset')
    statement.longData = []
    statement.longDataBytes = 0
  }

  /** The answer to COM_STMT_PREPARE. */
  async prepare(text: Buffer, keyspaceName: string, signal: AbortSignal): Promise<Buffer> {
    this.#lastId = null
    return await this.#prepare(text, keyspaceName, signal, null)
  }

  async #prepare(text: Buffer, keyspaceName: string, signal: AbortSignal, asked: Asked | null): Promise<Buffer> {
    const lexed = lexStatement(text, modeOf(this.#runner.settings))
    const { key: shape } = lexed
    if (lexed.next >= 0 && statementsOf(text, modeOf(this.#runner.settings)) !== null)
      throw gateErrors.severalStatements({
        near: text.toString('utf8', lexed.next, lexed.next + 60).trim(),
        reason: 'a prepared statement is one',
        fix: 'prepare them one by one',
      })
    if (this.#statements.size >= statementsMax) throw gateErrors.tooManyStatements({ max: statementsMax })
    const passthrough = classifyCached(lexed)
    if (this.#asksDiagnostics(passthrough, keyspaceName)) await takeDiagnostics(this.#runner)
    if (passthrough.kind === 'refuse')
      throw gateErrors.notForwarded({ construct: passthrough.construct, reason: passthrough.reason, fix: passthrough.fix })
    const keyspace = keyspaceName === '' ? this.#core.anyKeyspace() : this.#core.keyspace(keyspaceName)
    if (keyspace === undefined) throw gateErrors.noKeyspace()
    const lex = (): Lexed => lexStatement(text, modeOf(this.#runner.settings))
    if (this.#access.restricted) this.#access.judge(passthrough, lex, keyspaceName)
    if (keyspaceName === '' && needsKeyspace(lex, passthrough)) throw gateErrors.noKeyspace()
    if (passthrough.kind === 'relay' && asked === null && asksSchemata(passthrough, lex)) {
      const asking = { core: this.#core, runner: this.#runner, access: this.#access, values: this.#session.values, isPrepared: true }
      const about = await askedSchemata(asking, passthrough, text, signal)
      if (about !== null) return await this.#prepare(about.sql, about.keyspace ?? keyspaceName, signal, about)
    }
    if (passthrough.kind === 'relay' && passthrough.usedLocks)
      throw gateErrors.notForwarded({
        construct: 'IS_USED_LOCK() in a prepared statement',
        reason: "the gate puts the session's number into the text",
        fix: 'send it as text',
      })
    if (passthrough.kind === 'relay' && passthrough.accounts) refuseOwnAccountsOf(keyspace, lex(), modeOf(this.#runner.settings))
    // As a session that is in it would: the planner alone knows whether the names before dots are an unsharded keyspace's.
    const onOne =
      passthrough.kind === 'relay' && keyspace.record.sharded && passthrough.qualifiers.length > 0
        ? await this.#sharded.unshardedOf(keyspace.name, text, signal)
        : null
    const elsewhere =
      passthrough.kind === 'relay' && !passthrough.plain
        ? this.#elsewhere(passthrough, onOne === null ? keyspace : this.#core.keyspace(onOne), keyspaceName, lex, text)
        : null
    if (onOne !== null && elsewhere?.keyspace !== onOne) throw notNamed(onOne)
    const target = elsewhere?.keyspace ?? keyspace.name
    if (passthrough.kind === 'relay' && (onOne !== null || !keyspace.record.sharded)) {
      const known = this.#withValues(text, lex, passthrough, target === keyspace.name ? keyspaceName : '')
      if (known !== null) return await this.#prepare(known, keyspaceName, signal, asked)
    }
    const statement: SessionStatement = {
      id: this.#nextStatementId++,
      text,
      schema: this.#core.watch.view.keyspaces.get(target)?.shards[0]?.schema,
      key: (elsewhere?.sql ?? text).toString('latin1'),
      shape,
      keyspace: target,
      sent: elsewhere?.sql ?? text,
      passthrough,
      asked,
      keyspaceName,
      paramCount: 0,
      types: null,
      bound: '',
      kept: null,
      goesOn: !this.#core.isMariadb,
      mixed: false,
      places: null,
      executionKey: (elsewhere?.sql ?? text).toString('latin1'),
      read: readUnder(text, this.#runner.settings),
      alike: this.#runner.settings.signature,
      lexed: null,
      lexedUnder: '',
      longData: [],
      longDataBytes: 0,
    }
    const prepared =
      this.#core.keyspace(statement.keyspace).record.sharded && passthrough.kind === 'relay'
        ? await this.#sharded.prepare(statement.keyspace, text, statement.id, signal)
        : await this.#prepareOnServer(statement.keyspace, statement, signal)
    statement.paramCount = prepared.paramCount
    this.#statements.set(statement.id, statement)
    this.#lastId = statement.id
    return asked?.origins == null ? prepared.answer : changedPrepared(prepared.answer, asked.origins)
  }

  /** SHOW WARNINGS and its like, of what may be on a connection that others get. */
  #asksDiagnostics(p: Passthrough, keyspaceName: string): boolean {
    if (p.kind !== 'relay' || p.needsPrevious !== 'diagnostics' || p.sessionCalls.length > 0) return false
    const sharded = this.#core.watch.view.keyspaces.get(keyspaceName)?.record.sharded === true
    const { connections, transaction } = this.#runner
    return sharded || (transaction === null && !connections.pinned) || connections.said !== null
  }

  /**
   * What the session knows is put in; null: there is nothing. Errors: SW-GATE-012 what is another value at each execution.
   *
   * @param keyspaceName the session's, when the statement goes to that one's server
   */
  #withValues(text: Buffer, lex: () => Lexed, relay: Relay, keyspaceName: string): Buffer | null {
    const calls = relay.sessionCalls.filter(({ what }) => what === 'user' || what === 'account' || what === 'connection-id')
    if (calls.length > 0) return withValues(text, lex(), calls, this.#session.values)
    const isDatabase = this.#core.watch.view.keyspaces.get(keyspaceName)?.shards[0]?.schema === keyspaceName || namesSystem(relay, lex())
    const other = relay.sessionCalls.find(({ what }) => what !== 'database' || !isDatabase)
    if (other === undefined) return null
    throw gateErrors.notForwarded({
      construct: `${other.what === 'database' ? 'DATABASE()' : other.what === 'row-count' ? 'ROW_COUNT()' : 'the count of warnings'} in a prepared statement that asks for more`,
      reason: 'the gate knows it, not the server, and it is another one at each execution',
      fix: 'ask for it in a statement of its own',
    })
  }

  /** Where it goes besides the session's own keyspace. Errors: SW-GATE-012. */
  #elsewhere(relay: Relay, keyspace: KeyspaceView, keyspaceName: string, lex: () => Lexed, text: Buffer): Qualified | null {
    if (!keyspace.record.sharded) return targetOf(this.#core, keyspaceName, this.#runner.connections, relay, lex, text)
    const home = lockHome(this.#core.watch.view, keyspaceName, relay, lex)
    return home === null ? null : { keyspace: home, sql: text }
  }

  /** The text as the keyspace's server has it now: its database may be called otherwise since. */
  #sent(statement: SessionStatement, relay: Relay): Buffer {
    const schema = this.#core.watch.view.keyspaces.get(statement.keyspace)?.shards[0]?.schema
    if (relay.qualifiers.length === 0 || schema === statement.schema) return statement.sent
    const lex = (): Lexed => lexStatement(statement.text, modeOf(this.#runner.settings))
    const sent = targetOf(this.#core, statement.keyspaceName, this.#runner.connections, relay, lex, statement.text)?.sql ?? statement.text
    statement.schema = schema
    statement.sent = sent
    statement.key = sent.toString('latin1')
    statement.executionKey = statement.key + statement.bound
    return sent
  }

  async #prepareOnServer(
    keyspace: string,
    statement: SessionStatement,
    signal: AbortSignal,
  ): Promise<{ paramCount: number; answer: Buffer }> {
    return await onServer(this.#core, this.#runner, keyspace, signal, async (backend, shard) => {
      const isNamed = showsDatabase({ shards: [shard] }, statement.sent)
      const text = isNamed ? tablesOf(shard, lexStatement(statement.sent, modeOf(this.#runner.settings))) : statement.sent
      const key = isNamed ? text.toString('latin1') : statement.key
      const prepared = await prepareRaw(backend.connection, text, statement.id)
      const known = backend.statements.get(key)
      backend.pool.remember(backend, key, { id: prepared.id, boundTypes: null })
      if (known !== undefined) backend.pool.forget(backend, known.id)
      return { ...prepared, answer: renamedPrepared(prepared.answer, shard) }
    })
  }

  /** What an execution relays; null: nothing, the gate answers itself. */
  relayedBy({ payload }: ClientCommand): Relay | null {
    const p = payload.length < executeHeadBytes ? null : this.#found(payload.readUInt32LE(1))?.passthrough
    return p?.kind === 'relay' ? p : null
  }

  /** @param told the statement's text without its literals */
  execute(c: ClientCommand, signal: AbortSignal, told: (shape: string) => void): Promise<unknown> {
    const { payload } = c
    if (payload.length < executeHeadBytes) throw wireErrors.malformed({ detail: 'an execution that is too short' })
    const statement = this.#statement(payload.readUInt32LE(1), 'mysqld_stmt_execute')
    told(statement.shape)
    this.#requireReading(statement)
    const p = statement.passthrough
    if (p === null || p.kind !== 'relay') return this.#query(this.#asText(statement, payload))
    // Rights may have been withdrawn since it was prepared.
    if (this.#access.restricted)
      this.#access.judge(p, () => lexStatement(statement.text, modeOf(this.#runner.settings)), statement.keyspaceName)
    if (statement.longDataBytes > this.#core.config.packetBytesMax) {
      statement.longData = []
      statement.longDataBytes = 0
      throw gateErrors.longData({ bytesMax: this.#core.config.packetBytesMax })
    }
    const longData = statement.longData
    statement.longData = []
    statement.longDataBytes = 0
    if (this.#asksDiagnostics(p, statement.keyspaceName)) return takeDiagnostics(this.#runner).then(() => this.#query(statement.text))
    if (statement.asked !== null) {
      const params = statement.paramCount === 0 ? [] : decodeParameters(payload, statement, longData)
      const given = params.map(({ value }) => (value === null ? null : String(value)))
      requireShown(this.#core, this.#access, statement.asked, given)
      this.#session.tellOrigins(statement.asked.origins)
    }
    const keyspace = this.#core.watch.view.keyspaces.get(statement.keyspace)
    if (keyspace?.record.sharded === true) {
      return this.#sharded.execute(statement, c, longData, signal)
    }
    if (p.readsVariables) this.#runner.connections.requireVariables(statement.keyspace)
    const { connections, transaction } = this.#runner
    if (keyspace !== undefined && showsDatabase(keyspace, statement.text) && !connections.pinned && transaction === null)
      return this.#sharded.execute(statement, c, longData, signal)
    if (p.needsPrevious === 'found-rows' && (this.#runner.leftNothing || this.#runner.ranElsewhere(keyspace))) throw notTheFoundRows()
    const sent = this.#sent(statement, p)
    if (statement.paramCount > 0) bindTypes(statement, readExecution(payload, statement.paramCount))
    const marks = marking(p, connections)
    const request: Request = {
      keyspace: statement.keyspace,
      choose: firstShard,
      bytes: payload.length,
      effect: p.effect,
      rereadable: p.rereadable,
      onlyLocks: p.onlyLocks,
      pins: p.pins,
      lastInsertId: p.lastInsertId,
      needsPrevious: p.needsPrevious !== null,
      keepAtHand: p.leavesFoundRows || marks !== null,
      outside: p.implicitCommit,
      whole: p.whole,
      readsVariables: p.readsVariables,
      setsInsertId: p.setsInsertId,
      mayGiveId: (id, framed) => mayGiveId(statement.text, framed, id),
      frame: (backend) => {
        marks?.before(backend)
        const on = preparedFor(backend, statement)
        if (longData.length === 0 && statement.mixed) return this.#executedAnew(backend, statement, sent, c, on)
        if (on !== undefined && longData.length === 0) return executionFrame(c, statement, on)
        return prepareOn(backend, statement.executionKey, sent).then((prepared) => {
          for (const packet of longData) {
            packet.writeUInt32LE(prepared.id, 1)
            backend.connection.relayData(frame(packet))
          }
          return executionFrame(c, statement, prepared)
        })
      },
    }
    if (p.implicitCommit) {
      const ddl = ddlOf(this.#core, statement.keyspaceName, lexStatement(statement.text, modeOf(this.#runner.settings)))
      return afterCommit(this.#core, this.#runner, ddl, () => this.#runner.relay(request, signal))
    }
    const answered = this.#runner.relay(request, signal)
    return marks === null ? answered : marks.after(answered)
  }

  /** A connection may not have seen the types of the executions before; where that is not known it knows what it makes of this one. */
  async #executedAnew(
    backend: Backend,
    statement: SessionStatement,
    sent: Buffer,
    c: ClientCommand,
    known?: BackendStatement,
  ): Promise<Buffer> {
    const given = decodeParameters(c.payload, statement, [])
    let params: typeof given
    try {
      params = asTaken(statement, given, () => lexStatement(statement.text, modeOf(this.#runner.settings)))
    } catch (error) {
      if (known?.whole !== true || !isSwError(error, 'SW-GATE-100')) throw error
      return executionFrame(c, statement, known)
    }
    const all = params.map((_, i) => i)
    const on = await prepareOn(backend, statement.key + typesKey(all, params), sent)
    on.boundTypes = null
    return executionOf(on.id, all, params)
  }

  /** What the gate answers itself, SET and its like: with its parameters in their places. */
  #asText(statement: SessionStatement, payload: Buffer): Buffer {
    const { text, paramCount, longData } = statement
    if (paramCount === 0) return text
    statement.longData = []
    statement.longDataBytes = 0
    const lexed = lexStatement(text, modeOf(this.#runner.settings))
    const sent = decodeParameters(payload, statement, longData)
    const { isMariadb } = this.#core
    if (statement.passthrough?.kind === 'kill') return inlineParameters(lexed, null, sent.map(valueOf).map(sessionNumber))
    return inlineParameters(
      lexed,
      null,
      setParameters(lexed, statement.kept === null || isMariadb ? sent : asKeptBySet(sent, statement.kept), isMariadb),
    )
  }

  /** A server keeps what it has parsed; on shared connections a text is prepared whenever it is met. Errors: SW-GATE-012. */
  #requireReading(statement: SessionStatement): void {
    const { settings } = this.#runner
    if (statement.alike === settings.signature) return
    if (statement.read !== readUnder(statement.text, settings))
      throw gateErrors.notForwarded({
        construct: 'a statement that was prepared under another sql_mode or character set',
        reason: 'its text would be read otherwise now',
        fix: 'prepare it again, or set what it was prepared under',
      })
    statement.alike = settings.signature
  }

  longData(c: ClientCommand): void {
    const payload = Buffer.from(c.payload)
    if (payload.length < longDataHeadBytes) return
    const statement = this.#statements.get(payload.readUInt32LE(1))
    // No answer may be given to this command: an unknown id shows at the execution.
    if (statement === undefined) return
    statement.longDataBytes += payload.length
    if (statement.longDataBytes <= this.#core.config.packetBytesMax) statement.longData.push(payload)
  }

  #statement(id: number, name: string): SessionStatement {
    const statement = this.#found(id)
    if (statement === undefined) throw gateErrors.unknownStatementId({ id, command: name })
    return statement
  }

  /** MariaDB's clients send an execution along with its PREPARE, before they know the id. */
  #found(id: number): SessionStatement | undefined {
    return this.#statements.get(id === lastPrepared ? (this.#lastId ?? id) : id)
  }
}
