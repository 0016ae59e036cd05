/**
 * The last word on a key: compared while its row is locked on the source.
 *
 * In one transaction a source, the keys are read FOR SHARE (LOCK IN SHARE MODE); then a control marker is committed on each source server by
 * another session; when every target reports that it has applied the marker, the targets' rows are read, and then the locks are let go.
 *
 * Why the answer is exact, for a row updated 2,000 times a second too: a change of the row stands in the binlog before its locks are free, so
 * every change before our lock precedes the marker, and while we hold the lock there is none after it. So a target past the marker holds the source's row at
 * this key, or it never will. A row found on a target and on no source proves an extra row only if it can't be inserted meanwhile: such keys are
 * taken again under REPEATABLE READ, whose locking reads also lock the gap. Nothing may be skipped then: a row that a client has inserted and not committed is
 * seen by no plain read, and no lock on the gap keeps it from being committed. It has a lock, so the read of such keys fails at once (NOWAIT) where one is.
 *
 * Clients come first. Rows that others have locked are skipped, or end the attempt, so we never wait while holding locks and can't be part of a deadlock; what was skipped is
 * taken again alone. Locks are held for `holdMs` at most: if the marker has not come through by then, they are let go, the targets are
 * waited for without locks, and the keys taken again. They do not hold back a switch: LOCK TABLES READ and read_only are granted at once beside them (tried on both
 * flavours); while one is under way, no new ones are taken. A session that falls silent (a paused process) loses its locks after two seconds.
 */
import type { Clock } from '../base/clock.ts'
import { bumpControlMarker } from '../binlog/control-schema.ts'
import type { Connection, RowBatch } from '../mysql/connection.ts'
import { isServerError } from '../mysql/errors.ts'
import { flavourOf } from '../mysql/flavour/flavour.ts'
import { asBytes, splitLiterals } from '../move/statements.ts'
import type { Comparison, Side } from './comparison.ts'
import { judgePlace, type Finding, type SettledRow, type Verdict } from './judge.ts'
import { keyLiteral } from './ranges.ts'
import type { MarkersByServer, Reports } from './reports.ts'
import type { Sessions } from './sessions.ts'

/** `many`: row locks, skipping what others hold. `gaps`: gaps too, and all of it or nothing. `alone`: one key, which is waited for. */
export type Mode = 'many' | 'gaps' | 'alone'

export type Outcome =
  /** `keys`: of all rows that stood there, on either side: under the key's collation they are one place. */
  | { readonly kind: 'settled'; readonly findings: readonly Finding[]; readonly repaired: number; readonly keys: ReadonlySet<string> }
  /** The source does not have it and a target does: to be proved in mode `gaps`. */
  | { readonly kind: 'absent' }
  | { readonly kind: 'locked' }

export type Settled =
  | { readonly kind: 'outcomes'; readonly outcomes: readonly Outcome[] }
  | { readonly kind: 'behind'; readonly markers: MarkersByServer }

export type Repair = {
  /** Before the locks are taken: the right to write. */
  prepare(): Promise<void>
  /** Writes; `stillLocked` throws when the locks are gone, and is asked just before each commit. Returns places written to. */
  apply(
    places: ReadonlyMap<number, Verdict>,
    locked: readonly LockedSource[],
    stillLocked: () => Promise<void>,
  ): Promise<ReadonlySet<number>>
}

export type LockedSource = { readonly side: Side; readonly conn: Connection }

export type SettleOptions = {
  comparison: Comparison
  sessions: Sessions
  reports: Pick<Reports, 'applied'>
  clock: Clock
  holdMs: number
  /** After the targets were read: throws when the sources do not serve any more. */
  stillServing: () => Promise<void>
  repair: Repair | null
}

const whenLocked: Readonly<Record<Mode, string>> = { many: ' SKIP LOCKED', gaps: ' NOWAIT', alone: '' }
const lockSession = 'SET SESSION innodb_lock_wait_timeout=1, wait_timeout=2'

