import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { systemClock } from '../src/base/clock.ts'
import { DualWriteTestWorld } from './kit/dualwrite-world.ts'
import type { Death } from './kit/mortal-store.ts'
import { hybridShape, rowsOf, startEntry, writeSettings } from './kit/hybrid-world.ts'
import { flavours } from './kit/servers.ts'
import { until } from './kit/until.ts'

// Each with servers and processes of its own.
describe('hybrid', { concurrency: 2 }, () => {
  test('promises 1, 5: hybrid end to end (rule 13): dimensions copied and merged under a killed mover and a killed consumer, ramped, completed', async () => {
    await using world = await DualWriteTestWorld.start('mariadb', hybridShape)
    const log = (text: string): void => console.log(`${new Date().toISOString().slice(17, 23)} ${text}`)
    const c = await world.connect()
    // What no record made: it can only come by the copy.
    for (let tenant = 0; tenant < 40; tenant++)
      for (let from = 0; from < 100; from += 50)
        await c.query('INSERT INTO pattern VALUES ?', [
          Array.from({ length: 50 }, (_, i) => [tenant, 1000 + from + i, i, 1, 2, '', `made by hand ${i}`]),
        ])
    await world.fleet()
    await using _main = await startEntry(world, 'consume', ['--branch', 'insights', '--lease-ms', '3000'])
    const producer = world.produce(100)
    await using settings = writeSettings(world)
    await until('the old branch to have rows', async () => {
      const [rows] = await c.query('SELECT COUNT(*) AS n FROM pattern WHERE id < 1000')
      return Number((rows as { n: number }[])[0]?.n) === 200
    })
    await world.branch()
    const refused = await world.create({ bootstrap: 'pin' }, false)
    const reasons = refused.errors.map((error) => error.what).join('\n')
    assert.match(reasons, /dimension table pattern never expire/)
    assert.match(reasons, /no definition fills setting/)
    const named = {
      toBranch: 'wide',
      bootstrap: 'hybrid',
      marginMs: 0,
      rungs: ['L0', 'L1', 'L2'],
      quietMs: 500,
      holdMs: 1000,
      allow: ['disk'],
      // Not what is shown here: on a busy machine a step back for slow reads would end the story.
      ramp: { p95FloorMs: 5000 },
    } as const
    const plan = await world.client.call(
      'createWorkflow',
      {},
      {
        id: 'dry-run-of-hybrid',
        kind: 'dualwrite',
        keyspace: 'insights',
        name: 'dry',
        spec: { ...named, rungs: [...named.rungs], allow: [...named.allow], ramp: { ...named.ramp } },
        dryRun: true,
      },
    )
    assert.equal(plan.state, 'done', JSON.stringify(plan.errors))
    for (const line of [
      /setting: no definition fills it: its rows are copied/,
      /pattern: a dimension table.*label last by ver, first_seen min, last_seen max/,
      /stat: its rows come from the topic/,
    ])
      assert.match(plan.text.join('\n'), line)
    await world.create(named)
    await using wide = await startEntry(world, 'consume', ['--branch', 'insights@wide', '--lease-ms', '3000'])
    await world.untilState('validating')
    await until('rungs to pass', async () => (await world.act('validate', { rungs: ['L0', 'L1'] }, false)).state === 'done')
    // The window is whole and its rows are right, and yet: without a mover nothing has landed, so no ramp begins.
    const early = await world.act('ramp', { percent: 10 }, false)
    assert.equal(early.error?.code, 'SW-DUALWRITE-011')
    assert.match(early.error?.what ?? '', /dimension tables have not landed/)
    assert.equal((await world.show()).dualwrite?.dimensions?.landedAtMs, null)
    log('refused before the pass has landed')

    await using mover = await startEntry(world, 'mover', ['--lease-ms', '1000'])
    for (const afterMs of [150, 400]) {
      await systemClock.sleep(afterMs)
      await mover.kill()
      await wide.kill()
      await Promise.all([mover.again(), wide.again()])
    }
    await until('dimensions to follow', async () => (await world.show()).dualwrite?.dimensions?.state === 'following', 60_000)
    log('landed, after two kills of mover and consumer')
    await mover.kill()
    await mover.again()
    let told = ''
    await until(
      'the run to be ready',
      async () => {
        const view = await world.show()
        if (view.state === 'validating') await world.act('validate', {}, false)
        const short =
          view.dualwrite?.evidence.filter(({ verdict }) => verdict !== 'pass').map(({ rung, because }) => `${rung}: ${because}`) ?? []
        if (`${short}` !== told) log((told = `${short}`))
        return view.state === 'ready' && view.dualwrite?.dimensions?.state === 'following'
      },
      60_000,
    )
    const shown = (await world.show()).dualwrite?.evidence.find((one) => one.rung === 'L2')?.because ?? ''
    assert.match(shown, /\d{4,} copied rows of pattern, setting are equal/)
    // The mover hangs, and nobody knows yet: what clients wrote since is not on the new side, and no tenant may read there.
    mover.freeze()
    const hung = await world.act('ramp', { percent: 50 }, false)
    mover.wake()
    assert.equal(hung.error?.code, 'SW-DUALWRITE-013', `${hung.state}: ${hung.error?.what}`)
    await until('the same step, now', async () => (await world.act('ramp', { percent: 50 }, false)).state === 'done', 60_000)
    await world.act('rollback')
    await world.act('ramp', { percent: 50 })
    await world.act('ramp', { percent: 100 })
    await world.untilState('switched')
    log('switched')

    // The controller dies while gates hold and nothing is noted yet, and the next one when it is noted, with the streams and the old routing still there.
    const of: Death['of'] = (puts) =>
      puts.some(({ key, value }) => key.startsWith('workflows/') && JSON.stringify(value).includes('dimensionsEndedAtMs'))
    const died = world.controlDies({ at: 'before', of })
    await world.act('complete', { yes: true })
    await died
    await world.controlDies({ at: 'after', of })
    await world.untilState('decommissioned', 60_000)
    log('decommissioned, by the third controller')
    const total = await producer.stop()
    const written = await settings.stop()
    log(`${written.writes} rounds of client writes`)
    assert.deepEqual(written.errors, [])
    assert.deepEqual(written.backwards, [])
    assert.ok(written.writes > 100)
    await c.query('USE insights')
    const [counters] = await c.query("SELECT tenant, value FROM setting WHERE name = 'counter'")
    const there = new Map((counters as { tenant: number; value: number }[]).map((row) => [Number(row.tenant), Number(row.value)]))
    for (const [tenant, n] of written.counters) assert.equal(there.get(tenant), n, `tenant ${tenant}: the last acknowledged write stands`)
    const [hand] = await c.query("SELECT COUNT(*) AS n, SUM(label) AS s FROM pattern WHERE id >= 1000 AND note LIKE 'made by hand%'")
    assert.deepEqual([Number((hand as { n: number }[])[0]?.n), Number((hand as { s: number }[])[0]?.s)], [4000, 80 * 1225])
    // Nothing is left of the streams: neither records, nor rows on the servers that stay.
    assert.equal((await world.store.list('streams/')).entries.size + (await world.store.list('reports/')).entries.size, 0)
    await until('every event to be in the final branch, and the last of each pattern to be its label', async () => {
      const [stats] = await c.query('SELECT SUM(calls) AS s FROM stat')
      const sum = Number((stats as { s: string }[])[0]?.s)
      assert.ok(sum <= total, `${sum} of ${total}`)
      return sum === total
    })
    c.destroy()
  })

  test('promise 12: hybrid cancelled: streams end, the branch is empty, the old side stands; what cannot be merged stops the copy by name', async () => {
    await using world = await DualWriteTestWorld.start(flavours().includes('mysql') ? 'mysql' : 'mariadb', hybridShape)
    const c = await world.connect()
    await c.query("INSERT INTO pattern VALUES (1, 1000, 5, 1, 2, '', NULL), (2, 1000, 5, 1, 2, '', NULL)")
    await c.query("INSERT INTO setting VALUES (1, 'a', 1), (2, 'b', 2)")
    await world.fleet()
    await using _main = await startEntry(world, 'consume', ['--branch', 'insights'])
    const producer = world.produce()
    await using _mover = await startEntry(world, 'mover', [])
    await world.branch()
    await world.create({ bootstrap: 'hybrid' })
    await using _wide = await startEntry(world, 'consume', ['--branch', 'insights@wide'])
    await until('dimensions to follow', async () => (await world.show()).dualwrite?.dimensions?.state === 'following', 60_000)
    // A newer image of a version that stands is taken; a column that only clients write too.
    await c.query('UPDATE pattern SET label = 6, note = ? WHERE tenant = 1 AND id = 1000', ['changed'])
    await c.query("DELETE FROM setting WHERE tenant = 1 AND name = 'a'")
    await producer.stop()
    await until('both sides to be equal', async () => {
      for (const table of ['pattern', 'setting'])
        if (`${await rowsOf(world, 'main', table)}` !== `${await rowsOf(world, 'wide', table)}`) return false
      return true
    })
    assert.ok((await rowsOf(world, 'wide', 'pattern')).some((row) => /"label":6.*"note":"changed"/.test(row)))
    await c.query('UPDATE pattern SET first_seen = 9 WHERE tenant = 2 AND id = 1000')
    const stopped = await until('the stream to stop', async () => {
      const { dualwrite } = await world.show()
      return dualwrite?.dimensions?.state === 'failed' ? dualwrite.dimensions : null
    })
    assert.match(stopped.because, /SW-MOVE-034 .*pattern.*key 2,1000: first_seen went up from 1 to 9/)
    assert.match((await world.show()).next.join(' '), /DualWrite start/)

    const before = await rowsOf(world, 'main', 'pattern')
    const cancelled = world.act('cancel', { yes: true })
    await cancelled
    assert.deepEqual(await rowsOf(world, 'wide', 'pattern'), [])
    assert.deepEqual(await rowsOf(world, 'wide', 'setting'), [])
    assert.deepEqual(await rowsOf(world, 'main', 'pattern'), before)
    assert.equal((await world.store.list('streams/')).entries.size, 0)
    c.destroy()
  })
})
