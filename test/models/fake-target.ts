/**
 * What the models of movement drive: the engine's own `Pending`, `roundStatements`, segments and landing statements, for one table; and a target without a server that executes
 * what they print. A statement of any other form is an error: the model would not know what it does.
 */
import { statementText, type StatementBytes } from '../../src/mysql/statement.ts'
import type { Chunk, ChunkPart } from '../../src/move/chunk.ts'
import { Segment } from '../../src/move/chunk.ts'
import { landingStatements } from '../../src/move/landing-statements.ts'
import { intColumn, planOf, stampOf } from '../../src/move/testkit/samples.ts'
import type { Change, Pending, Round, Stamp } from '../../src/move/pending.ts'
import { insertHead, type WriteMode } from '../../src/move/statements.ts'
import { createVindex } from '../../src/keyspace/vindexes/create.ts'

export type ModelRow = { readonly key: number; readonly shardKey: number; readonly unique: number; readonly value: number }
export type ModelEvent = { readonly key: number; readonly before: ModelRow | null; readonly after: ModelRow | null }
export type TestCoordinate = { readonly marker: number; readonly groups: number }

const schema = 't'
export const modelTable = planOf(['k', 's', 'u', 'v'].map(intColumn), ['k'], {
  name: 'm',
  vindex: createVindex('hash', 'hash'),
  vindexColumns: ['s'],
})

/** Keys whose spellings the table's collation equates: 3 and 13 are `c` and `C`. Their bytes, by which the engine knows them, differ. */
export const equated = (key: number): number => key % 10
export const otherSpelling = (key: number): number => (key < 10 ? key + 10 : key - 10)

export const rowText = ({ key, shardKey, unique, value }: ModelRow): string => `(${key},${shardKey},${unique},${value})`

/** A change of a row as the tail brings it to a target; `of`: whether a row is the target's; `images` as where it has several sources. */
export function changeOf({ key, before, after }: ModelEvent, of: (row: ModelRow) => boolean, mode: WriteMode): Change | null {
  const [was, is] = [before !== null && of(before), after !== null && of(after)]
  const images = (...rows: (ModelRow | null)[]): string[] | null =>
    mode === 'one-source' ? null : [...new Set(rows.flatMap((row) => (row === null ? [] : [String(row.shardKey)])))]
  const table = modelTable
  if (is && after !== null) return { table, key: String(key), row: rowText(after), images: images(after, was ? before : null) }
  return was ? { table, key: String(key), row: null, images: images(before) } : null
}

export function addEvent(pending: Pending, event: ModelEvent, of: (row: ModelRow) => boolean, mode: WriteMode): void {
  const change = changeOf(event, of, mode)
  if (change !== null) pending.add(change)
}

export function stampAt(at: TestCoordinate, ordinal: number): Stamp {
  return stampOf({ ordinal, ...at })
}

/** A round with each of its changes another. */
export function changed(round: Round, change: (change: Change) => Change): Round {
  const of = (keys: ReadonlyMap<string, Change>) => new Map([...keys].map(([key, one]) => [key, change(one)] as const))
  return { ...round, changes: new Map([...round.changes].map(([table, keys]) => [table, of(keys)])) }
}

/** A chunk of these rows, each for one target. */
export function chunkOf(
  rows: readonly ModelRow[],
  options: {
    mode: WriteMode
    targets: number
    targetOf: (row: ModelRow) => number
    generation: number
    highMarker: number
    readAtMs: number
    path: string
  },
): Chunk {
  const { mode, targets, targetOf, generation, highMarker, readAtMs, path } = options
  const parts = Array.from({ length: targets }, (_, target): ChunkPart => {
    const own = rows.filter((row) => targetOf(row) === target)
    const segment = new Segment(
      Buffer.alloc(200 + 40 * own.length),
      insertHead(modelTable, mode === 'one-source' ? 'REPLACE' : 'INSERT', schema),
    )
    for (const row of own) {
      const text = rowText(row)
      segment.keyEnds.push(segment.used + 1 + String(row.key).length)
      segment.used += segment.buffer.write(`${text},`, segment.used, 'latin1')
      segment.rowEnds.push(segment.used)
    }
    return { segments: own.length === 0 ? [] : [segment], rows: own.length, bytes: own.length * 20 }
  })
  const completes = { path, lo: null, hi: null, before: [] }
  const rowBytes = rows.length * 20
  const rest = { remaining: targets, piece: false, thrownAway: [], bytes: rowBytes, rowBytes, rows: rows.length, size: 1, readAtMs }
  return { table: modelTable, completes, generation, highMarker, parts, ...rest }
}

