/** The comparison that goes on from the copy to the switch: it sees a write that the binlog does not, gives way, resumes, repairs, and ends in the switch. */
import { test } from 'node:test'
import assert from 'node:assert/strict'
import { besideEachOther } from '../../test/kit/beside.ts'
import { connect } from '../mysql/connect.ts'
import { KeyRangeIndex } from '../keyspace/key-range-index.ts'
import { parseKeyRange } from '../keyspace/key-range.ts'
import { createVindex } from '../keyspace/vindexes/create.ts'
import { keys } from '../topology/keys.ts'
import type { RoutingRecord, VdiffRecord, VdiffReport } from '../topology/records.ts'
import { put, readRecord } from '../topology/typed.ts'
import { VerifyWorld } from './testkit/world.ts'

async function until(world: VerifyWorld, uid: string, what: string, holds: (report: VdiffReport) => boolean): Promise<VdiffReport> {
  let seen: VdiffReport | undefined
  await world.until(what, async () => {
    seen = await world.report(uid)
    return seen !== undefined && holds(seen)
  })
  assert.ok(seen !== undefined)
  return seen
}

const passOf = (report: VdiffReport): number => report.pass?.number ?? 0
const foundBefore = (report: VdiffReport): number | undefined => report.tables[0]?.last?.found

besideEachOther('comparisons that go on', (flavour) => {
  test(`continuous vdiff on ${flavour}: a write with sql_log_bin=0 is noticed and blocks; it gives way, goes on after a restart, repairs, ends in the switch`, async () => {
    await using world = await VerifyWorld.create({ flavour, sources: ['-80', '80-'], targets: ['-40', '40-80', '80-c0', 'c0-'] })
    const vindex = createVindex('hash', 'hash')
    const index = new KeyRangeIndex(world.sources.map((value) => ({ range: parseKeyRange(value.shard), value })))
    const idsOn = (shard: string): number[] =>
      Array.from({ length: 1000 }, (_, id) => id).filter(
        (id) => index.find(vindex.map([{ type: 'INT32', bytes: Buffer.from(String(id)) }])!)?.shard === shard,
      )
    for (const shard of ['-80', '80-']) {
      const values = idsOn(shard).map((id) => `(${id},${id},'a',NULL,${id})`)
      await world.s.query(`INSERT INTO ${world.on(world.sources, shard, 'item')} VALUES ${values.join()}`)
    }
    await world.start()
    const uid = await world.askVdiff({ continuous: true })
    const first = await until(world, uid, 'a whole pass', (report) => passOf(report) >= 2)
    assert.equal(first.state, 'running')
    assert.equal(foundBefore(first), 0)
    assert.deepEqual(first.groups?.map(({ name }) => name).sort(), ['-80', '80-'])

    const hidden = await connect({ ...world.source.config, sessionSql: ['SET SESSION sql_log_bin=0'] })
    await hidden.query(`UPDATE ${world.on(world.sources, '-80', 'item')} SET a = 'hidden' WHERE id = ${idsOn('-80')[50]}`)
    await hidden.query(`DELETE FROM ${world.on(world.sources, '80-', 'item')} WHERE id = ${idsOn('80-')[60]}`)
    hidden.destroy()
    const found = await until(world, uid, 'the hidden writes', (report) => foundBefore(report) === 2)
    assert.deepEqual([found.state, found.error], ['running', null])

    // Another one asked for goes first, and this one goes on from where it stood.
    const single = await world.vdiff({ shards: ['-80'] })
    assert.deepEqual(
      { state: single.state, restricted: single.restricted, groups: single.groups?.map(({ name, found: n }) => [name, n]) },
      { state: 'different', restricted: true, groups: [['-80', 1]] },
    )
    await world.stopMovers()
    const stood = await world.report(uid)
    world.startMover('mover-2')
    await world.untilRunning()
    const resumed = await until(world, uid, 'another pass', (report) => passOf(report) > passOf(stood as VdiffReport) + 1)
    assert.equal(resumed.startedAtMs, first.startedAtMs)
    assert.equal(foundBefore(resumed), 2)

    // One that repairs takes its place.
    await stop(world, uid)
    const ended = await world.vdiffEnded(uid)
    assert.deepEqual([ended.state, ended.why], ['stopped', 'it was asked to stop'])
    const repairing = await world.askVdiff({ continuous: true, repair: true })
    const repaired = await until(world, repairing, 'a pass after the repair', (report) => passOf(report) >= 3)
    assert.equal(repaired.repairedRows, 2)
    await until(world, repairing, 'a clean pass', (report) => foundBefore(report) === 0)

    // The switch: nothing is begun while it is under way, and when the other side serves it ends.
    const routing = await readRecord<RoutingRecord>(world.store, keys.routing('app'))
    assert.ok(routing !== null)
    const [component] = routing.value.components
    assert.ok(component !== undefined)
    const put1 = (components: RoutingRecord['components']): Promise<unknown> =>
      world.store.commit([], [put(keys.routing('app'), { ...routing.value, components })])
    await put1([{ ...component, phase: 'switching' }])
    await until(world, repairing, 'the wait for the switch', (report) => /the end of a switch/.test(report.waiting ?? ''))
    await put1([{ ...component, serving: { primary: component.other, replica: [] }, other: component.serving.primary }])
    const switched = await world.vdiffEnded(repairing)
    assert.equal(switched.state, 'stopped')
    assert.match(switched.why ?? '', /traffic was switched/)
  })
})

async function stop(world: VerifyWorld, uid: string): Promise<void> {
  const record = await readRecord<VdiffRecord>(world.store, keys.vdiff('flow', uid))
  assert.ok(record !== null)
  await world.store.commit([], [put(keys.vdiff('flow', uid), { ...record.value, wanted: 'stopped' as const })])
}
