/** The prepared statements of one session: PREPARE, EXECUTE, long data, CLOSE, RESET. */
import type { ClientCommand } from '../mysql/server-connection.ts'
import { wireErrors } from '../wire/errors.ts'
import { HEADER_BYTES } from '../wire/frames.ts'
import type { Access } from './access.ts'
import type { Core } from './core.ts'
import { gateErrors } from './errors.ts'
import { needsOf } from './needs.ts'
import { onServer } from './on-server.ts'
import { withUser } from './qualified.ts'
import { classifyCached } from './passthrough-cache.ts'
import { bindTypes, executionFrame, preparedFor, prepareOn, prepareRaw, readExecution, type SessionStatement } from './prepared.ts'
import { firstShard, type Request } from './request.ts'
import type { Runner } from './runner.ts'
import { renamedPrepared } from './schema-names.ts'
import { statementsOf } from './several-statements.ts'
import type { Sharded } from './sharded.ts'
import { lexStatement, modeOf } from './statement-text.ts'

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
  readonly #session: { readonly user: string; readonly host: string }
  /** Answers a statement of the gate's own as text. */
  readonly #query: (text: Buffer) => Promise<unknown>
  readonly #statements = new Map<number, SessionStatement>()
  #nextStatementId = 1
  /** Of the last PREPARE; null: it failed. */
  #lastId: number | null = null

  constructor(
    core: Core,
    runner: Runner,
    sharded: Sharded,
    access: Access,
    session: { user: string; host: string },
    query: (text: Buffer) => Promise<unknown>,
  ) {
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
    const lexed = lexStatement(text, modeOf(this.#runner.settings))
    if (lexed.next >= 0 && statementsOf(text, modeOf(this.#runner.settings)) !== null)
      throw gateErrors.severalStatements({
        near: text.toString('utf8', lexed.next, lexed.next + 60).trim(),
        reason: 'a prepared statement is one',
        fix: 'prepare them one by one',
      })
    if (this.#statements.size >= statementsMax) throw gateErrors.tooManyStatements({ max: statementsMax })
    const passthrough = classifyCached(lexed)
    if (passthrough.kind === 'refuse')
      throw gateErrors.notForwarded({ construct: passthrough.construct, reason: passthrough.reason, fix: passthrough.fix })
    const keyspace = keyspaceName === '' ? this.#core.anyKeyspace() : this.#core.keyspace(keyspaceName)
    if (keyspace === undefined) throw gateErrors.noKeyspace()
    if (passthrough.kind === 'relay' && passthrough.userCalls.length > 0 && !keyspace.record.sharded)
      return await this.prepare(withUser(text, lexed, passthrough, this.#session), keyspaceName, signal)
    if (this.#access.restricted) this.#access.judge(passthrough, () => lexed, keyspaceName)
    if (keyspaceName === '' && passthrough.kind === 'relay' && needsOf(() => lexed, passthrough).bare === true)
      throw gateErrors.noKeyspace()
    const statement: SessionStatement = {
      id: this.#nextStatementId++,
      text,
      key: text.toString('latin1'),
      shape: lexed.key,
      keyspace: keyspace.name,
      passthrough,
      keyspaceName,
      paramCount: 0,
      types: null,
      bound: '',
      executionKey: text.toString('latin1'),
      longData: [],
      longDataBytes: 0,
    }
    const prepared =
      keyspace.record.sharded && passthrough.kind === 'relay'
        ? await this.#sharded.prepare(keyspace.name, text, statement.id, signal)
        : await this.#prepareOnServer(keyspace.name, statement, signal)
    statement.paramCount = prepared.paramCount
    this.#statements.set(statement.id, statement)
    this.#lastId = statement.id
    return prepared.answer
  }

  async #prepareOnServer(
    keyspace: string,
    statement: SessionStatement,
    signal: AbortSignal,
  ): Promise<{ paramCount: number; answer: Buffer }> {
    return await onServer(this.#core, this.#runner, keyspace, signal, async (backend, shard) => {
      const prepared = await prepareRaw(backend.connection, statement.text, statement.id)
      const known = backend.statements.get(statement.key)
      backend.pool.remember(backend, statement.key, { id: prepared.id, boundTypes: null })
      if (known !== undefined) backend.pool.forget(backend, known.id)
      return { ...prepared, answer: renamedPrepared(prepared.answer, shard) }
    })
  }

  /** @param told the statement's text without its literals */
  execute(c: ClientCommand, signal: AbortSignal, told: (shape: string) => void): Promise<unknown> {
    const framed = c.framed()
    if (framed.length < HEADER_BYTES + executeHeadBytes) throw wireErrors.malformed({ detail: 'an execution that is too short' })
    const statement = this.#statement(framed.readUInt32LE(5), 'mysqld_stmt_execute')
    told(statement.shape)
    const p = statement.passthrough
    if (p === null || p.kind !== 'relay') {
      // What the gate answers itself has no parameters.
      return this.#query(statement.text)
    }
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
    const keyspace = this.#core.watch.view.keyspaces.get(statement.keyspace)
    if (keyspace?.record.sharded === true) {
      return this.#sharded.execute(statement, framed, longData, signal)
    }
    if (statement.paramCount > 0 && statement.bound === '')
      bindTypes(statement, readExecution(framed.subarray(HEADER_BYTES), statement.paramCount).types)
    const request: Request = {
      keyspace: statement.keyspace,
      choose: firstShard,
      bytes: framed.length,
      effect: p.effect,
      rereadable: p.rereadable,
      pins: p.pins,
      lastInsertId: p.lastInsertId,
      needsPrevious: p.needsPrevious !== null,
      keepAtHand: p.leavesFoundRows,
      outside: p.implicitCommit,
      frame: (backend) => {
        const on = preparedFor(backend, statement)
        if (on !== undefined && longData.length === 0) return executionFrame(framed, statement, on)
        return prepareOn(backend, statement.executionKey, statement.text).then((prepared) => {
          for (const packet of longData) {
            packet.writeUInt32LE(prepared.id, 5)
            backend.connection.relayData(packet)
          }
          return executionFrame(framed, statement, prepared)
        })
      },
    }
    if (p.implicitCommit) return this.#runner.commit().then(() => this.#runner.relay(request, signal))
    return this.#runner.relay(request, signal)
  }

  longData(c: ClientCommand): void {
    const framed = Buffer.from(c.framed())
    if (framed.length < HEADER_BYTES + longDataHeadBytes) return
    const statement = this.#statements.get(framed.readUInt32LE(5))
    // No answer may be given to this command: an unknown id shows at the execution.
    if (statement === undefined) return
    statement.longDataBytes += framed.length
    if (statement.longDataBytes <= this.#core.config.packetBytesMax) statement.longData.push(framed)
  }

  #statement(id: number, name: string): SessionStatement {
    // MariaDB's clients send an execution along with its PREPARE, before they know the id.
    const statement = this.#statements.get(id === lastPrepared ? (this.#lastId ?? id) : id)
    if (statement === undefined) throw gateErrors.unknownStatementId({ id, command: name })
    return statement
  }
}
