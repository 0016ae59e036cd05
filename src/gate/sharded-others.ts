/** Statements on sharded keyspaces that are not routed by rows: what the session answers itself, SHOW, DDL, savepoints. */
import { unreachable } from '../base/assert.ts'
import { requireRole } from './admission.ts'
import type { Column } from '../mysql/connection.ts'
import type { Lexed } from '../sql/lexer.ts'
import { collation } from '../wire/column-types.ts'
import { ServerError } from '../mysql/errors.ts'
import { nullValue, type Value } from '../sql/value.ts'
import { gateErrors } from './errors.ts'
import { Rerouted } from './execution-errors.ts'
import { noExecution, type Execution, type Refused, type SessionContext } from './execution.ts'
import type { DdlPlan, ExplainPlan, LocalPlan, Plan, RoutedPlan, ShowPlan } from './plan/plan.ts'
import { planErrors } from './plan/errors.ts'
import { marked } from './inner-statements.ts'
import { inlineParameters } from './parameters.ts'
import { refuseMoved, tellOthers } from './moved-tables.ts'
import { onServer } from './on-server.ts'
import { slotValue } from './plan/render.ts'
import { quoteIdentifier } from '../sql/quote.ts'
import { spanText } from '../sql/splice.ts'
import { limitOf, routePlan } from './plan/route.ts'
import { createdTrigger, requireHarmless } from './plan/triggers.ts'
import { gatherJob } from './gather-job.ts'
import { explained, type Explained } from './vexplain.ts'
import { integerColumn, okFrame, plainOk, rowsFrames, textColumn, type AnswerForm } from './replies.ts'
import { ResultWriter } from './result-writer.ts'
import { databaseOf, tablesOf } from './schema-names.ts'
import { nothingSaid, saidOf, warningsOf, type Warning } from './scatter-warnings.ts'
import { hasMode } from './sql-mode.ts'
import type { ShardView } from './view.ts'

export class OtherStatements {
  readonly #context: SessionContext

  constructor(context: SessionContext) {
    this.#context = context
  }

  /** Null: answered. @param routed what runs a local plan that a shard knows more of */
  async answer(
    plan: Exclude<Plan, RoutedPlan>,
    lexed: Lexed,
    e: Execution,
    routed: (plan: RoutedPlan) => Promise<Refused | null>,
  ): Promise<Refused | null> {
    switch (plan.kind) {
      case 'local': {
        const otherwise = await this.local(plan, lexed, e)
        return otherwise === null ? null : await routed(otherwise)
      }
      case 'show':
        return await this.show(plan, e)
      case 'explain':
        return await this.explain(plan, lexed, e)
      case 'ddl':
        await this.ddl(plan, e)
        return null
      case 'unlock-tables':
        this.#context.client.write(plainOk(this.#context.runner.status))
        return null
      case 'transaction':
      case 'set':
      case 'use':
      case 'kill':
      case 'lock-tables':
      case 'prepare':
      case 'execute':
      case 'deallocate':
        throw this.#context.unsupported(plan.kind.toUpperCase().replace('-', ' '))
      case 'needs-schema':
        throw gateErrors.notReady({ keyspace: plan.keyspace, reason: 'its tables are not known' })
      default:
        return unreachable(plan)
    }
  }

