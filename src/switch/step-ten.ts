/**
 * Step 10, for every way into the phase `opening` (switched, given up, recovered): the record has decided, this carries it out. Only here
 * is a server ever opened, and only one that the record says serves.
 *
 * All of it can be repeated. A server that is down on the side that does not serve delays nothing (after its restart its accounts are
 * locked still); one on the serving side is waited for.
 */
import { isSwError } from '../base/errors.ts'
import type { Log } from '../base/log.ts'
import { isConnectionLost, isServerError } from '../mysql/errors.ts'
import { toStable } from '../topology/routing.ts'
import type { ClaimedServer, ClaimPool } from './claim.ts'
import { ControllerDied } from './crash-points.ts'
import type { SwitchFailpoint } from './crash-points.ts'
import { decide } from './decide.ts'
import type { DecideContext, RoutingVersion } from './decide.ts'
import { closeServer, killClients, openServer } from './fence.ts'
import type { ClosedOptions } from './fence.ts'
import { readFenceNote } from './fence-note.ts'
import { schemasOn } from './plan.ts'
import type { Side } from './plan.ts'
import { objectsByShard, placeObjects } from './moved-objects.ts'
import type { Objects } from './moved-objects.ts'
import { settled } from './settled.ts'
import type { KilledSession } from './sessions.ts'

export type StepTenContext = DecideContext & {
  pool: ClaimPool
  log: Log
  fence: ClosedOptions
  failpoint: SwitchFailpoint
  readGraceMs: number
}

export type StepTen = {
  readonly keyspace: string
  readonly ranges: readonly string[]
  readonly routing: RoutingVersion
  readonly serving: Side
  readonly other: Side
  /** `laid`: we have just laid the other side's fence. `unknown`: after a crash; it is laid again where the server is up. */
  readonly otherFence: 'laid' | 'unknown'
}

export async function stepTen(context: StepTenContext, work: StepTen): Promise<{ routing: RoutingVersion; killed: KilledSession[] }> {
  const { pool, leadership, failpoint } = context
  const objects = await objectsByShard(context.store, work.keyspace, work.routing.value)
  const killed = (await settled(work.other.serverIds.map((id) => endClients(context, work, id, objects)))).flat()
  await failpoint('killed')
  await settled(
    work.serving.serverIds.map((id) =>
      untilDone(context, id, () =>
        pool.run(id, async (server) => {
          await placeServing(context, work, server, objects)
          await openServer(server, failpoint, schemasOn(work.serving, id))
        }),
      ),
    ),
  )
  await failpoint('opened')
  const routing = await decide(
    context,
    work.keyspace,
    work.routing,
    (record) => toStable(record, { ranges: work.ranges, token: leadership.token }),
    work.ranges,
  )
  return { routing, killed }
}

/** One that cannot be reached has no sessions that we could end, and delays nothing; anything else is tried a few times. */
async function endClients(
  context: StepTenContext,
  work: StepTen,
  serverId: string,
  objects: ReadonlyMap<string, Objects>,
): Promise<KilledSession[]> {
  const { pool, clock, readGraceMs, leadership, log } = context
  const fence = { ...context.fence, schemas: schemasOn(work.other, serverId) }
  const attemptsMax = 3
  for (let attempt = 1; ; attempt++) {
    try {
      return await pool.run(serverId, async (server) => {
        // A server of both sides is closed by its schemas, or not at all.
        if (work.serving.serverIds.includes(serverId) && (await readFenceNote(server.connection))?.kind !== 'triggers') return []
        const first = work.otherFence === 'unknown' ? await closeServer(server, fence, clock) : []
        await placeObjects(server, work.other.shards, objects, 'follows')
        return [...first, ...(await killClients(server, fence, readGraceMs, clock))]
      })
    } catch (error) {
      if (isFinal(error)) throw error
      leadership.signal.throwIfAborted()
      const unreachable = isSwError(error, 'SW-SWITCH-024') || isConnectionLost(error)
      if (unreachable || attempt === attemptsMax) {
        log.warn({ server: serverId, error: String(error) }, 'client sessions on the side that does not serve could not be ended; going on')
        return []
      }
    }
  }
}

/** What a server refuses to make must not keep it closed: clients wait. It is told, and serves without. */
async function placeServing(
  { log }: StepTenContext,
  work: StepTen,
  server: ClaimedServer,
  objects: ReadonlyMap<string, Objects>,
): Promise<void> {
  try {
    await placeObjects(server, work.serving.shards, objects, 'serves')
  } catch (error) {
    if (!isServerError(error) || error.class === 'transient') throw error
    log.error(
      { server: server.serverId, error: error.serverMessage },
      'ALARM: a trigger or event could not be made on the side that serves',
    )
  }
}

/**
 * Decided is decided: the serving side is opened whatever is in the way and however long its server takes to come back, by us or by the next
 * leader. An error that nobody foresaw must not leave clients held with nobody at work.
 */
async function untilDone(context: StepTenContext, serverId: string, work: () => Promise<void>): Promise<void> {
  for (let pauseMs = 20; ; pauseMs = Math.min(pauseMs * 2, 1_000)) {
    try {
      return await work()
    } catch (error) {
      context.leadership.signal.throwIfAborted()
      if (isFinal(error)) throw error
      context.log.warn({ server: serverId, error: String(error) }, 'a server that is to serve cannot be opened yet')
    }
    await context.clock.sleep(pauseMs, context.leadership.signal)
  }
}

/** Another controller is at work. */
function isFinal(error: unknown): boolean {
  return isSwError(error, 'SW-SWITCH-001') || error instanceof ControllerDied
}
