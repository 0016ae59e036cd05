/** Deaths, and what must be true a moment later. */
import assert from 'node:assert/strict'
import type { ActionView } from '../../src/api/schemas.ts'
import { systemClock } from '../../src/base/clock.ts'
import type { SwitchCrashPoint } from '../../src/switch/crash-points.ts'
import { database } from '../../src/demo/workload.ts'
import { identify, isAlive, signalIfAlive } from '../../src/local/process-identity.ts'
import { readServerRecord } from '../../src/local/server-record.ts'
import { join } from 'node:path'
import { isRunning } from './installation.ts'
import type { Installation, RunningApplication } from './installation.ts'
import { until } from './until.ts'
import type { ReshardUnderTest } from './workflow.ts'

/** A whole report of the application in which writes were told yes and nothing failed. */
export async function untilClientsWrite(application: RunningApplication, limitMs = 90_000): Promise<void> {
  const from = application.seconds.length
  await until(
    'clients to write without an error',
    () => application.seconds.slice(from + 1).some((s) => s.writes > 0 && s.errors === 0),
    limitMs,
  )
}

/** Kills the server of a shard, which we provisioned: it must come back by itself, and every stream must follow again. */
export async function killServerOf(installation: Installation, shard: string, reshard: ReshardUnderTest): Promise<void> {
  const view = (await installation.client.call('listShards', { keyspace: database })).find((one) => one.name === shard)
  assert.ok(view, `there is a shard ${shard}`)
  const dir = join(installation.dataDir, 'servers', view.server.id)
  const before = readServerRecord(dir)?.process
  assert.ok(before, `${view.server.id} runs`)
  signalIfAlive(before, 'SIGKILL')
  await until(`${view.server.id} to be started again`, () => {
    const now = readServerRecord(dir)?.process
    return now != null && now.pid !== before.pid && isAlive(now)
  })
  await reshard.untilFollowing()
}

/**
 * Control dies at this point of a switch. The one started in its place goes on: the switch comes true or is given up, and can
 * be repeated; either way streams follow and the record is stable.
 */
export async function killControlAt(
  installation: Installation,
  reshard: ReshardUnderTest,
  point: SwitchCrashPoint,
  verb: 'switchtraffic' | 'reversetraffic',
): Promise<void> {
  installation.armSwitch(point)
  for (let attempt = 1; ; attempt++) {
    const action = await reshard.ask(verb)
    let early: ActionView | null = null
    await until(
      `control to come to ${point}`,
      async () => installation.switchFired || (early = await reshard.ended(action)) !== null,
      40_000,
    )
    if (installation.switchFired) {
      await reshard.outcome(action, 60_000)
      break
    }
    // Refused by the preflight: what was just harmed was not measured anew yet.
    assert.ok(attempt < 8 && early !== null, `the switch never came to ${point}: ${JSON.stringify((early as ActionView | null)?.errors)}`)
    await reshard.untilFollowing()
  }
  const view = await installation.client.call('showKeyspace', { keyspace: database })
  assert.ok(
    view.routing.components.every((component) => component.phase === 'stable' && component.holdSinceMs === null),
    JSON.stringify(view.routing),
  )
  await reshard.untilFollowing()
}

/** Kills the root of the tree: its processes must see that and end within two seconds; then it is started again. */
export async function killTree(installation: Installation): Promise<void> {
  const pids = Object.entries(await installation.pids())
  const identities = pids.map(([name, pid]) => ({ name, pid, identity: identify(pid) }))
  await installation.killTree()
  const startedMs = systemClock.monotonicMs()
  await until('the processes of the tree to end', () => pids.every(([, pid]) => !isRunning(pid)), 10_000).catch((error: unknown) => {
    for (const { identity } of identities) if (identity !== null) signalIfAlive(identity, 'SIGKILL')
    throw error
  })
  const tookMs = systemClock.monotonicMs() - startedMs
  assert.ok(tookMs < 2500, `processes ended ${Math.round(tookMs)} ms after their parent`)
  await installation.startTree()
}
