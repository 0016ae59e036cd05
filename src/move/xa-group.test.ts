/** PROTOCOLS 1.9: what an XA transaction changed, kept and given out. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { TablePlan } from './table-plan.ts'
import type { TailConsumerOptions } from './tail-consumer-options.ts'
import { TouchedKeys } from './touched.ts'
import { XaGroup } from './xa-group.ts'
import type { AddressedChange, XaStore } from './xa.ts'

const table = { name: 't' } as unknown as TablePlan
const change = (key: string): AddressedChange => ({ target: 0, change: { table, key, row: `(${key})`, images: null } })
const place = { at: { marker: 9, groups: 1 }, text: 'there', markersBefore: true, had: () => false }

function world(
  kept: readonly AddressedChange[] | null,
  xaProof: 'marker' | 'recover' = 'recover',
): { group: XaGroup; touched: TouchedKeys<TablePlan>; parts: number[] } {
  const parts: number[] = []
  const xa: XaStore = {
    prepare: async (_, __, ___, part) => void parts.push(part),
    commit: async () => kept,
    parts: async function* () {},
    rollback: async () => undefined,
    torn: async () => undefined,
  }
  const touched = new TouchedKeys<TablePlan>()
  const options = {
    xa,
    touched,
    xaProof,
    onTouched: () => undefined,
    copying: new Set([table]),
    partBytesMax: () => 100,
    targets: [],
    beforeFirstMarker: null,
    sourceName: 's',
  }
  return { group: new XaGroup(options as unknown as TailConsumerOptions), touched, parts }
}

test('1.9: keys of an XA transaction count as touched for every chunk, whenever its low marker was', async () => {
  const { group, touched } = world([change('7')])
  // A generation is shared while nothing is in it.
  const before = touched.begin(1)
  touched.met(1)
  touched.add(table, '1')
  const between = touched.begin(2)
  touched.met(2)
  touched.add(table, '2')
  const after = touched.begin(3)
  assert.equal(new Set([before, between, after]).size, 3)
  assert.deepEqual(await group.committed('x', place, new AbortController().signal), [change('7')])
  const drops = (generation: number): boolean => touched.setsSince(table, generation).some((set) => set.has('7'))
  for (const generation of [before, between, after, touched.begin(9)]) assert.ok(drops(generation))
  assert.equal(group.rowChanges, 1)
})

test('1.9: a key that is touched by an XA transaction is kept for chunks that begin later only while the server knows the xid; where markers prove enough, not at all', async () => {
  const { group, touched } = world([change('7')])
  const drops = (generation: number): boolean => touched.setsSince(table, generation).some((set) => set.has('7'))
  const before = touched.begin()
  touched.add(table, '1')
  await group.committed('x', place, new AbortController().signal)
  touched.askProof()
  touched.prove(new Set(['x']))
  const while_ = touched.begin()
  assert.ok(drops(before) && drops(while_))
  touched.add(table, '2')
  await group.committed('y', place, new AbortController().signal)
  touched.prove(new Set())
  // x is proven and y was not asked for yet; both have the key.
  const later = touched.begin()
  assert.ok(drops(later) && touched.waitsForProof)
  touched.askProof()
  touched.prove(new Set())
  assert.ok(drops(before) && drops(while_) && drops(later), 'who was in flight drops it still')
  assert.equal(drops(touched.begin()), false)
  // Begun anew behind its commit.
  await group.committed('x', place, new AbortController().signal)
  assert.ok(touched.waitsForProof)
  group.begin('x')
  assert.equal(touched.waitsForProof, false)
  const markers = world([change('7')], 'marker')
  const early = markers.touched.begin()
  await markers.group.committed('x', place, new AbortController().signal)
  const late = markers.touched.begin()
  assert.deepEqual(
    [early, late].map((generation) => markers.touched.setsSince(table, generation).some((set) => set.has('7'))),
    [true, false],
  )
  assert.equal(markers.touched.waitsForProof, false)
})

test('1.9, promise 8: keys that are too many are dropped, and their xids waited for, by a question asked behind their commits; what is committed later has its keys', async () => {
  const { group, touched } = world([change('7'), change('8')])
  const signal = new AbortController().signal
  const drops = (key: string): boolean => touched.setsSince(table, 0).some((set) => set.has(key))
  await group.committed('large', place, signal)
  touched.askProof()
  // The server is being asked: its answer was of before this one.
  await group.committed('next', place, signal)
  assert.ok(touched.unprovenBytes > 0)
  touched.dropUnproven()
  assert.deepEqual([touched.unprovenBytes, drops('7'), touched.mustProve], [0, false, true])
  await group.committed('large', place, signal)
  assert.equal(touched.unprovenBytes, 0, 'the rest of it')
  touched.addUnproven(table, '9', 'later')
  assert.ok(drops('9'))
  touched.prove(new Set())
  assert.ok(touched.mustProve, 'next was not asked for')
  touched.askProof()
  touched.prove(new Set(['next', 'later']))
  assert.ok(touched.mustProve)
  touched.askProof()
  touched.prove(new Set(['later']))
  assert.equal(touched.mustProve, false)
  assert.ok(drops('9') && touched.waitsForProof)
})

test('1.9: parts of one transaction are numbered, those of the next begin anew; one whose rows were never read stops the stream behind its first marker', async () => {
  const { group, parts } = world(null)
  for (const xid of ['a', 'b']) {
    group.begin(xid)
    await group.keep(xid, place.at, [])
    await group.keep(xid, place.at, [])
    assert.ok(group.inParts)
    group.end()
  }
  assert.deepEqual(parts, [0, 1, 0, 1])
  await assert.rejects(group.committed('c', place, new AbortController().signal), { code: 'SW-MOVE-020' })
})