export async function settle(options: SettleOptions, keys: readonly string[], mode: Mode): Promise<Settled> {
  const { comparison, sessions, clock, repair } = options
  await repair?.prepare()
  const conns: Connection[] = []
  const startedMs = clock.monotonicMs()
  try {
    for (const side of comparison.sources) conns.push(await sessions.own(side.ref.serverId))
    const locked = comparison.sources.map((side, i): LockedSource => ({ side, conn: conns[i] as Connection }))
    const read: { rows: Placed[]; skipped: ReadonlySet<number> }[] = []
    for (const source of locked) read.push(await readLocked(comparison, source, keys, mode))
    const markers = await placeMarkers(options)
    const leftMs = options.holdMs - (clock.monotonicMs() - startedMs)
    const targets = new Set(comparison.targets.map(({ ref }) => ref.uid))
    if (!(await options.reports.applied(comparison.group.streams, targets, markers, leftMs))) return { kind: 'behind', markers }
    const sourceRows = byPlace(
      read.map(({ rows }) => rows),
      keys.length,
    )
    const targetRows = await readTargets(options, keys)
    await options.stillServing()
    const outcomes: Outcome[] = []
    const wrong = new Map<number, Verdict>()
    for (let place = 0; place < keys.length; place++) {
      if (read.some(({ skipped }) => skipped.has(place))) {
        outcomes.push({ kind: 'locked' })
        continue
      }
      const verdict = judgePlace(
        sourceRows[place] ?? [],
        targetRows.map((rows) => rows[place] ?? []),
        comparison.columnNames,
      )
      if (mode === 'many' && verdict.needsAbsence && read.some(({ rows }) => rows.every((row) => row.place !== place))) {
        outcomes.push({ kind: 'absent' })
        continue
      }
      if (verdict.findings.length > 0) wrong.set(place, verdict)
      const rows = [...(sourceRows[place] ?? []), ...targetRows.flatMap((found) => found[place] ?? [])]
      outcomes.push({ kind: 'settled', findings: verdict.findings, repaired: 0, keys: new Set(rows.map(({ key }) => key)) })
    }
    if (repair === null || wrong.size === 0) return { kind: 'outcomes', outcomes }
    const stillLocked = async (): Promise<void> => {
      await Promise.all(conns.map((conn) => conn.ping()))
    }
    const written = await repair.apply(wrong, locked, stillLocked)
    // Looked at once more, under the same locks: what is called repaired was seen to be right.
    const after = await readTargets(options, keys)
    for (const place of written) {
      const verdict = judgePlace(
        sourceRows[place] ?? [],
        after.map((rows) => rows[place] ?? []),
        comparison.columnNames,
      )
      const before = wrong.get(place)
      const outcome = outcomes[place]
      if (verdict.findings.length === 0 && before !== undefined && outcome?.kind === 'settled')
        outcomes[place] = { ...outcome, repaired: before.findings.length }
    }
    return { kind: 'outcomes', outcomes }
  } catch (error) {
    // `gaps` met a lock; or `alone`, which waits, where a deadlock is possible against gap locks of others. Nothing was decided.
    if (isServerError(error) && (error.kind === 'lockWait' || error.kind === 'deadlock'))
      return { kind: 'outcomes', outcomes: keys.map((): Outcome => ({ kind: 'locked' })) }
    throw error
  } finally {
    await Promise.all(conns.map((conn) => release(conn)))
  }
}

async function release(conn: Connection): Promise<void> {
  // Asked for and waited for: closing alone lets the locks go at some later time.
  if (conn.open) await conn.query('ROLLBACK').catch(() => undefined)
  conn.destroy()
}

async function placeMarkers({ comparison, sessions }: SettleOptions): Promise<MarkersByServer> {
  const servers = [...new Set(comparison.sources.map(({ ref }) => ref.serverId))]
  const markers = await Promise.all(servers.map(async (id) => [id, await sessions.reader(id, (conn) => bumpControlMarker(conn))] as const))
  return new Map(markers)
}

type Placed = { place: number; row: SettledRow }

