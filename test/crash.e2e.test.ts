/**
 * Everything is killed, one after the other, under traffic: mover, control at the crash points of a switch, gate, database
 * servers, the whole tree. Each time it goes on by itself. At the end the shards are read directly: nothing lost, nothing
 * doubled, nothing misplaced, whatever the client was told is true (promises 1, 2, 3, 5, 9, 11).
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import type { SecondReport } from '../src/demo/application.ts'
import { ranges } from '../src/demo/story.ts'
import type { switchCrashPoints } from '../src/switch/crash-points.ts'
import { Installation } from './kit/installation.ts'
import type { RunningApplication } from './kit/installation.ts'
import { killControlAt, killServerOf, killTree, untilClientsWrite } from './kit/harm.ts'
import { until } from './kit/until.ts'
import { ReshardUnderTest } from './kit/workflow.ts'

/** Those whose recovery differs; `npm run torture` walks all, in all directions. */
const walked = [
  'held',
  'tablesLocked',
  'fence.accountsLocked',
  'wayBackProven',
  'decided',
  'fence.writable',
] as const satisfies readonly (typeof switchCrashPoints)[number][]

test('promise 1: kill -9 of every process at every phase of 1 → 4', { timeout: 400_000 }, async (t) => {
  await using installation = await Installation.start({ rows: 20_000, leaseMs: 1500 })
  const application = installation.startApplication({ writesPerSecond: 80, readsPerSecond: 60 })
  const reshard = ReshardUnderTest.even(installation.client, 1, 4, { failpoints: { 'copy.beforeLandCommit': 'hold' } })
  const step = steps(t, installation, application)

  await step('the mover while it copies', async () => {
    await until('the application to work', () => application.seconds.length >= 1)
    await reshard.create()
    await until('the mover to copy', async () => (await reshard.show()).streams.some((stream) => stream.state === 'copying'))
    await installation.kill('mover')
    await until('the next mover to copy', async () =>
      (await reshard.show()).streams.some((stream) => stream.state === 'copying' && (stream.reportAgeMs ?? 9e9) < 1000),
    )
    await installation.clearFailpoints((await reshard.show()).uid)
    await reshard.untilFollowing()
  })
  await step('the mover while it follows', async () => {
    await installation.kill('mover')
    await reshard.untilFollowing()
  })
  await step('a database server that will take over', () => killServerOf(installation, ranges(4)[0]!, reshard))
  await step('the database server that serves, ours to start again', async () => {
    await installation.existing.kill9()
    await installation.existing.restart()
    await reshard.untilFollowing()
  })
  await step('the gate', async () => {
    const pid = await installation.kill('gate')
    assert.notEqual((await installation.pids()).gate, pid)
  })
  for (const point of walked) {
    await step(`control at ${point} of a switch`, async () => {
      const serving = (await reshard.show()).serving
      await killControlAt(installation, reshard, point, serving === 'source' ? 'switchtraffic' : 'reversetraffic')
    })
  }
  await step('a database server that serves, of our own making', async () => {
    if ((await reshard.show()).serving === 'source') await reshard.actWhenReady('switchtraffic')
    await killServerOf(installation, ranges(4)[3]!, reshard)
  })
  await step('the whole tree in the middle of a switch', async () => {
    const action = await reshard.ask('reversetraffic')
    await killTree(installation)
    await reshard.outcome(action)
    await reshard.untilFollowing()
  })
  await step('to the end', async () => {
    if ((await reshard.show()).serving === 'source') await reshard.actWhenReady('switchtraffic')
    const vdiff = await reshard.vdiff()
    assert.equal(vdiff.state, 'clean', JSON.stringify(vdiff.tables))
    await reshard.act('complete')
    await untilClientsWrite(application)
  })

  const ended = await application.stop()
  const check = await installation.check(ranges(4))
  t.diagnostic(
    `${ended.operations} operations, ${ended.errors.length} errors, ${check.acknowledged} acknowledged, ${check.unknown} unknown`,
  )
  assert.ok(check.acknowledged > 500, 'the application has written')
  assert.equal(
    ended.wrongReads,
    0,
    `the application read its own writes: ${ended.errors.filter((error) => error.includes('own write'))[0] ?? ''}`,
  )
  assert.deepEqual(
    { lost: check.lost, doubled: check.doubled, misplaced: check.misplaced, ids: check.duplicateIds },
    { lost: [], doubled: [], misplaced: [], ids: [] },
  )
})

/** How many errors clients were told, and the first of each kind. */
function errorsOf(seconds: readonly SecondReport[]): string {
  const errors = seconds.reduce((n, second) => n + second.errors, 0)
  const kinds = new Set(seconds.flatMap((second) => second.messages).map((message) => message.replace(/\d{4,}/g, 'N').slice(0, 120)))
  return `${errors} errors at the client, slowest write ${Math.round(Math.max(0, ...seconds.map((s) => s.slowestWriteMs)))} ms ${[...kinds].slice(0, 6).join(' | ')}`
}

/** Steps as subtests; the first that fails ends the walk, with what the processes logged. Clients can write after each. */
function steps(
  t: TestContext,
  installation: Installation,
  application: RunningApplication,
): (name: string, work: () => Promise<void>) => Promise<void> {
  return async (name, work) => {
    let failure: unknown = null
    await t.test(name, async (t) => {
      const from = application.seconds.length
      try {
        await work()
        await untilClientsWrite(application)
        const told = errorsOf(application.seconds.slice(from))
        t.diagnostic(told)
        // Neither stands between a client and its rows: the gate holds what a switch holds up until the next controller has decided.
        if (name.startsWith('the mover') || name.startsWith('control at')) assert.match(told, /^0 errors/)
      } catch (error) {
        failure = installation.describe(error)
        throw failure
      }
    })
    if (failure !== null) throw new Error(`stopped after: ${name}`)
  }
}
