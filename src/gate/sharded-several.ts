/** Statements of a sharded keyspace that come to several shards: sent to each, or put together at one place. */
import { isSwError } from '../base/errors.ts'
import type { Value } from '../sql/value.ts'
import type { ServerConnection } from '../mysql/server-connection.ts'
import type { Core } from './core.ts'
import { gateErrors } from './errors.ts'
import { Rerouted, type Execution, type Refused, type SessionContext } from './execution.ts'
import { Gather } from './gather.ts'
import { gatherJob, type GatherJob } from './gather-job.ts'
import { GatherWrites } from './gather-write.ts'
import { inlineParameters } from './parameters.ts'
import type { GatherPlan, GatherUse } from './plan/gather-types.ts'
import type { Merge, Routed, RoutedPlan, RouteInputs, Slot } from './plan/plan.ts'
import { slotValue } from './plan/render.ts'
import { okFrame } from './replies.ts'
import type { Runner } from './runner.ts'
import { instantOf, type Scatter, type Part } from './scatter.ts'
import { insertSummary, summary, type WriteSummary } from './scatter-summary.ts'
import type { Transaction } from './transaction.ts'
import type { KeyspaceView, ShardView } from './view.ts'

const incomparable = new WeakSet<RoutedPlan>()

export class SeveralShards {
  readonly #core: Core
  readonly #runner: Runner
  readonly #client: ServerConnection
  readonly #scatter: Scatter
  readonly #context: SessionContext
  readonly #gather: Gather
  readonly #gatherWrites: GatherWrites

  constructor(context: SessionContext) {
    const { core, runner, client, scatter } = context
    this.#core = core
    this.#runner = runner
    this.#client = client
    this.#scatter = scatter
    this.#context = context
    this.#gather = new Gather(core, runner, scatter)
    this.#gatherWrites = new GatherWrites(core, runner, scatter)
  }

