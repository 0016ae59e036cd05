/**
 * Comparing one range of the key on all sides: first by a digest that each server computes over its part, then, where the digests differ or a
 * row stands on a wrong shard, by the key and digest of each row. What comes out are *candidates*: keys that may differ. Rows in motion are
 * among them; `settle.ts` decides.
 *
 * Why equal digests clear a range: counts and sums modulo 2^64 are additive over shards, so the sources' totals equal the targets' totals if
 * both hold the same rows as a multiset, and with a chance of 2^-64 otherwise. The range means the same on each server, since all
 * compare the same key columns by the same collation (comparison.ts refuses others). Each server's part is one statement, hence one
 * consistent read; no snapshot outlives it.
 */
import type { Connection, FlavourName, RowBatch } from '../mysql/connection.ts'
import { isServerError } from '../mysql/errors.ts'
import { asBytes, orderBy, rangeCondition, splitLiterals } from '../move/statements.ts'
import { differingBuckets } from './buckets.ts'
import type { Comparison, Side } from './comparison.ts'
import { digestsAndKeys, sumMask, sumOfDigests } from './digest-sum.ts'
import { countMisplaced } from './placement.ts'
import type { Sessions } from './sessions.ts'

export type Bound = readonly string[] | null
/** lo < key <= hi, open where null. */
export type KeySpan = { readonly lo: Bound; readonly hi: Bound }

/** A SELECT that the server ends when it takes too long (error kind `interrupted`). */
export function limitedSelect(flavour: FlavourName, select: string, limitMs: number | null): Buffer {
  return Buffer.from(limitMs === null ? `SELECT ${select}` : limited[flavour](select, limitMs), 'latin1')
}

/** Takes candidates as they are found; its promise is the back pressure. */
export type Emit = (keys: ReadonlySet<string>) => Promise<void>

/** Rows of a part, when a span has to be counted off; parts below the least are read however long it takes. */
const partRows = 16_384
const partRowsMin = 256
/** More rows than this of one side are not held at once: the span is halved. */
const listRowsMax = 40_000
/** A digest that takes longer is given up and made of smaller spans: its read would hold back purging on the server. */
const digestMsMax = 4_000
const limited: Readonly<Record<FlavourName, (select: string, limitMs: number) => string>> = {
  mysql: (select, limitMs) => `SELECT /*+ MAX_EXECUTION_TIME(${limitMs}) */ ${select}`,
  mariadb: (select, limitMs) => `SET STATEMENT max_statement_time=${limitMs / 1000} FOR SELECT ${select}`,
}

/** The key at which a span of `rows` rows ends on this side; null: fewer are left. */
export async function boundAfter(conn: Connection, comparison: Comparison, side: Side, lo: Bound, rows: number): Promise<Bound> {
  const [key] = await keysBehind(conn, comparison, side, { lo, hi: null }, rows, 1)
  return key === undefined ? null : splitLiterals(key)
}

/** So many keys of the span, from its row number `rows` on. */
async function keysBehind(
  conn: Connection,
  comparison: Comparison,
  side: Side,
  span: KeySpan,
  rows: number,
  count: number,
): Promise<string[]> {
  const { plan } = comparison
  const list = asBytes(comparison.keyExpressions.join(','))
  const where = rangeCondition(plan, span.lo, span.hi)
  const sql = `SELECT ${list} FROM ${side.from}${where === '' ? '' : ` WHERE ${where}`} ORDER BY ${orderBy(plan)} LIMIT ${count} OFFSET ${rows - 1}`
  const found: string[] = []
  for await (const batch of await conn.rows(Buffer.from(sql, 'latin1')))
    for (let row = 0; row < batch.length; row++) found.push(keyLiteral(comparison, batch, row))
  return found
}

type Part = { count: number; sum: bigint; misplaced: number | 'incomplete' }

/**
 * Compares a span and returns how many rows the sources have in it. Candidates are keys whose rows were not the same on both sides just now, or
 * stood on a wrong shard.
 */
export async function compareSpan(
  sessions: Sessions,
  comparison: Comparison,
  span: KeySpan,
  emit: Emit,
  limitMs = digestMsMax,
  rowsOfParts = partRows,
): Promise<number> {
  try {
    return await compareWhole(sessions, comparison, span, emit, rowsOfParts < partRowsMin ? null : limitMs)
  } catch (error) {
    if (!isServerError(error) || error.kind !== 'interrupted' || rowsOfParts < partRowsMin) throw error
    // It held more rows than was thought: counted off.
    let rows = 0
    for (let lo = span.lo; ;) {
      const middle = await middleOf(
        sessions,
        comparison,
        [comparison.pacer, ...comparison.sources, ...comparison.targets],
        { lo, hi: span.hi },
        rowsOfParts,
      )
      rows += await compareSpan(sessions, comparison, { lo, hi: middle ?? span.hi }, emit, limitMs, Math.floor(rowsOfParts / 8))
      if (middle === null) return rows
      lo = middle
    }
  }
}