/** What a landing sends: the rows that `drop` leaves, by the engine's statements. */
export function landing(chunk: Chunk, target: number, mode: WriteMode, drop: (key: string) => boolean): Buffer[] {
  const part = chunk.parts[target]
  if (part === null || part === undefined) return []
  const on = {
    number: target,
    streamUid: 'f',
    targetUid: String(target),
    workflowUid: 'w',
    schema,
    mode,
    bulkLoad: false,
    packetMax: 16 << 20,
    work: () => ({ rowsRead: 0, rowsRedone: 0 }),
  }
  return landingStatements([{ chunk, part, drop }], on).map((statement) =>
    Buffer.isBuffer(statement) ? statement : Buffer.from(String(statement)),
  )
}

export class Collision extends Error {}

export class FakeTarget {
  /** By what their keys are to the collation. */
  readonly rows = new Map<number, ModelRow>()
  /** The table's unique key beside its primary one stands. */
  uniqueKey: boolean

  readonly #is: (key: number) => number

  /** @param is what a key is to the collation */
  constructor(uniqueKey = true, is: (key: number) => number = equated) {
    this.uniqueKey = uniqueKey
    this.#is = is
  }

  /** @throws Collision, and nothing of it is kept, where a row stands in the way of an INSERT */
  transaction(statements: readonly StatementBytes[]): void {
    const before = [...this.rows]
    try {
      for (const statement of statements) this.#execute(statementText(statement))
    } catch (error) {
      this.rows.clear()
      for (const [key, row] of before) this.rows.set(key, row)
      throw error
    }
  }

  /** Each by itself; returns those that collided. */
  attempt(statements: readonly StatementBytes[]): ReadonlyMap<number, Collision> {
    const collided = new Map<number, Collision>()
    for (const [place, statement] of statements.entries()) {
      try {
        this.transaction([statement])
      } catch (error) {
        if (!(error instanceof Collision)) throw error
        collided.set(place, error)
      }
    }
    return collided
  }

  #execute(sql: string): void {
    if (sql.startsWith('INSERT INTO _shardwright.') || sql.startsWith('INSERT INTO `_shardwright`.')) return
    const upsert = /^(INSERT|REPLACE) INTO `t`\.`m` \(`k`,`s`,`u`,`v`\) VALUES (.*)$/.exec(sql)
    if (upsert !== null) {
      for (const row of tuples(upsert[2] ?? '')) this.#put(row, upsert[1] === 'REPLACE')
      return
    }
    const erase =
      /^DELETE (?:`t`\.`m` )?FROM `t`\.`m` (?:FORCE INDEX \(PRIMARY\) )?WHERE `k` IN \(([\d,]+)\)(?: AND \(`k`,`s`\) IN \((.*)\))?$/.exec(
        sql,
      )
    if (erase === null) throw new Error(`not a statement that the model knows: ${sql}`)
    const pairs = erase[2] === undefined ? null : new Set(tuples(erase[2]).map((pair) => pair.join()))
    for (const key of (erase[1] ?? '').split(',').map(Number)) {
      const row = this.rows.get(this.#is(key))
      if (row !== undefined && (pairs === null || pairs.has(`${key},${row.shardKey}`))) this.rows.delete(this.#is(key))
    }
  }

  #put([key = 0, shardKey = 0, unique = 0, value = 0]: readonly number[], replaces: boolean): void {
    const standing = [...this.rows.values()].filter(
      (other) => this.#is(other.key) === this.#is(key) || (this.uniqueKey && other.unique === unique),
    )
    if (standing.length > 0 && !replaces) throw new Collision(`1062: ${key} against ${standing.map(rowText).join(' and ')}`)
    for (const other of standing) this.rows.delete(this.#is(other.key))
    this.rows.set(this.#is(key), { key, shardKey, unique, value })
  }
}

function tuples(text: string): number[][] {
  return text
    .slice(1, -1)
    .split('),(')
    .map((tuple) => tuple.split(',').map(Number))
}

export function sameRow(a: ModelRow | undefined, b: ModelRow | undefined): boolean {
  return a === b || (a !== undefined && b !== undefined && rowText(a) === rowText(b))
}