  async routed(
    plan: RoutedPlan,
    keyspace: KeyspaceView,
    routed: Routed<ShardView>,
    inputs: RouteInputs<ShardView>,
    e: Execution,
  ): Promise<Refused | null> {
    // Texts are views of buffers that others may reuse: parts keep their own, and what HAVING compares with is read now.
    const having = new Map(havingSlots(routed.merge).map((slot) => [slot, numberText(slotValue(slot, inputs))]))
    const executed = e.form === 'binary' && plan.verb === 'select'
    const parts: Part[] = routed.sends.map((send) => ({
      shard: send.shard,
      ...(executed ? { parameters: send.parameters ?? e.params.map((_, i) => i) } : {}),
      text: executed
        ? Buffer.from(send.text)
        : e.values.length === 0
          ? send.text
          : inlineParameters(this.#context.lex(send.text), send.parameters, e.values),
    }))
    const transaction = await this.#runner.currentTransaction()
    // Each shard has a copy of the whole: one tells what was done.
    const copies = this.#core.catalog.keyspace(plan.keyspace)?.vschema.tables.get(plan.tables[0] ?? '')?.kind === 'reference'
    if (keyspace.record.transactionMode === 'single' && (transaction !== null || (plan.effect === 'write' && !copies)))
      throw severalInSingleMode(keyspace, parts)
    if (await this.#context.hold(keyspace, parts, transaction !== null, plan.effect, e)) throw new Rerouted()
    if (routed.merge !== null || plan.verb === 'select') {
      const resolve = (slot: Slot): string | null => having.get(slot) ?? null
      const merge = routed.merge ?? { kind: 'concat' as const, hiddenColumns: 0 as const, limit: null, offset: 0n }
      try {
        const result = await this.#scatter.read(parts, merge, transaction, {
          form: e.form,
          effect: plan.effect === 'lock' ? 'lock' : 'read',
          rereadable: this.#context.rereadable(plan, e.sql),
          params: e.params,
          timestamp: this.#instant(plan),
          resolve,
        })
        return result.kind === 'done' ? null : { shard: result.shard, version: keyspace.version, cause: result.cause }
      } catch (error) {
        // What the columns are shows only in the answers: they are put together elsewhere then, from now on.
        if (!isSwError(error, 'SW-GATE-130') || plan.scatter.kind !== 'allowed' || plan.scatter.otherwise == null) throw error
        incomparable.add(plan)
        throw new Rerouted()
      }
    }
    const inserts = plan.insert !== null && plan.insert.rows.length > 1
    const ignore = inserts && /^\s*\w+\s+(\w+\s+)?IGNORE\b/i.test(e.sql.toString('latin1', 0, Math.min(e.sql.length, 60)))
    const result = await this.#scatter.write(
      parts,
      transaction,
      plan.effect === 'lock' ? 'lock' : 'write',
      copies ? (results) => summary(results.slice(0, 1)) : inserts ? (results) => insertSummary(results, ignore) : undefined,
      undefined,
      e.form,
    )
    if (result.kind === 'refused') return { shard: result.shard, version: keyspace.version, cause: result.cause }
    this.#wrote(result.value, routed.firstId)
    return null
  }

  #instant(plan: RoutedPlan): string | null {
    return plan.instant === true ? instantOf(this.#runner.settings, this.#core.clock.nowMs()) : null
  }

  /** Known from an earlier execution: its answers can't be merged here. */
  insteadOf(plan: RoutedPlan): GatherPlan | null {
    return incomparable.has(plan) && plan.scatter.kind === 'allowed' ? (plan.scatter.otherwise ?? null) : null
  }

  async gathered(
    plan: RoutedPlan,
    gather: GatherPlan,
    keyspace: KeyspaceView,
    inputs: RouteInputs<ShardView>,
    e: Execution,
  ): Promise<Refused | null> {
    const shards = keyspace.shards.map((shard) => ({ shard }))
    const open = this.#runner.transaction !== null || !this.#runner.settings.autocommit
    // Texts are views of buffers that others may reuse: all are made before anything is waited for.
    const job = gatherJob(gather, inputs, open, gather.use.kind === 'read' ? e.form : 'text', (text, parameters) =>
      e.values.length === 0 ? text : inlineParameters(this.#context.lex(text), parameters, e.values),
    )
    const rereadable = this.#context.rereadable(plan, e.sql)
    const transaction = await this.#runner.currentTransaction()
    if (keyspace.record.transactionMode === 'single' && (transaction !== null || gather.use.kind !== 'read'))
      throw severalInSingleMode(keyspace, shards)
    if (await this.#context.hold(keyspace, shards, transaction !== null, plan.effect, e)) throw new Rerouted()
    if (gather.use.kind !== 'read') return await this.#gatheredWrite(plan, gather.use, job, keyspace, inputs, transaction, e)
    const result = await this.#gather.read(job, keyspace, inputs, transaction, {
      form: e.form,
      effect: 'read',
      rereadable,
      params: e.params,
      timestamp: this.#instant(plan),
      resolve: () => null,
    })
    return result.kind === 'done' ? null : { shard: result.shard, version: keyspace.version, cause: result.cause }
  }

  async #gatheredWrite(
    plan: RoutedPlan,
    use: Exclude<GatherUse, { kind: 'read' }>,
    job: GatherJob,
    keyspace: KeyspaceView,
    inputs: RouteInputs<ShardView>,
    transaction: Transaction | null,
    e: Execution,
  ): Promise<Refused | null> {
    const sequence = use.kind === 'inserted' ? use.sequence : null
    const ids = async (count: number): Promise<readonly bigint[]> =>
      sequence === null ? [] : await this.#core.sequences.take(sequence.sequence, plan.keyspace, count, e.signal)
    const given = { job, keyspace, inputs, ids }
    const result = await this.#gatherWrites.write(use, plan.verb as 'insert', given, transaction, e.form)
    if (result.kind === 'refused') return { shard: result.shard, version: keyspace.version, cause: result.cause }
    const { firstId, ...done } = result.value
    // A reference table's copies are all written: one of them tells how many rows there are.
    this.#wrote(use.kind === 'inserted' && use.target.place.kind === 'everywhere' ? perCopy(done, keyspace.shards.length) : done, firstId)
    return null
  }

  #wrote({ affectedRows, warnings, info }: WriteSummary, firstId: bigint | null): void {
    this.#runner.affectedRows = affectedRows
    this.#runner.warnings = warnings
    if (firstId !== null) this.#runner.lastInsertId = firstId
    this.#client.write(okFrame(this.#runner.status, { affectedRows, insertId: firstId ?? 0n, warnings: Math.min(warnings, 0xffff), info }))
  }
}

function severalInSingleMode(keyspace: KeyspaceView, parts: readonly { shard: ShardView }[]): Error {
  const [first, second] = parts
  return gateErrors.singleMode({
    first: `${keyspace.name}/${first?.shard.name}`,
    second: `${keyspace.name}/${second?.shard.name}`,
    keyspace: keyspace.name,
  })
}

function perCopy(sum: WriteSummary, copies: number): WriteSummary {
  const info = sum.info.replace(
    /^(Records: )(\d+)(  Duplicates: )(\d+)/,
    (_, a: string, n: string, b: string, d: string) => `${a}${Number(n) / copies}${b}${Number(d) / copies}`,
  )
  return { affectedRows: sum.affectedRows / BigInt(copies), warnings: sum.warnings, info }
}

function numberText(value: Value): string | null {
  switch (value.type) {
    case 'null':
      return null
    case 'integer':
      return String(value.value)
    case 'decimal':
      return value.text
    case 'double':
      return String(value.value)
    case 'text':
    case 'binary':
      return /^-?\d+(\.\d+)?$/.test(value.bytes.toString('latin1')) ? value.bytes.toString('latin1') : '0'
  }
}

function havingSlots(merge: Merge | null): Slot[] {
  if (merge === null || merge.kind !== 'aggregate' || merge.having === null) return []
  const out: Slot[] = []
  const visit = (having: NonNullable<typeof merge.having>): void => {
    if (having.kind === 'and' || having.kind === 'or') {
      visit(having.left)
      visit(having.right)
    } else if (having.kind === 'not') visit(having.operand)
    else if (having.kind === 'compare') out.push(having.value)
  }
  visit(merge.having)
  return out
}