  /** A plan: the session does not know all of it, a shard does. */
  async local(plan: LocalPlan, lexed: Lexed, e: Execution): Promise<RoutedPlan | null> {
    const unknown = plan.items.some((item) => item.value.kind === 'session' && item.value.ref.kind === 'system-variable')
    if (unknown && plan.otherwise !== null) return plan.otherwise
    const keyspace = this.#context.core.anyKeyspace()
    const inputs = keyspace === undefined ? null : this.#context.inputs(lexed, e, keyspace)
    const values = plan.items.map((item) => (inputs === null ? nullValue : slotValue(item.value, inputs)))
    if (values.some((value) => value.type === 'kept') && plan.otherwise !== null) return plan.otherwise
    const { selectLimit } = this.#context.runner.settings
    const limit = (inputs === null ? null : limitOf(plan.limit, inputs)) ?? selectLimit ?? 1n
    const offset = (inputs === null ? null : limitOf(plan.offset, inputs)) ?? 0n
    // Of what type a server would tell it: known here of integers, of texts and of what the session is asked for.
    const isTold = ({ value: slot }: LocalPlan['items'][number], i: number): boolean => {
      const type = values[i]?.type
      if (type === 'integer' || type === 'text') return true
      // A variable that is NULL is text to servers; an integer beside it would be a smaller one as a literal.
      return slot.kind === 'session' && (slot.ref.kind !== 'user-variable' || type === 'null')
    }
    // These are put into texts, and into no prepared one (session-prepared.ts).
    const alone =
      e.form === 'binary' && plan.items.some(({ value: slot }) => slot.kind === 'session' && /^(database|row-count)$/.test(slot.ref.kind))
    if (plan.otherwise?.sharded === true && !alone && !plan.items.every(isTold)) return plan.otherwise
    const columns = plan.items.map((item, i) => {
      const label = typeof item.label === 'string' ? item.label : spanText(lexed, item.label)
      if (values[i]?.type === 'integer') return integerColumn(label)
      const column = textColumn(label, item.value.kind === 'session' && item.value.ref.kind === 'database' ? 64 : 256)
      return this.#context.core.isMariadb ? column : { ...column, decimals: 31, charset: collation.utf8mb4_0900 }
    })
    const writer = new ResultWriter(
      this.#context.client,
      e.form,
      this.#context.core.config.clientBufferBytesMax,
      this.#context.runner.connections.signal,
    )
    writer.columns(columns, 0, this.#context.runner.status)
    if (limit > 0n && offset === 0n) void writer.row(values.map(cellOf))
    writer.end(this.#context.runner.status, 0)
    this.#context.runner.affectedRows = -1n
    this.#context.runner.connections.said = nothingSaid
    return null
  }

  /** How a statement would be run. What lookups say is not asked: their statements are shown as for all shards. */
  async vexplain(sql: Buffer, name: string, signal: AbortSignal): Promise<void> {
    const { core, client, runner } = this.#context
    const keyspace = await core.ready(name, signal)
    for (let i = 0; ; i++) {
      const lexed = this.#context.lex(sql)
      const plan = core.planner.plan(lexed, { keyspace: name })
      if (plan.kind === 'needs-schema' && i < 50) {
        await core.catalog.load(plan.keyspace, plan.tables, signal)
        continue
      }
      const e = noExecution(name, sql, signal)
      let rows: Explained[] = [{ what: `answered by the gate (${plan.kind})`, shards: '', text: sql.toString('utf8') }]
      if (plan.kind === 'routed') {
        const inputs = {
          ...this.#context.inputs(lexed, e, keyspace),
          sequenceIds: Array.from({ length: plan.insert?.rows.length ?? 0 }, () => 0n),
        }
        const routed = routePlan(plan, inputs)
        const job =
          routed.gather === undefined ? null : gatherJob(routed.gather, inputs, runner.transaction !== null, 'text', (text) => text)
        rows = explained(plan, routed, job, keyspace)
      }
      const columns = [integerColumn('step'), textColumn('what', 80), textColumn('shards', 80), textColumn('text', 4096)]
      client.write(
        rowsFrames(
          columns,
          rows.map(({ what, shards, text }, at) => [String(at + 1), what, shards, text]),
          this.#as(e),
        ),
      )
      return
    }
  }

  #as({ form }: Execution): AnswerForm {
    const { runner, client } = this.#context
    return { status: runner.status, form, extendedMetadata: client.extendedMetadata }
  }

  /** By one of the shards that would run it. */
  async explain(plan: ExplainPlan, lexed: Lexed, e: Execution): Promise<null> {
    const keyspace = await this.#context.core.ready(plan.inner.keyspace, e.signal)
    // No id is drawn for a row that is not stored.
    const sequenceIds = Array.from({ length: plan.inner.insert?.rows.length ?? 0 }, () => 1n)
    const shard = routePlan(plan.inner, { ...this.#context.inputs(lexed, e, keyspace), sequenceIds }).sends[0]?.shard
    if (shard === undefined)
      throw gateErrors.notForwarded({
        construct: 'EXPLAIN of a statement whose rows are put together at one place',
        reason: 'no server runs it as it stands: each sends rows, and the statement runs over temporary tables of them',
        fix: 'VEXPLAIN and the statement tells the steps',
      })
    await this.#context.relayText(keyspace, shard, this.#context.render(plan.text, e, keyspace, shard), e, 'read')
    return null
  }

  async show(plan: ShowPlan, e: Execution): Promise<Refused | null> {
    const keyspace = await this.#context.core.ready(plan.keyspace ?? e.keyspace, e.signal)
    const shard = keyspace.shards[0] as ShardView
    let text = this.#context.render(plan.text, e, keyspace, shard)
    const database = databaseOf(keyspace.shards[0] as ShardView)
    if (/^CREATE (DATABASE|SCHEMA)$/.test(plan.what) && shard.schema !== database) {
      const { core, runner, client } = this.#context
      const answer = await onServer(core, runner, keyspace.name, e.signal, ({ connection }) => connection.query(text))
      const [row] = answer.kind === 'rows' ? answer.rows : []
      const made = row?.[1]?.toString('utf8').replace(quoteIdentifier(shard.schema), () => quoteIdentifier(database)) ?? null
      client.write(rowsFrames([textColumn('Database', 64), textColumn('Create Database', 1024)], [[database, made]], this.#as(e)))
      return null
    }
    if (plan.what === 'TABLES' && shard.schema !== database) {
      text = tablesOf(shard, this.#context.lex(text))
      if (e.values.length > 0) text = inlineParameters(this.#context.lex(text), null, e.values)
      // The column is named after the database, which clients know by the keyspace's name.
      const merge = { kind: 'concat' as const, hiddenColumns: 0 as const, limit: null, offset: 0n }
      const named = (name: string): string => name.replace(`_in_${shard.schema}`, `_in_${database}`)
      const column = (c: Column): Column => ({ ...c, name: named(c.name), orgName: named(c.orgName) })
      const result = await this.#context.scatter.read([{ shard, text }], merge, null, {
        form: e.form,
        effect: 'read',
        rereadable: true,
        mayWrite: false,
        params: [],
        timestamp: null,
        resolve: () => null,
        column,
      })
      return result.kind === 'done' ? null : { shard: result.shard, version: keyspace.version, cause: result.cause }
    }
    await this.#context.relayText(keyspace, shard, text, e, 'read')
    return null
  }

  /** To every shard, in key order; what failed half way is told with where it stands. */
  async ddl(plan: DdlPlan, e: Execution): Promise<void> {
    if (plan.temporary) throw this.#context.unsupported('CREATE TEMPORARY TABLE')
    refuseOfServers(plan)
    await this.#context.runner.commit()
    const keyspace = await this.#context.core.ready(plan.keyspace, e.signal)
    requireRole(keyspace, null, 'write')
    if (plan.filled && keyspace.shards.length > 1)
      throw planErrors.refused({
        construct: 'CREATE TABLE with a query',
        reason: 'each shard would fill its table from its own rows, and where they belong depends on a vindex that it has not yet',
        instead: 'CREATE TABLE with its columns, vschema apply, INSERT … SELECT',
      })
    if (plan.object === 'TRIGGER' && plan.verb === 'create') await this.#refuseTrigger(plan, e)
    await refuseMoved(this.#context.core, keyspace.record.name, plan.object, plan.names)
    if (keyspace.writes !== null) throw gateErrors.dualWriteWrites({ keyspace: keyspace.name, tables: plan.names.join(', ') })
    const parts = keyspace.shards.map((shard) => ({ shard, text: this.#context.render(plan.text, e, keyspace, shard) }))
    if (await this.#context.hold(keyspace, parts, false, 'write', e)) throw new Rerouted()
    const redefines = plan.verb !== 'truncate'
    const done: string[] = []
    // Each shard says the same: one is passed on.
    let warnings: Warning[] = []
    let warned = 0
    for (const part of parts) {
      part.shard.traffic.writes++
      try {
        const backend = await this.#context.runner.connections.openPlain(part.shard)
        // What its default character set is.
        if (plan.object === 'DATABASE') backend.dirty = true
        try {
          await marked(this.#context.scatter, backend.connection, 'write', async () => {
            if (e.signal.aborted) throw e.signal.reason as Error
            const result = await backend.connection.query(part.text)
            if (done.length > 0 || result.warnings === 0) return
            warned = result.warnings
            warnings = await warningsOf(backend.connection)
          })
        } finally {
          this.#context.runner.connections.done(backend, false)
        }
        done.push(part.shard.name)
      } catch (error) {
        if (redefines) await tellOthers(this.#context.core, keyspace.name)
        if (done.length === 0) throw error
        const rest = parts.slice(done.length + 1).map(({ shard }) => shard.name)
        throw gateErrors.partialDdl(
          {
            done: done.join(', '),
            failed: part.shard.name,
            rest: rest.length === 0 ? '' : `not begun on ${rest.join(', ')}, `,
            cause: error instanceof ServerError ? error.serverMessage : error instanceof Error ? error.message : String(error),
          },
          error,
        )
      } finally {
        part.shard.traffic.writes--
        if (this.#context.core.holds.active) this.#context.core.holds.openChanged(keyspace.name)
        if (redefines) this.#context.core.catalog.forget(plan.keyspace)
      }
    }
    if (redefines) await tellOthers(this.#context.core, keyspace.name)
    const { runner, client } = this.#context
    const ofShard = `${(keyspace.shards[0] as ShardView).schema}.`
    const list = warnings.map(([level, code, text]): Warning => [level, code, (text ?? '').replaceAll(ofShard, `${keyspace.name}.`)])
    runner.connections.said = saidOf(list, warned)
    runner.affectedRows = 0n
    client.write(okFrame(runner.status, { warnings: warned }))
  }

  /** What would refuse each write afterwards. */
  async #refuseTrigger(plan: DdlPlan, { sql, signal }: Execution): Promise<void> {
    const { core, runner } = this.#context
    const name = plan.names[0] ?? ''
    const made = createdTrigger(sql.toString('utf8'), hasMode(runner.settings, 'NO_BACKSLASH_ESCAPES'))
    if (made === null) throw planErrors.trigger({ trigger: name, table: 'a table', does: 'can not be read' })
    await core.catalog.load(plan.keyspace, [], signal)
    const info = core.catalog.keyspace(plan.keyspace)
    const [table, entry] = [...(info?.vschema.tables ?? [])].find(([one]) => one.toLowerCase() === made.table) ?? []
    // Of a table that nobody reaches through a gate it is nobody's business here.
    if (table !== undefined) requireHarmless(table, entry, { ...made.trigger, name }, info?.functions)
  }
}

/** What is no table's concerns the servers that the shards stand on, of which several may be one. Errors: SW-GATE-100. */
function refuseOfServers({ object, verb, names }: DdlPlan): void {
  if (object === 'USER' || object === 'ROLE')
    throw planErrors.refused({
      construct: `${verb.toUpperCase()} ${object}`,
      reason: "it would be an account of the shards' servers, which clients of the gate do not use",
      instead: `shardwright user create, alter and delete are for the accounts of clients; those of a server are made there`,
    })
  if (object === 'DATABASE' && (verb !== 'alter' || names.length > 0))
    throw planErrors.refused({
      construct: `${verb.toUpperCase()} DATABASE`,
      reason: 'a sharded keyspace has a schema for each shard, made and removed with the shard',
      instead: `shardwright keyspace create and delete${verb === 'alter' ? '; ALTER DATABASE without a name changes that of each shard' : ''}`,
    })
  if (ofServers.has(object))
    throw planErrors.refused({
      construct: `${verb.toUpperCase()} ${object}`,
      reason: 'it concerns a server as a whole, and several shards may stand on one',
      instead: 'run it on the servers themselves',
    })
}
const ofServers = new Set(['SERVER', 'TABLESPACE', 'INSTANCE', 'RESOURCE', 'LOGFILE'])

function cellOf(value: Value): Buffer | null {
  switch (value.type) {
    case 'null':
      return null
    case 'integer':
      return Buffer.from(String(value.value))
    case 'decimal':
      return Buffer.from(value.text)
    case 'double':
      return Buffer.from(String(value.value))
    case 'text':
    case 'binary':
      return value.bytes
    case 'kept':
      return cellOf(value.shown)
  }
}
