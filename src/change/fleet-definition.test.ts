import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { isSwError } from '../base/errors.ts'
import { loadDefinition } from '../ingest/load-definition.ts'
import { queryStats } from '../ingest/testkit/query-stats.ts'
import { keys } from '../topology/keys.ts'
import type { FleetRecord } from '../topology/dualwrite-records.ts'
import { put, readRecord, updateRecord } from '../topology/typed.ts'
import { updateDefinition, whyNotNext } from './fleet-definition.ts'
import type { FleetWorld } from './fleets.ts'
import { standing } from './testkit/standing-run.ts'

test('a fleet takes the next version by compare-and-set: not while a dual-write run is open, also one that is created meanwhile', async () => {
  const { store, run } = await standing()
  const one = queryStats()
  const two = queryStats({ version: 2, factor: 100, previous: [one] })
  await updateRecord<FleetRecord>(store, keys.fleet('insights'), (fleet) =>
    fleet === null ? null : { ...fleet, definitionVersion: 1, definitionDigest: one.digest },
  )
  const world = { store, loadDefinition: async () => two } as unknown as FleetWorld
  let meanwhile = async (): Promise<unknown> => undefined
  const update = (name: string) =>
    updateDefinition(world, name, 'two.ts', AbortSignal.timeout(10_000), async () => {
      await meanwhile()
      return { problems: [] }
    })
  const refusal = (code: string) => (error: unknown) => isSwError(error) && error.code === code
  const stored = async () => (await readRecord<FleetRecord>(store, keys.fleet('insights')))?.value
  await assert.rejects(update('nobody'), refusal('SW-DUALWRITE-007'))
  await assert.rejects(update('insights'), refusal('SW-DUALWRITE-016'))
  const key = keys.workflow('insights', 'grow')
  await store.commit([], [put(key, { ...run, ended: true })])
  // A run comes while tables are looked at, and claims the reads.
  meanwhile = async () => {
    meanwhile = async () => undefined
    await store.commit([], [put(key, run), put(keys.reads('insights'), { v: 1, claimed: true } as never)])
  }
  await assert.rejects(update('insights'), refusal('SW-DUALWRITE-016'))
  assert.equal((await stored())?.definitionVersion, 1)
  await store.commit([], [put(key, { ...run, ended: true })])
  // Held meanwhile by somebody: that stands.
  meanwhile = async () => {
    meanwhile = async () => undefined
    await updateRecord<FleetRecord>(store, keys.fleet('insights'), (fleet) => (fleet === null ? null : { ...fleet, wanted: 'held' }))
  }
  await update('insights')
  const { wanted, definitionPath, definitionVersion, definitionDigest } = (await stored())!
  assert.deepEqual([wanted, definitionPath, definitionVersion, definitionDigest], ['held', 'two.ts', 2, two.digest])
})

test('what may follow: a higher version with the one before, unchanged, in `previous`; or the same from another file', () => {
  const one = queryStats()
  const fleet = { definitionVersion: 1, definitionDigest: one.digest }
  assert.equal(whyNotNext(fleet, queryStats()), null)
  assert.equal(whyNotNext(fleet, queryStats({ version: 3, previous: [one] })), null)
  assert.match(whyNotNext(fleet, queryStats({ poison: 'dead-letter' })) ?? '', /other things under version 1/)
  assert.match(whyNotNext(fleet, queryStats({ version: 2 })) ?? '', /has no version 1/)
  assert.match(
    whyNotNext(fleet, queryStats({ version: 2, previous: [queryStats({ poison: 'dead-letter' })] })) ?? '',
    /is not the one that the fleet runs with/,
  )
})

test('YAML: `previous` names files of older versions; wherever they are kept, they are the same', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'sw-yaml-'))
  try {
    const yaml = (version: number, more: string): string =>
      `topic: q\nversion: ${version}\n${more}decode: { json: { db: integer, at: integer, n: integer } }\neventTime: at\ntables:\n  c:\n    kind: coalesced\n    shardKey: [db]\n    key: [db, hour]\n    bucket: { column: hour, every: 1h }\n    retention: 8d\n    columns: { db: key, hour: key, n: ${version === 1 ? 'sum' : 'max'} }\n`
    mkdirSync(join(dir, 'old'))
    for (const path of ['one.yaml', 'old/one.yaml']) writeFileSync(join(dir, path), yaml(1, ''))
    writeFileSync(join(dir, 'two.yaml'), yaml(2, 'previous: [old/one.yaml]\n'))
    const [one, two] = await Promise.all(['one.yaml', 'two.yaml'].map((path) => loadDefinition(join(dir, path))))
    assert.deepEqual([two?.version, two?.previous.map(({ digest }) => digest)], [2, [one?.digest]])
    assert.equal(whyNotNext({ definitionVersion: 1, definitionDigest: one!.digest }, two!), null)
    await assert.rejects(loadDefinition(join(dir, 'missing.yaml')), /missing\.yaml/)
  } finally {
    rmSync(dir, { recursive: true })
  }
})
