/**
 * What a workflow's comparison consists of: its tables and groups of shards, with the definitions that they have now.
 *
 * DDL comes to the sides at different times: the targets make it when their stream meets it in the tail. So where definitions do not fit, or were seen to change, that may be only for a moment, and no time says for
 * how long. A marker does: one that is written on the sources after the definitions were read stands in the tail behind every statement that made them, so when all targets have
 * applied it they are past these, or their stream has stopped. What then is as wrong as before is a difference for the user.
 */
import { bumpControlMarker } from '../binlog/control-schema.ts'
import { isSwError } from '../base/errors.ts'
import { readSourceTables } from '../move/source-tables.ts'
import { isServerError } from '../mysql/errors.ts'
import type { Flavour, StreamRecord, StreamTable } from '../topology/records.ts'
import { definitionOf, lookAt, type Looks } from './as-planned.ts'
import { planComparison, readDefinitions, readEstimates, type Comparison } from './comparison.ts'
import { verifyErrors } from './errors.ts'
import { referenceGroup, shardGroups, shardNamesOf, shardsOf, shardsOfAll, type Group } from './groups.ts'
import type { Reports } from './reports.ts'
import type { Sessions } from './sessions.ts'

export type PlanOptions = {
  sessions: Sessions
  reports: Pick<Reports, 'applied'>
  feeding: readonly StreamRecord[]
  /** Names; null or none: all that are moved. */
  tables: readonly string[] | null
  /** Of shards; none: all. */
  shards: readonly string[]
  /** A comparison before found a table altered. */
  altered: boolean
  onWaiting: (what: string | null) => void
}

/** `looks`: what the tables were before the plan was made (`as-planned.ts`). `definition`: what its table was, as one text. */
export type Planned = { readonly comparison: Comparison; readonly looks: Looks; readonly definition: string }

const patienceMs = 300_000
const plansMax = 16

/** @throws what does not fit, when all targets are past the DDL that the sources have had */
export async function planWhenAlike(options: PlanOptions): Promise<Planned[]> {
  const tables = chosenTables(options.feeding, options.tables)
  if (options.altered) await pastDdl(options, 'a table was altered')
  for (let complaint: string | null = null, plans = 1; ; plans++) {
    try {
      return chosenGroups(await planAll(options.sessions, options.feeding, tables), options)
    } catch (error) {
      const said = error instanceof Error ? error.message : String(error)
      if (!mayBeOfDdl(error) || said === complaint || plans === plansMax) throw error
      complaint = said
      await pastDdl(options, said)
    }
  }
}

/** A column or table that one side lacks, a key of another type, a table without its key; or a statement that met such a one. */
function mayBeOfDdl(error: unknown): boolean {
  if (isServerError(error)) return error.kind === 'other' && error.class !== 'transient'
  return ['SW-VERIFY-003', 'SW-VERIFY-004', 'SW-VERIFY-005', 'SW-MOVE-005', 'SW-MOVE-012'].some((code) => isSwError(error, code))
}

/** @throws tooFarBehind, streamNotRunning */
async function pastDdl({ sessions, reports, feeding, onWaiting }: PlanOptions, why: string): Promise<void> {
  onWaiting(`the targets to be past the DDL of their sources: ${why}`)
  const servers = [...new Set(feeding.map(({ source }) => source.serverId))]
  const markers = await Promise.all(servers.map(async (id) => [id, await sessions.reader(id, (conn) => bumpControlMarker(conn))] as const))
  const targets = new Set(feeding.flatMap((stream) => stream.targets.map(({ uid }) => uid)))
  if (!(await reports.applied(feeding, targets, new Map(markers), patienceMs)))
    throw verifyErrors.tooFarBehind({
      source: feeding.map(({ source }) => source.shard).join(','),
      limitMs: patienceMs,
      waitedMs: patienceMs,
    })
  onWaiting(null)
}

async function planAll(sessions: Sessions, feeding: readonly StreamRecord[], tables: readonly StreamTable[]): Promise<Planned[]> {
  const groups = shardGroups(feeding)
  const references = referenceGroup(feeding)
  const shards = shardsOfAll([...groups, ...(references === null ? [] : [references])])
  const use: Sessions['reader'] = (serverId, work) => sessions.reader(serverId, work)
  const compared = new Set(tables.map(({ name }) => name))
  // Before all else that is read of them (as-planned.ts).
  const looks = await lookAt(shards, use)
  const [definitions, estimates] = await Promise.all([readDefinitions(shards, use, compared), readEstimates(shards, use)])
  const flavours = new Map<string, Flavour>()
  for (const { serverId } of shards) flavours.set(serverId, (await sessions.address(serverId)).flavour)
  const planned: Planned[] = []
  const plan = async (group: Group, chosen: readonly StreamTable[]): Promise<void> => {
    const first = group.sources[0]
    if (first === undefined || chosen.length === 0) return
    // Rows are only read here: how a mover merges them is nothing to it.
    const plainTables = chosen.map(({ merge: _merge, ...table }): StreamTable => table)
    const sources = await sessions.reader(first.serverId, (conn) => readSourceTables(conn, first.shard, first.schema, plainTables))
    for (const table of sources) {
      const comparison = planComparison(group, table, definitions, estimates, flavours)
      planned.push({ comparison, looks, definition: definitionOf(comparison, looks) })
    }
  }
  for (const group of groups)
    await plan(
      group,
      tables.filter(({ reference }) => !reference),
    )
  if (references !== null)
    await plan(
      references,
      tables.filter(({ reference }) => reference),
    )
  // Large tables first: the end is not one table that all others wait for.
  return planned.sort((a, b) => b.comparison.rowsEstimated - a.comparison.rowsEstimated)
}

function chosenTables(feeding: readonly StreamRecord[], names: readonly string[] | null): StreamTable[] {
  const all = new Map(feeding.flatMap((stream) => stream.tables).map((table) => [table.name, table]))
  if (names === null || names.length === 0) return [...all.values()]
  return names.map((name) => {
    const table = all.get(name)
    if (table === undefined) throw verifyErrors.unknownTable({ table: name, known: [...all.keys()].join(', ') })
    return table
  })
}

function chosenGroups(planned: readonly Planned[], { feeding, shards }: PlanOptions): Planned[] {
  if (shards.length === 0) return [...planned]
  const known = shardNamesOf(feeding)
  const unknown = shards.find((shard) => !known.has(shard))
  if (unknown !== undefined) throw verifyErrors.unknownShard({ shard: unknown, known: [...known].join(', ') })
  return planned.filter(({ comparison: { group } }) => shardsOf(group).some(({ shard }) => shards.includes(shard)))
}
