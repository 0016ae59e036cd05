/**
 * One execution of a statement on a sharded keyspace, and what planning and routing it take from its session: values that only the session
 * knows, the routing of the moment, and whether the hold rules let it go on.
 */
import type { ServerConnection } from '../mysql/server-connection.ts'
import { keptOf, Kind, tokenKind, tokenStart, type Lexed } from '../sql/lexer.ts'
import { integerValue, nullValue, textValue, type Value } from '../sql/value.ts'
import type { Param } from '../wire/stmt-execute.ts'
import { isCounted } from './admission.ts'
import type { Core } from './core.ts'
import { gateErrors } from './errors.ts'
import { executionOf, valueOf } from './parameters.ts'
import { keepInSettings, usable } from './kept-values.ts'
import { rowCountOf } from './limit-parameters.ts'
import { userVariablesOf, variableOn } from './user-variables.ts'
import type { LookupAnswers } from './lookup-reads.ts'
import type { RoutedPlan, RouteInputs, SessionRef, Text, TextWay } from './plan/plan.ts'
import { Rendering } from './plan/render.ts'
import { executionFrame, type ExecutionPacket, prepareOn, type SessionStatement } from './prepared.ts'
import { Rerouted } from './execution-errors.ts'
import { callsStored, rereadable } from './pure-functions.ts'
import { framedQuery } from './replies.ts'
import type { Runner } from './runner.ts'
import type { Scatter } from './scatter.ts'
import { accountOf } from './session-calls.ts'
import { refuseOtherLetters, textWay } from './session-charset.ts'
import { hasMode } from './sql-mode.ts'
import { lexStrictly, modeOf } from './statement-text.ts'
import { refuseOtherSpelling } from './variable-names.ts'
import type { KeyspaceView, ShardView } from './view.ts'

const pipe = 0x7c
/** A longer prepared statement is cut each time: its tokens take more than its text does. */
const keptBytesMax = 4_096
const purePlans = new WeakMap<RoutedPlan, boolean>()

export type Execution = {
  readonly keyspace: string
  readonly sql: Buffer
  readonly form: 'text' | 'binary'
  /** The client's own packet, when the text may be passed on as it is. */
  readonly packet: ExecutionPacket | null
  readonly statement: SessionStatement | null
  readonly params: readonly Param[]
  readonly values: readonly Value[]
  readonly signal: AbortSignal
  ids: readonly bigint[]
  /** When it was begun to be planned, the last time. */
  sinceMs?: number
  /** What lookup vindexes said. */
  readonly answers: LookupAnswers
  /** Known of this very execution, whatever becomes of its plan. */
  readonly found: { incomparable: boolean }
  /** The client has this error of a server's. */
  refusedBy: { readonly errno: number; readonly message: string } | null
}

/** Nothing was done: it may be tried again when routing allows. */
export type Refused = { shard: ShardView; version: number; cause: Error }

export function noExecution(keyspace: string, sql: Buffer, signal: AbortSignal): Execution {
  return {
    keyspace,
    sql,
    form: 'text',
    packet: null,
    statement: null,
    params: [],
    values: [],
    signal,
    ids: [],
    answers: new Map(),
    found: { incomparable: false },
    refusedBy: null,
  }
}

/** Why it was stopped from outside; undefined: it was not. */
export function stopOf({ signal }: Execution): unknown {
  return signal.aborted ? signal.reason : undefined
}

/** To the server, the keyspace has the name of its database: an execution that asks about schemas means that one. */
export function renamedParameters(e: Execution, keyspace: KeyspaceView): Execution {
  const { schema } = keyspace.shards[0] as ShardView
  const params = e.params.map((param) => (String(param.value) === keyspace.name ? { ...param, value: Buffer.from(schema) } : param))
  return { ...e, params, values: params.map(valueOf), packet: null }
}

export class SessionContext {
  readonly core: Core
  readonly runner: Runner
  readonly client: ServerConnection
  readonly scatter: Scatter
  readonly keyspaceName: () => string
  #text: { signature: string; way: TextWay } = { signature: '', way: 'utf8mb4' }

  constructor(core: Core, runner: Runner, client: ServerConnection, scatter: Scatter, keyspaceName: () => string) {
    this.core = core
    this.runner = runner
    this.client = client
    this.scatter = scatter
    this.keyspaceName = keyspaceName
  }

