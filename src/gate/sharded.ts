/**
 * Statements on sharded keyspaces: planned, routed by the routing of the moment, sent to one shard (streamed through) or to
 * several (scatter.ts). Every attempt plans and routes anew, so what waited for a switch goes to the shards that serve then.
 */
import { isSwError } from '../base/errors.ts'
import type { ClientCommand, ServerConnection } from '../mysql/server-connection.ts'
import { ServerError } from '../mysql/errors.ts'
import type { Lexed } from '../sql/lexer.ts'
import { type Value } from '../sql/value.ts'
import { doubtedAgeMs } from './catalog.ts'
import type { Core } from './core.ts'
import { gateErrors } from './errors.ts'
import { requireRole } from './admission.ts'
import { readByBranch, ReadWaits, refuseWrite } from './read-by-branch.ts'
import { onServer } from './on-server.ts'
import { renderForPrepare } from './prepare-text.ts'
import { whoseFault } from './read-fault.ts'
import { outcomeOf, outcomeOfServer, type ReadOutcome } from './read-outcome.ts'
import { changing, Rerouted, StaleColumns } from './execution-errors.ts'
import { frameOf } from './execution-frame.ts'
import { noExecution, renamedParameters, SessionContext, stopOf, type Execution, type Refused } from './execution.ts'
import { OtherStatements } from './sharded-others.ts'
import { namedId } from './insert-id.ts'
import { keptNumber } from './kept-values.ts'
import { readOkFrame } from './ok-frame.ts'
import { asTaken } from './parameter-places.ts'
import { decodeParameters, valueOf } from './parameters.ts'
import { isTold } from './schemata.ts'
import { sessionValue } from './session-value.ts'
import { errorKindOf } from './scatter-errors.ts'
import type { SequenceName } from '../keyspace/vschema-resolve.ts'
import type { Plan, Routed, RoutedPlan, RouteInputs, Text } from './plan/plan.ts'
import { idsNeeded, routePlan } from './plan/route.ts'
import { type ExecutionPacket, prepareRaw, type SessionStatement } from './prepared.ts'
import { renamedPrepared } from './schema-names.ts'
import { okFrame } from './replies.ts'
import { withLookups } from './lookup-reads.ts'
import type { Runner } from './runner.ts'
import type { Request } from './request.ts'
import { withGivenId } from './scatter-summary.ts'
import { Scatter } from './scatter.ts'
import { wordsOf } from './statement-words.ts'
import { vexplain } from './vexplain.ts'
import { asksForStored } from './stored-ids.ts'
import { unboundedReason } from './unbounded.ts'
import { SeveralShards } from './sharded-several.ts'
import type { ReadToken } from './branch-reads.ts'
import { onOneServer } from './unsharded-target.ts'
import type { KeyspaceView, ShardView } from './view.ts'

const plansMax = 50
type Asked = Pick<Execution, 'sql' | 'signal'>
/** DDL goes from shard to shard: meanwhile their columns differ. */
const [staleMax, stalePauseMs] = [20, 50]

/**
 * Answers a statement whose tables are an unsharded keyspace's as for a session that is in it: what must not be sent again, what may be left on the connection and
 * what the server does not know is found out in one place.
 */
export type OnOneServer = (keyspace: string, sql: Buffer) => Promise<unknown>

export class Sharded {
  readonly #core: Core
  readonly #runner: Runner
  readonly #client: ServerConnection
  readonly #scatter: Scatter
  readonly #keyspaceName: () => string
  readonly #context: SessionContext
  readonly #several: SeveralShards
  readonly #others: OtherStatements
  readonly #onOne: OnOneServer

  constructor(core: Core, runner: Runner, client: ServerConnection, keyspaceName: () => string, onOne: OnOneServer) {
    this.#core = core
    this.#runner = runner
    this.#client = client
    this.#scatter = new Scatter(core, runner, client)
    this.#keyspaceName = keyspaceName
    this.#onOne = onOne
    this.#context = new SessionContext(core, runner, client, this.#scatter, keyspaceName)
    this.#several = new SeveralShards(this.#context)
    this.#others = new OtherStatements(this.#context)
  }

