/**
 * A statement executed on a target once for each time that the sources made it (PROTOCOLS 1.13, `--on-ddl exec`).
 *
 * DDL is not part of a transaction, so whether it was done can't be stored with it. Its place in the stream's order is, before it is executed, with what the
 * tables looked like then. Met again at that place (a crash in between), it is done if they look otherwise now: each statement on a table is whole or not at
 * all (atomic DDL of MySQL 8 and MariaDB 10.6). One that changes nothing to be seen is harmless twice (TRUNCATE: nothing behind it was applied yet). By the answer of the server
 * it can't be told: `CHANGE a b` gives 1054 the second time, and `CHANGE a b, CHANGE b a` swaps back; nor does "it is there already" say that all of the statement was done.
 *
 * So between the look and the statement nothing else may change what it looks at. Keys that wait are built before the look (`prepare`) where the statement is about them (`ddl-keys.ts`); the others go on
 * waiting and are not looked at, since the end of the copy may build them before it is met again. No other stream writes or builds meanwhile (`alone`), none executes anything here while
 * somebody has yet to see whether his was done (`unsettled`), and a statement that the server still executes for an earlier run has ended before this run began (`takeover.ts`).
 *
 * Streams of several sources bring the same statement, each once: the n-th of one stream is the n-th of another. A lock of the server lets them in one
 * by one. What stands in the way is told and tried again with nothing held, so that the other streams can end it.
 */
import { createHash } from 'node:crypto'
import type { Clock } from '../base/clock.ts'
import { isSwError } from '../base/errors.ts'
import type { Connection } from '../mysql/connection.ts'
import { isServerError } from '../mysql/errors.ts'
import { quoteString } from '../sql/quote.ts'
import type { KnownTable } from './definitions.ts'
import type { Waiting } from './applier-options.ts'
import type { Failpoints } from './crash-points.ts'
import { concerns, type KeysConcerned } from './ddl-keys.ts'
import { showCreateTable } from './made-of.ts'
import { withoutCounter, withoutKeys } from './table-look.ts'
import type { StreamOnTarget } from './takeover.ts'
import { moveSchema, streamWhere, type Coordinate } from './tables.ts'
import { withTargetLock } from './target-lock.ts'

export type ExecutedDdl = {
  schema: string
  /** Tables of the schema that it is about. */
  tables: readonly string[]
  /** The stream's place before it. */
  place: Coordinate
  statement: Buffer
  /** Those on which it may depend what it does, or what becomes of it. */
  keys: KeysConcerned
}

/** Where, and by whose right. */
export type DdlTarget = {
  conn: Connection
  on: StreamOnTarget
  /** An applier transaction: commits, or throws `superseded`. */
  write: (statements: readonly string[]) => Promise<void>
  /** Does something while no stream of this mover writes to the target. */
  alone: <T>(work: () => Promise<T>) => Promise<T>
  clock: Clock
  signal: AbortSignal
  failpoints: Failpoints
  onWaiting: (waiting: Waiting | null) => void
}

/** By table. */
export type Definitions = Readonly<Record<string, KnownTable>>

/** What the tables were on the target before a statement, and what it made of them: rows of a source between it and the next are read by that (`stream-ddl.ts`). */
export type Executed = { readonly before: Definitions; readonly after: Definitions }

/** Thrown by `execute`: nothing of the statement was done, and it may be another time. */
export class NotYet extends Error {}

export type DdlSteps = {
  /** Makes the tables whole: afterwards nothing but the statement changes what they look like. Returns what stands in the way of that, or null. */
  prepare: () => Promise<string | null>
  execute: () => Promise<void>
  /** What the tables are there. */
  define: () => Promise<Definitions>
  /** What stood in the way has not gone. */
  refuse: (inTheWay: string) => Error
}

/**
 * For so long streams of other sources may take to come to where this one's rows go together with theirs: only time in which they may write counts, since keys that are built for hours
 * are built while they may not. What is in the way then may be a row that this stream itself gives up behind the statement, so it would wait for ever.
 */
const comeApartMs = 600_000