  /** True: it waited, so everything is to be looked at anew. */
  async hold(
    keyspace: KeyspaceView,
    parts: readonly { shard: ShardView }[],
    inTransaction: boolean,
    effect: RoutedPlan['effect'],
    e: Execution,
  ): Promise<boolean> {
    if (!this.core.holds.active || (!inTransaction && effect === 'read')) return false
    const { transaction } = this.runner
    if (transaction !== null && isCounted(this.core, transaction, keyspace.name)) return false
    const keys = [...new Set(parts.map((part) => part.shard.component.key))]
    if (!this.core.holds.mustWait(keyspace.name, keys)) return false
    this.core.stats.held++
    await this.core.holds.wait(keyspace.name, keys, e.sql.length, e.signal)
    return true
  }

  inputs(lexed: Lexed, e: Execution, keyspace: KeyspaceView): RouteInputs<ShardView> {
    const first = keyspace.shards[0] as ShardView
    return {
      lexed,
      parameters: e.values,
      shards: keyspace.shards,
      sequenceIds: e.ids,
      idsAsParameters: e.form === 'binary',
      text: this.#textWay(),
      zeroIsStored: hasMode(this.runner.settings, 'NO_AUTO_VALUE_ON_ZERO'),
      shardOf(id) {
        const shard = keyspace.index.find(id)
        if (shard === undefined)
          throw gateErrors.notReady({ keyspace: keyspace.name, reason: `no shard serves keyspace id ${Buffer.from(id).toString('hex')}` })
        return shard
      },
      shardsIn: (range) => keyspace.index.findAll(range),
      schemaOf: (shard) => shard.schema,
      anyShard: () => {
        for (const branch of this.runner.transaction?.branches.values() ?? [])
          if (keyspace.shards.includes(branch.shard)) return branch.shard
        return first
      },
      session: (ref) => this.session(ref),
      ...(e.params.length > 0 && { rowCount: (parameter) => rowCountOf(e.params[parameter] as Param, this.core.isMariadb) }),
    }
  }

  rereadable(plan: RoutedPlan, sql: Buffer): boolean {
    return plan.effect === 'read' && this.pure(plan, sql)
  }

  /** It calls nothing that could have an effect. The same for every statement of a plan: judged once. */
  pure(plan: RoutedPlan, sql: Buffer): boolean {
    let known = purePlans.get(plan)
    if (known === undefined) purePlans.set(plan, (known = rereadable(this.lex(sql))))
    return known
  }

  /** Having begun, it may have called what has an effect: it is not run again by us. */
  mayHaveActed(plan: RoutedPlan, sql: Buffer): boolean {
    return callsStored(this.lex(sql))
  }

  /** Asked for each statement: found out once for the same settings. */
  #textWay(): TextWay {
    const { settings } = this.runner
    if (this.#text.signature !== settings.signature) this.#text = { signature: settings.signature, way: textWay(settings) }
    return this.#text.way
  }

  /**
   * Asks connections that the session keeps for what a statement may need of what was set there: LAST_INSERT_ID(), the user variables that it names. True: others
   * may have lexed meanwhile. Errors: SW-GATE-012, SW-GATE-020, SW-GATE-100.
   */
  async knowKept(lexed: Lexed): Promise<boolean> {
    const { connections, settings, transaction } = this.runner
    const home = connections.variablesOn
    const names = home === null ? new Set<string>() : userVariablesOf(lexed)
    const asks = this.runner.insertIdOn !== null
    await this.runner.knowInsertId()
    if (home === null || names.size === 0) return asks
    connections.requireVariables(home)
    for (const name of names) {
      const value = await settings.showingText(() => variableOn(name, settings, (sql) => connections.askPinned(home, sql, transaction)))
      keepInSettings(settings, name, value)
      connections.variables.set(name, value)
    }
    return true
  }

  session(ref: SessionRef): Value {
    switch (ref.kind) {
      case 'database': {
        const name = this.keyspaceName()
        return name === '' ? nullValue : textValue(name)
      }
      case 'last-insert-id':
        return integerValue(this.runner.lastInsertId)
      case 'row-count':
        return integerValue(this.runner.affectedRows)
      case 'found-rows':
        throw this.unsupported('FOUND_ROWS()')
      case 'connection-id':
        return integerValue(BigInt(this.client.threadId))
      case 'user':
        return textValue(`${this.client.user}@${this.client.address}`)
      case 'current-user':
        return textValue(accountOf(this.client.user))
      case 'version':
        return textValue(this.core.serverVersion)
      case 'user-variable':
        return this.#variable(ref.name)
      case 'system-variable':
        throw this.unsupported(`@@${ref.name}`)
    }
  }