  /** User variables, by name in lower case. */
  get variables(): Map<string, Value> {
    return this.#runner.connections.variables
  }

  /** Nobody waits for the parts that run: KILL QUERY of what only reads. */
  leave(): void {
    for (const { effect, connection } of this.#scatter.running) if (effect === 'read') void this.#core.pools.killUnawaited(connection)
  }

  /** KILL QUERY of the parts that run. */
  kill(): Promise<unknown> | null {
    const parts = this.#scatter.running
    return parts.length === 0 ? null : Promise.allSettled(parts.map(({ connection }) => this.#core.pools.killQuery(connection)))
  }

  async query(keyspace: string, sql: Buffer, signal: AbortSignal, c: ClientCommand | null): Promise<void> {
    const asked = vexplain.exec(sql.toString('latin1', 0, 40))
    if (asked !== null) return await this.#others.vexplain(sql.subarray(asked[0].length), keyspace, signal)
    await this.#run({ ...noExecution(keyspace, sql, signal), packet: c })
  }

  /** What an expression of the session is. */
  async evaluate(keyspace: string, expression: string, signal: AbortSignal): Promise<Value> {
    await this.#context.knowKept(this.#context.lex(Buffer.from(expression, 'latin1')))
    const query = (sql: Buffer): Promise<void> => this.query(keyspace, sql, signal, null)
    const plan = (sql: Buffer): Promise<Plan> => this.#plan(keyspace, sql, signal)
    return keptNumber(await sessionValue(this.#context, { keyspace, expression, signal, plan, query }))
  }

  // As in session.ts: what a statement passes through on its way to one shard makes no promise of its own.
  execute(statement: SessionStatement, packet: ExecutionPacket, longData: readonly Buffer[], signal: AbortSignal): Promise<void> {
    const sent = statement.paramCount === 0 ? [] : decodeParameters(packet.payload, statement, longData)
    const params = asTaken(statement, sent, () => this.#context.lex(statement.text))
    return this.#run({
      ...noExecution(statement.keyspace, statement.text, signal),
      form: 'binary',
      packet: longData.length === 0 && params === sent ? packet : null,
      statement,
      params,
      values: params.map(valueOf),
    })
  }

  /** The unsharded keyspace whose tables it names; null: it names none. */
  async unshardedOf(keyspace: string, text: Buffer, signal: AbortSignal): Promise<string | null> {
    return onOneServer(await this.#plan(keyspace, text, signal))
  }

  /** The columns and parameters, as one shard describes them for the client's whole text. */
  async prepare(keyspace: string, text: Buffer, id: number, signal: AbortSignal): Promise<{ paramCount: number; answer: Buffer }> {
    await this.#context.knowKept(this.#context.lex(text))
    const plan = await this.#plan(keyspace, text, signal)
    if (plan.kind === 'prepare' || plan.kind === 'execute' || plan.kind === 'deallocate')
      throw this.#context.unsupported(plan.kind.toUpperCase())
    const target = plan.kind === 'routed' ? plan.keyspace : keyspace
    return await onServer(this.#core, this.#runner, target, signal, async (backend, shard) => {
      const lexed = this.#context.lex(text)
      const template = plan.kind === 'routed' && plan.insert?.sequence != null && plan.scatter.kind === 'allowed' ? plan.scatter.text : null
      const whole: Text =
        template ??
        (plan.kind === 'routed' ? plan.whole : plan.kind === 'show' || plan.kind === 'explain' || plan.kind === 'ddl' ? plan.text : null)
      const rendered = whole === null && plan.kind !== 'show' ? text : renderForPrepare(this.#context, lexed, plan, whole, shard)
      const prepared = await prepareRaw(backend.connection, rendered, id)
      backend.pool.forget(backend, prepared.id)
      return { ...prepared, answer: renamedPrepared(prepared.answer, shard) }
    })
  }

  async #run(e: Execution): Promise<void> {
    let others = 0
    for (let attempt = 0; ; attempt++) {
      const stale = this.#core.fresh()
      if (stale !== undefined) await stale
      e.sinceMs = this.#core.clock.monotonicMs()
      let lexed!: Lexed
      let plan = this.#planBy(e, () => this.#planned((lexed = this.#context.lexOf(e)), e), e.sinceMs)
      // The lexer is everybody's.
      if (plan instanceof Promise) [plan, lexed] = [await plan, this.#context.lexOf(e)]
      const one = onOneServer(plan)
      if (one !== null) {
        // It was prepared for the shards of a keyspace that has one server now.
        if (e.statement !== null) throw gateErrors.preparedForm({ construct: `this statement on keyspace ${one}` })
        await this.#onOne(one, e.sql)
        return
      }
      try {
        if (this.#runner.connections.pinned && (await this.#context.knowKept(lexed))) lexed = this.#context.lexOf(e)
        const refused = await this.#perform(plan, lexed, e)
        if (refused === null) return
        e.answers.clear()
        await this.#core.afterRefusal(refused.shard, refused.version, attempt, e.sql.length, e.signal, refused.cause)
        if (e.signal.aborted) throw e.signal.reason as Error
      } catch (error) {
        if (error instanceof Rerouted) continue
        if (error instanceof StaleColumns) {
          const { keyspace } = plan.kind === 'routed' ? plan : e
          this.#core.catalog.forget(keyspace, [error.table])
          if (plan.kind === 'routed' && this.#context.mayHaveActed(plan, e.sql)) throw changing(keyspace)
          if (++others > staleMax) throw changing(keyspace)
          if (others > 1) await this.#core.clock.sleep(stalePauseMs, e.signal)
          continue
        }
        if (error instanceof ReadWaits) {
          await this.#core.reads.wait(error.keyspace, error.version, e.sql.length, e.signal)
          continue
        }
        if (errorKindOf(error) === 'schema') await this.#doubt(e, doubtedAgeMs.refused).catch(() => false)
        throw error
      }
    }
  }

  /** Columns may be others than known: those of the tables that it names are looked at. */
  #doubt({ sql, signal }: Asked, ageMs: number): Promise<boolean> {
    return this.#core.catalog.doubt(wordsOf(this.#context.lex(sql)), ageMs, signal)
  }

  /** With the columns that a plan asks for; at once where they are known. What is refused by columns of before is planned once more by those of now. */
  #planBy(asked: Asked, make: () => Plan, sinceMs?: number, loads = 0, doubted = false): Plan | Promise<Plan> {
    let plan: Plan
    try {
      plan = this.#core.catalog.asOf(make, sinceMs)
    } catch (error) {
      const absent = errorKindOf(error) === 'schema'
      if (doubted || !(absent || isSwError(error, 'SW-GATE-104') || isSwError(error, 'SW-GATE-124'))) throw error
      const again = this.#doubt(asked, absent ? 0 : doubtedAgeMs.planned)
      return again.then((others) => (others ? this.#planBy(asked, make, undefined, loads, true) : Promise.reject(error)))
    }
    if (plan.kind !== 'needs-schema') return plan
    if (loads > plansMax) throw changing(plan.keyspace)
    const loaded = this.#core.catalog.load(plan.keyspace, plan.tables, asked.signal)
    return loaded.then((atMs) => this.#planBy(asked, make, atMs, loads + 1, doubted))
  }

  #planned(lexed: Lexed, e: Execution): Plan {
    const nowhere = this.#keyspaceName() === '' && e.statement === null && !isTold(lexed)
    return this.#core.planner.plan(lexed, { keyspace: nowhere ? null : e.keyspace })
  }

  async #plan(keyspace: string, sql: Buffer, signal: AbortSignal): Promise<Plan> {
    return await this.#planBy({ sql, signal }, () => this.#core.planner.plan(this.#context.lex(sql), { keyspace }))
  }

  /** Null: answered. Otherwise nothing was done, and it may be tried again when routing allows. */
  #perform(plan: Plan, lexed: Lexed, e: Execution): Promise<Refused | null> {
    if (plan.kind !== 'show') this.#runner.connections.said = null
    return plan.kind === 'routed'
      ? this.#routed(plan, lexed, e)
      : this.#others.answer(plan, lexed, e, (otherwise) => this.#routed(otherwise, lexed, e))
  }

  #routed(plan: RoutedPlan, lexed: Lexed, given: Execution): Promise<Refused | null> {
    const keyspace = this.#core.keyspace(plan.keyspace)
    if (keyspace.notReady !== null) return this.#anewAfter(this.#core.ready(plan.keyspace, given.signal))
    const e = plan.system === true && given.params.length > 0 ? renamedParameters(given, keyspace) : given
    if (this.#core.catalog.refreshOld(plan.keyspace, plan.tables, given.sinceMs))
      return this.#anewAfter(this.#core.catalog.load(plan.keyspace, plan.tables, given.signal))
    if (keyspace.writes !== null) refuseWrite(plan, keyspace)
    requireRole(keyspace, this.#runner.transaction, plan.effect)
    const read = keyspace.reads === null ? null : readByBranch(this.#context, plan, lexed, e, keyspace)
    return read === null ? this.#onShards(plan, keyspace, lexed, e, null) : this.#onBranch(plan, read, lexed, e)
  }

  async #anewAfter(waited: Promise<unknown>): Promise<never> {
    await waited
    throw new Rerouted()
  }

  async #onBranch(
    plan: RoutedPlan,
    read: NonNullable<ReturnType<typeof readByBranch>>,
    lexed: Lexed,
    e: Execution,
  ): Promise<Refused | null> {
    let outcome: ReadOutcome = 'failed'
    let number = 0
    // Asked for later than now the tokens are another statement's.
    const { key } = lexed
    try {
      e.refusedBy = null
      const refused = await this.#onShards(plan, read.keyspace, lexed, e, read.token)
      const by = e.refusedBy as Execution['refusedBy']
      if (refused !== null) outcome = outcomeOf(refused.cause, stopOf(e))
      else if (by === null) outcome = 'answered'
      else {
        outcome = e.signal.aborted ? outcomeOf(by, stopOf(e)) : outcomeOfServer(by.errno, by.message)
        number = by.errno
      }
      return refused
    } catch (error) {
      outcome = outcomeOf(error, stopOf(e))
      number = error instanceof ServerError ? error.errno : 0
      throw error
    } finally {
      read.release()
      if (outcome === 'missing') outcome = await whoseFault(this.#context, plan, read.token, e, key, number)
      read.count(outcome)
    }
  }

  #onShards(plan: RoutedPlan, keyspace: KeyspaceView, lexed: Lexed, e: Execution, token: ReadToken | null): Promise<Refused | null> {
    const inputs = this.#context.inputs(lexed, e, keyspace)
    const sequence = plan.insert?.sequence ?? null
    if (sequence !== null) {
      const count = idsNeeded(plan, inputs)
      if (count > e.ids.length) return this.#draw(sequence.sequence, plan.keyspace, count, e)
    }
    const known = withLookups(this.#context, plan, inputs, e, keyspace)
    return known instanceof Promise ? known : this.#send(plan, keyspace, known, e, token)
  }

  #draw(sequence: SequenceName, keyspace: string, count: number, e: Execution): Promise<never> {
    // Others have lexed and routing may have changed while we waited.
    return this.#anewAfter(this.#core.sequences.take(sequence, keyspace, count, e.signal).then((ids) => (e.ids = ids)))
  }

  #send(
    plan: RoutedPlan,
    keyspace: KeyspaceView,
    inputs: RouteInputs<ShardView>,
    e: Execution,
    token: ReadToken | null,
  ): Promise<Refused | null> {
    const routed = routePlan(plan, inputs)
    if (this.#runner.guard.refusesScatter) this.#refuseUnbounded(plan, routed, keyspace, inputs)
    if (token !== null)
      this.#requireSnapshots(token, routed.gather === undefined ? routed.sends : keyspace.shards.map((shard) => ({ shard })))
    const gather = routed.gather ?? (routed.merge === null ? null : this.#several.insteadOf(plan, e))
    if (gather !== null) return this.#several.gathered(plan, gather, keyspace, inputs, e)
    const only = routed.sends.length === 1 ? routed.sends[0] : undefined
    const keeps = plan.lookups != null || asksForStored(plan, routed) || (plan.insert !== null && plan.insert.lookups.length > 0)
    if (only !== undefined && routed.merge === null && !keeps)
      return this.#single(plan, keyspace, only.shard, only.text, only.parameters, routed, e, token)
    return this.#several.routed(plan, keyspace, routed, inputs, e)
  }

  #refuseUnbounded(plan: RoutedPlan, routed: Routed<ShardView>, keyspace: KeyspaceView, inputs: RouteInputs<ShardView>): void {
    const reason = unboundedReason(plan, routed, inputs)
    if (reason === null || plan.copies === true) return
    throw gateErrors.unboundedScatter({
      shards: keyspace.shards.length,
      keyspace: keyspace.name,
      user: this.#runner.guard.user,
      reason,
    })
  }

  /** What a transaction saw of a shard must not be older than the step that moved its tenant there. */
  #requireSnapshots(token: ReadToken, sends: readonly { shard: ShardView }[]): void {
    const { transaction } = this.#runner
    if (transaction === null) return
    for (const { shard } of sends) {
      if (this.#core.reads.snapshotHolds(transaction, token, shard.uid)) continue
      transaction.expel(token.keyspace)
    }
  }

  async #single(
    plan: RoutedPlan,
    keyspace: KeyspaceView,
    shard: ShardView,
    text: Buffer,
    chosen: readonly number[] | null,
    { firstId, lastId = null }: Routed<ShardView>,
    e: Execution,
    token: ReadToken | null,
  ): Promise<null> {
    const { version } = keyspace
    const { insert } = plan
    const mute = firstId !== null || insert?.met === 'asked' || (lastId !== null && insert?.sequence?.ofServer === false)
    const request: Request = {
      keyspace: keyspace.name,
      choose: (now) => {
        if (now.version !== version || (token !== null && !this.#core.reads.serves(token))) throw new Rerouted()
        return shard
      },
      frame: frameOf(e, text, chosen),
      bytes: e.sql.length,
      effect: plan.effect,
      rereadable: this.#context.rereadable(plan, e.sql),
      onlyLocks: plan.effect === 'lock' && this.#context.pure(plan, e.sql),
      pins: [],
      lastInsertId: false,
      needsPrevious: false,
      keepAtHand: false,
      outside: false,
      whole: true,
      partly: plan.effect === 'write' && plan.engine != null,
      mute,
    }
    const { lastInsertId } = this.#runner
    const end = await this.#runner.relay(request, e.signal)
    if (end.kind === 'error') {
      e.refusedBy = end
      if ([1054, 1136, 1146].includes(end.errno)) await this.#doubt(e, doubtedAgeMs.refused).catch(() => false)
      return null
    }
    if (!mute || end.hadRows) {
      // Shards give no ids, but to pinned tables: what the answer names is the client's own, or of a row that was met.
      if (insert !== null && insert.rows[0]?.destination.kind !== 'keyspace-id') this.#runner.lastInsertId = firstId ?? lastInsertId
      return null
    }
    const told = readOkFrame(end.frame)
    if (told === null) return null
    const said = withGivenId(told, lastId)
    const named = namedId(insert?.met ?? null, firstId, said, lastInsertId)
    this.#runner.lastInsertId = named.last
    this.#client.write(okFrame(end.status, { ...said, insertId: named.insertId, warnings: end.warnings }))
    return null
  }
}