/** Runs `execute`, unless the statement has been executed on this target for this place. Null: what it made there was not noted (by an earlier version). */
export async function executeOnce(target: DdlTarget, ddl: ExecutedDdl, steps: DdlSteps): Promise<Executed | null> {
  const { on, alone, clock, signal, onWaiting } = target
  const sinceMs = clock.nowMs()
  let othersHadMs = 0
  for (let attempt = 0; ; attempt++) {
    const { outcome, tookMs } = await withTargetLock({ ...target, targetUid: on.targetUid }, async () => {
      // Hours, perhaps: keys that are built before it, other streams that write until then, and the statement.
      onWaiting({ what: `the target, which executes "${textOf(ddl)}" for this stream`, sinceMs, ends: 'it has' })
      return await alone(async () => {
        const beganMs = clock.monotonicMs()
        const reached = await once(target, ddl, steps)
        return { outcome: reached, tookMs: clock.monotonicMs() - beganMs }
      })
    })
    if ('made' in outcome) {
      onWaiting(null)
      return outcome.made
    }
    const { what, ends, last } = outcome
    if (!last) othersHadMs = 0
    if (othersHadMs >= comeApartMs) throw steps.refuse(what)
    onWaiting({ what, sinceMs, ends })
    // The others have as much time to write as they were kept from it.
    const pauseMs = Math.max(Math.min(10_000, 50 * 2 ** Math.min(attempt, 10)), Math.min(tookMs, comeApartMs))
    await clock.sleep(pauseMs, signal)
    othersHadMs += pauseMs
  }
}

/** `last`: it may never go. */
type InTheWay = { readonly what: string; readonly ends: string; readonly last: boolean }

const comeApart = 'the streams apply what came since and it is tried again'

type Done = { readonly made: Executed | null }

async function once(
  { conn, on, write, failpoints }: DdlTarget,
  ddl: ExecutedDdl,
  { prepare, execute, define }: DdlSteps,
): Promise<InTheWay | Done> {
  const other = await unsettled(conn, on)
  if (other !== null)
    return {
      what: `stream ${other}, which has yet to see whether a statement that it began on the same target was done`,
      ends: 'it has begun again and seen it; it has to be started if it is stopped',
      last: false,
    }
  const what = await prepare()
  if (what !== null) return { what, ends: comeApart, last: true }
  const hash = hashOf(ddl.statement)
  const own = await rowsOf(conn, on, hash, `stream_uid = ${quoteString(on.streamUid)}`)
  let row = own.find(({ marker, groups }) => marker === ddl.place.marker && groups === ddl.place.groups)
  const now = await lookOf(conn, ddl)
  if (row === undefined) {
    const ahead = await rowsOf(conn, on, hash, `stream_uid <> ${quoteString(on.streamUid)}`)
    const before = own.length
    // The others' rows for the same occurrence. One that was not seen to be done is of a stream that has gone past it (`unsettled`): nobody has made it where the tables are what they were.
    const all = [...Map.groupBy(ahead, ({ stream }) => stream).values()].flatMap((rows) => rows[before] ?? [])
    const theirs = all.find(({ done }) => done) ?? all.find((other) => other.before !== now)
    const defined = theirs === undefined ? { before: await define() } : theirs.defined
    row = { stream: on.streamUid, ...ddl.place, before: now, done: theirs !== undefined, defined }
    await write([insertSql(on, hash, row)])
  }
  await failpoints.hit('ddl.noted')
  if (row.done) return { made: madeBy(row.defined) }
  // An earlier version looked at all keys, and had built them.
  const asBefore = row.before === now || row.before === (await lookOf(conn, { ...ddl, keys: 'any' }))
  // Begun by one that did not note it, and not made yet: what the tables were is what they are.
  const was = row.defined ?? (asBefore ? { before: await define() } : null)
  try {
    if (asBefore) await execute()
  } catch (error) {
    // Not done, for certain, and somebody will change the table before it is tried again: it begins anew then.
    if (error instanceof NotYet || isSwError(error, 'SW-MOVE-028'))
      await write([`DELETE FROM ${moveSchema}.move_ddl WHERE ${placeOf(on, ddl.place)}`])
    if (error instanceof NotYet) return { what: error.message, ends: comeApart, last: true }
    throw error
  }
  await failpoints.hit('ddl.executed')
  const defined = was === null ? null : { ...was, after: await define() }
  await write([`UPDATE ${moveSchema}.move_ddl SET done = 1, defined = ${definedSql(defined)} WHERE ${placeOf(on, ddl.place)}`])
  await failpoints.hit('ddl.done')
  return { made: madeBy(defined) }
}

function madeBy(defined: Defined | null): Executed | null {
  return defined?.after === undefined ? null : { before: defined.before, after: defined.after }
}

/** Whether a run before has begun a statement at this place and was not seen to do it: it may have announced it. */
export async function wasBegun({ conn, on }: Pick<DdlTarget, 'conn' | 'on'>, place: Coordinate): Promise<boolean> {
  return (await conn.value(`SELECT COUNT(*) FROM ${moveSchema}.move_ddl WHERE ${placeOf(on, place)} AND done = 0`)) !== '0'
}

