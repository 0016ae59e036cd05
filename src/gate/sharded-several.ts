/** Statements of a sharded keyspace that come to several shards: sent to each, or put together at one place. */
import { isSwError } from '../base/errors.ts'
import { integerValue, type Value } from '../sql/value.ts'
import type { ServerConnection } from '../mysql/server-connection.ts'
import type { Core } from './core.ts'
import { gateErrors } from './errors.ts'
import { Rerouted } from './execution-errors.ts'
import { type Execution, type Refused, type SessionContext } from './execution.ts'
import { Gather } from './gather.ts'
import { refuseSettingHints } from './hints.ts'
import { gatherJob, type GatherJob } from './gather-job.ts'
import { GatherWrites } from './gather-write.ts'
import { idParam, inlineParameters } from './parameters.ts'
import type { GatherPlan, GatherUse } from './plan/gather-types.ts'
import type { OwnedLookup } from './plan/lookup.ts'
import { storedValue } from './plan/convert.ts'
import { planErrors } from './plan/errors.ts'
import { isCounted } from './admission.ts'
import { namedId } from './insert-id.ts'
import { computedAtOnePlace, executedInsert, refuseApart } from './insert-parameters.ts'
import { KeptWrite } from './kept-write.ts'
import { lookupTable } from './lookup-reads.ts'
import type { VindexValue } from '../keyspace/vindex.ts'
import type { InsertPlan, Merge, Routed, RoutedPlan, RouteInputs, Slot } from './plan/plan.ts'
import { Rendering, slotValue } from './plan/render.ts'
import { okFrame } from './replies.ts'
import { inPartsOfLimit, refuseExamined, refuseExaminedInParts } from './join-limit.ts'
import { refuseUnjudged } from './safe-updates.ts'
import type { Runner } from './runner.ts'
import { instantOf } from './instant.ts'
import type { Scatter } from './scatter.ts'
import type { Part, ScatterResult } from './scatter-parts.ts'
import { insertSummary, summary, withGivenId, type WriteSummary } from './scatter-summary.ts'
import { notUtf8 } from './session-charset.ts'
import { hasMode } from './sql-mode.ts'
import { StoredIds } from './stored-ids.ts'
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
    const elsewhere = e.form === 'binary' ? computedAtOnePlace(plan.insert, routed, inputs, e.params) : null
    if (elsewhere !== null) return await this.gathered(plan, elsewhere, keyspace, inputs, e)
    refuseSettingHints(inputs.lexed)
    // Texts are views of buffers that others may reuse: parts keep their own, and what HAVING compares with is read now.
    const having = new Map(havingSlots(routed.merge).map((slot) => [slot, numberText(slotValue(slot, inputs))]))
    // MySQL computes with parameters otherwise than with what they are written as ('1.10' beside a DECIMAL is a DECIMAL).
    const changes = (plan.verb === 'update' || plan.verb === 'delete') && e.params.length > 0
    const executed = e.form === 'binary' && (plan.verb === 'select' || changes || executedInsert(plan.insert, e.params))
    const params = plan.insert === null ? e.params : [...e.params, ...e.ids.map(idParam)]
    const values = inputs.idsAsParameters === true ? [...e.values, ...e.ids.map(integerValue)] : e.values
    const keeping = this.#keeping(plan, keyspace, routed, inputs, e)
    // Mostly all shards get one text: it is copied once.
    let before: { sent: Buffer; text: Buffer; parameters: readonly number[] } | null = null
    const execution = ({ text: sent, parameters }: (typeof routed.sends)[number]): { text: Buffer; parameters: readonly number[] } => {
      if (before?.sent !== sent) before = { sent, text: Buffer.from(sent), parameters: parameters ?? e.params.map((_, i) => i) }
      return { text: before.text, parameters: before.parameters }
    }
    const parts: Part[] = routed.sends.map((send) => {
      const { shard, text, parameters } = send
      // Rows of an INSERT are another text each time.
      if (executed) return { shard, ...execution(send), params, once: plan.insert !== null }
      if (values.length > 0) return { shard, text: inlineParameters(this.#context.lex(text), parameters, values) }
      return { shard, text: keeping === null ? text : Buffer.from(text) }
    })
    const reads = (keeping?.reads ?? []).map(({ shard, text, parameters }) => ({
      shard,
      text: e.values.length === 0 ? text : inlineParameters(this.#context.lex(text), parameters, e.values),
    }))
    if (parts.length > 1) refuseEngine(plan)
    refuseExaminedInParts(plan, parts.length, this.#runner.settings)
    const transaction = await this.#runner.currentTransaction()
    // Each shard has a copy of the whole: one tells what was done.
    const copies = plan.copies === true
    if (parts.length > 1 && keyspace.record.transactionMode === 'single' && (transaction !== null || (plan.effect === 'write' && !copies)))
      throw severalInSingleMode(keyspace, parts)
    if (keeping !== null) await this.#holdLookups(keeping.lookups, e)
    if (await this.#context.hold(keyspace, parts, transaction !== null, plan.effect, e)) throw new Rerouted()
    if (routed.merge !== null || plan.verb === 'select') {
      const resolve = (slot: Slot): string | null => having.get(slot) ?? null
      const answers = routed.merge ?? { kind: 'concat' as const, hiddenColumns: 0 as const, limit: null, offset: 0n }
      const merge: Merge = { ...answers, limit: answers.limit ?? this.#runner.settings.selectLimit }
      try {
        const result = await this.#scatter.read(parts, merge, transaction, {
          form: e.form,
          effect: plan.effect === 'lock' ? 'lock' : 'read',
          rereadable: this.#context.rereadable(plan, e.sql),
          mayWrite: !this.#context.pure(plan, e.sql),
          params: e.params,
          timestamp: this.#instant(plan),
          resolve,
        })
        return this.#told(result, keyspace, transaction)
      } catch (error) {
        // What the columns are shows only in the answers: they are put together elsewhere then, from now on.
        if (!isSwError(error, 'SW-GATE-130') || plan.scatter.kind !== 'allowed' || plan.scatter.otherwise == null)
          throw inPartsOfLimit(error, parts.length)
        incomparable.add(plan)
        // The next time it is put together at once; this time what it calls was called.
        if (this.#context.mayHaveActed(plan, e.sql)) throw error
        // A long statement has no plan that is known the next time.
        e.found.incomparable = true
        throw new Rerouted()
      }
    }
    const inserts = plan.insert !== null && plan.insert.rows.length > 1
    const ignore = inserts && plan.insert.ignore
    const kept = keeping?.kept ?? null
    const stored = StoredIds.of(plan, routed, this.#runner, kept)
    const entries = routed.entries ?? []
    const given = async (on: Transaction, instant: string | null): Promise<readonly Part[]> => {
      await kept?.entries(on, entries)
      await kept?.rows(on, reads, instant)
      return parts
    }
    const result = await this.#scatter.write(kept === null ? parts : given, transaction, {
      effect: plan.effect === 'lock' ? 'lock' : 'write',
      form: e.form,
      shards: parts.map(({ shard }) => shard),
      hooks: stored ?? kept,
      copies,
      inserts: inserts ? 'rows' : null,
      sum: copies
        ? (results) => summary(results.slice(0, 1))
        : inserts
          ? (results) => insertSummary(results, ignore, 0, routed.lastRowAt, routed.lastId)
          : (results) => withGivenId(summary(results), routed.lastId),
    })
    if (result.kind === 'refused') return { shard: result.shard, version: result.version ?? keyspace.version, cause: result.cause }
    this.#wrote(result.value, routed.firstId, plan.insert?.met, stored)
    return null
  }

  /** What keeps the lookups of the table that is written to; null: it owns none that matter. Made while the client's statement is in the lexer. */
  #keeping(
    plan: RoutedPlan,
    keyspace: KeyspaceView,
    routed: Pick<Routed<ShardView>, 'sends' | 'entries' | 'gather'>,
    inputs: RouteInputs<ShardView>,
    e: Execution,
  ): {
    kept: KeptWrite
    lookups: readonly OwnedLookup[]
    reads: { shard: ShardView; text: Buffer; parameters: readonly number[] }[]
  } | null {
    const use = routed.gather?.use
    // Rows that move bring what they have along.
    const change = use?.kind === 'moved' ? null : (plan.lookups ?? null)
    const inserted =
      use?.kind === 'inserted' || use?.kind === 'moved' ? use.lookups.map(({ lookup }) => lookup) : (plan.insert?.lookups ?? [])
    const lookups = change?.lookups ?? inserted
    if (lookups.length === 0) return null
    const { core, runner } = this.#context
    const charset = notUtf8(runner.settings)
    if (charset !== null) throw gateErrors.gatherSetting({ setting: `the character set ${charset}`, fix: 'SET NAMES utf8mb4' })
    if (hasMode(runner.settings, 'NO_BACKSLASH_ESCAPES'))
      throw gateErrors.gatherSetting({ setting: 'sql_mode NO_BACKSLASH_ESCAPES', fix: 'set another sql_mode' })
    const assigned = new Map<string, VindexValue>()
    for (const lookup of change?.lookups ?? [])
      for (const column of lookup.columns) {
        const slot = change?.assigned.get(column.name.toLowerCase())
        if (slot !== undefined)
          assigned.set(column.name.toLowerCase(), ownValue(storedValue(lookup.table, column, slotValue(slot, inputs), inputs.text)))
      }
    const read = change?.read ?? null
    if (change !== null && read === null && use === undefined)
      throw planErrors.refused({
        construct: `a change of ${lookups[0]?.table ?? ''}, which owns lookup vindexes, by rows of other tables of its shard`,
        reason: 'the rows that it changes can not be read before',
        instead: 'change the rows by their keys',
      })
    const reads =
      read === null || use !== undefined
        ? []
        : routed.sends.map(({ shard }) => {
            const rendering = new Rendering(inputs, shard, null, []).add(read)
            return { shard, text: Buffer.from(rendering.text()), parameters: rendering.parameters }
          })
    return { kept: new KeptWrite(core, runner, keyspace, change, assigned, e.signal, this.#context.scatter), lookups, reads }
  }

  /** The lookup's table may be on hold while the statement's own shards are not. */
  async #holdLookups(lookups: readonly OwnedLookup[], e: Execution): Promise<void> {
    const { core, runner } = this.#context
    if (!core.holds.active) return
    for (const { lookup, keyspace } of lookups) {
      const name = lookupTable(lookup, keyspace).keyspace
      if (runner.transaction !== null && isCounted(core, runner.transaction, name)) continue
      const keys = core.keyspace(name).components.map((component) => component.key)
      if (!core.holds.mustWait(name, keys)) continue
      core.stats.held++
      await core.holds.wait(name, keys, e.sql.length, e.signal)
      throw new Rerouted()
    }
  }

  #instant(plan: RoutedPlan): string | null {
    if (plan.instant !== true) return null
    return instantOf(this.#runner.settings, this.#core.clocks, this.#core.watch.view.keyspaces.get(plan.keyspace)?.shards ?? [])
  }

  /** Its answers can't be merged here: known from an earlier execution, or HAVING is read otherwise than it was planned (NOT a > b as (NOT a) > b). */
  insteadOf(plan: RoutedPlan, e: Execution): GatherPlan | null {
    if (plan.scatter.kind !== 'allowed') return null
    const { merge, otherwise = null } = plan.scatter
    if (e.found.incomparable || incomparable.has(plan)) return otherwise
    return merge?.kind === 'aggregate' && merge.having !== null && hasMode(this.#runner.settings, 'HIGH_NOT_PRECEDENCE') ? otherwise : null
  }

  async gathered(
    plan: RoutedPlan,
    gather: GatherPlan,
    keyspace: KeyspaceView,
    inputs: RouteInputs<ShardView>,
    e: Execution,
  ): Promise<Refused | null> {
    refuseSettingHints(inputs.lexed)
    const shards = keyspace.shards.map((shard) => ({ shard }))
    if (shards.length > 1) refuseEngine(plan)
    refuseUnjudged(plan, gather, this.#runner.settings)
    refuseExamined(gather, plan, this.#runner.settings)
    this.#runner.figures.shards = shards.length
    const open = this.#runner.transaction !== null || !this.#runner.settings.autocommit
    // Texts are views of buffers that others may reuse: all are made before anything is waited for.
    const job = gatherJob(gather, inputs, open, e.form, (text, parameters) =>
      e.values.length === 0 ? text : inlineParameters(this.#context.lex(text), parameters, e.values),
    )
    refuseApart(gather, job, keyspace, e.params)
    const keeping = gather.use.kind === 'read' ? null : this.#keeping(plan, keyspace, { sends: [], gather }, inputs, e)
    const rereadable = this.#context.rereadable(plan, e.sql)
    const mayWrite = !this.#context.pure(plan, e.sql)
    const transaction = await this.#runner.currentTransaction()
    const copies = gather.use.kind === 'inserted' && gather.use.target.place.kind === 'everywhere'
    const writes = gather.use.kind !== 'read' && !copies
    if (keyspace.record.transactionMode === 'single' && shards.length > 1 && (transaction !== null || writes))
      throw severalInSingleMode(keyspace, shards)
    if (await this.#context.hold(keyspace, shards, transaction !== null, plan.effect, e)) throw new Rerouted()
    if (keeping !== null) await this.#holdLookups(keeping.lookups, e)
    if (gather.use.kind !== 'read')
      return await this.#gatheredWrite(plan, gather.use, job, keyspace, inputs, transaction, e, keeping?.kept ?? null)
    const result = await this.#gather.read(job, keyspace, inputs, transaction, {
      form: e.form,
      effect: 'read',
      rereadable,
      mayWrite,
      params: e.params,
      timestamp: this.#instant(plan),
      resolve: () => null,
    })
    return this.#told(result, keyspace, transaction)
  }

  #told(result: ScatterResult<void>, keyspace: KeyspaceView, transaction: Transaction | null): Refused | null {
    if (result.kind !== 'done') return { shard: result.shard, version: keyspace.version, cause: result.cause }
    if (transaction === null) this.#runner.nextTransaction = []
    return null
  }

  async #gatheredWrite(
    plan: RoutedPlan,
    use: Exclude<GatherUse, { kind: 'read' }>,
    job: GatherJob,
    keyspace: KeyspaceView,
    inputs: RouteInputs<ShardView>,
    transaction: Transaction | null,
    e: Execution,
    kept: KeptWrite | null,
  ): Promise<Refused | null> {
    const sequence = use.kind === 'inserted' ? (use.ids?.sequence ?? null) : null
    const ids = async (count: number): Promise<readonly bigint[]> =>
      sequence === null ? [] : await this.#core.sequences.take(sequence.sequence, plan.keyspace, count, e.signal)
    const given = { job, params: e.params, keyspace, inputs, ids, kept }
    const result = await this.#gatherWrites.write(use, plan.verb as 'insert', given, transaction, e.form)
    if (result.kind === 'refused') return { shard: result.shard, version: result.version ?? keyspace.version, cause: result.cause }
    const { firstId, ...done } = result.value
    // A reference table's copies are all written: one of them tells how many rows there are.
    const inserts = use.kind === 'inserted'
    const said = inserts && use.target.place.kind === 'everywhere' ? perCopy(done, keyspace.shards.length) : done
    this.#wrote(said, firstId, inserts && use.after.length > 0 ? 'several' : null)
    return null
  }

  #wrote(said: WriteSummary, firstId: bigint | null, met: InsertPlan['met'] = null, stored: StoredIds | null = null): void {
    const { affectedRows, warnings, info } = said
    const { lastInsertId } = this.#runner
    this.#runner.affectedRows = affectedRows
    this.#runner.warnings = warnings
    const named = stored?.named(said, lastInsertId) ?? namedId(met, firstId, said, lastInsertId)
    this.#runner.lastInsertId = named.last
    this.#client.write(okFrame(this.#runner.status, { affectedRows, insertId: named.insertId, warnings: Math.min(warnings, 0xffff), info }))
  }
}

/** Bytes of its own: literals are views of a buffer that others use next. */
function ownValue(value: VindexValue): VindexValue {
  return { type: value.type, bytes: Buffer.from(value.bytes) }
}

/** What failed on one shard would stand on another, and what is begun again would be done twice. */
function refuseEngine({ engine, tables }: RoutedPlan): void {
  if (engine == null) return
  throw planErrors.refused({
    construct: `a write over several shards to ${tables[0] ?? ''}, a table of engine ${engine}`,
    reason: 'it has no transactions: what was done on one shard could not be taken back when another refuses',
    instead: 'ALTER TABLE … ENGINE = InnoDB, or write to one shard at a time',
  })
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
    /^(\D+)(\d+)(\D+)(\d+)/,
    (_, a: string, n: string, b: string, d: string) => `${a}${Number(n) / copies}${b}${Number(d) / copies}`,
  )
  return { ...sum, affectedRows: sum.affectedRows / BigInt(copies), info }
}

const decimalDigitsMax = 65

function numberText(value: Value): string | null {
  switch (value.type) {
    case 'null':
      return null
    case 'integer':
      return String(value.value)
    case 'decimal':
      // Of longer ones a server has other digits, and each row's comparison would read them all.
      if (value.text.length > decimalDigitsMax) throw comparedWith(`one of more than ${decimalDigitsMax} digits`)
      return value.text
    case 'double':
      return String(value.value)
    case 'text': {
      // Up to here a server, which compares it as a double, sees the same number.
      const text = value.bytes.toString('latin1')
      if (/^-?\d{1,15}$/.test(text) || /^-?\d{1,7}\.\d{1,7}$/.test(text)) return text
      throw comparedWith('text that is no plain number')
    }
    case 'binary':
      throw comparedWith('a binary string')
    case 'kept':
      if (value.shown.type === 'double' || value.shown.type === 'integer') return numberText(value.shown)
      throw comparedWith('text that is no plain number')
  }
}

function comparedWith(what: string): Error {
  return planErrors.refused({
    construct: `HAVING of a number with ${what}`,
    reason: 'how a server would read it is not done outside of one',
    instead: 'write the number',
  })
}

function havingSlots(merge: Merge | null): Slot[] {
  if (merge === null || merge.kind !== 'aggregate' || merge.having === null) return []
  const out: Slot[] = []
  const visit = (having: NonNullable<typeof merge.having>): void => {
    if (having.kind === 'and' || having.kind === 'or') for (const item of having.items) visit(item)
    else if (having.kind === 'not') visit(having.operand)
    else if (having.kind === 'compare') out.push(having.value)
  }
  visit(merge.having)
  return out
}
