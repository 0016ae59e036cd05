/**
 * Promise 1, 3: death at every crash point. In-process: the run is torn down at the point as a killed mover's would be (its connections are cut
 * with what was sent still on its way, nothing is stored), then another run begins from what stands on the targets. Points of DDL and XA: `crash-ddl.db.test.ts`; of rows held back: `crash-held.db.test.ts`.
 * At `marker.beforeReport`, which nobody waits for, only a process can die: `sigkill.db.test.ts`.
 */
import { after, test } from 'node:test'
import assert from 'node:assert/strict'
import { besideEachOther } from '../../test/kit/beside.ts'
import { ServerPairs } from '../../test/kit/server-pairs.ts'
import { crashPoints, type CrashPoint } from './crash-points.ts'
import { killAt } from './testkit/kill-at.ts'
import { fill, workload, World } from './testkit/world.ts'

const perPoint: Partial<Record<CrashPoint, { partBytesMax?: number }>> = { 'part.afterSome': { partBytesMax: 500 } }

/** Where the two flavours differ on our way: landings by LOAD DATA, rounds in lanes and in one transaction, parts, and the rebuild of keys. All by SHARDWRIGHT_CRASH_ALL=1. */
const onMysql: readonly CrashPoint[] = ['copy.beforeLandCommit', 'copy.beforeKeys', 'round.afterSomeLanes', 'part.afterSome']
const all = process.env['SHARDWRIGHT_CRASH_ALL'] !== undefined

const servers = new ServerPairs()
after(() => servers[Symbol.asyncDispose]())

besideEachOther(
  'movers that die',
  (flavour) => {
    for (const point of flavour === 'mysql' && !all ? onMysql : crashPoints.filter((name) => !/^(ddl|xa|marker|held)\./.test(name))) {
      test(`promises 1, 3: ${flavour}, killed at ${point}, begun again: the same rows`, async () => {
        await using world = await World.create({ flavour, sources: ['-'], targets: ['-80', '80-'] }, servers.of(flavour))
        await fill(world, 0, 800, 2000)
        const load = workload(world, 0, 7, { ids: 2000, uniques: 100, pauseMs: 1 })
        const record = world.record(0)
        let died = 0
        for (const skip of [0, 2]) {
          const failpoints = killAt(point, skip)
          const running = world.start(record, { failpoints, config: { oneLaneChangesMax: 1, ...perPoint[point] } })
          const ended = running.done.then(() => true)
          // Points of the start are met once; others within the copy, its end or the following.
          await Promise.race([ended, world.until('kill', () => failpoints.hits > skip || world.state(record.uid) === 'running', 20_000)])
          if (failpoints.hits <= skip) await Promise.race([ended, new Promise((resolve) => setTimeout(resolve, 300))])
          if (failpoints.hits > skip) {
            await ended
            assert.match(world.reports.get(record.uid)?.error?.what ?? '', new RegExp(point))
            died++
          } else await running.stop()
          world.reports.delete(record.uid)
        }
        const last = world.start(record)
        await world.untilRunning(record.uid)
        await load.stop()
        await world.drain(record.uid)
        await world.assertEqual()
        await last.stop()
        assert.ok(died > 0, 'the point was met')
      })
    }
  },
  2,
)
