/**
 * What a stream's tables are, and what a statement of the source's binlog does to it (PROTOCOLS 1.10, 1.13; outcomes in docs/ddl.md).
 *
 * Rows are read by the definitions of their time (`definitions.ts`). A statement on a moved table ends that time: everything before it is applied,
 * then it stops the stream, or is done on the targets too, the definition that it made is stored, and the run begins again.
 */
import type { Clock } from '../base/clock.ts'
import { announceDdl, bumpControlMarker, withdrawDdl } from '../binlog/control-schema.ts'
import type { ColumnDefinition, Position, QueryEvent } from '../binlog/source.ts'
import { readTableDefinitions } from '../binlog/table-definitions.ts'
import type { Connection, ConnectOptions } from '../mysql/connection.ts'
import { isServerError } from '../mysql/errors.ts'
import { flavourOf } from '../mysql/flavour/flavour.ts'
import type { StreamRecord } from '../topology/records.ts'
import { connectPlain, connectReader, type ServerAddress } from './access.ts'
import type { Announced } from './announced.ts'
import type { Waiting } from './applier-options.ts'
import type { Failpoints } from './crash-points.ts'
import { ddlForTarget, ddlOutcome, keepsValues, type DdlOutcome } from './ddl.ts'
import { sessionSql } from './ddl-session.ts'
import { definedNow, type Defined, type StatementsAhead } from './ddl-ahead.ts'
import { executeOnce, NotYet, wasBegun, type Executed } from './ddl-executed.ts'
import { concerns, keysConcerned, type KeysConcerned, tablesReferredTo } from './ddl-keys.ts'
import { definitionDifference, knownSql, readKnown, type KnownTable } from './definitions.ts'
import { moveErrors } from './errors.ts'
import type { HangWatch } from './hang-watch.ts'
import { bothCascades, cascadingKeys, type CascadingKey, type HiddenCascades } from './hidden-cascades.ts'
import type { OpenTarget } from './open-targets.ts'
import { givenUpOnSource, heldRowsOf } from './held-rows.ts'
import type { Change } from './pending.ts'
import { judgeQuery } from './query-policy.ts'
import { isTransient } from './run-end.ts'
import { rebuildKeys, renewedKeysSql } from './schema-copy.ts'
import { seenBy, seenSql } from './seen.ts'
import { settleAll } from './settle-all.ts'
import { usableKeys, type SourceTable, type UsableKey } from './source-tables.ts'
import type { TablePlan } from './table-plan.ts'
import type { Coordinate } from './tables.ts'
import { definitionsOf } from './tables-now.ts'
import { enterDdlSession } from './takeover.ts'
import { valuesMoved } from './target-columns.ts'
import type { HeldRowsJudge } from './target-applier.ts'
import { unfollowed } from './unfollowed.ts'
import type { UniqueKey } from './unique-keys.ts'

/** One run's: its connections end with it. */
export type StreamDdlOptions = {
  record: StreamRecord
  source: { meta: Connection; name: string; connect: ConnectOptions; address: ServerAddress }
  targets: readonly OpenTarget[]
  /** Does something while no stream of this mover writes to the target. */
  alone: <T>(targetUid: string, work: () => Promise<T>) => Promise<T>
  clock: Clock
  /** Of the connections that are made here. */
  watch: Pick<HangWatch, 'add'>
  signal: AbortSignal
  failpoints: Failpoints
  /** The stream's, over its runs. */
  ahead: StatementsAhead
  onWaiting: (waiting: Waiting | null) => void
}

/** What the tail stands in when it meets a statement. */
export type TailPlace = {
  plans: ReadonlyMap<string, TablePlan>
  tables: readonly SourceTable[]
  /** Tables that are still being copied. */
  copying: ReadonlySet<TablePlan>
  /** Resolves when everything read so far is applied, but for rows that the source has given up (`held-rows.ts`). */
  drain: (givenUp: HeldRowsJudge) => Promise<void>
  /** Resolves when no chunk is on its way, and none will be in this run: what was read is thrown away with it. */
  holdLandings: () => Promise<void>
  /** Behind the last group read. */
  position: () => string
  /** With the statement's own group. */
  read: () => string
  hiddenCascades: Pick<HiddenCascades, 'refersTo'>
  coordinate: () => Coordinate
}

