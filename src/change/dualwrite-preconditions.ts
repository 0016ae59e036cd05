/**
 * What must hold before a dual-write run begins, machine-checked, all of it listed at once (issue 6), each with what to do. What cannot be found out is
 * in the way like what is wrong: unknown never lets anything proceed (promise 6); `--allow CHECK` passes one over by name.
 */
import type { Clock } from '../base/clock.ts'
import type { Log } from '../base/log.ts'
import type { Store } from '../topology/store.ts'
import { mainBranch } from '../topology/dualwrite-records.ts'
import { keys } from '../topology/keys.ts'
import type { RoutingRecord, ShardRecord } from '../topology/records.ts'
import { servesPrimary } from '../topology/routing.ts'
import { listRecords, readRecord } from '../topology/typed.ts'
import { freeBytes } from './branch-size.ts'
import { fleetsOf } from './branch-positions.ts'
import {
  checkCost,
  checkDimensions,
  checkExpiry,
  checkForeignKeys,
  checkRetention,
  checkSize,
  checkTables,
  checkTwice,
  checkWriters,
} from './dualwrite-checks.ts'
import type { CheckInput } from './dualwrite-checks.ts'
import { checkReplicas } from './dualwrite-replicas.ts'
import type { Finding, PreconditionRequest } from './dualwrite-world.ts'

/** How long binlogs are tailed, and how many records the scratch branches are filled from. */
const lookMsDefault = 3_000
const scratchRecords = 10_000

export function preconditionsFor(world: {
  readonly store: Store
  readonly clock: Clock
  readonly log: Log
  /** How long binlogs are tailed for other writers. */
  readonly lookMs?: number
  readonly free?: CheckInput['free']
}): (request: PreconditionRequest) => Promise<readonly Finding[]> {
  return async (request) => {
    const { store } = world
    const input: CheckInput = {
      ...world,
      request,
      shards: await serving(store, request.keyspace.name),
      newShards: await serving(store, request.branch.name),
      fleets: await fleetsOf(store, request.keyspace.name, mainBranch),
      lookMs: world.lookMs ?? lookMsDefault,
      scratchRecords,
      free: world.free ?? ((shards) => freeBytes(store, shards)),
    }
    const checks = [
      checkExpiry,
      checkTables,
      checkDimensions,
      checkRetention,
      checkWriters,
      checkForeignKeys,
      checkReplicas,
      checkTwice,
      checkSize,
      checkCost,
    ]
    const found = await Promise.all(
      checks.map(async (check) => {
        try {
          return await check(input)
        } catch (error) {
          request.signal.throwIfAborted()
          world.log.warn({ error, check: check.name }, 'a precondition could not be checked')
          return [unknown(check.name, error)]
        }
      }),
    )
    return found.flat()
  }
}

function unknown(check: string, error: unknown): Finding {
  return {
    check: check.replace(/^check/, '').toLowerCase(),
    what: `could not be checked: ${error instanceof Error ? error.message : String(error)}`,
    why: 'what is not known does not let a run begin',
    fix: 'mend what the message names, then create the run again',
    blocks: true,
  }
}

async function serving(store: Store, keyspace: string): Promise<ShardRecord[]> {
  const routing = await readRecord<RoutingRecord>(store, keys.routing(keyspace))
  return (await listRecords<ShardRecord>(store, keys.shards(keyspace)))
    .map((record) => record.value)
    .filter((shard) => routing !== null && servesPrimary(routing.value, shard.name))
}
