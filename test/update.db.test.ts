/**
 * Proves: what `reshard update --max-source-load / --pause-until / --resume` says reaches a stream that runs: the words of the command line, the verb, the
 * workflow's record, a mover that is running, its copy.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { systemClock } from '../src/base/clock.ts'
import { silentLog } from '../src/base/log.ts'
import { updateVerb } from '../src/change/pace.ts'
import { paceLimits } from '../src/cli/pace.ts'
import { Mover } from '../src/move/mover.ts'
import { smallConfig } from '../src/move/testkit/small-config.ts'
import { fill, World } from '../src/move/testkit/world.ts'
import { keys } from '../src/topology/keys.ts'
import { MemoryStore } from '../src/topology/memory.ts'
import type { PaceRecord, StreamReport } from '../src/topology/records.ts'
import { put, readRecord } from '../src/topology/typed.ts'
import type { ActionContext } from '../src/workflow/context.ts'
import { besideEachOther } from './kit/beside.ts'
import { sharedServer } from './kit/servers.ts'
import { until } from './kit/until.ts'

besideEachOther('a copy that is told its pace', (flavour) => {
  test('1.14, promise 7: limits of `reshard update` reach the copy that runs, which says by what it is held, and goes on', async () => {
    const server = await sharedServer(flavour)
    await using world = await World.create({ flavour, sources: ['-'], targets: ['-80', '80-'] }, { source: server, target: server })
    await fill(world, 0, 900, 2000)
    await using store = new MemoryStore(systemClock)
    const record = world.record(0)
    const uid = record.workflowUid
    const said: string[] = []
    const update = async (flags: Record<string, string | boolean>): Promise<void> => {
      const context: Partial<ActionContext> = {
        store,
        clock: systemClock,
        workflow: { uid, name: 'flow', keyspace: 'app', state: 'running', spec: {} } as unknown as ActionContext['workflow'],
        action: { id: 'a', verb: 'update', args: { limits: paceLimits(flags, Date.now()) } } as unknown as ActionContext['action'],
        leadership: { token: 1, fence: { key: 'fence', version: 0 }, signal: new AbortController().signal },
        journal: async (line) => void said.push(line),
        say: async () => undefined,
      }
      await updateVerb(context as ActionContext)
    }
    const report = async (): Promise<StreamReport | undefined> =>
      (await readRecord<StreamReport>(store, keys.report(uid, record.uid)))?.value

    // As `create --pause-until` leaves it: the copy stands before its first chunk.
    const limits = paceLimits({ pauseUntil: '1h' }, Date.now())
    await store.commit([], [put<PaceRecord>(keys.pace(uid), { v: 1, workflowUid: uid, limits }), put(keys.stream(uid, record.uid), record)])
    const stop = new AbortController()
    const mover = new Mover({
      store,
      id: 'mover-1',
      pid: process.pid,
      clock: systemClock,
      log: silentLog,
      config: smallConfig,
      addresses: async (id) => ({ id, name: id, flavour: server.flavour, connect: server.config }),
      rssBytes: () => 1,
      kill: () => assert.fail('no failpoint is armed'),
    })
    const running = mover.run(stop.signal)
    try {
      await until('the copy to be paused', async () => /paused until/.test((await report())?.waiting?.what ?? ''))
      assert.match((await report())?.waiting?.ends ?? '', /update --resume/)

      // A share of the source's time so small that the first chunk uses up minutes of it.
      await update({ resume: true, maxSourceLoad: '0.000001' })
      await until('the copy to be held by the load', async () => {
        const { waiting, copy } = (await report()) ?? {}
        return (
          waiting !== null &&
          waiting !== undefined &&
          !/paused/.test(waiting.what) &&
          (copy?.rowsDone ?? 0) < 900 &&
          /%|load|time/.test(waiting.what)
        )
      })

      await update({ pauseUntil: '2h' })
      await until('the copy to be paused again', async () => /paused until/.test((await report())?.waiting?.what ?? ''))
      assert.equal((await report())?.state, 'copying')
      assert.ok(((await report())?.copy.rowsDone ?? 0) < 900, 'a part of the rows at most')

      await update({ resume: true, maxSourceLoad: 'none' })
      await until('the stream to follow', async () => (await report())?.state === 'running')
      assert.equal(await world.assertEqual(), 900)
      assert.match(said.join('\n'), /paused until/)
      assert.match(said.join('\n'), /the copy goes on/)
    } finally {
      stop.abort()
      await running
    }
  })
})
