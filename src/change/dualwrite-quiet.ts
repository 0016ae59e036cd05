/**
 * Whether anybody reads the old servers: looked at before the old fleet is stopped, and again before anything is removed, as a reader may come at any time in between.
 * By the servers' own figures, `quietMs` apart: no reads in between, no session of an account that is not ours (server-reads.ts). A server that did not count is made to for as long as
 * it is asked, which is noted in the run before, so that whoever comes after a dead controller puts it back.
 */
import { branchKeyspace } from '../topology/dualwrite-records.ts'
import { keys } from '../topology/keys.ts'
import type { ShardRecord } from '../topology/records.ts'
import type { WorkflowRecord } from '../workflow/records.ts'
import { changeRun, freshRun } from './dualwrite-record.ts'
import type { Desk } from './dualwrite-record.ts'
import { dataOf, specOf } from './dualwrite-spec.ts'
import type { DualWriteWorld } from './dualwrite-world.ts'
import { readBetween, readersByName, startCounting, stopCounting } from './server-reads.ts'
import type { Place, Readers } from './server-reads.ts'
import { withServer } from './servers.ts'

type Look = {
  readonly shards: readonly ShardRecord[]
  readonly attempts: number
  /** Clients still write these copied tables there, through gates. */
  readonly served?: readonly string[]
  readonly signal: AbortSignal
  readonly onWait?: (servers: readonly string[], used: readonly string[]) => Promise<void>
}

/** Who reads them, in words, or why that is not known; empty: nobody did in the last `quietMs`. What was under way when the last reader left may still end in the first of several attempts. */
export async function readersLeft(world: DualWriteWorld, desk: Desk, run: WorkflowRecord, look: Look): Promise<string[]> {
  const servers: string[] = []
  // An attempt before this one may have removed some.
  for (const id of new Set(look.shards.map((shard) => shard.serverId)))
    if ((await world.store.get(keys.server(id))) !== null) servers.push(id)
  if (servers.length === 0) return []
  const quietMs = specOf(run).quietMs
  const { served = [] } = look
  const notCounted = served.length > 0 ? ['sw_gate'] : []
  const placeOf = (id: string): Place => ({
    schemas: look.shards.filter(({ serverId }) => serverId === id).map(({ schema }) => schema),
    served,
  })
  const figures = async (): Promise<Map<string, Readers>> => {
    const out = new Map<string, Readers>()
    for (const id of servers)
      out.set(
        id,
        await withServer(world.store, id, 'admin', (connection) => readersByName(connection, placeOf(id), desk.clock, look.signal)),
      )
    return out
  }
  return counted(world, desk, run, servers, async (blind) => {
    if (blind.length > 0) return blind
    let used: string[] = []
    let before = await figures()
    for (let attempt = 0; attempt < look.attempts; attempt++) {
      await look.onWait?.(servers, used)
      await desk.clock.sleep(quietMs, look.signal)
      const after = await figures()
      used = servers.flatMap((id) => {
        const [first, last] = [before.get(id), after.get(id)]
        if (first === undefined || last === undefined) return []
        return [
          ...readBetween(first, last, notCounted).map((who) => `${who} read ${id}`),
          ...last.sessions.map((who) => `${who} is connected to ${id}`),
        ]
      })
      if (used.length === 0) break
      before = after
    }
    return used
  })
}

async function counted<T>(
  world: DualWriteWorld,
  desk: Desk,
  run: WorkflowRecord,
  servers: readonly string[],
  work: (blind: string[]) => Promise<T>,
): Promise<T> {
  const blind: string[] = []
  for (const id of servers) {
    const note = async (off: readonly string[]): Promise<void> => {
      await changeRun(desk, run, (now) => {
        const { countingOn = {} } = dataOf(now)
        return { data: { countingOn: { ...countingOn, [id]: [...new Set([...(countingOn[id] ?? []), ...off])] } } }
      })
    }
    const why = await withServer(world.store, id, 'admin', (connection) => startCounting(connection, note))
    if (why !== null) blind.push(`reads of ${id} can not be counted (${why})`)
  }
  try {
    return await work(blind)
  } finally {
    for (const [id, off] of Object.entries(dataOf(await freshRun(desk.store, run)).countingOn ?? {})) {
      if ((await world.store.get(keys.server(id))) !== null)
        await withServer(world.store, id, 'admin', (connection) => stopCounting(connection, off))
      await changeRun(desk, run, (now) => {
        const { [id]: _, ...countingOn } = dataOf(now).countingOn ?? {}
        return { data: { countingOn } }
      })
    }
  }
}

/** Before the old side is removed: false, and who it is in the journal, when somebody reads it. It is tried again by whoever called. */
export async function nobodyReads(world: DualWriteWorld, desk: Desk, run: WorkflowRecord, served: readonly string[]): Promise<boolean> {
  const { oldShards: shards = [] } = dataOf(run)
  const { signal } = desk.leadership
  const used = await readersLeft(world, desk, run, { shards, attempts: 1, served, signal })
  const by = used.length === 0 ? null : used.join('; ')
  // Counts differ at each look; who it is does not.
  const who = by?.replace(/ \(\d+ (statements|rows)\)/g, '') ?? null
  await changeRun(desk, run, (now) => {
    if ((dataOf(now).removalStopped ?? null) === who) return null
    if (who === null) return { data: { removalStopped: null } }
    const branch = branchKeyspace(run.keyspace, 'main')
    return {
      data: { removalStopped: who },
      journal: `the old side of ${branch} is not removed while it is read: ${by}; point that at the gate; it is tried again`,
    }
  })
  return used.length === 0
}
