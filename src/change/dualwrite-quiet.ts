/**
 * Whether anybody reads the old servers: looked at before the old fleet is stopped, and again before anything is removed, as a reader may come at any time in between.
 * By the servers' own figures, `quietMs` apart: no reads in between, no session of an account that is not ours. A server that did not count is made to for as long as
 * it is asked, which is noted in the run before, so that whoever comes after a dead controller puts it back.
 */
import { branchKeyspace } from '../topology/dualwrite-records.ts'
import type { ShardRecord } from '../topology/records.ts'
import type { WorkflowRecord } from '../workflow/records.ts'
import { changeRun, freshRun } from './dualwrite-record.ts'
import type { Desk } from './dualwrite-record.ts'
import { dataOf, specOf } from './dualwrite-spec.ts'
import type { DualWriteWorld } from './dualwrite-world.ts'
import { readBetween, readersOf, setCounting, unknownUsers } from './server-reads.ts'
import type { Readers } from './server-reads.ts'
import { withServer } from './servers.ts'

type Look = {
  readonly shards: readonly ShardRecord[]
  readonly attempts: number
  /** Accounts whose reads do not count: clients still write copied tables there through gates. */
  readonly notCounted?: readonly string[]
  readonly signal: AbortSignal
  readonly onWait?: (servers: readonly string[], used: readonly string[]) => Promise<void>
}

/** Who reads them, in words, or why that is not known; empty: nobody did in the last `quietMs`. What was under way when the last reader left may still end in the first of several attempts. */
export async function readersLeft(world: DualWriteWorld, desk: Desk, run: WorkflowRecord, look: Look): Promise<string[]> {
  const servers = [...new Set(look.shards.map((shard) => shard.serverId))]
  if (servers.length === 0) return []
  const quietMs = specOf(run).quietMs
  const figures = async (): Promise<Map<string, Readers>> => {
    const out = new Map<string, Readers>()
    for (const id of servers) out.set(id, await withServer(world.store, id, 'admin', readersOf))
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
          ...readBetween(first, last, look.notCounted).map((who) => `${who} read ${id}`),
          ...unknownUsers(last).map((who) => `${who} is connected to ${id}`),
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
    const note = async (): Promise<void> => {
      await changeRun(desk, run, (now) => ({ data: { countingOn: [...new Set([...(dataOf(now).countingOn ?? []), id])] } }))
    }
    const why = await withServer(world.store, id, 'admin', (connection) => setCounting(connection, true, note))
    if (why !== null) blind.push(`reads of ${id} can not be counted (${why})`)
  }
  try {
    return await work(blind)
  } finally {
    for (const id of dataOf(await freshRun(desk.store, run)).countingOn ?? []) {
      await withServer(world.store, id, 'admin', (connection) => setCounting(connection, false))
      await changeRun(desk, run, (now) => ({ data: { countingOn: (dataOf(now).countingOn ?? []).filter((one) => one !== id) } }))
    }
  }
}

/** Before the old side is removed: false, and who it is in the journal, when somebody reads it. It is tried again by whoever called. */
export async function nobodyReads(world: DualWriteWorld, desk: Desk, run: WorkflowRecord, notCounted: readonly string[]): Promise<boolean> {
  const { oldShards: shards = [] } = dataOf(run)
  const { signal } = desk.leadership
  const used = await readersLeft(world, desk, run, { shards, attempts: 1, notCounted, signal })
  const by = used.length === 0 ? null : used.join('; ')
  // Counts differ at each look; who it is does not.
  const who = by?.replace(/ \(\d+ statements\)/g, '') ?? null
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
