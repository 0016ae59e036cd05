/** The watch for other writers of one dual-write run, kept in its record. */
import { allTables } from '../ingest/definition.ts'
import type { WorkflowRecord } from '../workflow/records.ts'
import { branchShards } from './branches.ts'
import { changeRun, freshRun, pairsOf } from './dualwrite-record.ts'
import type { Desk } from './dualwrite-record.ts'
import { dataOf, specOf } from './dualwrite-spec.ts'
import type { DualWriteWorld } from './dualwrite-world.ts'
import { foreignText } from './other-writers.ts'
import { noted, nothingSeen } from './writers-seen.ts'
import type { Note, WritersSeen } from './writers-seen.ts'
import { serversOf, watchWriters } from './writers-watch.ts'

const againMs = 3_000

/** For as long as the old fleet is what the branch is compared with. What stops it is noted, and after a while it is to be begun again. */
export async function watchRunWriters(
  world: DualWriteWorld,
  desk: Desk,
  run: WorkflowRecord,
  signal: AbortSignal,
  found: () => Promise<void>,
): Promise<void> {
  const { store, clock, log } = world
  try {
    const { bootstrap, allow } = specOf(run)
    const { dimensionTables = [] } = dataOf(run)
    const definitions = await Promise.all((await pairsOf(store, run)).map(({ old }) => world.loadDefinition(old.definitionPath)))
    const tables = definitions.flatMap(allTables)
    const copied = bootstrap === 'hybrid' ? tables.filter(({ kind }) => kind === 'dimension').map(({ table }) => table) : []
    const free = [...dimensionTables.map(({ name }) => name), ...copied]
    const settleMs = Math.max(0, ...tables.map(({ bucket }) => bucket?.everyMs ?? 0))
    const shards = await branchShards(world, run.keyspace, 'main')
    const wanted = serversOf(shards)
    const seen = await change(desk, run, (now) => ({ ...now, wanted, settleMs }))
    const allowed = allow.includes('writers')
    await watchWriters({ store, clock, shards, free, allowed, signal }, seen.servers, async (note) => {
      await keep(world, desk, run, note)
      if (note.found !== null && !allowed) await found()
    })
  } catch (error) {
    if (signal.aborted) return
    const because = error instanceof Error ? error.message : String(error)
    log.warn({ run: run.name, error }, 'who writes the old branch of a dual-write run can not be seen; tried again')
    await change(desk, run, (now) => ({ ...now, trouble: { atMs: clock.nowMs(), because } }))
    await clock.sleep(againMs, signal).catch(() => undefined)
  }
}

async function change(desk: Desk, run: WorkflowRecord, make: (seen: WritersSeen) => WritersSeen): Promise<WritersSeen> {
  const changed = await changeRun(desk, run, (now) => ({ data: { writers: make(dataOf(now).writers ?? nothingSeen) } }))
  return dataOf(changed).writers ?? nothingSeen
}

async function keep({ log, clock }: DualWriteWorld, desk: Desk, run: WorkflowRecord, note: Note): Promise<void> {
  const { server, found, gap } = note
  await changeRun(desk, run, (now) => {
    const before = dataOf(now).writers ?? nothingSeen
    const first = found !== null && !before.found.some((one) => one.server === server)
    if (first) log.error({ run: run.name, found }, 'others write the old branch of a dual-write run')
    return {
      data: { writers: noted(before, note, clock.nowMs()) },
      ...(first ? { journal: `ALARM: somebody else writes the old branch: ${foreignText(found)}` } : {}),
      ...(gap === null ? {} : { journal: `who wrote ${server} before now is not known: ${gap}` }),
    }
  })
}

/** Kept by `create` before it looks at what stands in the way: whoever writes meanwhile is found. */
export async function lookFromHereOn(desk: Desk, run: WorkflowRecord, writers: WritersSeen): Promise<void> {
  if (dataOf(await freshRun(desk.store, run)).writers === undefined) await change(desk, run, () => writers)
}
