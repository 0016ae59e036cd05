/** What a stream's tables are when a run of it begins, and whether its targets can take their rows. */
import { isSwError } from '../base/errors.ts'
import type { ColumnDefinition } from '../binlog/source.ts'
import type { Connection } from '../mysql/connection.ts'
import type { StreamRecord, StreamTable } from '../topology/records.ts'
import { begunAhead } from './ddl-executed.ts'
import { definitionDifference, knownSql, readKnown, type KnownTable } from './definitions.ts'
import { moveErrors } from './errors.ts'
import { bothCascades, cascadingKeys, type CascadingKey } from './hidden-cascades.ts'
import type { MergeWriter } from './merged-table.ts'
import type { OpenTarget } from './open-targets.ts'
import { readSourceTables, type SourceTable } from './source-tables.ts'
import { settleAll } from './settle-all.ts'
import type { WriteMode } from './statements.ts'
import { forgetStart, type Coordinate } from './tables.ts'
import { tablesNow } from './tables-now.ts'
import { checkTarget } from './target-fits.ts'
import { unfollowed } from './unfollowed.ts'
import { uniqueKeyFindings, uniqueKeys } from './unique-keys.ts'

/** What the source says of its tables before a stream's start position is taken. */
export type DefinedBefore = {
  readonly definitions: ReadonlyMap<string, readonly ColumnDefinition[]>
  readonly cascades: ReadonlyMap<string, readonly CascadingKey[]>
}

export type StreamTablesOptions = {
  record: StreamRecord
  source: { meta: Connection; name: string }
  targets: readonly OpenTarget[]
  mergeWriter: MergeWriter | null
  /** Whether a stream that begins, and whose target does not fit yet, is to begin again. */
  mayFitLater: (mode: WriteMode) => boolean
}

/**
 * Plans of the moved tables, by the definitions that the tail is to be read with (`definitions.ts`); on a first start these are stored, after
 * making sure that they were the same before the start position was taken (`definedBefore`; null where the stream was begun by an earlier run). And the foreign keys by which their
 * rows may change between there and now (`hidden-cascades.ts`).
 */
