/** The watch for other writers of one dual-write run, kept in its record. */
import { allTables } from '../ingest/definition.ts'
import type { WorkflowRecord } from '../workflow/records.ts'
import { branchShards } from './branches.ts'
import { changeRun, freshRun, pairsOf } from './dualwrite-record.ts'
import type { Desk } from './dualwrite-record.ts'
import { dataOf } from './dualwrite-spec.ts'
import type { DualWriteWorld } from './dualwrite-world.ts'
import { foreignText } from './other-writers.ts'
import { noted, watchWriters } from './writers-watch.ts'
import type { Note } from './writers-watch.ts'

/** For as long as the old fleet is what the branch is compared with; rejects where its servers can't be looked at, and has noted that. */
export async function watchRunWriters(
  world: DualWriteWorld,
  desk: Desk,
  run: WorkflowRecord,
  signal: AbortSignal,
  found: () => Promise<void>,
): Promise<void> {
  const { store, clock } = world
  const { writers, dimensionTables = [] } = dataOf(await freshRun(store, run))
  const definitions = await Promise.all((await pairsOf(store, run)).map(({ old }) => world.loadDefinition(old.definitionPath)))
  const dimensions = definitions.flatMap(allTables).filter((table) => table.kind === 'dimension')
  const free = [...dimensionTables.map((table) => table.name), ...dimensions.map((table) => table.table)]
  const shards = await branchShards(world, run.keyspace, 'main')
  try {
    await watchWriters({ store, clock, shards, free, signal }, writers?.servers ?? {}, async (note) => {
      await keep(world, desk, run, note)
      if (note.found !== null) await found()
    })
  } catch (error) {
    if (signal.aborted) return
    const because = error instanceof Error ? error.message : String(error)
    await changeRun(desk, run, (now) => {
      const seen = dataOf(now).writers
      const trouble = { sinceMs: seen?.trouble?.sinceMs ?? clock.nowMs(), because }
      return { data: { writers: { servers: {}, found: [], ...seen, atMs: clock.nowMs(), trouble } } }
    })
    throw error
  }
}

async function keep({ log, clock }: DualWriteWorld, desk: Desk, run: WorkflowRecord, note: Note): Promise<void> {
  const { server, found, gap } = note
  if (gap !== null) log.warn({ run: run.name, server, gap }, 'who writes the old branch was not seen for a while')
  if (found !== null) log.error({ run: run.name, found }, 'others write the old branch of a dual-write run')
  await changeRun(desk, run, (now) => {
    const before = dataOf(now).writers
    const first = found !== null && !before?.found.some((one) => one.server === server)
    return {
      data: { writers: noted(before, note, clock.nowMs()) },
      ...(first ? { journal: `ALARM: somebody else writes the old branch: ${foreignText(found)}` } : {}),
      ...(gap === null ? {} : { journal: `who wrote ${server} before now is not known: ${gap}` }),
    }
  })
}
