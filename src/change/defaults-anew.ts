/**
 * Servers of our own making were given the sessions' defaults of a source when they were made. What somebody has set otherwise there since, they are given before a switch: nobody else could, as they are closed.
 */
import { isSwError } from '../base/errors.ts'
import { ServerError } from '../mysql/errors.ts'
import { differingDefaults, readSessionDefaults, type SessionDefaults } from '../mysql/session-defaults.ts'
import type { SwitchPlan } from '../switch/plan.ts'
import { keys } from '../topology/keys.ts'
import type { RoutingRecord, ServerRecord } from '../topology/records.ts'
import { readRecord } from '../topology/typed.ts'
import { shardsOn, takeDefaultsOf, withServer, type World } from './servers.ts'

/** Of the side that is to serve; a server on which a shard serves already keeps what it has. One that cannot be reached is told by who looks at the switch. */
export async function takeDefaultsAnew(world: World, plan: Pick<SwitchPlan, 'from' | 'to'>): Promise<void> {
  try {
    await takeAnew(world, plan)
  } catch (error) {
    if (!isSwError(error) && !(error instanceof ServerError)) throw error
    world.log.warn({ error }, "the sessions' defaults of servers that we made could not be looked at")
  }
}

async function takeAnew(world: World, { from, to }: Pick<SwitchPlan, 'from' | 'to'>): Promise<void> {
  const [like] = from.serverIds
  if (like === undefined) return
  const wanted = await defaultsOf(world, like)
  for (const id of to.serverIds) {
    const server = await readRecord<ServerRecord>(world.store, keys.server(id))
    if (server?.value.provisioned !== true || (await serves(world, id))) continue
    if (differingDefaults(wanted, await defaultsOf(world, id)).length > 0) await takeDefaultsOf(world, id, like)
  }
}

async function defaultsOf({ store }: World, id: string): Promise<Map<string, SessionDefaults>> {
  return new Map([[id, await withServer(store, id, 'admin', readSessionDefaults)]])
}

async function serves({ store }: World, id: string): Promise<boolean> {
  for (const { keyspace, name } of await shardsOn(store, id)) {
    const routing = await readRecord<RoutingRecord>(store, keys.routing(keyspace))
    if (routing?.value.components.some(({ serving }) => serving.primary.includes(name)) === true) return true
  }
  return false
}
