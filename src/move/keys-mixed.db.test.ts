/** Keys that are walked otherwise than column by column upwards, or are none (PROTOCOLS 1.3). */
import { after, test } from 'node:test'
import assert from 'node:assert/strict'
import { ServerPairs } from '../../test/kit/server-pairs.ts'
import { flavours } from '../../test/kit/servers.ts'
import { connect } from '../mysql/connect.ts'
import { quoteQualified } from '../sql/quote.ts'
import { readSourceTables, usableKeys } from './source-tables.ts'
import { orderBy, rangeCondition } from './statements.ts'
import { random, World } from './testkit/world.ts'

const servers = new ServerPairs()
after(() => servers[Symbol.asyncDispose]())

const text = 'VARCHAR(10) CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci NOT NULL'
const tables = [
  {
    name: 'up_down',
    shardKey: 'owner',
    ddl: 'CREATE TABLE up_down (a INT NOT NULL, b INT NOT NULL, owner INT NOT NULL, v INT NOT NULL, PRIMARY KEY (a, b DESC))',
  },
  {
    name: 'down_up',
    shardKey: 'owner',
    ddl: `CREATE TABLE down_up (a ${text}, b INT NOT NULL, owner INT NOT NULL, v INT NOT NULL, PRIMARY KEY (a DESC, b))`,
  },
  {
    name: 'down',
    shardKey: 'owner',
    ddl: 'CREATE TABLE down (a INT NOT NULL, b INT NOT NULL, owner INT NOT NULL, v INT NOT NULL, PRIMARY KEY (a DESC, b DESC))',
  },
]

for (const flavour of flavours()) {
  test(`1.3 on ${flavour}: a key that no range can be read by is none to copy by`, async () => {
    const { source } = await servers.of(flavour)
    const conn = await connect(source.config)
    const hidden = flavour === 'mysql' ? 'INVISIBLE' : 'IGNORED'
    await conn.query('CREATE DATABASE hidden_keys')
    await conn.useDatabase('hidden_keys')
    await conn.query(`CREATE TABLE two (x INT NOT NULL, y INT NOT NULL, z INT NOT NULL, UNIQUE a (x, y), UNIQUE b (z) ${hidden})`)
    if (flavour === 'mariadb') await conn.query('CREATE TABLE hash (x INT NOT NULL, t VARCHAR(4000) NOT NULL, UNIQUE h (t))')
    assert.deepEqual(Object.fromEntries(await usableKeys(conn, 'hidden_keys')), { two: { name: 'a', columns: ['x', 'y'] } })
    await conn.query('DROP DATABASE hidden_keys')
    conn.destroy()
  })

  test(`1.3 on ${flavour}: keys whose columns lie in both directions are walked by their index, and every row is copied, killed in between too`, async (t) => {
    await using world = await World.create({ flavour, sources: ['-'], targets: ['-80', '80-'], tables }, servers.of(flavour))
    const { schema } = world.sourceRefs[0]!
    await world.s.useDatabase(schema)
    for (const { name } of tables) {
      const rows = Array.from({ length: 3_000 }, (_, i) => `(${i % 40}, ${i}, ${(i * 7919) % 1000}, 0)`)
      await world.s.query(`INSERT INTO ${name} VALUES ${rows.join()}`)
    }
    const record = world.record(0)
    const plans = await readSourceTables(world.s, '-', schema, record.tables)
    for (const { plan, keyName } of plans) {
      const where = rangeCondition(plan, plan.name === 'down_up' ? ["'7'", '7'] : ['7', '7'], null)
      const rows = await world.s.allText(
        `EXPLAIN ${flavour === 'mysql' ? 'FORMAT=TRADITIONAL ' : ''}SELECT * FROM ${quoteQualified(schema, plan.name)} FORCE INDEX (${keyName}) WHERE ${where} ORDER BY ${orderBy(plan)} LIMIT 100`,
      )
      assert.doesNotMatch(rows[0]?.Extra ?? '', /filesort/, plan.name)
      assert.equal(rows[0]?.type, 'range', plan.name)
    }
    const seed = Number(process.env['SHARDWRIGHT_SEED'] ?? Date.now() % 1_000_000)
    t.diagnostic(`again: SHARDWRIGHT_SEED=${seed} npm test -- src/move/keys-mixed`)
    const pick = random(seed)
    let stop = false
    const writer = (async () => {
      while (!stop) {
        const { name } = tables[pick(3)]!
        const b = pick(3_000)
        await world.s.query(
          [
            `UPDATE ${name} SET v = v + 1 WHERE b = ${b}`,
            `UPDATE ${name} SET b = b + 5000, a = a + 1 WHERE b = ${b}`,
            `DELETE FROM ${name} WHERE b = ${b}`,
          ][pick(3)]!,
        )
      }
    })()
    let landings = 0
    const failpoints = {
      hit: (at: string) => (at === 'copy.landedOnSomeTargets' && ++landings === 5 ? Promise.reject(new Error('killed')) : undefined),
    }
    const killed = world.start(record, { failpoints })
    await killed.done
    assert.ok(landings >= 5)
    world.reports.delete(record.uid)
    const running = world.start(record)
    await world.untilRunning(record.uid)
    stop = true
    await writer
    await world.drain(record.uid)
    assert.ok((await world.assertEqual()) > 5_000)
    await running.stop()
  })

  test(`1.3 on ${flavour}: a generated column is no key to copy by and no shard key: another key is taken, or the table is refused`, async () => {
    await using world = await World.create({ flavour, sources: ['-'], targets: ['-80', '80-'], tables: [] }, servers.of(flavour))
    const { schema } = world.sourceRefs[0]!
    await world.s.useDatabase(schema)
    // MariaDB has none that is NOT NULL.
    const stored = `g INT AS (a + 1) STORED${flavour === 'mysql' ? ' NOT NULL' : ''}`
    await world.s.query(`CREATE TABLE two (a INT NOT NULL, owner INT NOT NULL, ${stored}, UNIQUE KEY g (g), UNIQUE KEY pair (a, owner))`)
    await world.s.query(
      `CREATE TABLE one (a INT NOT NULL, owner INT NOT NULL, ${stored}, ${flavour === 'mysql' ? 'PRIMARY' : 'UNIQUE'} KEY g (g))`,
    )
    const sharded = (name: string, column: string) => ({ name, reference: false, vindex: { type: 'hash', params: {}, columns: [column] } })
    const read = (name: string, column: string) => readSourceTables(world.s, '-', schema, [sharded(name, column)])
    assert.equal((await read('two', 'owner'))[0]?.keyName, 'pair')
    await assert.rejects(read('one', 'owner'), { code: 'SW-MOVE-005' })
    await assert.rejects(read('two', 'g'), { code: 'SW-MOVE-016' })
  })
}
