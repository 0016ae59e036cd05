import type { StatusView } from '../api/schemas.ts'
import { keys } from '../topology/keys.ts'
import type { Installation } from '../topology/records.ts'
import type { World } from '../change/servers.ts'
import { TopologyView } from './views.ts'

/** The topology of one instant, without the logs of workflows: they only grow. */
export async function topologyView(world: World): Promise<TopologyView> {
  return new TopologyView(await world.store.list('', keys.audits), world.clock.nowMs())
}

export async function statusView(world: World, version: string): Promise<StatusView> {
  const view = await topologyView(world)
  const leader = view.leader()
  return {
    installation: view.one<Installation>(keys.installation)?.id ?? '',
    version,
    leader: leader === null ? null : { holder: leader.holder, token: leader.token },
    keyspaces: view.keyspaces(),
    workflows: view.workflows(),
    gates: view.gates(),
    movers: view.movers().map(({ id, pid, startedAtMs, rssBytes }) => ({ id, pid, startedAtMs, rssBytes })),
    nowMs: view.nowMs,
  }
}