async function readLocked(
  comparison: Comparison,
  { side, conn }: LockedSource,
  keys: readonly string[],
  mode: Mode,
): Promise<{ rows: Placed[]; skipped: ReadonlySet<number> }> {
  const isolation = mode === 'many' ? 'READ COMMITTED' : 'REPEATABLE READ'
  const lock = flavourOf(conn).lockInShareMode + whenLocked[mode]
  await conn.pipeline([lockSession, `SET TRANSACTION ISOLATION LEVEL ${isolation}`, 'BEGIN'])
  const rows = await readRows(conn, comparison, side, keys, lock)
  const found = new Set(rows.map(({ place }) => place))
  const absent = keys.map((_, place) => place).filter((place) => !found.has(place))
  if (mode !== 'many' || absent.length === 0) return { rows, skipped: new Set() }
  // Not returned: absent, or locked by somebody. A read without locks tells.
  const there = await readRows(
    conn,
    comparison,
    side,
    absent.map((place) => keys[place] ?? ''),
    '',
  )
  // Two keys that the collation equates are one place, the first's: the second's row is here, not locked by somebody.
  const here = new Set(rows.map(({ row }) => row.key))
  return { rows, skipped: new Set(there.filter(({ row }) => !here.has(row.key)).map(({ place }) => absent[place] ?? -1)) }
}

async function readTargets({ comparison, sessions }: SettleOptions, keys: readonly string[]): Promise<SettledRow[][][]> {
  return Promise.all(
    comparison.targets.map(async (side) =>
      byPlace([await sessions.reader(side.ref.serverId, (conn) => readRows(conn, comparison, side, keys, ''))], keys.length),
    ),
  )
}

function byPlace(rows: readonly (readonly Placed[])[], places: number): SettledRow[][] {
  const out = Array.from({ length: places }, (): SettledRow[] => [])
  for (const list of rows) for (const { place, row } of list) out[place]?.push(row)
  return out
}

/** Rows that equal one of the keys, each with the number of the first that it equals: the server compares, not we. */
async function readRows(conn: Connection, comparison: Comparison, side: Side, keys: readonly string[], lock: string): Promise<Placed[]> {
  const rows: Placed[] = []
  for await (const batch of await conn.rows(rowsSql(comparison, side, keys, lock))) {
    const own = shifted(batch)
    const homes = comparison.router === null ? null : comparison.router.route(comparison.encoder, own)
    const width = comparison.keyPlan.columns.length
    for (let row = 0; row < batch.length; row++) {
      const values = side.values.map((_, i) => batch.cell(row, 1 + width + i)?.toString('latin1') ?? null)
      rows.push({
        place: Number(batch.cell(row, 0)?.toString() ?? -1),
        row: { key: keyLiteral(comparison, own, row), home: homes === null ? null : (homes[row] as number), values },
      })
    }
  }
  return rows
}

export function keyCondition(comparison: Comparison, key: string): string {
  const literals = splitLiterals(key)
  return comparison.plan.keyCompared.map((column, i) => `${asBytes(column)} = ${literals[i] ?? 'NULL'}`).join(' AND ')
}

function rowsSql(comparison: Comparison, side: Side, keys: readonly string[], lock: string): Buffer {
  const { plan, keyPlan } = comparison
  const conditions = keys.map((key) => keyCondition(comparison, key))
  const place = `CASE ${conditions.map((condition, i) => `WHEN ${condition} THEN ${i}`).join(' ')} END`
  const where =
    plan.keyCompared.length === 1
      ? `${asBytes(plan.keyCompared[0] ?? '')} IN (${keys.join(',')})`
      : conditions.map((condition) => `(${condition})`).join(' OR ')
  return Buffer.from(
    `SELECT ${place},${asBytes(keyPlan.selectList)},${side.values.join(',')} FROM ${side.from} WHERE ${where} ${lock}`,
    'latin1',
  )
}

/** The batch without its first column. */
function shifted(batch: RowBatch): RowBatch {
  const width = batch.width - 1
  const spans = new Int32Array(batch.length * width * 2)
  for (let row = 0; row < batch.length; row++)
    spans.set(batch.spans.subarray(2 * (row * batch.width + 1), 2 * (row + 1) * batch.width), 2 * row * width)
  const cell = (row: number, column: number): Buffer | null => batch.cell(row, column + 1)
  const rowOf = (row: number): (Buffer | null)[] => Array.from({ length: width }, (_, column) => cell(row, column))
  return {
    data: batch.data,
    spans,
    length: batch.length,
    width,
    cell,
    row: rowOf,
    rows: () => Array.from({ length: batch.length }, (_, row) => rowOf(row)),
  }
}
