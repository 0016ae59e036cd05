/**
 * Promise 8, 1: rows of megabytes, larger than every budget: read, landed and applied one by one, byte for byte, with several targets that each could hold
 * one (chunk-reader.ts, tail-consumer.ts). On MySQL too by SHARDWRIGHT_CRASH_ALL=1.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { flavours } from '../../test/kit/servers.ts'
import { World } from './testkit/world.ts'

const doc = {
  name: 'doc',
  shardKey: 'owner',
  ddl: 'CREATE TABLE doc (id BIGINT NOT NULL PRIMARY KEY, owner INT NOT NULL, body LONGBLOB NOT NULL)',
}
const large = {
  name: 'large',
  shardKey: 'owner',
  ddl: 'CREATE TABLE large (id BIGINT NOT NULL PRIMARY KEY, owner INT NOT NULL, b LONGBLOB NULL, t LONGTEXT CHARACTER SET utf8mb4 NULL, j JSON NULL)',
}
/** Bytes of a value. */
const above = (16 << 20) + 4_096
const body = (n: number): string => `REPEAT(UNHEX('27${(16 + n).toString(16)}5C00'), ${400_000 + n})`

for (const flavour of flavours().filter((name) => name === 'mariadb' || process.env['SHARDWRIGHT_CRASH_ALL'] !== undefined)) {
  test(`promise 8 on ${flavour}: rows larger than every budget are copied and followed byte for byte`, async () => {
    await using world = await World.create({ flavour, sources: ['-'], targets: ['-40', '40-80', '80-c0', 'c0-'], tables: [doc] })
    await world.s.useDatabase(world.sourceRefs[0]!.schema)
    for (let n = 0; n < 8; n++) await world.s.query(`INSERT INTO doc VALUES (${n}, ${n * 37}, ${body(n)})`)
    const record = world.record(0)
    const config = { chunkBytes: 10_000, copyBytesMax: 100_000, pendingBytesMax: 100_000 }
    const running = world.start(record, { config })
    await world.untilRunning(record.uid)
    // Every row once to each of two targets, in one transaction and in many.
    await world.s.query('UPDATE doc SET owner = owner + 5')
    for (let n = 0; n < 8; n++) await world.s.query(`UPDATE doc SET owner = owner + 41, body = ${body(n + 20)} WHERE id = ${n}`)
    await world.drain(record.uid)
    assert.equal(await world.assertEqual(), 8)
    await running.stop()
  })

  // A packet carries at most 16 MiB - 1: rows, statements and events that are larger come in several, cut anywhere, within a character or an escape too.
  test(`promise 8 on ${flavour}: rows above 16 MiB, with a LONGBLOB, a LONGTEXT or a JSON, are copied, inserted, updated, moved and deleted`, async (t) => {
    const settings = { 'max-allowed-packet': '64M' }
    await using world = await World.create({ flavour, sources: ['-'], targets: ['-80', '80-'], tables: [large], settings })
    const { s } = world
    await s.useDatabase(world.sourceRefs[0]!.schema)
    // Owners 1 to 3 are on the first target, 4 and 6 on the other.
    await s.query(`INSERT INTO large (id, owner, b) VALUES (1, 1, REPEAT(UNHEX('27005CFF${'30'.repeat(60)}'), ${above / 64}))`)
    await s.query(`INSERT INTO large (id, owner, t) VALUES (2, 2, REPEAT('é''\\\\${'€xy'.repeat(12)}', ${above / 64}))`)
    // MySQL's binary form has the quotes without a backslash.
    const json = `JSON_OBJECT('text', REPEAT('${'ab'.repeat(31)}c"', ${above / 64}), 'day', CAST('2024-02-29' AS DATE), 'n', 0.1)`
    await s.query(`INSERT INTO large (id, owner, j) VALUES (3, 4, ${json}), (10, 1, '"small"')`)
    const record = world.record(0)
    const running = world.start(record)
    await world.untilRunning(record.uid)
    assert.equal(await world.assertEqual('digests'), 4)
    await s.query('INSERT INTO large SELECT 4, 6, b, t, j FROM large WHERE id = 1')
    // The row twice in its event; the one of the JSON goes to the other target with what it was before.
    await s.query("UPDATE large SET t = CONCAT('ä', t) WHERE id = 2")
    await s.query("UPDATE large SET j = JSON_SET(j, '$.n', 18446744073709551615), owner = 3 WHERE id = 3")
    await s.query('DELETE FROM large WHERE id = 1')
    await world.drain(record.uid)
    assert.equal(await world.assertEqual('digests'), 4)
    await running.stop()
    t.diagnostic(`greatest memory of this process, which is the mover too: ${Math.round(process.resourceUsage().maxRSS / 1024)} MiB`)
  })
}

test('1.1, 1.3: rows of megabytes are sent by the source once, or twice where they come among small ones, not again with each chunk before them', async () => {
  await using world = await World.create({ flavour: 'mariadb', sources: ['-'], targets: ['-80', '80-'], tables: [doc] })
  await world.s.useDatabase(world.sourceRefs[0]!.schema)
  const count = 24
  for (let n = 0; n < count; n++) await world.s.query(`INSERT INTO doc VALUES (${n}, ${n * 37}, REPEAT('${n % 10}', ${4 << 20}))`)
  // Before and behind them, small rows: chunks are large, become small, and large again.
  await world.s.query("INSERT INTO doc SELECT seq, seq, 'small' FROM seq_1000_to_4000")
  await world.s.query("INSERT INTO doc SELECT -seq, seq, 'small' FROM seq_1000_to_4000")
  const sent = async (): Promise<number> => Number((await world.s.one("SHOW GLOBAL STATUS LIKE 'Bytes_sent'"))?.['Value']?.toString())
  const before = await sent()
  const record = { ...world.record(0), targets: world.targetRefs }
  const running = world.start(record, { config: { chunkBytes: 500_000, copyBytesMax: 3_000_000 } })
  await world.untilRunning(record.uid)
  const copied = (await sent()) - before
  await running.stop()
  assert.equal(Number(await world.s.value('SELECT COUNT(*) FROM doc')), count + 6_002)
  assert.ok(copied < 2 * count * (4 << 20), `${copied} bytes sent for ${count} rows of 4 MiB`)
})