  #variable(name: string): Value {
    const { variables } = this.runner.connections
    const value = variables.get(name.toLowerCase())
    if (value === undefined) refuseOtherSpelling(name.toLowerCase(), variables.keys())
    return usable(name, value ?? nullValue)
  }

  /** Errors: SW-SQL-001 to 003; SW-GATE-100 for a name that the client's character set may spell otherwise; SW-GATE-012 where the session's sql_mode makes an operator another one. */
  lex(sql: Buffer): Lexed {
    const lexed = lexStrictly(sql, modeOf(this.runner.settings))
    const { settings } = this.runner
    if (settings.get('sql_mode') !== undefined || settings.defaultMode.text !== '') this.#refuseModes(lexed)
    if (!this.#textWay().startsWith('utf8')) refuseOtherLetters(lexed, this.runner.settings)
    return lexed
  }

  /** The client's statement. Of a prepared one the text is the same at each execution: it is cut once, unless the session reads it otherwise since. */
  lexOf({ sql, statement }: Execution): Lexed {
    if (statement === null || sql !== statement.text || sql.length > keptBytesMax) return this.lex(sql)
    const { signature } = this.runner.settings
    if (statement.lexed === null || statement.lexedUnder !== signature) {
      statement.lexed = keptOf(this.lex(sql))
      statement.lexedUnder = signature
    }
    return statement.lexed
  }

  #refuseModes(lexed: Lexed): void {
    if (this.core.isMariadb && hasMode(this.runner.settings, 'EMPTY_STRING_IS_NULL'))
      throw gateErrors.notForwarded({
        construct: 'sql_mode EMPTY_STRING_IS_NULL over several shards',
        reason: 'a row would be stored with NULL for a text by which it was routed',
        fix: 'SET sql_mode without it',
      })
    if (!hasMode(this.runner.settings, 'ORACLE')) return
    for (let i = 0; i < lexed.count; i++) {
      const at = tokenStart(lexed, i)
      if (tokenKind(lexed, i) !== Kind.Operator || lexed.bytes[at] !== pipe || lexed.bytes[at + 1] !== pipe) continue
      throw gateErrors.notForwarded({
        construct: '|| under sql_mode ORACLE',
        reason: 'there it binds as + does, and the gate reads it as it is under PIPES_AS_CONCAT',
        fix: 'write CONCAT(…), or set PIPES_AS_CONCAT alone',
      })
    }
  }

  /** Lexes anew: while the caller waited, others have used the lexer. */
  render(text: Text, e: Execution, keyspace: KeyspaceView, shard: ShardView): Buffer {
    return text === null
      ? Buffer.from(e.sql)
      : Buffer.from(new Rendering(this.inputs(this.lexOf(e), e, keyspace), shard, null, []).add(text).text())
  }

  async relayText(keyspace: KeyspaceView, shard: ShardView, text: Buffer, e: Execution, effect: 'read' | 'write'): Promise<void> {
    if (e.statement !== null && e.statement.paramCount > 0) throw gateErrors.preparedForm({ construct: 'this statement' })
    const { version } = keyspace
    await this.runner.relay(
      {
        keyspace: keyspace.name,
        choose: (now) => {
          if (now.version !== version) throw new Rerouted()
          return shard
        },
        frame: (backend) => {
          if (e.statement === null) return framedQuery(text)
          const statement = e.statement
          return prepareOn(backend, text.toString('latin1'), text).then((on) =>
            statement.paramCount === 0 || e.packet === null ? executionOf(on.id, [], []) : executionFrame(e.packet, statement, on),
          )
        },
        bytes: text.length,
        effect,
        rereadable: effect === 'read',
        pins: [],
        lastInsertId: false,
        needsPrevious: false,
        keepAtHand: false,
        outside: false,
        whole: true,
      },
      e.signal,
    )
  }

  unsupported(construct: string): Error {
    return gateErrors.notForwarded({
      construct,
      reason: 'the keyspace has several shards, and it belongs to one connection',
      fix: 'see docs/sql.md',
    })
  }
}
