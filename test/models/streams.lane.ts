/** A writer on a target of the model of merges (`streams.model.ts`), in the model's time: what is stored there of its stream, and death. */
import { statementText, type Statement, type StatementBytes } from '../../src/mysql/statement.ts'
import type { Clock } from '../../src/base/clock.ts'
import { noFailpoints } from '../../src/move/crash-points.ts'
import { HeldStore } from '../../src/move/held-store.ts'
import type { Collided, Lane } from '../../src/move/lane.ts'
import type { Change, Stamp } from '../../src/move/pending.ts'
import { compareCoordinates } from '../../src/move/tables.ts'
import type { TablePlan } from '../../src/move/table-plan.ts'
import type { TargetApplier } from '../../src/move/target-applier.ts'
import type { TouchedKeys } from '../../src/move/touched.ts'
import { ServerError } from '../../src/mysql/errors.ts'
import { Collision, modelTable, type FakeTarget, type TestCoordinate } from './fake-target.ts'
import type { Random } from './random.ts'

export class Died extends Error {}

/** What a target knows of a stream. */
export type Stored = { at: TestCoordinate; intent: TestCoordinate; readonly landed: Set<number>; readonly held: Map<string, string> }

/** Each transaction takes its time, and none ends that the dead had begun. */
export function modelLane(random: Random, stored: Stored, table: FakeTarget, signal: AbortSignal): Lane {
  const transaction = async (statements: readonly Statement[]): Promise<void> => {
    await pause(random, signal)
    // It may have died since the pause ended.
    if (signal.aborted) throw new Died()
    const texts = statements.map((statement) => statementText(statement))
    try {
      table.transaction(texts.filter((text) => !text.includes('_shardwright')).map((text) => Buffer.from(text)))
    } catch (error) {
      if (error instanceof Collision) throw new ServerError(1062, '23000', error.message)
      throw error
    }
    for (const text of texts) {
      const [, what, marker, groups] = /(at|intent)_marker = (\d+), (?:at|intent)_groups = (\d+)/.exec(text) ?? []
      if (what === 'at' || what === 'intent') stored[what] = { marker: Number(marker), groups: Number(groups) }
      // One row for each chunk of a landing: stream, target, table, path.
      if (text.startsWith('INSERT INTO _shardwright.move_chunk'))
        for (const [, path] of text.matchAll(/\('[^']*', '[^']*', '[^']*', '(\d+)'/g)) stored.landed.add(Number(path))
      // Rows held back that are kept (`held-store.ts`).
      if (text.startsWith('REPLACE INTO _shardwright.move_held'))
        for (const [, hash = '', held = ''] of text.matchAll(/'([0-9a-f]{64})', x'([0-9a-f]+)'\)/g)) stored.held.set(hash, held)
      if (text.startsWith('DELETE FROM _shardwright.move_held'))
        for (const [, hash = ''] of text.matchAll(/'([0-9a-f]{64})'\)/g)) stored.held.delete(hash)
    }
    await pause(random, signal)
  }
  const attempt = async (statements: readonly StatementBytes[]): Promise<Collided> => {
    await pause(random, signal)
    if (signal.aborted) throw new Died()
    const collided = table.attempt(statements)
    await pause(random, signal)
    return new Map([...collided].map(([place, { message }]) => [place, new ServerError(1062, '23000', message)]))
  }
  /** Rows of ours (`own-rows.ts`). */
  const read = async (sql: string | Buffer): Promise<Record<string, Buffer | null>[]> => {
    await pause(random, signal)
    const found = [...String(sql).matchAll(/WHEN `k` = (\d+) AND `s` = (\d+) THEN (\d+)/g)]
    if (found.length === 0) throw new Error(`not a question that the model knows: ${String(sql)}`)
    return found
      .filter(([, key, shardKey]) => table.rows.get(Number(key))?.shardKey === Number(shardKey))
      .map(([, , , place]) => ({ place: Buffer.from(place ?? '') }))
  }
  return { transaction, attempt, read, busySinceMs: null } as unknown as Lane
}

export async function pause(random: Random, signal: AbortSignal): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, random.below(3)))
  if (signal.aborted) throw new Died()
}

type Appliers = {
  readonly random: Random
  readonly nowMs: () => number
  readonly lanes: number
  readonly pendingBytesMax: number
  readonly oneLaneChangesMax: number
}

/** What any applier has, of a model's stream. `touched`: of its run, made after the applier. */
export function applierOptions(
  { random, nowMs, lanes, pendingBytesMax, oneLaneChangesMax }: Appliers,
  { number, stored, table }: { readonly number: number; readonly stored: Stored; readonly table: FakeTarget },
  touched: () => TouchedKeys<TablePlan>,
  signal: AbortSignal,
) {
  return {
    number,
    targetUid: `t${number}`,
    workflowUid: 'w',
    shard: String(number),
    schema: 't',
    lanes: Array.from({ length: lanes }, () => modelLane(random, stored, table, signal)),
    touched: { setsSince: (of: TablePlan, since: number) => touched().setsSince(of, since) } as TouchedKeys<TablePlan>,
    clock: modelClock({ random, nowMs }),
    failpoints: noFailpoints,
    onThrownAway: (chunk) => void chunk.remaining--,
    work: () => ({ rowsRead: 0, rowsRedone: 0 }),
    fold: () => null,
    beforeRound: () => pause(random, signal),
    pendingBytesMax: () => pendingBytesMax,
    oneLaneChangesMax,
    packetMax: 1 << 20,
    bulkLoad: false,
  } satisfies Partial<ConstructorParameters<typeof TargetApplier>[0]>
}

/** Where it begins again: at what is stored, or at the intent beyond it. */
export function applierStart(applied: Stamp, { at, intent }: Stored): { applied: Stamp; intent: TestCoordinate; stoodAt: TestCoordinate } {
  return { applied, intent: compareCoordinates(intent, at) > 0 ? intent : at, stoodAt: at }
}

/** Positions are of no account here. */
export function modelReads(latest: () => Stamp): { read: () => string; sourcePosition: () => Promise<string> } {
  return { read: () => latest().position, sourcePosition: () => Promise.resolve(latest().position) }
}

/** Something passes between two looks at it. */
export function modelClock({ random, nowMs: now }: { readonly random: Random; readonly nowMs: () => number }): Clock {
  let lateMs = 0
  const nowMs = (): number => now() + (lateMs += random.chance(0.2) ? random.unit() : 0)
  return {
    nowMs,
    monotonicMs: nowMs,
    sleep: (ms, signal) =>
      new Promise((resolve, reject) => {
        setTimeout(resolve, ms)
        signal?.addEventListener('abort', () => reject(new Died()), { once: true })
      }),
  }
}

export type HeldBefore = { readonly store: HeldStore; readonly rows: readonly Change[] }

/** What an earlier run has kept. */
export async function heldBefore(streamUid: string, { held }: Stored): Promise<HeldBefore> {
  const store = new HeldStore({ streamUid, targetUid: 't', workflowUid: 'w', packetMax: 1 << 24 })
  const rows = [...held].map(([hash, text]) => ({
    table_name: Buffer.from('m'),
    key_hash: Buffer.from(hash),
    held: Buffer.from(text, 'hex'),
  }))
  return { store, rows: await store.load({ read: () => Promise.resolve(rows) }, new Map([['m', modelTable]])) }
}