export async function streamTables(
  options: StreamTablesOptions,
  moved: readonly StreamTable[],
  definedBefore: DefinedBefore | null,
): Promise<{ tables: SourceTable[]; cascades: CascadingKey[] }> {
  const { record, source, targets, mergeWriter } = options
  let known: ReadonlyMap<string, KnownTable> = new Map()
  for (const there of await Promise.all(targets.map(({ meta, on }) => readKnown(meta, on)))) if (known.size === 0) known = there
  await refuseUnfollowed(options, moved)
  const held = await uniqueKeys(source.meta, record.source.schema)
  const cascading = await cascadingKeys(source.meta, record.source.schema)
  // What is known of a moved table is kept with it, and it alone hears when a key of its own has gone.
  const movedNames = new Set(moved.map(({ name }) => name.toLowerCase()))
  // A way back that has never run, or what an earlier version stored: a target has the source's keys, and may have those still that have gone there.
  const untold = known.size === 0 ? definedBefore === null : [...known.values()].some((table) => table.cascades === undefined)
  const onTargets = untold ? await Promise.all(targets.map(({ meta }, i) => cascadingKeys(meta, record.targets[i]?.schema ?? ''))) : []
  const cascades = new Map(
    moved.map(({ name }) => {
      const stored = known.size === 0 ? definedBefore && (definedBefore.cascades.get(name) ?? []) : known.get(name)?.cascades
      const then = (stored ?? onTargets.flatMap((there) => there.get(name) ?? [])).filter(
        ({ table }) => table === name || !movedNames.has(table.toLowerCase()),
      )
      return [name, bothCascades(then, cascading.get(name))]
    }),
  )
  const tables = await readSourceTables(source.meta, source.name, record.source.schema, moved, known, targets[0]?.meta.flavour, mergeWriter)
  if (known.size === 0) {
    const altered = tables.find(
      ({ plan }) => definedBefore !== null && definitionDifference(plan.definitions, definedBefore.definitions.get(plan.name)) !== null,
    )
    // Begun by a run that died before it had stored them: nothing has come of it, and what the tables were at its position nobody knows.
    const undefinedThen = definedBefore === null && record.copy === 'full' && targets.every(({ stored }) => isStart(stored.at))
    if (altered !== undefined || undefinedThen) {
      throw await beginsAgain(
        options,
        altered === undefined ? 'it had begun, and died of it' : `${altered.plan.name} was altered while the stream began`,
      )
    }
  }
  const now = await Promise.all(targets.map(({ meta }, i) => tablesNow(meta, record.targets[i]?.schema ?? '')))
  for (const [i, { meta, on, name, mode, stored }] of targets.entries()) {
    // Nothing stands between here and it, and behind it they are looked at again.
    if (await begunAhead({ conn: meta, on }, stored.at)) continue
    for (const { plan, key } of tables) {
      try {
        checkTarget(plan, key, { name, columns: now[i]?.definitions.get(plan.name), key: now[i]?.keys.get(plan.name) })
      } catch (error) {
        // Altered before it began, and while another stream did: of nothing that it wrote. That one comes to the statement in its tail, or has given up its beginning too: the table is renewed then.
        if (known.size > 0 || !isSwError(error, 'SW-MOVE-029') || !options.mayFitLater(mode)) throw error
        throw await beginsAgain(options, error.message)
      }
      // Beside other streams (1.6) rows are refused, not removed, and one stream may have executed what another has yet to come to.
      if (mode === 'several-sources' && plan.merged === null) continue
      // A key that lies ahead in the tail may be there already: whoever makes changes on the targets by hand makes it at some time (docs/ddl.md).
      const keys = [...(known.get(plan.name)?.uniques ?? []), ...(held.get(plan.name) ?? [])]
      const there = { conn: meta, schema: record.targets[i]?.schema ?? '', name, keys: now[i]?.uniques.get(plan.name) ?? [] }
      const [finding] = await uniqueKeyFindings(plan.name, { conn: source.meta, schema: record.source.schema, keys }, there)
      if (finding !== undefined) throw finding
    }
  }
  // Last: a beginning that is given up leaves nothing.
  if (known.size === 0) {
    const store = tables.map(({ plan, key }) => ({
      name: plan.name,
      definitions: plan.definitions,
      key,
      uniques: held.get(plan.name) ?? [],
      cascades: cascades.get(plan.name) ?? [],
    }))
    await settleAll(targets.map(({ on, xaLane }) => xaLane.transaction(store.map(({ name, ...table }) => knownSql(on, name, table)))))
  }
  return { tables, cascades: [...cascades.values()].flat() }
}

/** As if it had not begun. */
async function beginsAgain({ record, targets }: StreamTablesOptions, reason: string): Promise<Error> {
  for (const { meta, on } of targets) await forgetStart(meta, on.streamUid, on.targetUid)
  return moveErrors.restart({ stream: record.uid, reason })
}

/** On either side: a target is the source of the way back. Tables that others write there too have none. */
async function refuseUnfollowed({ record, source, targets }: StreamTablesOptions, moved: readonly StreamTable[]): Promise<void> {
  const sides = [
    { conn: source.meta, server: source.name, schema: record.source.schema, tables: moved },
    ...targets.map(({ meta, name }, i) => {
      const tables = moved.filter(({ merge }) => merge === undefined)
      return { conn: meta, server: name, schema: record.targets[i]?.schema ?? '', tables }
    }),
  ]
  const names = (tables: readonly StreamTable[]): string[] => tables.map(({ name }) => name)
  const found = await Promise.all(sides.map(({ conn, schema, tables }) => unfollowed(conn, schema, names(tables))))
  for (const [i, [hidden]] of found.entries())
    if (hidden !== undefined) throw moveErrors.unfollowed({ ...hidden, server: sides[i]?.server ?? '' })
}

function isStart({ marker, groups }: Coordinate): boolean {
  return marker === 0 && groups === 0
}
