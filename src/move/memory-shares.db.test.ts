/** What the streams of one mover hold of a copy, together. */
import { after, test } from 'node:test'
import assert from 'node:assert/strict'
import { ServerPairs } from '../../test/kit/server-pairs.ts'
import { flavours } from '../../test/kit/servers.ts'
import type { Failpoints } from './crash-points.ts'
import { MemoryShares } from './memory-shares.ts'
import { smallConfig } from './testkit/small-config.ts'
import { World } from './testkit/world.ts'

const servers = new ServerPairs()
after(() => servers[Symbol.asyncDispose]())

for (const flavour of flavours()) {
  test(`promise 8 on ${flavour}: four streams of one mover that may land nothing hold together what one may, and copy all when they may`, async () => {
    const table = {
      name: 'doc',
      shardKey: 'id',
      ddl: 'CREATE TABLE doc (id INT NOT NULL PRIMARY KEY, c VARCHAR(1000) CHARACTER SET latin1 NOT NULL)',
    }
    const sources = ['-40', '40-80', '80-c0', 'c0-']
    await using world = await World.create({ flavour, sources, targets: ['-'], tables: [table] }, servers.of(flavour))
    for (const [i, { schema }] of world.sourceRefs.entries()) {
      const rows = Array.from({ length: 600 }, (_, n) => `(${i + 4 * n}, REPEAT('x', 1000))`)
      await world.s.query(`INSERT INTO ${schema}.doc VALUES ${rows.join()}`)
      // A first chunk is as long as the source says of its rows.
      await world.s.query(`ANALYZE TABLE ${schema}.doc`)
    }
    const records = world.sourceRefs.map((_, i) => world.record(i, { tables: [{ ...world.streamTables()[0]!, reference: false }] }))
    const config = { copyBytesMax: 400_000, chunkBytes: 10_000 }
    const memory = new MemoryShares({ ...smallConfig, ...config })
    const shares = world.sharesOf(records)
    let letGo = (): void => undefined
    const gate = new Promise<void>((resolve) => (letGo = resolve))
    const failpoints: Failpoints = { hit: (point) => (point === 'copy.beforeLandCommit' ? gate : undefined) }
    const running = records.map((record) => world.start(record, { config, memory, shares, failpoints }))
    const read = (): number => running.reduce((sum, { stream }) => sum + stream.report().copy.sourceRowsRead, 0)
    for (let before = -1, calm = 0; calm < 10;) {
      const each = running.every(({ stream }) => stream.report().copy.sourceRowsRead > 0)
      calm = each && before === read() ? calm + 1 : 0
      before = read()
      await new Promise((resolve) => setTimeout(resolve, 50))
    }
    const rows = read()
    letGo()
    await world.untilRunning(...records.map(({ uid }) => uid))
    await Promise.all(running.map(({ stop }) => stop()))
    assert.equal(await world.t.value(`SELECT COUNT(*) FROM ${world.targetRefs[0]!.schema}.doc`), '2400')
    // A row is 1,010 bytes; beside its part each stream has the chunk that was being read.
    assert.ok(rows <= 400 + 4 * 60, `${rows} rows of 1,000 bytes at once`)
  })
}
