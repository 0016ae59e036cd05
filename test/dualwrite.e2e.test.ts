import assert from 'node:assert/strict'
import { test } from 'node:test'
import mysql from 'mysql2/promise'
import { DualWriteTestWorld } from './kit/dualwrite-world.ts'
import { until } from './kit/until.ts'

test('dual-write end to end: a branch from the topic, proven, ramped both ways with a stopped gate, no tenant back in time, completed', async () => {
  await using world = await DualWriteTestWorld.start()
  const log = (text: string): void => console.log(`${new Date().toISOString().slice(17, 23)} ${text}`)
  await world.startSecondGate()
  await world.fleet()
  world.runFleets()
  const producer = world.produce()
  await until('the old branch to have rows', async () => {
    const c = await world.connect()
    try {
      const [rows] = await c.query('SELECT COUNT(*) AS n FROM detail')
      return Number((rows as { n: number }[])[0]?.n) > 100
    } finally {
      c.destroy()
    }
  })
  log('old branch has rows')
  const readers = world.read([world.gatePort, world.secondGate?.port ?? 0])
  await world.branch()
  log('branch')
  // Cancelled before anything moved: the branch is empty again, and clients may write.
  await world.create({ bootstrap: 'wait' })
  await world.untilState('filling')
  assert.equal((await world.act('cancel', {}, false)).error?.code, 'SW-DUALWRITE-015')
  await world.act('cancel', { yes: true })
  assert.deepEqual(
    (await world.client.call('listFleets')).map((fleet) => fleet.name),
    ['insights'],
  )
  log('cancelled')
  await world.create({ ramp: { steps: [10, 50, 100], dwellMs: 300, watchEveryMs: 500, p95FloorMs: 500, watchRungs: ['L1', 'L2'] } })
  log('created')
  await world.untilState('validating')
  log('filled')
  const c = await world.connect()
  await assert.rejects(c.query('INSERT INTO detail VALUES (1, 1, 1, 1, 1)'), /SW-GATE-211/)
  // Each branch can be read by name, whatever the rule says; `main` is the keyspace itself.
  for (const [name, schema] of [
    ['insights@wide', /^insights_wide_/],
    ['insights@main', /^insights$/],
  ] as const) {
    await c.query(`USE ${name}`)
    const [rows] = await c.query('SELECT SCHEMA() AS named, (SELECT COUNT(*) FROM detail WHERE tenant = 3) AS n')
    assert.equal((rows as { named: string }[])[0]?.named, name)
    assert.ok(Number((rows as { n: number }[])[0]?.n) > 0, `${name} (${schema}) has rows of tenant 3`)
  }
  await c.query('USE insights')
  const early = await world.act('ramp', { percent: 10 }, false)
  assert.equal(early.error?.code, 'SW-DUALWRITE-011')
  await until('the ladder to pass', async () => (await world.act('validate', {}, false)).state === 'done')
  await world.untilState('ready')
  log('ready')
  // Real reads, sampled by real gates, sent again through one; a busy machine's latencies are its own affair.
  await until('real reads to answer alike', async () => (await world.act('validate', { rungs: ['L3', 'L4'] }, false)).state === 'done')
  const shadow = (await world.show()).dualwrite?.evidence.find((one) => one.rung === 'L4')
  assert.ok(shadow?.verdict === 'pass' && Number(shadow.numbers['reads']) > 5, JSON.stringify(shadow))
  await world.act('validate', { rungs: ['L5'] }, false)
  const latency = (await world.show()).dualwrite?.evidence.find((one) => one.rung === 'L5')
  assert.ok(Number(latency?.numbers['p95NewMs']) > 0 && Number(latency?.numbers['reads']) > 5, JSON.stringify(latency))
  log(`L4 ${shadow.because}; L5 ${latency?.because}`)
  // Somebody else writes the old branch: named, and what was compared before counts no more until it is compared again.
  const other = await mysql.createConnection({ ...world.oldServer.config, database: 'insights' })
  await other.query('UPDATE detail SET n = n + 1 ORDER BY tenant, at LIMIT 1')
  const told = await until('the other writer to be told', async () => {
    const view = await world.show()
    return view.state === 'validating' ? view : null
  })
  assert.match(
    told.journal.map((entry) => entry.text).join('\n'),
    /ALARM: somebody else writes the old branch: .*1 transaction of insights\.detail/,
  )
  assert.equal((await world.act('ramp', { percent: 10 }, false)).error?.code, 'SW-DUALWRITE-011')
  await other.query('UPDATE detail SET n = n - 1 ORDER BY tenant, at LIMIT 1')
  await other.end()
  await until('it to be ready once more', async () => {
    await world.act('validate', {}, false)
    return (await world.show()).state === 'ready'
  })
  const kept = (await world.show()).dualwrite?.evidence.find((one) => one.rung === 'L2')
  assert.ok((kept?.earlier.length ?? 0) > 0, 'what it said before is kept')
  // What is measured of it, and simulated: each way side by side, a picture of the hours.
  const plan = await world.client.call(
    'plan',
    { keyspace: 'insights' },
    { toShards: 2, assume: ['w=50000', 'Rk=8d'], sampleMs: 300, simulate: { ways: ['wait', 'pin'], outages: [] } },
  )
  assert.match(plan.text.join('\n'), /wait[^]*pin/)
  assert.match(plan.svg ?? '', /^<svg [^]*<\/svg>\s*$/)
  // One tenant by name, then shares.
  // The other writer's second write may be noticed after the comparison that it came before: then it is compared once more.
  await until('a tenant to be moved', async () => {
    if ((await world.act('tenant', { keyspaceId: '4fc7a4a0d5d9a3a0', branch: 'wide' }, false)).state === 'done') return true
    await world.act('validate', {}, false)
    return false
  })
  assert.deepEqual((await world.show()).dualwrite?.tenants, [{ keyspaceId: '4fc7a4a0d5d9a3a0', branch: 'wide' }])
  await world.ramp({ percent: 10 })
  await world.ramp({ percent: 100 })
  log(
    (await world.show()).journal
      .slice(-2)
      .map((e) => e.text)
      .join(' | '),
  )
  await world.act('rollback')
  log(
    (await world.show()).journal
      .slice(-1)
      .map((e) => e.text)
      .join(' | '),
  )

  // A wrong row on the new branch: the comparison finds it, reads go back by themselves, and the branch is ready no more.
  const wrong = await world.spoilRow()
  await world.ramp({ percent: 10 })
  const back = await until('the ramp to step back', async () => {
    const view = await world.show()
    return view.dualwrite?.readsPercent === 0 && view.state === 'validating' ? view : null
  })
  log(`stepped back: ${back.journal.at(-2)?.text}`)
  assert.match(back.journal.map((entry) => entry.text).join('\n'), /stepping back: the branches differ \(L[12]\)/)
  assert.equal((await world.act('ramp', { percent: 10 }, false)).error?.code, 'SW-DUALWRITE-011')
  await wrong.repair()
  await until('the ladder to pass again', async () => (await world.act('validate', {}, false)).state === 'done')

  // Reads that hang on the new branch: gates cannot let go of them, so the step back is an emergency, and says so.
  await world.ramp({ auto: true })
  await until('reads to have moved', async () => ((await world.show()).dualwrite?.readsPercent ?? 0) >= 10)
  const hang = await world.hangReads()
  const emergency = await until('the emergency', async () => {
    const view = await world.show()
    return view.journal.some((entry) => /^emergency \(guard\).*tenants may have gone back in time: p95/.test(entry.text)) ? view : null
  })
  await hang.end()
  log(emergency.journal.at(-1)?.text ?? '')
  assert.match(
    emergency.journal.map((entry) => entry.text).join('\n'),
    /tenants may have gone back in time: p95 of reads on the new branch/,
  )
  assert.equal(emergency.dualwrite?.auto?.state, 'stepped back')
  await world.untilState('ready')

  // A gate that does not answer: nothing is closed before its lease has ended, so nobody waits for it.
  world.secondGate?.process.kill('SIGSTOP')
  const stopped = world.ramp({ percent: 50 })
  await stopped
  log('moved while a gate was stopped')
  world.secondGate?.process.kill('SIGCONT')
  await world.ramp({ percent: 100 })
  await world.untilState('switched')
  log('switched')
  const reading = await readers.stop()
  log(`reads ${reading.reads} slowest ${reading.slowestMs.toFixed(0)} ms`)
  assert.deepEqual(reading.backwards, [])
  assert.deepEqual(reading.errors, [])
  assert.ok(reading.reads > 200)
  // The old fleet is stopped, and is had back as long as the horizon lasts.
  assert.equal((await world.act('complete', {}, false)).error?.code, 'SW-DUALWRITE-015')
  await world.act('complete', { yes: true, holdMs: 600_000 })
  const horizon = await until('a horizon', async () => {
    const view = (await world.show()).dualwrite?.horizon
    return view?.kind === 'until' ? view : null
  })
  log(`horizon: ${horizon.because}`)
  await world.act('rollback')
  assert.equal((await world.show()).dualwrite?.readsPercent, 0)
  await world.ramp({ percent: 100 })
  log('rolled back while holding, and moved again')
  // Nothing is removed while anything reads it: a direct reader who comes during the hold stops the removal by name, and it is tried again.
  const direct = await mysql.createConnection({ ...world.oldServer.config })
  await direct.query("CREATE USER report@'%' IDENTIFIED BY 'r'")
  await direct.query("GRANT SELECT ON insights.* TO report@'%'")
  await direct.end()
  const done = await world.act('complete', { yes: true, holdMs: 1500 })
  const report = await mysql.createConnection({ ...world.oldServer.config, user: 'report', password: 'r' })
  log(done.text.join('\n'))
  const stopping = await until('the removal to be stopped', async () => (await world.show()).dualwrite?.removalStopped ?? null)
  assert.match(stopping, /^report is connected to /)
  await report.query('SELECT COUNT(*) FROM insights.detail')
  assert.equal((await world.show()).state, 'holding')
  await report.end()
  await world.untilState('decommissioned')
  const after = await mysql.createConnection({ ...world.oldServer.config })
  const [[userstat]] = (await after.query('SELECT @@GLOBAL.userstat AS n')) as unknown as [[{ n: number }]]
  assert.equal(userstat.n, 0, 'MariaDB counts no longer than it was asked')
  await after.end()
  log('decommissioned')
  const total = await producer.stop()
  await until('every event to be in the final branch, once', async () => {
    const [rows] = await c.query('SELECT COUNT(*) AS n, SUM(n) AS s FROM detail')
    const [stats] = await c.query('SELECT SUM(calls) AS s FROM stat')
    const [n, s] = [Number((rows as { n: number }[])[0]?.n), Number((stats as { s: string }[])[0]?.s)]
    assert.ok(n <= total && s <= total, `${n} rows and ${s} calls of ${total} events`)
    return n === total && s === total
  })
  const keyspace = await world.client.call('showKeyspace', { keyspace: 'insights' })
  assert.equal(keyspace.shards.length, 4)
  c.destroy()
})