/** Whether a statement that this stream has begun on the target lies ahead of where it stands there: the tables may be as it made them. */
export async function begunAhead({ conn, on }: Pick<DdlTarget, 'conn' | 'on'>, { marker, groups }: Coordinate): Promise<boolean> {
  const ahead = `(at_marker > ${marker} OR (at_marker = ${marker} AND at_groups >= ${groups}))`
  return (await conn.value(`SELECT COUNT(*) FROM ${moveSchema}.move_ddl WHERE ${streamWhere(on)} AND ${ahead}`)) !== '0'
}

/**
 * Another stream that noted a statement on this target and was not seen to do it. Whether it was done only the look tells, which another statement, or keys that are built, would change: so it comes
 * first. It waits for nobody on its way there: its row was written when all its keys stood. One that has gone past the place (`--on-ddl ignore` since) will not look any more.
 */
async function unsettled(conn: Connection, on: StreamOnTarget): Promise<string | null> {
  const rows = await conn.allText(
    `SELECT d.stream_uid AS stream FROM ${moveSchema}.move_ddl AS d LEFT JOIN ${moveSchema}.move_stream AS s ON s.stream_uid = d.stream_uid AND s.target_uid = d.target_uid
    WHERE d.target_uid = ${quoteString(on.targetUid)} AND d.workflow_uid = ${quoteString(on.workflowUid)} AND d.stream_uid <> ${quoteString(on.streamUid)} AND d.done = 0
    AND NOT COALESCE(s.at_marker > d.at_marker OR (s.at_marker = d.at_marker AND s.at_groups > d.at_groups), FALSE) LIMIT 1`,
  )
  return rows[0]?.stream ?? null
}

/** `after` comes when it is done. */
type Defined = { readonly before: Definitions; readonly after?: Definitions }
type Row = { stream: string; marker: number; groups: number; before: string; done: boolean; defined: Defined | null }

async function rowsOf(conn: Connection, on: StreamOnTarget, hash: string, which: string): Promise<Row[]> {
  const rows = await conn.allText(
    `SELECT stream_uid AS stream, at_marker, at_groups, look, done, defined FROM ${moveSchema}.move_ddl
    WHERE target_uid = ${quoteString(on.targetUid)} AND workflow_uid = ${quoteString(on.workflowUid)} AND statement = ${quoteString(hash)} AND ${which}
    ORDER BY at_marker, at_groups`,
  )
  return rows.map((row) => ({
    stream: row.stream ?? '',
    marker: Number(row.at_marker),
    groups: Number(row.at_groups),
    before: row.look ?? '',
    done: row.done === '1',
    defined: typeof row.defined === 'string' ? (JSON.parse(row.defined) as Defined) : null,
  }))
}

function insertSql(on: StreamOnTarget, hash: string, row: Row): string {
  return `INSERT INTO ${moveSchema}.move_ddl (stream_uid, target_uid, at_marker, at_groups, workflow_uid, statement, look, done, defined)
    VALUES (${quoteString(on.streamUid)}, ${quoteString(on.targetUid)}, ${row.marker}, ${row.groups}, ${quoteString(on.workflowUid)}, ${quoteString(hash)}, ${quoteString(row.before)}, ${row.done ? 1 : 0}, ${definedSql(row.defined)})`
}

function definedSql(defined: Defined | null): string {
  return defined === null ? 'NULL' : quoteString(JSON.stringify(defined))
}

/** What the tables look like: a hash of their definitions. */
async function lookOf(conn: Connection, { schema, tables, keys }: ExecutedDdl): Promise<string> {
  const texts: string[] = []
  for (const table of tables) {
    const shown = await showCreateTable(conn, schema, table).catch((error: unknown) => {
      if (!isServerError(error)) throw error
      return ''
    })
    const text = withoutCounter(shown)
    texts.push(keys === 'any' ? text : withoutKeys(text, (key) => concerns(keys, key)))
  }
  return hashOf(texts.join('\n'))
}

function placeOf(on: StreamOnTarget, place: Coordinate): string {
  return `${streamWhere(on)} AND at_marker = ${place.marker} AND at_groups = ${place.groups}`
}

function textOf({ statement }: ExecutedDdl): string {
  return statement.toString('utf8').slice(0, 100)
}

function hashOf(text: string | Buffer): string {
  return createHash('sha256').update(text).digest('hex')
}