async function compareWhole(
  sessions: Sessions,
  comparison: Comparison,
  span: KeySpan,
  emit: Emit,
  limitMs: number | null,
): Promise<number> {
  const digest = (side: Side, target: boolean): Promise<Part> =>
    sessions.reader(side.ref.serverId, (conn) => digestPart(conn, sessions.cellBytesMax, comparison, side, span, target, limitMs))
  const [sources, targets] = await Promise.all([
    Promise.all(comparison.sources.map((side) => digest(side, false))),
    Promise.all(comparison.targets.map((side) => digest(side, true))),
  ])
  const total = (parts: readonly Part[]): { count: number; sum: bigint } => ({
    count: parts.reduce((n, { count }) => n + count, 0),
    sum: parts.reduce((n, { sum }) => (n + sum) & sumMask, 0n),
  })
  const left = total(sources)
  const rights = comparison.group.kind === 'sum' ? [total(targets)] : targets.map((part) => total([part]))
  const same =
    rights.every((right) => right.count === left.count && right.sum === left.sum) && targets.every(({ misplaced }) => misplaced === 0)
  if (same) return left.count
  // Rows on a wrong shard can be anywhere among those that are otherwise right.
  const placedRight = targets.every(({ misplaced }) => misplaced === 0)
  const among = placedRight ? await differingBuckets(sessions, comparison, span, limitMs) : ''
  if (among !== null)
    await listCandidates(sessions, comparison, span, among, Math.max(left.count, ...rights.map(({ count }) => count)), emit)
  return left.count
}

async function digestPart(
  conn: Connection,
  cellBytesMax: number,
  comparison: Comparison,
  side: Side,
  span: KeySpan,
  target: boolean,
  limitMs: number | null,
): Promise<Part> {
  const { plan, shardKey, router } = comparison
  const placed = target && router !== null
  const where = rangeCondition(plan, span.lo, span.hi)
  const from = ` FROM ${side.from}${where === '' ? '' : ` WHERE ${where}`}`
  const read = async (aggregates: string): Promise<{ rows: number; cells: (Buffer | null)[] }> => {
    const result = await conn.query(limitedSelect(conn.flavour, `COUNT(*),${aggregates}${from}`, limitMs))
    const [count, ...cells] = result.kind === 'rows' ? (result.rows[0] ?? []) : []
    return { rows: Number(count?.toString() ?? 0), cells }
  }
  if (placed && shardKey !== null) {
    // With its shard key behind each digest: two cells cost the server a twentieth more of all (MariaDB).
    const { rows, cells } = await read(`GROUP_CONCAT(CONCAT(${side.digest},${shardKey}))`)
    const both = digestsAndKeys(cells[0] ?? null, rows, cellBytesMax)
    if (both !== null) return { count: rows, sum: both.sum, misplaced: countMisplaced(plan, side.ref.shard, both.keys, rows, cellBytesMax) }
  } else {
    const { rows, cells } = await read(`GROUP_CONCAT(${side.digest} SEPARATOR '')`)
    const sum = sumOfDigests(cells[0] ?? null, rows)
    if (sum !== null) return { count: rows, sum, misplaced: placed && rows > 0 ? 'incomplete' : 0 }
  }
  // Too many for a cell: summed by the server, which sees them anew.
  const keys = placed && shardKey !== null ? `,GROUP_CONCAT(${shardKey})` : ''
  const { rows, cells } = await read(`SUM(${side.digestNumber})${keys}`)
  const misplaced = !placed
    ? 0
    : shardKey === null && rows > 0
      ? 'incomplete'
      : countMisplaced(plan, side.ref.shard, cells[1] ?? null, rows, cellBytesMax)
  return { count: rows, sum: BigInt(cells[0]?.toString() ?? '0') & sumMask, misplaced }
}