/** Definitions are as that target tells them. */
type ExecutedOn = Executed & { readonly target: OpenTarget }

export class StreamDdl {
  readonly #options: StreamDdlOptions
  #heldLookedAt = 0

  constructor(options: StreamDdlOptions) {
    this.#options = options
  }

  /**
   * `restart`: all that was read is applied, and the run must begin again.
   * @throws statementFormat, ddl, ddlRefused
   */
  async query(event: QueryEvent, announced: Announced, place: TailPlace): Promise<'pass' | 'restart'> {
    const { record, source, targets, failpoints } = this.#options
    const verdict = judgeQuery(event, announced.pending, record.source.schema, new Set(place.plans.keys()))
    if (verdict.kind === 'announced' && event.statement.kind === 'ddl')
      announced.came(
        event.statement.verb,
        event.statement.objects.map(({ schema, name }) => ({ schema: schema ?? event.schema, name })),
      )
    const at = `${event.at.file}:${event.at.offset}`
    const statement = event.text.toString('utf8').slice(0, 200)
    if (verdict.kind === 'pass') return leadsToMoved(event, place) && (await this.#otherKeys(place)) ? 'restart' : 'pass'
    if (verdict.kind === 'statement-format') throw moveErrors.statementFormat({ source: source.name, at, statement })
    // An event comes before its statement has been committed: what the tables are is asked behind a marker, which is visible after it (PROTOCOLS 1.4).
    await bumpControlMarker(source.meta)
    const severalSources = targets.some(({ mode }) => mode === 'several-sources')
    const asked = verdict.kind === 'announced' ? null : ddlOutcome(record.options.onDdl, event, severalSources, await this.#logsCascades())
    const outcome = asked === null || asked.kind === 'stop' ? asked : ((await this.#outOfPlace(place)) ?? asked)
    if (outcome === null && !(await this.#redefined(place))) return (await this.#otherKeys(place)) ? 'restart' : 'pass'
    // A run before, under other options, may have announced it and died: what comes there by hand now is not ours.
    if (asked !== null && outcome?.kind !== 'exec') await this.#withdraw(event, place)
    // Everything before it is applied; what is read from here on was written under what the source says now or later.
    await place.drain((held) => this.#givenUp(held, event, place))
    if (outcome?.kind === 'stop') {
      const table = `${record.source.schema}.${verdict.table}`
      throw moveErrors.ddl({ table, source: source.name, at, statement, reason: outcome.reason })
    }
    // Nor does a chunk land any more: its rows were read before the statement.
    await place.holdLandings()
    // It shows from here on: made on the target, or in what is known of its table.
    const read = place.read()
    await settleAll(targets.map(({ on, xaLane }) => xaLane.transaction([seenSql(on, seenBy.tail, read)])))
    const executed = outcome?.kind === 'exec' ? await this.#execute(event, statement, place) : []
    const table = planName(place, verdict.table)
    const made = await this.#madeBy(event, table, executed, place)
    for (const { meta, on, xaLane } of targets) {
      // Executed here, it found those keys built that it is about, and has changed them itself; what waits on is as it was.
      const renewed =
        outcome?.kind === 'exec' || place.copying.size === 0
          ? null
          : await renewedKeysSql(
              { conn: source.meta, schema: record.source.schema },
              { conn: meta, uid: on.targetUid },
              record.workflowUid,
              table,
            )
      await xaLane.transaction([...(renewed === null ? [] : [renewed]), knownSql(on, table, made)])
      await failpoints.hit('ddl.definedOnSomeTargets')
    }
    return 'restart'
  }

  /** Whether rows of moved tables change by foreign keys that were not known (`hidden-cascades.ts`). Those of before count as well: nothing else tells when they went. */
  async #otherKeys({ plans }: TailPlace): Promise<boolean> {
    const { record, source, targets } = this.#options
    await bumpControlMarker(source.meta)
    const now = await cascadingKeys(source.meta, record.source.schema)
    let others = false
    for (const { meta, on, xaLane } of targets) {
      const changed = [...(await readKnown(meta, on))].flatMap(([name, known]) => {
        const cascades = bothCascades(known.cascades, now.get(name))
        return !plans.has(name) || cascades.length === (known.cascades ?? []).length ? [] : [knownSql(on, name, { ...known, cascades })]
      })
      others ||= changed.length > 0
      if (changed.length > 0) await xaLane.transaction(changed)
    }
    return others
  }

  /** Of every server of the stream: the statement is made on all, and each side is followed at some time (PROTOCOLS 1.11). */
  async #logsCascades(): Promise<boolean> {
    const { source, targets } = this.#options
    for (const conn of [source.meta, ...targets.map(({ meta }) => meta)]) if (!(await flavourOf(conn).logsCascades(conn))) return false
    return true
  }

  /** Only what this stream itself has begun here: another's may be at work. */
  async #withdraw(event: QueryEvent, place: TailPlace): Promise<void> {
    const { record, targets } = this.#options
    for (const [i, { meta, on }] of targets.entries()) {
      if (!(await wasBegun({ conn: meta, on }, place.coordinate()))) continue
      for (const { name } of event.statement.kind === 'ddl' ? event.statement.objects : [])
        await withdrawDdl(meta, record.targets[i]?.schema ?? '', name)
    }
  }

  /** Which of the rows that collide with another stream's need not be applied before the statement. */
  async #givenUp(held: readonly Change[], event: QueryEvent, place: TailPlace): Promise<readonly Change[]> {
    const { source, signal } = this.#options
    await using conn = await connectReader(source.address, signal)
    this.#options.watch.add(conn, source.address)
    const rows = heldRowsOf(held, this.#heldLookedAt)
    this.#heldLookedAt += rows.length
    const { gone, otherValues } = await givenUpOnSource(conn, rows)
    for (const table of keepsValues(event) ? new Set(otherValues.map((change) => change.table)) : []) {
      if ((await this.#definedNow(table.name, event, place)).ahead === null)
        gone.push(...otherValues.filter((change) => change.table === table))
    }
    return gone
  }

  #definedNow(table: string, event: QueryEvent, place: TailPlace): Promise<Defined> {
    const { record, source, clock, signal, ahead, onWaiting } = this.#options
    return definedNow({
      meta: source.meta,
      connect: source.connect,
      clock,
      signal,
      schema: record.source.schema,
      moved: new Set(place.plans.keys()),
      table,
      position: place.position() as Position,
      at: event.at,
      ahead,
      onWaiting,
    })
  }

  /**
   * How rows of the table behind the statement are to be read. With another statement on it ahead, the source does not tell that any more; a target does on which it was executed, by this stream
   * or by another that was there first, if the table was there then what it is to this stream.
   * @throws ddlTwice
   */
  async #madeBy(event: QueryEvent, table: string, executed: readonly ExecutedOn[], place: TailPlace): Promise<KnownTable> {
    const { record, source } = this.#options
    const { meta } = source
    const { schema } = record.source
    const now = await this.#definedNow(table, event, place)
    const known = (
      definitions: readonly ColumnDefinition[] | undefined,
      key: UsableKey | undefined,
      uniques: readonly UniqueKey[] = [],
      cascades: readonly CascadingKey[] = [],
    ): KnownTable => {
      if (definitions === undefined) throw moveErrors.missingTarget({ table, target: source.name })
      if (key === undefined) throw moveErrors.noKey({ table: `${schema}.${table}` })
      return { definitions, key, uniques, cascades }
    }
    if (now.ahead === null) return known(now.definitions.get(table), now.keys.get(table), now.uniques.get(table), now.cascades.get(table))
    const was = place.plans.get(table)?.definitions
    for (const { target, before, after } of executed) {
      const [there, made] = [before[table], after[table]]
      if (target.meta.flavour !== meta.flavour || was === undefined || there === undefined || made === undefined) continue
      // A run before, which died when it had stored it on some targets, has what it made already.
      if ([there, made].every(({ definitions }) => definitionDifference(was, definitions) !== null)) continue
      // Keys that the statement was not about may still wait for the end of the copy: they are what they were.
      const keys = keysConcerned(event)
      const stored = (await readKnown(target.meta, target.on)).get(table)
      const others = stored?.uniques?.filter(({ name }) => !concerns(keys, name))
      const own = (made.uniques ?? []).filter(({ name }) => others === undefined || concerns(keys, name))
      return { ...made, uniques: [...own, ...(others ?? [])], cascades: bothCascades(stored?.cascades, made.cascades) }
    }
    throw moveErrors.ddlTwice({
      table: `${schema}.${table}`,
      source: source.name,
      at: `${event.at.file}:${event.at.offset}`,
      statement: event.text.toString('utf8').slice(0, 200),
      next: now.ahead.statement,
      nextAt: `${now.ahead.at.file}:${now.ahead.at.offset}`,
    })
  }

  /**
   * What the source's tables are now that can't be gone on with: one that can't be followed (`unfollowed.ts`); of a table that is still being copied, another key than the one its chunks are ranges of, or one whose values
   * lie in another order or were changed themselves (what lies between two chunks would be passed over); of any, a shard key that was converted, since no event tells whose
   * keyspace ids moved.
   */
  async #outOfPlace(place: TailPlace): Promise<DdlOutcome | null> {
    const { record, source } = this.#options
    const [hidden] = await unfollowed(source.meta, record.source.schema, place.plans.keys())
    if (hidden !== undefined) return { kind: 'stop', reason: `of ${hidden.table}: ${hidden.reason}` }
    const keys = await usableKeys(source.meta, record.source.schema)
    const columns = await readTableDefinitions(source.meta, record.source.schema)
    for (const { plan, key } of place.tables) {
      const now = columns.get(plan.name)
      if (now === undefined) continue
      const altered = (names: readonly string[]): boolean =>
        names.some((name) => valuesMoved(columnOf(plan.definitions, name), columnOf(now, name)))
      const keyNow = keys.get(plan.name)
      if (place.copying.has(plan) && keyNow !== undefined && (walked(keyNow) !== walked(key) || altered(key.columns)))
        return { kind: 'stop', reason: 'the chunks that are copied are ranges of the key that it changed' }
      if (altered(plan.shardKey.map(({ index }) => plan.columns[index]?.definition.name ?? '')))
        return { kind: 'stop', reason: 'it changed values of the shard key, by which rows have their shards, and no event tells of which' }
    }
    return null
  }

  /** Whether a table is not any more what its plan was made of. */
  async #redefined({ plans }: TailPlace): Promise<boolean> {
    const { record, source } = this.#options
    const now = await readTableDefinitions(source.meta, record.source.schema)
    return [...plans.values()].some((plan) => definitionDifference(plan.definitions, now.get(plan.name)) !== null)
  }

  /**
   * Announced, so that a stream of the opposite direction takes it for ours; once, also after a crash or beside the stream of another source; in the session
   * that it had on the source; while no other stream of this mover writes to the target; and on a table that has those of its keys that it is about, which may have waited for the end
   * of the copy. What the server refuses stops the stream: "there already" of one part says nothing of the others.
   */
  async #execute(event: QueryEvent, statement: string, place: TailPlace): Promise<ExecutedOn[]> {
    const { record, source, targets, alone, clock, signal, failpoints, onWaiting, watch } = this.#options
    const executed: ExecutedOn[] = []
    const at = place.coordinate()
    const keys = keysConcerned(event)
    const referredTo = tablesReferredTo(event)
    const refersToMoved =
      referredTo !== null && referredTo.length > 0 && referredTo.every((table) => place.plans.has(planName(place, table)))
    for (const [i, openTarget] of targets.entries()) {
      const { meta, name, on, address, xaLane, epoch, mode } = openTarget
      const schema = record.targets[i]?.schema ?? ''
      const refuse = (reason: string): Error => moveErrors.ddlRefused({ target: name, statement, reason })
      const session = sessionSql(event, source.meta.flavour, meta.flavour)
      if ('refused' in session) throw refuse(session.refused)
      const text = ddlForTarget(event, record.source.schema, schema)
      if (text === null || event.statement.kind !== 'ddl') throw refuse('it names another schema, and would act there')
      const { verb, objects } = event.statement
      const tables = objects.map((object) => object.name)
      // By the names that servers tell and `#madeBy` asks for, where the statement spells them otherwise (lower_case_table_names).
      const defined = tables.map((table) => planName(place, table))
      const prepare = async (): Promise<string | null> => {
        const about: { of?: string; keys: KeysConcerned }[] = verb.toUpperCase() === 'TRUNCATE' ? [] : tables.map((of) => ({ of, keys }))
        // A foreign key asks for one of the table that it refers to.
        about.push(...(referredTo?.map((of) => ({ of, keys: 'any' as const })) ?? [{ keys: 'any' as const }]))
        for (const which of about) {
          const inTheWay = await rebuildKeys(meta, schema, on.targetUid, { ...which, failpoints })
          if (inTheWay !== null) return `before "${statement}" ${inTheWay}`
        }
        return null
      }
      const execute = async (): Promise<void> => {
        await using conn = await connectPlain(address, signal)
        watch.add(conn, address)
        await xaLane.transaction([enterDdlSession(on, epoch, conn.threadId)])
        await conn.useDatabase(schema)
        try {
          for (const set of session) await conn.query(set)
          // Rows that a new foreign key refers to may be still to come; they are looked at when the copy is done (`orphans.ts`). Without checks MySQL takes one to a table that is not there.
          if (refersToMoved && (place.copying.size > 0 || mode === 'several-sources'))
            await conn.query('SET @@session.foreign_key_checks=0')
          for (const table of tables) await announceDdl(meta, verb, schema, table)
          await conn.query(text)
        } catch (error) {
          if (!isServerError(error) || isTransient(error)) throw error
          for (const table of tables) await withdrawDdl(meta, schema, table)
          // A unique key that it adds meets a row of a stream that is behind, or ahead.
          if (error.kind === 'duplicate' && mode === 'several-sources') throw new NotYet(`for "${statement}" ${error.serverMessage}`)
          throw refuse(error.serverMessage)
        }
      }
      const target = {
        conn: meta,
        on,
        write: (statements: readonly string[]) => xaLane.transaction(statements),
        alone: <T>(work: () => Promise<T>) => alone(on.targetUid, work),
      }
      const made = await executeOnce(
        { ...target, clock, signal, failpoints, onWaiting },
        { schema, tables, place: at, statement: text, keys },
        {
          prepare,
          execute,
          define: () => definitionsOf(meta, schema, defined),
          refuse: (inTheWay) => refuse(`${inTheWay}; ${stillThere}`),
        },
      )
      if (made !== null) executed.push({ ...made, target: openTarget })
    }
    return executed
  }
}

/** DDL on a table that is not moved, by way of which rows of moved ones change. */
function leadsToMoved({ statement, schema }: QueryEvent, { hiddenCascades }: TailPlace): boolean {
  return statement.kind === 'ddl' && statement.objects.some((object) => hiddenCascades.refersTo(object.schema ?? schema, object.name))
}

const stillThere =
  'the rows did not come apart: delete on the target those that their source has no more, and start the stream again, or correct the sources'

/** In which order chunks are ranges. */
function walked({ columns, descending }: UsableKey): string {
  return columns.map((column, i) => `${column}${descending?.[i] === true ? ' DESC' : ''}`).join()
}

function planName({ plans }: TailPlace, name: string): string {
  return [...plans.keys()].find((plan) => plan.toLowerCase() === name.toLowerCase()) ?? name
}

function columnOf(columns: readonly ColumnDefinition[], name: string): ColumnDefinition | undefined {
  return columns.find((column) => column.name.toLowerCase() === name.toLowerCase())
}