/** Keys and row digests of both sides (of rows for which `among` holds, if it says anything), set against each other. */
async function listCandidates(
  sessions: Sessions,
  comparison: Comparison,
  span: KeySpan,
  among: string,
  rows: number,
  emit: Emit,
): Promise<void> {
  if (rows > listRowsMax) {
    const side = [...comparison.sources, ...comparison.targets]
    const middle = await middleOf(sessions, comparison, side, span, listRowsMax / 2)
    if (middle !== null) return halves(sessions, comparison, span, among, middle, rows, emit)
  }
  const candidates = new Set<string>()
  // A multiset of key and digest: sources add, targets take away. What is left does not match.
  const budgets = comparison.group.kind === 'sum' ? [new Map<string, number>()] : comparison.targets.map(() => new Map<string, number>())
  const over: Side[] = []
  const list = (side: Side, change: 1 | -1, counts: readonly Map<string, number>[], place: number | null): Promise<void> =>
    sessions.reader(side.ref.serverId, async (conn) => {
      let seen = 0
      for await (const batch of await conn.rows(listing(comparison, side, span, among), { bufferBytesMax: 1 << 20 })) {
        const routed = place === null || comparison.router === null ? null : comparison.router.route(comparison.encoder, batch)
        for (let row = 0; row < batch.length && seen + row < listRowsMax; row++) {
          const key = keyLiteral(comparison, batch, row)
          if (routed !== null && routed[row] !== place) candidates.add(key)
          const identity = `${batch.cell(row, batch.width - 1)?.toString('latin1') ?? ''}${key}`
          for (const count of counts) count.set(identity, (count.get(identity) ?? 0) + change)
        }
        seen += batch.length
      }
      if (seen > listRowsMax) over.push(side)
    })
  await Promise.all([
    ...comparison.sources.map((side) => list(side, 1, budgets, null)),
    ...comparison.targets.map((side, i) => list(side, -1, comparison.group.kind === 'sum' ? budgets : budgets.slice(i, i + 1), i)),
  ])
  if (over.length > 0) {
    const middle = await middleOf(sessions, comparison, over, span, listRowsMax / 2)
    if (middle !== null) return halves(sessions, comparison, span, among, middle, rows, emit)
  }
  for (const counts of budgets) for (const [identity, count] of counts) if (count !== 0) candidates.add(identity.slice(digestLength))
  if (candidates.size > 0) await emit(candidates)
}

const digestLength = 16

async function halves(
  sessions: Sessions,
  comparison: Comparison,
  span: KeySpan,
  among: string,
  middle: Bound,
  rows: number,
  emit: Emit,
): Promise<void> {
  const half = Math.ceil(rows / 2)
  await listCandidates(sessions, comparison, { lo: span.lo, hi: middle }, among, half, emit)
  await listCandidates(sessions, comparison, { lo: middle, hi: span.hi }, among, half, emit)
}

/** A key with `rows` rows of one of these sides before it in the span, and more of them behind; null when none has so many. */
async function middleOf(sessions: Sessions, comparison: Comparison, sides: readonly Side[], span: KeySpan, rows: number): Promise<Bound> {
  for (const side of sides) {
    const at = await sessions.reader(side.ref.serverId, (conn) => boundWithin(conn, comparison, side, span, rows))
    if (at !== null) return at
  }
  return null
}

async function boundWithin(conn: Connection, comparison: Comparison, side: Side, span: KeySpan, rows: number): Promise<Bound> {
  const [key, behind] = await keysBehind(conn, comparison, side, span, rows, 2)
  // The last key of the span would leave nothing for the second half.
  return key !== undefined && behind !== undefined ? splitLiterals(key) : null
}

function listing(comparison: Comparison, side: Side, span: KeySpan, among: string): Buffer {
  const { plan, keyPlan } = comparison
  const where = [rangeCondition(plan, span.lo, span.hi), among].filter((condition) => condition !== '').join(' AND ')
  const sql = `SELECT ${asBytes(keyPlan.selectList)},${side.digest} FROM ${side.from}${where === '' ? '' : ` WHERE ${where}`} ORDER BY ${orderBy(plan)} LIMIT ${listRowsMax + 1}`
  return Buffer.from(sql, 'latin1')
}

let scratch = Buffer.allocUnsafeSlow(4096)

/** The key of a row as literals: the text that names it everywhere here, and in statements. */
export function keyLiteral(comparison: Comparison, batch: RowBatch, row: number): string {
  const { encoder, keyPlan } = comparison
  let max = 8
  for (let i = 0; i < keyPlan.keyWidth; i++) max += 12 + 2 * (batch.cell(row, i)?.length ?? 4)
  if (max > scratch.length) scratch = Buffer.allocUnsafeSlow(max)
  const columns = keyIndices[keyPlan.keyWidth] ?? Array.from({ length: keyPlan.keyWidth }, (_, i) => i)
  return scratch.toString('latin1', 0, encoder.encodeSome(batch, row, columns, scratch, 0))
}

const keyIndices: readonly (readonly number[])[] = [[], [0], [0, 1], [0, 1, 2], [0, 1, 2, 3]]
